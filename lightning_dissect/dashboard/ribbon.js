/** The labels of a neuron over the run as a ribbon: one colour per concept, a hard edge where a label really changed. */
const ribbon = (() => {
  const { element } = elements;
  const GOLDEN_ANGLE = 137.508;
  const ranks = new Map();

  /** Rank concepts by how often they are a label, so that common ones get colours far apart. */
  function rankConcepts(dissections) {
    const counts = new Uint32Array(run.concepts.length);
    for (const dissection of dissections) {
      for (let row = 0; row < dissection.size; row++) {
        const concept = dissection.label(row);
        if (concept >= 0) counts[concept] += 1;
      }
    }
    [...counts.keys()].sort((one, other) => counts[other] - counts[one]).forEach((concept, rank) => ranks.set(concept, rank));
  }

  function className(dissection, row) {
    if (row < 0) return "absent";
    return dissection.label(row) < 0 ? dissection.status(row).replaceAll(" ", "-") : "named";
  }

  /** Stretches of dissections in which a neuron has the same label. */
  function stretches(dissections, neuron) {
    if (!ranks.size) rankConcepts(dissections);
    const found = [];
    for (const dissection of dissections) {
      const row = dissection.row(neuron);
      const [concept, kind] = [dissection.label(row), className(dissection, row)];
      const last = found.at(-1);
      if (last && last.concept === concept && last.kind === kind) last.end = dissection.at;
      else found.push({ concept, kind, start: dissection.at, end: dissection.at, sure: Boolean(last) && changed(dissections, neuron, last, dissection, row) });
    }
    return found;
  }

  function changed(dissections, neuron, last, after, rowAfter) {
    const before = dissections[last.end];
    return differ(before, before.row(neuron), after, rowAfter);
  }

  /** Whether no concept that may be the best before can be the best after; what has no label does not change. */
  function differ(before, rowBefore, after, rowAfter) {
    if (before.label(rowBefore) < 0 || after.label(rowAfter) < 0 || before.isOpen(rowBefore) || after.isOpen(rowAfter)) return false;
    const contenders = before.contenders(rowBefore);
    return ![...after.contenders(rowAfter)].some((concept) => contenders.has(concept));
  }

  function paint(node, { concept, kind, start, end, sure }) {
    node.className = `stretch ${kind}${sure ? " sure" : ""}`;
    node.style.flexGrow = end - start + 1;
    if (concept < 0) return;
    const rank = ranks.get(concept);
    node.style.setProperty("--hue", ((rank * GOLDEN_ANGLE) % 360).toFixed(1));
    node.style.setProperty("--tone", (rank % 3) - 1);
  }

  function title({ concept, kind, start, end }) {
    const name = concept < 0 ? `(${kind.replaceAll("-", " ")})` : run.concepts[concept];
    return start === end ? `${name}: ${run.moment(start)}` : `${name}: ${run.moment(start)} to ${run.moment(end).slice(5)}`;
  }

  /** A small ribbon for a table. */
  function small(found) {
    const node = element("span", "ribbon small");
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", found.map(title).join("; "));
    node.append(...found.map((stretch) => {
      const part = element("i");
      paint(part, stretch);
      return part;
    }));
    return node;
  }

  /** A ribbon whose stretches lead to their first dissection. */
  function large(found, at, choose) {
    const node = element("div", "ribbon");
    node.append(...found.map((stretch) => {
      const part = element("button");
      const isCurrent = stretch.start <= at && at <= stretch.end;
      part.type = "button";
      paint(part, stretch);
      part.title = title(stretch);
      part.setAttribute("aria-current", isCurrent);
      part.append(element("span", "", stretch.concept < 0 ? stretch.kind.replaceAll("-", " ") : run.concepts[stretch.concept]));
      part.addEventListener("click", () => choose(stretch.start));
      return part;
    }));
    const mark = element("i", "here");
    mark.style.left = `${(100 * (at + 0.5)) / run.dissections.length}%`;
    const outer = element("div", "ribbon-frame");
    outer.append(node, mark);
    return outer;
  }

  return { stretches, small, large, differ, title };
})();
