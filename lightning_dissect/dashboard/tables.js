/** Tables of many rows, by Tabulator; cells are built from elements and text. */
const tables = (() => {
  const { element, breakable } = elements;
  const narrow = matchMedia("(max-width: 860px)");
  const NUMBER = { sorter: "number", hozAlign: "right", headerHozAlign: "right", sorterParams: { alignEmptyValues: "bottom" } };
  const TEXT = { sorter: "string", sorterParams: { alignEmptyValues: "bottom" } };

  function heading({ title, hint, number }) {
    return () => {
      const button = element("button", number ? "heading-button num" : "heading-button", title);
      button.type = "button";
      if (hint) button.title = hint;
      return button;
    };
  }

  /** A column whose cell is what `show` makes of the row. */
  function column(field, title, show, { number = false, hint, sortable = true, ...rest } = {}) {
    return {
      field, ...(number ? NUMBER : TEXT), headerSort: sortable, headerSortStartingDir: number ? "desc" : "asc",
      titleFormatter: sortable ? heading({ title, hint, number }) : () => element("span", "heading-text", title),
      formatter: (cell) => {
        const content = show(cell.getData());
        return content instanceof Node ? content : document.createTextNode(content);
      },
      ...rest,
    };
  }

  /** The column of rows that are neurons: where each is, as a link to its page. */
  function placeColumn() {
    const show = ({ id, name, unit }) => {
      const link = breakable("a", "place", name);
      link.href = run.linkTo(id);
      link.append(element("b", "", `#${unit}`));
      return link;
    };
    return column("place", "Neuron", show, { widthGrow: 1.4, minWidth: 96, cssClass: "wrapping" });
  }

  /** A table in an element, of the columns that `columnsNow` returns; a row that is clicked beside its links opens `link`. */
  function make(node, columnsNow, { sort, link, empty }) {
    let columns = columnsNow();
    const table = new Tabulator(node, {
      columns, data: [], maxHeight: "72vh", layout: "fitColumns", index: "id", nestedFieldSeparator: false, placeholder: empty, movableColumns: false,
      initialSort: [{ column: sort, dir: columns.find(({ field }) => field === sort).headerSortStartingDir }],
      columnDefaults: { resizable: false, vertAlign: "middle" }, headerSortElement: "<i></i>", selectableRows: false,
    });
    table.on("rowClick", (event, row) => {
      if (!event.target.closest("a, button")) location.hash = link(row.getData().id);
    });
    const built = new Promise((done) => {
      table.on("tableBuilt", done);
    });

    async function takeColumns(next) {
      const fields = next.map(({ field }) => field);
      if (fields.join() === columns.map(({ field }) => field).join()) return;
      const sorters = table.getSorters().filter(({ field }) => fields.includes(field));
      columns = next;
      await table.setColumns(next);
      table.setSort(sorters.map(({ field, dir }) => ({ column: field, dir })));
    }

    return {
      /** Show other rows, in the order that was chosen. */
      async fill(rows) {
        await built;
        await takeColumns(columnsNow());
        await table.replaceData(rows);
      },
      shown: () => table.getData("active"),
    };
  }

  function options(select, pairs) {
    select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  }

  function words(text) {
    return text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  return { narrow, column, placeColumn, make, options, words };
})();
