/** Tables of many rows, by Tabulator; cells are built from elements and text. */
const tables = (() => {
  const { element } = elements;
  const NUMBER = { sorter: "number", hozAlign: "right", headerHozAlign: "right", sorterParams: { alignEmptyValues: "bottom" } };
  const TEXT = { sorter: "string", sorterParams: { alignEmptyValues: "bottom" } };

  function heading({ title, hint }) {
    return () => {
      const button = element("button", "heading-button", title);
      button.type = "button";
      if (hint) button.title = hint;
      return button;
    };
  }

  /** A column whose cell is what `show` makes of the row. */
  function column(field, title, show, { number = false, hint, sortable = true, ...rest } = {}) {
    return {
      field, ...(number ? NUMBER : TEXT), headerSort: sortable, headerSortStartingDir: number ? "desc" : "asc",
      titleFormatter: sortable ? heading({ title, hint }) : () => element("span", "heading-text", title),
      formatter: (cell) => {
        const content = show(cell.getData());
        return content instanceof Node ? content : document.createTextNode(content);
      },
      ...rest,
    };
  }

  /** A table in an element; `open` is called for a row that is clicked beside its links. */
  function make(node, columns, { sort, open, empty, height = "72vh" }) {
    const table = new Tabulator(node, {
      columns, data: [], maxHeight: height, layout: "fitColumns", index: "id", placeholder: empty, movableColumns: false,
      initialSort: [{ column: sort, dir: columns.find(({ field }) => field === sort).headerSortStartingDir }],
      columnDefaults: { resizable: false, vertAlign: "middle" }, headerSortElement: "<i></i>", selectableRows: false,
    });
    table.on("rowClick", (event, row) => event.target.closest("a, button") || open(row.getData()));
    const built = new Promise((done) => {
      table.on("tableBuilt", done);
    });
    return {
      /** Show other rows, in the order that was chosen. */
      fill: (rows) => built.then(() => table.replaceData(rows)),
      columns: (next) => built.then(() => table.setColumns(next)),
      shown: () => table.getData("active"),
    };
  }

  function options(select, pairs) {
    select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  }

  function words(text) {
    return text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  return { column, make, options, words };
})();
