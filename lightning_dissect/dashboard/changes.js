/** What two dissections do not share: concepts gained and lost, neurons with another label. */
const changes = (choose) => {
  const { element, number } = elements;
  const byId = (id) => document.getElementById(id);
  let table = null;

  function carried(dissection, layer) {
    const found = new Map();
    for (let row = 0; row < dissection.size; row++) {
      const concept = dissection.label(row);
      if (concept < 0 || (layer !== null && run.place(dissection.neurons[row]).layer !== layer)) continue;
      found.set(concept, (found.get(concept) ?? 0) + 1);
    }
    return found;
  }

  function chips(id, found, others) {
    const names = [...found].filter(([concept]) => !others.has(concept))
      .sort(([one, many], [other, most]) => most - many || run.concepts[one].localeCompare(run.concepts[other]));
    byId(id).replaceChildren(...names.map(([concept, count]) => {
      const [item, chip] = [element("li"), element("a", "chip")];
      chip.href = run.linkToConcept(concept);
      chip.append(element("span", "", run.concepts[concept]), element("i", "", String(count)));
      item.append(chip);
      return item;
    }));
    if (!names.length) byId(id).append(element("li", "none", "None."));
    return names.length;
  }

  function renamed(before, after, layer) {
    const rows = [];
    for (let row = 0; row < after.size; row++) {
      const neuron = after.neurons[row];
      const place = run.place(neuron);
      const [was, is] = [before.label(before.row(neuron)), after.label(row)];
      if (was < 0 || is < 0 || was === is || (layer !== null && place.layer !== layer)) continue;
      rows.push({
        id: neuron, place: `${run.layerName(place.layer)} ${String(place.unit).padStart(9, "0")}`, name: run.layerName(place.layer), unit: place.unit,
        was: run.concepts[was], is: run.concepts[is], quality: after.quality(row), sure: Number(ribbon.differ(before, before.row(neuron), after, row)),
      });
    }
    return rows;
  }

  function columns() {
    const { column } = tables;
    const text = (field, title) => column(field, title, (row) => element("span", "", row[field]), { widthGrow: 2, minWidth: 90, cssClass: "wrapping" });
    const found = [tables.placeColumn(), text("was", "Before"), text("is", "After")];
    if (tables.narrow.matches) return found;
    return [
      ...found, column("sure", "Changed", ({ sure }) => (sure ? "yes" : "may be noise"), { number: true, width: 128, hint: "Whether no concept that may be the best before can be the best after" }),
      column("quality", "Quality", ({ quality }) => number(quality), { number: true, width: 104 }),
    ];
  }

  function total(value, text, className) {
    const node = element("div", `figure ${className ?? ""}`);
    node.append(element("b", "", value.toLocaleString("en")), element("span", "", text));
    return node;
  }

  async function update(after) {
    const before = await run.dissection(Number(byId("from").value));
    const layer = byId("changes-layer").value === "" ? null : Number(byId("changes-layer").value);
    byId("to").value = after.at;
    const [had, has] = [carried(before, layer), carried(after, layer)];
    const [gained, lost] = [chips("gained", has, had), chips("lost", had, has)];
    const rows = renamed(before, after, layer);
    const sure = rows.filter((row) => row.sure).length;
    byId("changes-totals").replaceChildren(
      total(gained, "concepts gained", "accent"), total(lost, "lost"), total(has.size - gained, "kept"),
      total(rows.length, "neurons with another label"), total(sure, "of them really changed"),
    );
    table ??= tables.make(byId("changes-table"), columns, { sort: "place", link: run.linkTo, empty: "No neuron has another label." });
    await table.fill(rows);
  }

  const moments = run.dissections.map(({ epoch }, at) => [at, `${run.moment(at)} · epoch ${epoch}`]);
  tables.options(byId("from"), moments);
  tables.options(byId("to"), moments);
  tables.options(byId("changes-layer"), [["", "All layers"], ...run.layers.map((_, place) => [place, run.layerName(place)])]);
  byId("from").value = Math.max(0, run.newest - 1);
  byId("to").addEventListener("change", ({ target }) => choose(Number(target.value)));
  for (const id of ["from", "changes-layer"]) byId(id).addEventListener("change", () => choose(Number(byId("to").value)));

  return { update };
};
