/** The course of a search: the best score so far as a line, each score as a dot, a tick for what was not scored. */
const course = (() => {
  const { element } = elements;

  function dot({ concept, score, outcome }, kind, left, bottom) {
    const node = element("i", kind);
    node.style.left = `${left}%`;
    if (score !== null) node.style.bottom = `${bottom}%`;
    const what = score === null ? outcome : score.toFixed(2);
    node.title = concept ? `${concept}: ${what}` : what;
    return node;
  }

  /** Draw trials into a plot, which is hidden where none has a score. */
  function draw(plot, trials, chosen) {
    const scores = trials.map(({ score }) => score).filter((score) => score !== null);
    plot.hidden = !scores.length;
    if (plot.hidden) return;
    const [low, high] = [Math.min(0, ...scores), Math.max(0, ...scores)];
    const height = (score) => (100 * (score - low)) / (high - low || 1);
    let best = null;
    let line = "";
    const dots = trials.map((trial, place) => {
      const left = (100 * (place + 0.5)) / trials.length;
      if (trial.score === null) return dot(trial, "quiet", left);
      const rises = best === null || trial.score > best;
      if (rises) {
        line += `${best === null ? `M${left} ` : `H${left}V`}${100 - height(trial.score)}`;
        best = trial.score;
      }
      return dot(trial, `${rises ? "best" : ""} ${trial.concept === chosen ? "chosen" : ""}`, left, height(trial.score));
    });
    const curve = plot.querySelector("svg");
    curve.firstElementChild.setAttribute("d", `${line}H100`);
    const zero = element("u");
    zero.style.bottom = `${height(0)}%`;
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `The best score so far, from ${scores[0].toFixed(2)} to ${best.toFixed(2)} after ${trials.length} trials`);
    plot.replaceChildren(zero, curve, ...dots, element("span", "top", high.toFixed(2)), element("span", "bottom", low ? low.toFixed(2) : "0"));
  }

  return { draw };
})();
