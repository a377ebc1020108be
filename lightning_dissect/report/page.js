"use strict";
(() => {
  const CHUNK = 40;
  const collator = new Intl.Collator(undefined, { numeric: true });
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const keyOf = ({ name }) => `metric/${name}`;
  const descending = new Set(["score", "quality", ...data.metrics.filter(({ higher }) => higher).map(keyOf)]);
  const body = byId("neurons").tBodies[0];
  const headers = [...document.querySelectorAll("#neurons th[data-key]")];
  const columns = data.metrics.filter((metric) => headers.some((header) => header.dataset.key === keyOf(metric)));

  const neurons = data.neurons.map(([layer, unit, status, candidates, images], order) => {
    const concepts = candidates.map(([concept, score, quality]) => ({ concept: data.concepts[concept], score, quality }));
    const [first = { concept: "", score: null, quality: null }, ...others] = concepts;
    const runnerUps = others.map((other) => other.concept).join(" · ");
    const name = data.layers[layer] || "(model)";
    return {
      order, layer, name, unit, concepts, images, runnerUps,
      status: data.statuses[status],
      label: first.concept, score: first.score, quality: first.quality,
      ...Object.fromEntries(data.metrics.map((metric, place) => [keyOf(metric), data.values[order][place]])),
      text: `${first.concept} ${runnerUps} ${name} #${unit} ${data.statuses[status]}`.toLowerCase(),
    };
  });

  const sort = { key: "quality", descending: true };
  let shown = [];
  let built = 0;
  let opened = -1;

  /** Build an element; text only ever becomes text, never markup. */
  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function number(value) {
    if (value === null) return "–";
    const size = Math.abs(value);
    return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential(2) : value.toFixed(3);
  }

  /** A text as the search box would hold it. */
  function plain(text) {
    return text.replace(/\s+/g, " ").trim().toLowerCase();
  }

  function picture(id) {
    if (!(id in data.images)) return element("span", "blank");
    const image = element("img");
    image.alt = `Image ${id}`;
    image.decoding = "async";
    image.src = `data:image/jpeg;base64,${data.images[id]}`;
    return image;
  }

  function bar(quality) {
    const outer = element("span", "bar");
    const inner = element("i", quality < 0 ? "below" : "");
    inner.style.width = `${100 * Math.min(1, Math.abs(quality ?? 0))}%`;
    outer.append(inner);
    return outer;
  }

  /** A name that may break after its dots and underscores. */
  function breakable(tag, className, name) {
    const node = element(tag, className);
    node.append(...name.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]));
    return node;
  }

  function cell(className, text) {
    const node = element("td", className);
    node.append(element("span", text ? "" : "none", text || "–"));
    return node;
  }

  function judged(neuron, metric) {
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

  function row(neuron, position) {
    const line = element("tr");
    const score = cell("num score", number(neuron.score));
    const quality = cell("num quality", number(neuron.quality));
    const state = element("td", "state");
    const pictures = element("td", "pictures");
    score.dataset.name = "score";
    quality.dataset.name = "quality";
    if (neuron.quality !== null) quality.append(bar(neuron.quality));
    state.append(element("span", `dot ${neuron.status}`, neuron.status));
    const strip = element("button", "strip");
    strip.type = "button";
    strip.setAttribute("aria-label", `Details of ${neuron.name}, unit ${neuron.unit}`);
    strip.append(...neuron.images.map(([id]) => picture(id)));
    if (!neuron.images.length) strip.append(element("span", "none", "–"));
    strip.addEventListener("click", () => open(position));
    pictures.append(strip);
    line.append(
      breakable("td", "place", neuron.name), cell("num unit", `#${neuron.unit}`), cell("label", neuron.label), score, quality,
      ...columns.map((metric) => judged(neuron, metric)),
      cell("runners", neuron.runnerUps), state, pictures,
    );
    return line;
  }

  function extend() {
    const next = shown.slice(built, built + CHUNK).map((neuron, offset) => row(neuron, built + offset));
    built += next.length;
    body.append(...next);
    byId("more").hidden = built >= shown.length;
  }

  /** Order two neurons by the chosen column; what is missing comes last in either direction. */
  function compare(first, second) {
    const [a, b] = [first[sort.key], second[sort.key]];
    const [noA, noB] = [a === null || a === "", b === null || b === ""];
    if (noA || noB) return noA - noB || first.order - second.order;
    const way = typeof a === "string" ? collator.compare(a, b) : a - b;
    return (sort.descending ? -way : way) || first.order - second.order;
  }

  function update() {
    const query = byId("search").value.trim().toLowerCase();
    const exact = query.match(/^"(.+)"$/)?.[1];
    const words = exact === undefined ? query.split(/\s+/) : [];
    const [layer, status] = [byId("layer").value, byId("status").value];
    shown = neurons.filter((neuron) =>
      (layer === "" || neuron.layer === Number(layer)) && (status === "" || neuron.status === status) &&
      (exact === undefined || plain(neuron.label) === exact) && words.every((word) => neuron.text.includes(word)));
    shown.sort(compare);
    built = 0;
    body.replaceChildren();
    extend();
    byId("empty").hidden = shown.length > 0;
    const all = neurons.length.toLocaleString("en");
    byId("count").textContent = shown.length === neurons.length ? `${all} neurons` : `${shown.length.toLocaleString("en")} of ${all} neurons`;
    for (const header of headers) {
      if (header.dataset.key !== sort.key) header.removeAttribute("aria-sort");
      else header.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    }
    byId("sort").value = `${sort.key} ${sort.descending}`;
  }

  function open(position) {
    const neuron = shown[position];
    opened = position;
    byId("detail-place").textContent = `${neuron.name} · unit ${neuron.unit}`;
    byId("detail-title").textContent = neuron.label || `No label: ${neuron.status}`;
    byId("detail-images").replaceChildren(...neuron.images.map(([id, activation]) => {
      const figure = element("figure");
      const caption = element("figcaption");
      caption.append(element("span", "", `#${id}`), element("span", "", number(activation)));
      figure.append(picture(id), caption);
      return figure;
    }));
    byId("detail-candidates").hidden = !neuron.concepts.length;
    byId("detail-candidates").tBodies[0].replaceChildren(...neuron.concepts.map((candidate) => {
      const line = element("tr");
      const quality = element("td", "num", number(candidate.quality));
      quality.append(bar(candidate.quality));
      line.append(element("td", "", candidate.concept), element("td", "num", number(candidate.score)), quality);
      return line;
    }));
    byId("detail-metrics").hidden = !neuron.concepts.length || !data.metrics.length;
    byId("detail-metrics").replaceChildren(...data.metrics.map((metric) => verdict(metric, neuron[keyOf(metric)])));
    byId("previous").disabled = position === 0;
    byId("next").disabled = position === shown.length - 1;
    if (byId("detail").open) return;
    byId("detail").showModal();
    byId("close").focus();
  }

  function step(distance) {
    if (shown[opened + distance]) open(opened + distance);
  }

  function filter(layer, search) {
    byId("layer").value = layer;
    byId("status").value = "";
    byId("search").value = search;
    update();
  }

  function options(select, pairs) {
    byId(select).append(...pairs.map(([value, text]) => new Option(text, value)));
  }

  options("layer", [["", "All layers"], ...data.layers.map((name, index) => [index, name || "(model)"])]);
  options("status", [["", "Any status"], ...data.statuses.map((status) => [status, status])]);
  const others = data.metrics.filter((metric) => !columns.includes(metric)).map((metric) => [keyOf(metric), metric.name]);
  options("sort", [...headers.map((header) => [header.dataset.key, header.textContent.trim()]), ...others].flatMap(([key, name]) =>
    [true, false].map((falling) => [`${key} ${falling}`, `${name} ${falling ? "↓" : "↑"}`])));

  byId("search").addEventListener("input", update);
  byId("layer").addEventListener("change", update);
  byId("status").addEventListener("change", update);
  byId("more").addEventListener("click", extend);
  byId("reset").addEventListener("click", () => filter("", ""));
  byId("sort").addEventListener("change", ({ target }) => {
    const [key, descending] = target.value.split(" ");
    Object.assign(sort, { key, descending: descending === "true" });
    update();
  });
  for (const header of headers) {
    header.firstElementChild.addEventListener("click", () => {
      const { key } = header.dataset;
      Object.assign(sort, { key, descending: sort.key === key ? !sort.descending : descending.has(key) });
      update();
    });
  }
  for (const button of document.querySelectorAll("button[data-layer]")) {
    button.addEventListener("click", () => {
      const { layer, label } = button.dataset;
      filter(layer, label === undefined ? "" : `"${plain(label)}"`);
      byId("neurons-title").scrollIntoView();
    });
  }
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("detail").close());
  byId("detail").addEventListener("click", ({ target, currentTarget }) => target === currentTarget && currentTarget.close());
  byId("detail").addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  new IntersectionObserver(([entry]) => entry.isIntersecting && built < shown.length && extend(), { rootMargin: "800px" })
    .observe(byId("more").parentElement);
  update();
})();
