(() => {
  const { element, percent, number, small, interval, bar, breakable, dot } = elements;
  const VERDICTS = ["fits", "too specific", "too generic", "beside", "undecided"];
  const ERRS = new Set(VERDICTS.slice(1, 4));
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const keyOf = ({ name }) => `metric/${name}`;
  const descending = new Set(["score", "quality", "judgedYes", ...data.metrics.filter(({ higher }) => higher).map(keyOf)]);
  const headers = [...document.querySelectorAll("#neurons th[data-key]")];
  const columns = data.metrics.filter((metric) => headers.some((header) => header.dataset.key === keyOf(metric)));

  const judges = judging(data.judges, picture);

  const neurons = data.neurons.map(([layer, unit, status, candidates, images, trust, specificity], order) => {
    const [low, high, chance, untrained, explained, contenders = []] = trust;
    const concepts = candidates.map(([concept, score, quality], place) =>
      ({ concept: data.concepts[concept], score, quality, contends: contenders.includes(place) }));
    const [first = { concept: "", score: null, quality: null }, ...others] = concepts;
    const withheld = data.statuses[status] === "no clear function";
    const doubt = trust.length ? Math.max(chance ?? 1, untrained ?? 0) : null;
    const runnerUps = others.map((other) => other.concept).join(" · ");
    const name = data.layers[layer] || "(model)";
    const judgement = judges.of(order);
    return {
      order, layer, name, unit, concepts, images, runnerUps, specificity, verdict: specificity?.[0] ?? "",
      status: data.statuses[status],
      judged: trust.length > 0, low, high, chance, untrained, explained, doubt,
      rivals: concepts.filter((concept) => concept.contends && concept !== first).map(({ concept }) => concept),
      label: withheld ? "" : first.concept, score: first.score, quality: first.quality,
      judgement, judgedYes: judgement.share,
      ...Object.fromEntries(data.metrics.map((metric, place) => [keyOf(metric), data.values[order][place]])),
      text: `${withheld ? "" : first.concept} ${runnerUps} ${name} #${unit} ${data.statuses[status]}`.toLowerCase(),
    };
  });

  const JUDGED = neurons.some((neuron) => neuron.judged);
  const JUDGES = data.judges.evaluators.length > 0;

  function picture(id) {
    return elements.picture(id, data.images[id]);
  }

  function cell(className, text) {
    const node = element("td", className);
    node.append(element("span", text ? "" : "none", text || "–"));
    return node;
  }

  /** A label with its rivals and the side that it errs on, if it has any. */
  function labelCell(neuron) {
    const node = cell("label", neuron.label);
    if (neuron.label && neuron.rivals.length) node.append(element("small", "", `or ${neuron.rivals.join(" · ")}`));
    if (neuron.label && ERRS.has(neuron.verdict)) node.append(element("small", "errs", neuron.specificity[1]));
    return node;
  }

  function qualityCell(neuron) {
    const node = cell("num quality", number(neuron.quality));
    node.dataset.name = "quality";
    if (neuron.quality !== null) node.append(bar(neuron.quality));
    if (neuron.judged) node.append(element("small", "", interval(neuron)));
    return node;
  }

  function metricCell(neuron, metric) {
    const node = cell("num metric", number(neuron[keyOf(metric)]));
    node.dataset.name = metric.name;
    return node;
  }

  /** What a metric says of a label, with a mark where it fails a sanity check. */
  function verdict({ name, failures }, value) {
    const [group, term] = [element("div"), breakable("dt", "", name)];
    term.append(...failures.map((failure) => {
      const mark = element("abbr", "failing", "⚠");
      mark.title = `${name} ${failure}`;
      return mark;
    }));
    const text = element("dd");
    text.append(element("b", "", number(value)));
    group.append(term, text);
    return group;
  }

  function row(neuron, open) {
    const line = element("tr");
    const score = cell("num score", number(neuron.score));
    const state = element("td", "state");
    const pictures = element("td", "pictures");
    score.dataset.name = "score";
    state.append(dot(neuron.status));
    const strip = element("button", "strip");
    strip.type = "button";
    strip.setAttribute("aria-label", `Details of ${neuron.name}, unit ${neuron.unit}`);
    strip.append(...neuron.images.map(([id]) => picture(id)));
    if (!neuron.images.length) strip.append(element("span", "none", "–"));
    strip.addEventListener("click", open);
    pictures.append(strip);
    line.append(
      breakable("td", "place", neuron.name), cell("num unit", `#${neuron.unit}`), labelCell(neuron), score,
      qualityCell(neuron), ...(JUDGED ? [cell("num doubt", small(neuron.doubt))] : []),
      ...columns.map((metric) => metricCell(neuron, metric)),
      ...(JUDGES ? [judges.cell(neuron.judgement)] : []), cell("runners", neuron.runnerUps), state, pictures,
    );
    return line;
  }

  function matches() {
    const [layer, status, verdict] = [byId("layer").value, byId("status").value, byId("verdict")?.value ?? ""];
    const judged = byId("judges")?.value ?? "";
    return (neuron) => (layer === "" || neuron.layer === Number(layer)) && (status === "" || neuron.status === status) &&
      (verdict === "" || neuron.verdict === verdict) && judges.matches(neuron.judgement, judged);
  }

  function trustText(neuron) {
    if (!neuron.judged) return "";
    const status = neuron.status[0].toUpperCase() + neuron.status.slice(1);
    const untrained = neuron.untrained === null ? "" : `, against untrained networks ${small(neuron.untrained)}`;
    const left = neuron.explained === null ? "" : ` Concepts explain ${percent(neuron.explained)} of what these leave of it.`;
    return `${status}. Quality ${interval(neuron)}. q against chance ${small(neuron.chance)}${untrained}.${left}`;
  }

  /** What stands next to the label in the hierarchy, and how much better it describes the neuron. */
  function showRelatives(specificity) {
    const table = byId("detail-relatives");
    table.hidden = !specificity?.[3].length;
    if (table.hidden) return;
    const [, text, , relatives] = specificity;
    byId("detail-verdict").textContent = `The label: ${text}`;
    table.tBodies[0].replaceChildren(...relatives.map(([name, relation, correlation, low, high]) => {
      const line = element("tr");
      line.append(
        element("td", "", name), element("td", "", relation), element("td", "num", number(correlation)),
        element("td", "num", interval({ low, high })),
      );
      return line;
    }));
  }

  function show(neuron) {
    byId("detail-place").textContent = `${neuron.name} · unit ${neuron.unit}`;
    byId("detail-title").textContent = neuron.label || `No label: ${neuron.status}`;
    byId("detail-trust").textContent = trustText(neuron);
    const answers = judges.answers(neuron.judgement);
    byId("detail-images").replaceChildren(...neuron.images.map(([id, activation]) => {
      const figure = element("figure");
      const caption = element("figcaption");
      caption.append(element("span", "", `#${id}`), element("span", "", number(activation)));
      figure.append(judges.framed(id, answers.get(id) ?? null), caption);
      return figure;
    }));
    if (JUDGES) judges.show(neuron.judgement, () => show(neuron));
    byId("detail-candidates").hidden = !neuron.concepts.length;
    byId("detail-candidates").tBodies[0].replaceChildren(...neuron.concepts.map((candidate) => {
      const line = element("tr");
      const quality = element("td", "num", number(candidate.quality));
      quality.append(bar(candidate.quality));
      const name = element("td", "", candidate.concept);
      if (neuron.rivals.length && candidate.contends) name.append(element("small", "", "may be the best"));
      line.append(name, element("td", "num", number(candidate.score)), quality);
      return line;
    }));
    showRelatives(neuron.specificity);
    byId("detail-metrics").hidden = !neuron.concepts.length || !data.metrics.length;
    byId("detail-metrics").replaceChildren(...data.metrics.map((metric) => verdict(metric, neuron[keyOf(metric)])));
  }

  function options(select, pairs) {
    byId(select).append(...pairs.map(([value, text]) => new Option(text, value)));
  }

  options("layer", [["", "All layers"], ...data.layers.map((name, index) => [index, name || "(model)"])]);
  options("status", [["", "Any status"], ...data.statuses.map((status) => [status, status])]);
  if (byId("verdict")) options("verdict", [["", "Any specificity"], ...VERDICTS.map((verdict) => [verdict, verdict])]);
  if (JUDGES) options("judges", judges.options);
  const others = data.metrics.filter((metric) => !columns.includes(metric)).map((metric) => [keyOf(metric), metric.name]);
  const list = listing({ neurons, sort: { key: "quality", descending: true }, descending, others, matches, row, show });
  for (const button of document.querySelectorAll("button[data-layer]")) {
    button.addEventListener("click", () => {
      const { layer, label } = button.dataset;
      list.filter({ layer }, label);
      byId("neurons-title").scrollIntoView();
    });
  }
})();
