/** The page of one neuron: its label over the run, and what is known of it at the chosen dissection. */
const neuronPage = (choose, around) => {
  const { element, percent, number, small, interval, bar, picture, mark, breakable } = elements;
  const byId = (id) => document.getElementById(id);
  const MOST_MOMENTS = 6;

  function trustText(dissection, row) {
    const status = dissection.status(row);
    const parts = [status[0].toUpperCase() + status.slice(1)];
    const [chance, untrained] = ["q_chance", "q_untrained"].map((name) => dissection.value(`trust/${name}`, row));
    if (chance !== null) parts.push(`q against chance ${small(chance)}${untrained === null ? "" : `, against untrained networks ${small(untrained)}`}`);
    const [explained, stability] = ["explained", "stability"].map((name) => dissection.value(`trust/${name}`, row));
    if (explained !== null) parts.push(`concepts explain ${percent(explained)} of what untrained networks leave`);
    if (stability !== null) parts.push(`two probes of other images agree on the label with probability ${stability.toFixed(2)}`);
    return `${parts.join(" · ")}.`;
  }

  function showHead(neuron, dissection, row) {
    const { layer, unit } = run.place(neuron);
    byId("neuron-place").replaceChildren(breakable("span", "", run.layerName(layer)), ` · unit ${unit} · ${run.moment(dissection.at)}`);
    byId("neuron-title").textContent = row < 0 ? "Not in this dissection" : dissection.name(row) || `No label: ${dissection.status(row)}`;
    byId("neuron-trust").textContent = row < 0 ? "" : trustText(dissection, row);
    const neighbours = around(neuron);
    for (const [place, id] of ["neuron-previous", "neuron-next"].entries()) {
      if (neighbours[place] === undefined) byId(id).removeAttribute("href");
      else byId(id).href = run.linkTo(neighbours[place]);
    }
  }

  function listed(moments) {
    const more = moments.length - MOST_MOMENTS;
    return moments.slice(0, MOST_MOMENTS).join(", ") + (more > 0 ? ` and ${more} more` : "");
  }

  function showRibbon(neuron, dissections, at) {
    const found = ribbon.stretches(dissections, neuron);
    byId("neuron-ribbon").replaceChildren(ribbon.large(found, at, choose));
    const sure = found.filter((stretch) => stretch.sure);
    const labels = new Set(found.filter(({ concept }) => concept >= 0).map(({ concept }) => concept)).size;
    byId("neuron-changes").textContent =
      `${labels} ${labels === 1 ? "label" : "different labels"} in ${dissections.length} ${dissections.length === 1 ? "dissection" : "dissections"}` +
      (sure.length ? `; changed at ${listed(sure.map(({ start }) => run.moment(start)))}.` : labels > 1 ? "; other images might undo each change." : ".");
  }

  function showQuality(neuron, dissections, at) {
    const rows = dissections.map((dissection) => [dissection, dissection.row(neuron)]);
    const of = (read) => rows.map(([dissection, row]) => (row < 0 ? null : read(dissection, row)));
    const intervals = of((dissection, row) => dissection.interval(row));
    const accent = plots.colour("accent");
    const figure = plots.overRun({});
    plots.band(figure, intervals.map((found) => found?.low ?? null), intervals.map((found) => found?.high ?? null), accent);
    plots.line(figure, of((dissection, row) => dissection.quality(row)), { colour: accent });
    plots.follow(figure, at, choose);
    plots.show(byId("quality-plot"), figure, "Quality of the best candidate over the run");
    const [dissection, row] = rows[at];
    const found = row < 0 ? { low: null } : dissection.interval(row);
    byId("neuron-quality").textContent = row < 0 ? "" : `${number(dissection.quality(row))}${found.low === null ? "" : ` (${interval(found)})`}`;
  }

  /** The edges and heights of bars of area 1. */
  function bars({ low, high, heights }) {
    const width = (high - low) / heights.length || 1;
    const total = heights.reduce((sum, height) => sum + height, 0);
    const left = heights.map((_, place) => low + place * width);
    const top = heights.map((height) => height / total / width);
    return { left, right: left.map((edge) => edge + width), top };
  }

  /** The activations now as bars and those of the first dissection as an outline, each of area 1. */
  function showHistogram(neuron, first, dissection, row) {
    const now = row < 0 ? null : dissection.histogram(row);
    const then = first.at === dissection.at || first.row(neuron) < 0 ? null : first.histogram(first.row(neuron));
    byId("histogram-plot").closest(".card").hidden = !now;
    if (!now) return;
    const figure = plots.overValues("activation");
    const { left, right, top } = bars(now);
    figure.quad(left, right, 0, top, { fill_color: plots.colour("good"), fill_alpha: 0.85, line_color: null });
    if (then) {
      const outline = bars(then);
      const xs = [...outline.left, outline.right.at(-1)];
      figure.step(xs, [...outline.top, outline.top.at(-1)], "after", { line_color: plots.colour("ink"), line_width: 1.4, line_dash: "dashed" });
    }
    plots.show(byId("histogram-plot"), figure, "Distribution of activations over the images of the probe");
    byId("neuron-range").textContent = `${number(now.low)} to ${number(now.high)}`;
    byId("histogram-keys").replaceChildren(
      plots.key(run.moment(dissection.at), plots.colour("good"), "block"), ...(then ? [plots.key(run.moment(first.at), null, "dashed")] : []),
    );
  }

  function pictures(title, dissection, row, others) {
    const group = element("div");
    const strip = element("div", "tiles");
    strip.append(...(row < 0 ? [] : dissection.images(row)).map(({ id, base64, activation }) => {
      const figure = element("figure", others.has(id) ? "kept" : "");
      figure.append(picture(id, base64), element("figcaption", "", number(activation)));
      return figure;
    }));
    if (!strip.children.length) strip.append(element("p", "none", "None are in this page."));
    group.append(element("h4", "", title), strip);
    return group;
  }

  function showImages(neuron, first, dissection, row) {
    const firstRow = first.row(neuron);
    const ids = (of, at) => new Set(at < 0 ? [] : of.images(at).map(({ id }) => id));
    const nodes = [pictures(`Now, ${run.moment(dissection.at)}`, dissection, row, first === dissection ? new Set() : ids(first, firstRow))];
    if (first !== dissection) nodes.push(pictures(`At first, ${run.moment(first.at)}`, first, firstRow, ids(dissection, row)));
    byId("neuron-images").replaceChildren(...nodes);
    byId("kept").hidden = !byId("neuron-images").querySelector(".kept");
  }

  function showCandidates(dissection, row) {
    byId("candidates").tBodies[0].replaceChildren(...(row < 0 ? [] : dissection.candidates(row)).map((candidate) => {
      const [line, name, quality] = [element("tr"), element("td"), element("td", "num", number(candidate.quality))];
      const link = element("a", "link", candidate.name);
      link.href = run.linkToConcept(candidate.concept);
      name.append(link);
      if (candidate.contends) name.append(element("small", "", "may be the best"));
      quality.append(bar(candidate.quality));
      line.append(name, element("td", "num", number(candidate.score)), quality);
      return line;
    }));
  }

  function showJudgement(dissection, row) {
    const lines = row < 0 ? [] : [
      ...dissection.named("verdict").map((name) => [name, dissection.verdict(name, row)]).filter(([, verdict]) => verdict !== null)
        .map(([name, verdict]) => [name, mark(verdict)]),
      ...dissection.named("metric").map((name) => [name, number(dissection.value(`metric/${name}`, row))]),
    ];
    byId("judgement").hidden = !lines.length;
    byId("judges").tBodies[0].replaceChildren(...lines.map(([name, value]) => {
      const [line, cell] = [element("tr"), element("td", "num")];
      cell.append(value);
      line.append(breakable("td", "", name), cell);
      return line;
    }));
  }

  return {
    show(neuron, dissection, dissections) {
      const row = dissection.row(neuron);
      const first = dissections.find((found) => found.row(neuron) >= 0);
      showHead(neuron, dissection, row);
      showRibbon(neuron, dissections, dissection.at);
      showQuality(neuron, dissections, dissection.at);
      showHistogram(neuron, first, dissection, row);
      showImages(neuron, first, dissection, row);
      refined.show(neuron);
      showCandidates(dissection, row);
      showJudgement(dissection, row);
    },
  };
};
