/** What the last search for the label of a neuron found. */
const refined = (() => {
  const { element, percent, number, interval } = elements;
  const byId = (id) => document.getElementById(id);

  function concept(text) {
    return text ? element("bdi", "", text) : element("span", "none", "no label");
  }

  function auc(found) {
    const [value, low, high] = found;
    return `${number(value)} (${interval({ low, high })})`;
  }

  function story({ step, stopped, images, calls, senses }) {
    const parts = [`Searched for at step ${step.toLocaleString("en")}`, `${images} new images`, `${calls} calls`, `ended by ${stopped}`];
    if (senses.length > 1) parts.push(`${senses.length} senses: ${senses.map(([name, share]) => `\u2068${name}\u2069 ${percent(share)}`).join(", ")}`);
    return `${parts.join(" · ")}.`;
  }

  function chip({ concept: name, score }) {
    const [item, node] = [element("li"), element("span", "chip")];
    const text = element("span");
    text.append(concept(name));
    node.append(text, element("i", "", number(score)));
    node.title = name;
    item.append(node);
    return item;
  }

  return {
    show(neuron) {
      const { layer, unit } = run.place(neuron);
      const found = run.searches[run.layers[layer]]?.[unit];
      byId("refined").hidden = !found;
      if (!found) return;
      const trials = found.trials.map(([name, score, outcome]) => ({ concept: name, score, outcome }));
      const after = found.label || !found.concept ? [concept(found.label)] : [element("span", "none", "(withheld) "), concept(found.concept)];
      byId("refined-label").replaceChildren(concept(found.start), " → ", ...after);
      byId("refined-auc").textContent = found.auc ? `AUC ${found.aucBefore ? `${number(found.aucBefore[0])} → ` : ""}${auc(found.auc)}` : "";
      course.draw(byId("refined-course"), trials, found.concept);
      byId("refined-concepts").replaceChildren(...found.shown.map((place) => chip(trials[place])));
      byId("refined-story").textContent = story(found);
      byId("refined-link").href = `${found.page}#${encodeURIComponent(run.layers[layer])}/${unit}`;
    },
  };
})();
