/** Which view is open (the address says it) and which dissection is looked at (the slider says it). */
(() => {
  const byId = (id) => document.getElementById(id);
  const VIEWS = [...document.querySelectorAll(".view")];
  const views = { overview: overview(choose), neurons: neurons(), changes: changes(choose) };
  views.neuron = neuronPage(choose, views.neurons.around);
  views.concepts = concepts(choose, views.neurons.strip);
  let shown = "";
  let turn = 0;

  function decoded(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }

  /** The address as a view and what it is of; what it does not know leads to the overview. */
  function route() {
    const [view = "", ...parts] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
    if (view === "neuron" && parts.length === 2) {
      const neuron = run.neuronAt(parts[0], Number(parts[1]));
      return neuron < 0 ? ["neurons"] : ["neuron", neuron];
    }
    if (view === "concept" && parts.length === 1) {
      const concept = run.conceptCalled(parts[0]);
      return concept < 0 ? ["concepts"] : ["concept", concept];
    }
    return byId(view)?.matches(".view:not(#neuron, #concept)") ? [view] : ["overview"];
  }

  async function fill(view, subject, dissection) {
    if (view === "overview") return views.overview.update(dissection);
    if (view === "neurons") return views.neurons.update(dissection);
    if (view === "changes") return views.changes.update(dissection);
    if (view === "about") return null;
    const all = await run.all();
    if (view === "neuron") return views.neuron.show(subject, dissection, all);
    return view === "concept" ? views.concepts.show(subject, dissection, all) : views.concepts.list(dissection, all);
  }

  /** Show the view of the address at the dissection of the slider; a later call overtakes an earlier one. */
  async function show() {
    const mine = (turn += 1);
    const at = Number(byId("step").value);
    const [view, subject] = route();
    const { epoch, step } = run.dissections[at];
    byId("moment").textContent = `epoch ${epoch} · step ${step.toLocaleString("en")} · ${at + 1} of ${run.newest + 1}`;
    byId("earlier").disabled = at === 0;
    byId("later").disabled = at === run.newest;
    for (const node of VIEWS) node.hidden = node.id !== view;
    for (const link of document.querySelectorAll(".helm nav a")) {
      const own = link.hash.replace(/^#\/?/, "") || "overview";
      if (own === view || own === `${view}s`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const [dissection] = await Promise.all([run.dissection(at), run.dissection(Math.max(0, at - 1))]);
    if (mine !== turn) return;
    await fill(view, subject, dissection);
    if (mine === turn) document.body.dataset.shown = `${location.hash} ${at}`;
  }

  function choose(at) {
    byId("step").value = at;
    show();
  }

  async function turnPage() {
    await show();
    const [view, subject] = route();
    const place = `${view} ${subject}`;
    if (shown && shown !== place) {
      scrollTo(0, Math.min(scrollY, document.querySelector("main").offsetTop));
      if (subject !== undefined) document.querySelector(`#${view} h2`).focus({ preventScroll: true });
    }
    shown = place;
  }

  byId("step").addEventListener("input", show);
  byId("earlier").addEventListener("click", () => choose(Number(byId("step").value) - 1));
  byId("later").addEventListener("click", () => choose(Number(byId("step").value) + 1));
  addEventListener("hashchange", turnPage);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", async () => {
    views.overview.repaint(await run.dissection(Number(byId("step").value)));
    if (["neuron", "concept"].includes(route()[0])) show();
  });
  for (const button of document.querySelectorAll("[data-cycle]")) {
    const at = run.dissections.findIndex(({ cycle }) => cycle === Number(button.dataset.cycle));
    button.disabled = at < 0;
    button.addEventListener("click", () => choose(at));
  }
  tables.narrow.addEventListener("change", show);
  turnPage()
    .then(() => run.all())
    .then((all) => {
      views.neurons.remember(all);
      document.body.dataset.ready = "true";
      return route()[0] === "neurons" ? show() : null;
    });
})();
