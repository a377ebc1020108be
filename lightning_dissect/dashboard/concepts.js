/** Which neurons carry a concept, and when it appeared. */
const concepts = (choose, strip) => {
  const { element, number, breakable } = elements;
  const byId = (id) => document.getElementById(id);
  const ALL = "";
  const MOST_CARRIERS = 60;
  let counts = null;
  let rows = [];
  let table = null;

  /** Neurons that carry each concept, by concept, one number per dissection. */
  function counted(dissections) {
    const found = new Map();
    for (const dissection of dissections) {
      for (let row = 0; row < dissection.size; row++) {
        const concept = dissection.label(row);
        if (concept < 0) continue;
        if (!found.has(concept)) found.set(concept, new Uint32Array(dissections.length));
        found.get(concept)[dissection.at] += 1;
      }
    }
    return found;
  }

  function edges(numbers) {
    const present = [...numbers.keys()].filter((at) => numbers[at] > 0);
    return [present[0], present.at(-1)];
  }

  function listed(at) {
    return [...counts].map(([concept, numbers]) => {
      const [first, last] = edges(numbers);
      return {
        id: concept, name: run.concepts[concept], now: numbers[at], most: Math.max(...numbers), numbers,
        first: run.dissections[first].step, last: last === run.newest ? null : run.dissections[last].step,
      };
    });
  }

  /** How many neurons carry a concept over the run, as small bars. */
  function sparkline({ numbers, most }) {
    const node = element("span", "sparkline");
    node.append(...[...numbers].map((value) => {
      const part = element("i");
      part.style.height = `${(100 * value) / most}%`;
      return part;
    }));
    return node;
  }

  function nameCell({ id, name }) {
    const link = element("a", "label", name);
    link.href = run.linkToConcept(id);
    return link;
  }

  function columns() {
    const { column } = tables;
    const step = (value) => (value === null ? "–" : value.toLocaleString("en"));
    const least = [
      column("name", "Concept", nameCell, { widthGrow: 3, minWidth: 120, cssClass: "wrapping" }),
      column("now", "Neurons", ({ now }) => String(now), { number: true, width: 104, hint: "Neurons that carry it now" }),
      column("first", "First at", ({ first }) => step(first), { number: true, width: 104, hint: "Step at which it appeared" }),
    ];
    if (tables.narrow.matches) return least;
    return [
      ...least, column("last", "Gone since", ({ last }) => step(last), { number: true, width: 126, hint: "Last step at which any neuron carried it; empty if one still does" }),
      column("most", "Most", ({ most }) => String(most), { number: true, width: 90, hint: "Most neurons that ever carried it" }),
      column("numbers", "Over the run", sparkline, { sortable: false, width: 200 }),
    ];
  }

  function filter() {
    if (!table) return null;
    const words = tables.words(byId("concept-search").value);
    const found = rows.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
    byId("concept-count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} concepts`;
    return table.fill(found);
  }

  function carrier(neuron, dissection, row, text) {
    const [item, link] = [element("li"), element("a")];
    const { layer, unit } = run.place(neuron);
    link.href = run.linkTo(neuron);
    link.append(strip(dissection, { row }, 4), breakable("b", "place", `${run.layerName(layer)} #${unit}`), element("span", "", text));
    item.append(link);
    return item;
  }

  /** Neurons as cards, the first of them where there are many. */
  function showNeurons(id, found, cardOf) {
    const more = found.length - MOST_CARRIERS;
    byId(id).replaceChildren(...found.slice(0, MOST_CARRIERS).map(cardOf));
    if (more > 0) byId(id).append(element("li", "none", `and ${more.toLocaleString("en")} more`));
  }

  function showCarriers(concept, dissection, dissections) {
    const now = dissection.neurons.filter((_, row) => dissection.label(row) === concept);
    const carriers = now.map((neuron) => [neuron, dissection.row(neuron)])
      .sort(([, one], [, other]) => dissection.quality(other) - dissection.quality(one));
    const former = new Map();
    const isNow = new Set(now);
    for (const earlier of dissections) {
      earlier.neurons.forEach((neuron, row) => earlier.label(row) === concept && !isNow.has(neuron) && former.set(neuron, earlier));
    }
    byId("carriers-title").textContent = now.length ? `Carried at ${run.moment(dissection.at)} by` : `No neuron carries it at ${run.moment(dissection.at)}`;
    showNeurons("carriers", carriers, ([neuron, row]) => carrier(neuron, dissection, row, `quality ${number(dissection.quality(row))}`));
    byId("former-title").textContent = former.size ? "At other times by" : "";
    showNeurons("former", [...former], ([neuron, last]) => carrier(neuron, last, last.row(neuron), `last at ${run.moment(last.at)}`));
  }

  function showPlot(concept, dissections, at) {
    const layers = new Map([[ALL, dissections.map(() => 0)]]);
    for (const dissection of dissections) {
      dissection.neurons.forEach((neuron, row) => {
        if (dissection.label(row) !== concept) return;
        const { layer } = run.place(neuron);
        if (!layers.has(layer)) layers.set(layer, dissections.map(() => 0));
        layers.get(layer)[dissection.at] += 1;
        layers.get(ALL)[dissection.at] += 1;
      });
    }
    if (layers.size === 2) layers.delete(ALL);
    const colourOf = (layer) => (layer === ALL ? plots.colour("ink") : plots.hue(layer));
    const figure = plots.overRun({ unit: "count" });
    for (const [layer, numbers] of layers) plots.line(figure, numbers, { colour: colourOf(layer), width: layer === ALL ? 2.6 : 1.8 });
    plots.follow(figure, at, choose);
    plots.show(byId("concept-plot"), figure, "Neurons that carry the concept over the run, by layer");
    byId("concept-keys").replaceChildren(...[...layers.keys()].map((layer) =>
      plots.key(layer === ALL ? "all layers" : run.layerName(layer), colourOf(layer))));
  }

  byId("concept-search").addEventListener("input", filter);

  return {
    async list(dissection, dissections) {
      counts ??= counted(dissections);
      rows = listed(dissection.at);
      table ??= tables.make(byId("concept-table"), columns, { sort: "now", link: run.linkToConcept, empty: "No concept matches." });
      await filter();
    },
    show(concept, dissection, dissections) {
      counts ??= counted(dissections);
      const numbers = counts.get(concept);
      byId("concept-title").textContent = run.concepts[concept];
      byId("concept-story").textContent = numbers
        ? `First carried at ${run.moment(edges(numbers)[0])}, at most by ${Math.max(...numbers)}, now by ${numbers[dissection.at]}.`
        : "A candidate, but never a reliable label.";
      showPlot(concept, dissections, dissection.at);
      showCarriers(concept, dissection, dissections);
    },
  };
};
