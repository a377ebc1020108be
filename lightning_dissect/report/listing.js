/**
 * A table of many neurons, built as it is looked at: searched, filtered, sorted by its headers, with a dialog for each.
 *
 * Of each neuron it needs `order`, its place by default, `text`, what words are searched in, and `label`, which a search
 * "in quotes" is for. `matches()` returns what the chosen filters say of a neuron, `row(neuron, open)` its row, and
 * `show(neuron)` fills the dialog.
 */
const listing = ({ neurons, sort, descending, others = [], matches, row, show }) => {
  const CHUNK = 40;
  const collator = new Intl.Collator(undefined, { numeric: true });
  const byId = (id) => document.getElementById(id);
  const body = byId("neurons").tBodies[0];
  const headers = [...document.querySelectorAll("#neurons th[data-key]")];
  const filters = [...document.querySelectorAll(".toolbar select:not(#sort)")];
  let shown = [];
  let built = 0;
  let opened = -1;

  /** A text as the search box would hold it. */
  function plain(text) {
    return text.replace(/\s+/g, " ").trim().toLowerCase();
  }

  function extend() {
    const next = shown.slice(built, built + CHUNK).map((neuron, offset) => {
      const position = built + offset;
      return row(neuron, () => open(position));
    });
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
    const chosen = matches();
    shown = neurons.filter((neuron) => chosen(neuron) &&
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
    opened = position;
    show(shown[position]);
    byId("previous").disabled = position === 0;
    byId("next").disabled = position === shown.length - 1;
    if (byId("detail").open) return;
    byId("detail").showModal();
    byId("close").focus();
  }

  function step(distance) {
    if (shown[opened + distance]) open(opened + distance);
  }

  /** Show what these filters and this search let through. */
  function filter(values, search) {
    for (const select of filters) select.value = values[select.id] ?? "";
    byId("search").value = search === undefined ? "" : `"${plain(search)}"`;
    update();
  }

  byId("sort").append(...[...headers.map((header) => [header.dataset.key, header.textContent.trim()]), ...others].flatMap(([key, name]) =>
    [true, false].map((falling) => new Option(`${name} ${falling ? "↓" : "↑"}`, `${key} ${falling}`))));

  byId("search").addEventListener("input", update);
  for (const select of filters) select.addEventListener("change", update);
  byId("more").addEventListener("click", extend);
  byId("reset").addEventListener("click", () => filter({}));
  byId("sort").addEventListener("change", ({ target }) => {
    const [key, falling] = target.value.split(" ");
    Object.assign(sort, { key, descending: falling === "true" });
    update();
  });
  for (const header of headers) {
    header.firstElementChild.addEventListener("click", () => {
      const { key } = header.dataset;
      Object.assign(sort, { key, descending: sort.key === key ? !sort.descending : descending.has(key) });
      update();
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
  return { filter, open: (neuron) => open(shown.indexOf(neuron)) };
};
