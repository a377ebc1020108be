/** The table of all neurons at the chosen dissection. */
const neurons = () => {
  const { element, number, small, interval, bar, breakable, picture, mark, dot } = elements;
  const byId = (id) => document.getElementById(id);
  const METRICS = 2;
  const PICTURES = 4;
  const CHANGES = { "": "Changed or not", changed: "Changed since the last dissection", renamed: "Another label since the last dissection", settled: "Same label from the start" };
  let table = null;
  let current = null;
  let rows = [];
  let timelines = null;

  function rowOf(dissection, before, row) {
    const neuron = dissection.neurons[row];
    const { layer, unit } = run.place(neuron);
    const [label, status] = [dissection.name(row), dissection.status(row)];
    const [first, ...others] = dissection.candidates(row);
    const judged = dissection.named("verdict").map((judge) => dissection.verdict(judge, row));
    const given = judged.filter((verdict) => verdict !== null);
    const runnerUps = others.map(({ name }) => name).join(" · ");
    const rowBefore = before ? before.row(neuron) : -1;
    return {
      id: neuron, row, layer, place: `${run.layerName(layer)} ${String(unit).padStart(9, "0")}`, name: run.layerName(layer), unit,
      label, status, runnerUps, quality: first?.quality ?? null, doubt: dissection.doubt(row), judged,
      yes: given.length ? given.filter(Boolean).length / given.length : null,
      rivals: others.filter(({ contends }) => contends).map(({ name }) => name),
      ...Object.fromEntries(dissection.named("metric").map((name) => [`metric/${name}`, dissection.value(`metric/${name}`, row)])),
      renamed: rowBefore >= 0 && label !== "" && before.name(rowBefore) !== "" && before.name(rowBefore) !== label,
      changed: rowBefore >= 0 && ribbon.differ(before, rowBefore, dissection, row),
      since: null,
      text: `${label} ${runnerUps} ${run.layerName(layer)} #${unit} ${status}`.toLowerCase(),
    };
  }

  function labelCell({ id, label, rivals, status, name, unit }, withPlace) {
    const node = element("div", "label");
    const link = element("a", label ? "" : "none", label || `(${status})`);
    link.href = run.linkTo(id);
    node.append(link);
    if (label && rivals.length) node.append(element("small", "", `or ${rivals.join(" · ")}`));
    if (withPlace) node.append(breakable("small", "", `${name} #${unit}`));
    return node;
  }

  function qualityCell({ row, quality }) {
    const node = element("div", "quality", number(quality));
    if (quality !== null) node.append(bar(quality));
    const found = current.interval(row);
    if (found.low !== null) node.append(element("small", "", interval(found)));
    return node;
  }

  /** The dot of a status; the label beside it says the rest. */
  function bareDot(status) {
    const node = dot(status);
    node.title = status;
    node.replaceChildren(element("span", "hidden", status));
    return node;
  }

  function marks({ judged }, judges) {
    const node = element("span", "marks");
    node.append(...judged.map((verdict, place) => {
      const one = verdict === null ? element("span", "mark absent") : mark(verdict);
      one.title = `${judges[place]}: ${verdict === null ? "did not judge it" : verdict ? "yes" : "no"}`;
      return one;
    }));
    return node;
  }

  function strip(dissection, { row }, most) {
    const node = element("span", "strip");
    node.append(...dissection.images(row).slice(0, most).map(({ id, base64 }) => picture(id, base64)));
    return node;
  }

  function sinceOf(at, neuron) {
    const stretch = timelines(neuron).find(({ start, end }) => start <= at && at <= end);
    return stretch && stretch.concept >= 0 ? run.dissections[stretch.start].step : null;
  }

  function columns() {
    const { column } = tables;
    const [judges, metrics] = [current.named("verdict"), current.named("metric").slice(0, METRICS)];
    const label = (withPlace) => column("label", "Label", (row) => labelCell(row, withPlace), { widthGrow: 2, minWidth: 130, cssClass: "wrapping" });
    const quality = column("quality", "Quality", qualityCell, { number: true, width: 112 });
    if (tables.narrow.matches) {
      return [label(true), quality, column("images", "Images", (row) => strip(current, row, 2), { sortable: false, width: 108 })];
    }
    return [
      tables.placeColumn(), label(false), quality,
      ...(rows.some(({ doubt }) => doubt !== null)
        ? [column("doubt", "q", ({ doubt }) => small(doubt), { number: true, width: 74, headerSortStartingDir: "asc", hint: "The larger of both q-values: chance, untrained networks" })] : []),
      ...(judges.length ? [column("yes", "Judges", (row) => marks(row, judges), { number: true, width: 30 + Math.max(66, 26 * judges.length), hint: `How many say yes, of ${judges.join(", ")}` })] : []),
      ...metrics.map((name) =>
        column(`metric/${name}`, name, (row) => number(row[`metric/${name}`]), { number: true, width: 88, hint: name })),
      column("runnerUps", "Runner-ups", ({ runnerUps }) => element("span", "runners", runnerUps), { widthGrow: 1.6, minWidth: 110, cssClass: "wrapping" }),
      column("status", "State", ({ status }) => bareDot(status), { width: 78 }),
      ...(run.newest ? [
        column("since", "Since", ({ since }) => (since === null ? "–" : since.toLocaleString("en")), { number: true, width: 86, headerSortStartingDir: "asc", hint: "Step from which on it has had this label" }),
        column("ribbon", "Over the run", ({ id }) => (timelines ? ribbon.small(timelines(id)) : ""), { sortable: false, width: 118 }),
      ] : []),
      column("images", "Top images", (row) => strip(current, row, PICTURES), { sortable: false, width: 208 }),
    ];
  }

  function matches(row, words, layer, status, change) {
    return (layer === "" || row.layer === Number(layer)) && (status === "" || row.status === status) &&
      (change === "" || (change === "settled" ? row.settled : row[change])) && words.every((word) => row.text.includes(word));
  }

  function filter() {
    if (!table) return null;
    const words = tables.words(byId("search").value);
    const [layer, status, change] = ["layer", "status", "change"].map((id) => byId(id).value);
    const found = rows.filter((row) => matches(row, words, layer, status, change));
    const all = rows.length.toLocaleString("en");
    byId("count").textContent = found.length === rows.length ? `${all} neurons` : `${found.length.toLocaleString("en")} of ${all} neurons`;
    return table.fill(found);
  }

  function known(dissection) {
    for (const row of rows) {
      row.since = sinceOf(dissection.at, row.id);
      row.settled = row.label !== "" && timelines(row.id)[0].end >= dissection.at;
    }
  }

  tables.options(byId("layer"), [["", "All layers"], ...run.layers.map((_, place) => [place, run.layerName(place)])]);
  tables.options(byId("status"), [["", "Any status"], ...run.statuses.map((status) => [status, status])]);
  tables.options(byId("change"), Object.entries(CHANGES));
  byId("change").parentElement.hidden = !run.newest;
  byId("search").addEventListener("input", filter);
  for (const id of ["layer", "status", "change"]) byId(id).addEventListener("change", filter);

  return {
    async update(dissection) {
      const before = dissection.at ? await run.dissection(dissection.at - 1) : null;
      current = dissection;
      rows = Array.from({ length: dissection.size }, (_, row) => rowOf(dissection, before, row));
      if (timelines) known(dissection);
      table ??= tables.make(byId("neuron-table"), columns, { sort: "quality", link: run.linkTo, empty: "No neuron matches." });
      await filter();
    },
    /** Take what all dissections say of each neuron's label. */
    remember(dissections) {
      const found = new Map();
      timelines = (neuron) => {
        if (!found.has(neuron)) found.set(neuron, ribbon.stretches(dissections, neuron));
        return found.get(neuron);
      };
      return timelines;
    },
    /** The neurons before and after one in the order of the table. */
    around(neuron) {
      const order = table ? table.shown().map(({ id }) => id) : run.neurons.unit.map((_, place) => place);
      const place = order.indexOf(neuron);
      return place < 0 ? [] : [order[place - 1], order[place + 1]];
    },
    strip,
  };
};
