/** The run in curves, and the chosen dissection in numbers. */
const overview = (choose) => {
  const { element, percent, number, breakable } = elements;
  const byId = (id) => document.getElementById(id);
  const MANY = 6;
  const CHARTS = [
    { title: "Concepts", unit: "count", lines: [["coverage", 1]] },
    { title: "Quality", unit: "number", lines: [["quality", 1]] },
    { title: "Churn", unit: "share", lines: [["churn", 1], ["churn_floor", 1, "dashed", "noise floor"]] },
    { title: "Changed", unit: "share", lines: [["changed_share", 1]] },
    { title: "Semantic churn", unit: "distance", lines: [["semantic_churn", 1], ["semantic_churn_floor", 1, "dashed", "noise floor"]] },
    { title: "Settled", unit: "share", lines: [["settled_share", 1]] },
    { title: "Gained and lost concepts", unit: "count", lines: [["gained", 1, "solid", "gained"], ["lost", -1, "dashed", "lost, downwards"]] },
    { title: "Half-life", unit: "count", lines: [["half_life", 1]] },
    { title: "Labelled", unit: "share", lines: [["labelled_share", 1]] },
    { title: "Dead", unit: "share", lines: [["dead_share", 1]] },
    { title: "Births and deaths", unit: "count", lines: [["births", 1, "solid", "births"], ["deaths", -1, "dashed", "deaths, downwards"], ["resurrected", 1, "dotted", "resurrected"]] },
  ];
  const FORMATS = { share: percent, number, distance: number, count: (value) => (value === null ? "–" : Math.round(value).toLocaleString("en")) };
  const layers = ["", ...run.layers.filter((layer) => layer !== "" && layer in run.curves)];
  const shown = new Set(layers.length - 1 > MANY ? [""] : layers);
  let followers = [];

  function colourOf(layer) {
    return layer === "" ? plots.colour("ink") : plots.hue(layers.indexOf(layer) - 1);
  }

  function known({ lines }) {
    return lines.some(([name]) => layers.some((layer) => run.curves[layer][name]?.some((value) => value !== null)));
  }

  function draw(chart, node, at) {
    const figure = plots.overRun({ unit: chart.unit, isSigned: chart.unit === "number" || chart.lines.some(([, sign]) => sign < 0) });
    for (const layer of layers.filter((name) => shown.has(name)).reverse()) {
      for (const [name, sign, dash] of chart.lines) {
        const values = run.curves[layer][name].map((value) => (value === null ? null : sign * value));
        plots.line(figure, values, { colour: colourOf(layer), dash, width: layer === "" ? 2.6 : 1.6 });
      }
    }
    followers.push(plots.follow(figure, at, choose));
    plots.show(node, figure, `${chart.title} over the run, by layer`);
  }

  function card(chart, at) {
    const [node, head, value, plot, keys] = ["article", "div", "p", "div", "p"].map((tag) => element(tag));
    node.className = "card";
    head.className = "card-head";
    value.className = "value";
    plot.className = "plot";
    keys.className = "keys";
    head.append(element("h3", "", chart.title), value);
    keys.append(...chart.lines.filter(([, , , text]) => text || chart.lines.length > 1).map(([name, , dash, text]) =>
      plots.key(text ?? name.replaceAll("_", " "), null, dash)));
    node.append(head, element("p", "meaning", run.descriptions[chart.lines[0][0]]), plot, keys);
    followers.push((next) => {
      value.textContent = chart.lines.map(([name]) => FORMATS[chart.unit](run.curves[""][name][next])).join(" · ");
    });
    return [node, () => draw(chart, plot, at)];
  }

  function build(at) {
    followers = [];
    byId("charts").querySelectorAll(".plot").forEach(plots.clear);
    const made = CHARTS.filter(known).map((chart) => card(chart, at));
    byId("charts").replaceChildren(...made.map(([node]) => node));
    for (const [, paint] of made) paint();
    byId("layer-chips").replaceChildren(...(layers.length > 2 ? layers : []).map((layer) => {
      const chip = element("button", "chip");
      chip.type = "button";
      chip.setAttribute("aria-pressed", shown.has(layer));
      chip.style.setProperty("--key", colourOf(layer));
      chip.append(breakable("span", "", layer || "All layers"));
      chip.addEventListener("click", () => {
        if (!shown.delete(layer)) shown.add(layer);
        build(at);
        move(at);
        byId("layer-chips").children[layers.indexOf(layer)].focus();
      });
      return chip;
    }));
  }

  function figure(value, text, before, className) {
    const node = element("div", `figure ${className ?? ""}`);
    const caption = element("span", "", text);
    if (before !== null && before !== value) caption.append(element("i", "", `${value > before ? "+" : "−"}${FORMATS.count(Math.abs(value - before))}`));
    node.append(element("b", "", FORMATS.count(value)), caption);
    return node;
  }

  function count(dissection, status) {
    const wanted = run.statuses.indexOf(status);
    return dissection.columns.status.values.filter((found) => found === wanted).length;
  }

  async function totals(dissection) {
    const before = dissection.at ? await run.dissection(dissection.at - 1) : null;
    const compared = (status) => figure(count(dissection, status), status, before && count(before, status), status === "non-finite" ? "warn" : "");
    const coverage = run.curves[""].coverage;
    const nodes = [
      figure(coverage[dissection.at], "concepts", dissection.at ? coverage[dissection.at - 1] : null, "accent"),
      figure(dissection.size, "neurons", before && before.size),
      ...run.statuses.filter((status) => status !== "non-finite" || count(dissection, status)).map(compared),
    ];
    byId("totals").replaceChildren(...nodes);
  }

  let built = false;

  function move(at) {
    for (const follow of followers) follow(at);
  }

  return {
    async update(dissection) {
      if (!built) build(dissection.at);
      built = true;
      move(dissection.at);
      await totals(dissection);
    },
    repaint: (dissection) => built && (build(dissection.at), move(dissection.at)),
  };
};
