(() => {
  const { element, percent, number, small, interval, breakable, word } = elements;
  const RESULTS = ["another label", "the same label", "no label", "new to the vocabulary", "several senses"];
  const STOPPED = {
    steps: "after all steps", converged: "where steps brought nothing better", budget: "as the budget was spent",
    unreachable: "as the proposer could not be reached", "not scorable": "at once: the neuron is dead or not finite on the control images",
  };
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);

  /** What was measured of a concept with images that the search has not seen. */
  function judgement(found) {
    if (!found) return { auc: null, mad: null };
    const [auc, low, high, mad, madLow, madHigh, controls, synthetic] = found;
    return { auc, mad, aucInterval: { low, high }, madInterval: { low: madLow, high: madHigh }, controls, synthetic };
  }

  function trials(found) {
    return found.map(([step, origin, outcome, concept, score, error, newImages, answer]) => ({
      step, score, error, newImages, origin: data.origins[origin], outcome: data.outcomes[outcome],
      concept: data.texts[concept], answer: data.texts[answer],
    }));
  }

  const neurons = data.neurons.map((found, order) => {
    const [start, label, concept] = [data.texts[found.start], data.texts[found.label], data.texts[found.concept]];
    const name = data.layers[found.layer] || "(model)";
    const [judged, before] = [judgement(found.judged), judgement(found.before)];
    const results = new Set([
      label ? (label === start ? "the same label" : "another label") : "no label",
      ...(found.novelty?.[1] ? ["new to the vocabulary"] : []), ...(found.senses.length > 1 ? ["several senses"] : []),
    ]);
    const tried = found.trials.map(([, , , place]) => data.texts[place]);
    return {
      ...found, order, name, start, label, concept, judged, before, results, auc: judged.auc, aucBefore: before.auc,
      numSenses: found.senses.length || null, isNew: found.novelty ? word(found.novelty[1]) : "",
      stopped: data.stops[found.stopped],
      text: [label, concept, start, name, `#${found.unit}`, data.stops[found.stopped], ...tried].join(" ").toLowerCase(),
    };
  });

  /** A concept, which may be written from right to left. */
  function concept(text, className) {
    return text ? element("bdi", className ?? "", text) : element("span", "none", "none");
  }

  function signed(value) {
    return value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
  }

  function pictures(places, name) {
    return places.map((place, index) => elements.picture(`${index + 1} of ${name}`, data.images[place]));
  }

  function labelCell({ label, concept: judged, start, stopped }) {
    const node = element("td", "label");
    node.append(label ? concept(label) : element("span", "none", judged ? "(withheld)" : "(none)"));
    const was = element("small");
    if (label && label === start) was.append("as before");
    else if (start) was.append("before: ", concept(start));
    else was.append(judged ? "no label before" : stopped);
    node.append(was);
    return node;
  }

  function numberCell(className, name, text, note) {
    const node = element("td", `num ${className}`);
    node.dataset.name = name;
    node.append(element("span", text === "–" ? "none" : "", text));
    if (note) node.append(element("small", "", note));
    return node;
  }

  function count(value) {
    return value === null ? "–" : value.toLocaleString("en");
  }

  function fixed(value) {
    return value === null ? "–" : value.toFixed(2);
  }

  function counted(number, noun) {
    return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  }

  function aucCell(className, name, { auc, aucInterval }) {
    return numberCell(className, name, number(auc), aucInterval && auc !== null ? interval(aucInterval) : "");
  }

  /** The images of the concept that was judged, or of the best where these are not shown. */
  function strip(neuron, open) {
    const button = element("button", "strip");
    button.type = "button";
    button.setAttribute("aria-label", `The search for the label of ${neuron.name}, unit ${neuron.unit}`);
    const name = ([place]) => data.texts[neuron.trials[place][3]];
    const own = neuron.shown.find((trial) => name(trial) === neuron.concept) ?? neuron.shown[0];
    button.append(...(own ? pictures(own[1].slice(0, 4), name(own)) : [element("span", "none", "–")]));
    button.addEventListener("click", open);
    return button;
  }

  function row(neuron, open) {
    const line = element("tr");
    const images = element("td", "pictures");
    images.append(strip(neuron, open));
    line.append(
      breakable("td", "place", neuron.name), numberCell("unit", "unit", `#${neuron.unit}`), labelCell(neuron),
      numberCell("gain", "gain", signed(neuron.gain)), aucCell("before", "AUC before", neuron.before),
      aucCell("auc", "AUC", neuron.judged), numberCell("", "q", small(neuron.q)),
      numberCell("", "senses", count(neuron.numSenses)), numberCell("", "new", neuron.isNew || "–"),
      numberCell("", "images", count(neuron.images)), numberCell("", "calls", count(neuron.calls)),
      numberCell("", "lookups", count(neuron.lookups)), images,
    );
    return line;
  }

  function showHead(neuron) {
    byId("detail-place").textContent = `${neuron.name} · unit ${neuron.unit}`;
    const after = neuron.label ? concept(neuron.label) : element("span", "none", neuron.concept ? "(withheld)" : "(none)");
    const from = neuron.start && neuron.start !== neuron.label ? [concept(neuron.start, "was"), " → "] : [];
    byId("detail-title").replaceChildren(...from, after);
    const { judged, novelty } = neuron;
    const parts = [`The search ended ${STOPPED[neuron.stopped]}`];
    if (neuron.concept) parts.push(`it took ${counted(neuron.images, "image")}, ${counted(neuron.calls, "call")} and ${counted(neuron.lookups, "lookup")}`);
    if (judged.auc !== null) parts.push(`${counted(judged.synthetic, "other image")} judged it against ${count(judged.controls)} of control`);
    if (neuron.q !== null) parts.push(`q ${small(neuron.q)}`);
    if (novelty) {
      const distance = novelty[2] === null ? "" : `, at a distance of ${novelty[2].toFixed(2)} from what is nearest`;
      parts.push(novelty[1] ? `new to the vocabulary${distance}` : novelty[0] ? "in the vocabulary in another form" : "in the vocabulary");
    }
    byId("detail-story").textContent = `${parts.join(" · ")}.`;
  }

  function measured(name, value, ends) {
    return numberCell("", name, fixed(value), value !== null && ends ? interval(ends) : "");
  }

  function showJudged(neuron) {
    const lines = [["Before", neuron.start, neuron.startScore, neuron.before], ["After", neuron.concept, neuron.score, neuron.judged]];
    byId("detail-judged").hidden = !neuron.concept;
    byId("detail-judged").tBodies[0].replaceChildren(...lines.map(([when, name, score, found]) => {
      const line = element("tr");
      const head = element("th", "", when);
      head.scope = "row";
      const cell = element("td");
      cell.append(concept(name));
      if (when === "After" && !neuron.label) cell.append(element("small", "", "withheld: chance would do as well"));
      line.append(head, cell, measured("Score", score), measured("AUC", found.auc, found.aucInterval), measured("MAD", found.mad, found.madInterval));
      return line;
    }));
  }

  /** A row of images under what they show. */
  function gallery(title, images, name) {
    const group = element("div", "gallery");
    const tiles = element("div", "tiles");
    tiles.append(...pictures(images, name));
    if (!images.length) tiles.append(element("span", "none", "No images."));
    group.append(title, tiles);
    return group;
  }

  function showSenses({ senses }) {
    byId("detail-senses").replaceChildren(...(senses.length ? [element("h3", "", senses.length > 1 ? `${senses.length} senses` : "One sense")] : []),
      ...senses.map(([concepts, share, images]) => {
        const names = concepts.map((place) => data.texts[place]);
        const title = element("h4");
        title.append(element("b", "", percent(share)), " ");
        names.forEach((name, place) => title.append(...(place ? [" · "] : []), concept(name, place ? "other" : "")));
        const meter = element("span", "meter");
        meter.append(element("i"));
        meter.firstChild.style.width = `${100 * Math.min(1, share)}%`;
        title.append(meter);
        return gallery(title, images, names[0]);
      }));
  }

  function showBest(neuron, path) {
    byId("detail-best").replaceChildren(...(neuron.shown.length ? [element("h3", "", "The best concepts")] : []),
      ...neuron.shown.map(([place, images]) => {
        const trial = path[place];
        const title = element("h4");
        title.append(element("b", "", fixed(trial.score)), " ", concept(trial.concept));
        if (trial.concept === neuron.concept) title.append(element("small", "badge", neuron.label ? "label" : "judged"));
        return gallery(title, images, trial.concept);
      }));
  }

  function said(answer) {
    const node = element("details");
    const text = element("bdi", "", answer);
    node.append(element("summary", "", "what was said"), text);
    return node;
  }

  function showTrials(path, chosen) {
    let [best, step, last] = [null, null, ""];
    byId("trials").tBodies[0].replaceChildren(...path.map((trial) => {
      const isScored = trial.outcome === "scored";
      const isBest = isScored && (best === null || trial.score > best);
      if (isBest) best = trial.score;
      const line = element("tr", [isScored ? "" : "quiet", isBest ? "best" : "", trial.step === step ? "" : "first"].filter(Boolean).join(" "));
      const cell = element("td");
      cell.append(trial.concept ? concept(trial.concept) : element("span", "none", "no concept"));
      if (isScored && trial.concept === chosen.concept) cell.append(element("small", "badge", chosen.label ? "label" : "judged"));
      if (trial.answer && trial.answer !== last) cell.append(said(trial.answer));
      const score = element("td", "num", isScored ? fixed(trial.score) : "");
      if (isScored && trial.error !== null) score.append(element("small", "", `± ${trial.error.toFixed(2)}`));
      const images = trial.newImages ? counted(trial.newImages, "new image") : "lookup";
      line.append(
        element("td", "num", trial.step === step ? "" : String(trial.step)), element("td", "", trial.origin), cell, score,
        element("td", "", isScored ? (isBest ? `${images} · best so far` : images) : trial.outcome),
      );
      [step, last] = [trial.step, trial.answer];
      return line;
    }));
  }

  function show(neuron) {
    const path = trials(neuron.trials);
    showHead(neuron);
    showJudged(neuron);
    showSenses(neuron);
    showBest(neuron, path);
    byId("detail-path").hidden = !path.length;
    course.draw(byId("course"), path, neuron.concept);
    showTrials(path, neuron);
    byId("detail").scrollTop = 0;
  }

  function matches() {
    const [layer, result] = [byId("layer").value, byId("result").value];
    return (neuron) => (layer === "" || neuron.layer === Number(layer)) && (result === "" || neuron.results.has(result));
  }

  function options(select, pairs) {
    byId(select).append(...pairs.map(([value, text]) => new Option(text, value)));
  }

  options("layer", [["", "All layers"], ...data.layers.map((name, index) => [index, name || "(model)"])]);
  options("result", [["", "Any result"], ...RESULTS.map((result) => [result, result])]);
  const descending = new Set(["gain", "auc", "aucBefore", "numSenses", "isNew", "images", "calls", "lookups"]);
  const list = listing({ neurons, sort: { key: "gain", descending: true }, descending, matches, row, show });
  const addressed = neurons.find(({ layer, unit }) => location.hash === `#${encodeURIComponent(data.layers[layer])}/${unit}`);
  if (addressed) list.open(addressed);
})();
