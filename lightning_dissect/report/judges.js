/** What evaluators say of labels: marks in the table, and images framed by their answers in the details. */
const judging = ({ roles, evaluators, neurons }, picture) => {
  const { element, breakable, number, percent, word, mark } = elements;
  const byId = (id) => document.getElementById(id);
  const JUDGES = [...evaluators.keys()].filter((judge) => Object.values(neurons).some(([, verdicts]) => verdicts[judge]));
  const SEVERAL = JUDGES.length > 1;
  const FILTERS = {
    "": ["Any verdict", () => true],
    judged: ["Judged", ({ count }) => count > 0],
    all: [SEVERAL ? "Yes by all" : "Judged yes", ({ count, yeses }) => count > 0 && yeses === count],
    some: [SEVERAL ? "No by some" : "Judged no", ({ count, yeses }) => yeses < count],
    ...(SEVERAL && {
      none: ["No by all", ({ count, yeses }) => count > 0 && yeses === 0],
      split: ["Judges disagree", ({ count, yeses }) => yeses > 0 && yeses < count],
    }),
    unjudged: ["Not judged", ({ count }) => count === 0],
  };
  const NOTHING = { images: [], verdicts: [], count: 0, yeses: 0, share: null };
  let chosen = 0;

  function verdictOf(judge, [yes, answers, scores, precision, recall, shuffled, discrimination, chance]) {
    const given = [...answers].map((answer) => (answer === "-" ? null : answer === "1"));
    return { judge, yes, answers: given, scores, precision, recall, shuffled, discrimination, chance };
  }

  /** The verdicts on the neuron in a place of the report. */
  function of(place) {
    if (!(place in neurons)) return NOTHING;
    const [found, given] = neurons[place];
    const images = found.map(([id, activation, role, decile]) => ({ id, activation, role: roles[role], decile }));
    const verdicts = given.flatMap((verdict, judge) => (verdict ? [verdictOf(judge, verdict)] : []));
    const yeses = verdicts.filter(({ yes }) => yes).length;
    return { images, verdicts, count: verdicts.length, yeses, share: verdicts.length ? yeses / verdicts.length : null };
  }

  /** The cell of the table of neurons: a mark for each judge, in their order. */
  function cell({ verdicts, count }) {
    const node = element("td", "verdicts");
    const given = new Map(verdicts.map(({ judge, yes }) => [judge, yes]));
    const line = element("span", "marks");
    line.append(...JUDGES.map((judge) => {
      const { name } = evaluators[judge];
      const one = element("span", "verdict");
      one.title = `${name}: ${given.has(judge) ? word(given.get(judge)) : "did not judge it"}`;
      one.append(given.has(judge) ? mark(given.get(judge)) : element("span", "mark absent"), breakable("span", "name", name));
      return one;
    }));
    node.append(count ? line : element("span", "none", "–"));
    return node;
  }

  /** An image, framed and marked where there is an answer to it. */
  function framed(id, answer) {
    const frame = element("span", answer === null ? "frame" : `frame ${word(answer)}`);
    frame.append(picture(id));
    if (answer !== null) frame.append(mark(answer));
    return frame;
  }

  /** The verdict by which images are framed: that of the chosen judge, or of the first. */
  function framing({ verdicts }) {
    return verdicts.find(({ judge }) => judge === chosen) ?? verdicts[0];
  }

  /** What the framing judge answered to each image, by id. */
  function answers(judgement) {
    const verdict = framing(judgement);
    if (!verdict) return new Map();
    return new Map(judgement.images.map(({ id }, place) => [id, verdict.answers[place]]));
  }

  function counted(found) {
    const given = found.filter((answer) => answer !== null);
    return `${given.filter(Boolean).length} of ${given.length}`;
  }

  function ofRole({ images }, values, role) {
    return values.filter((_, place) => images[place].role === role);
  }

  function meanScore(judgement, { scores }) {
    const given = ofRole(judgement, scores, "top").filter((score) => score !== null);
    return given.length ? given.reduce((sum, score) => sum + score, 0) / given.length : null;
  }

  function measured(name, text, note) {
    const node = element("td", "num", text);
    node.dataset.name = name;
    if (note) node.append(element("small", "", note));
    return node;
  }

  function judgeRow(judgement, verdict, choose) {
    const [line, head, says] = [element("tr"), element("th"), element("td", "says")];
    const { name, score } = evaluators[verdict.judge];
    const button = breakable("button", "link", name);
    button.type = "button";
    button.title = "Frame the images by its answers";
    button.setAttribute("aria-pressed", verdict === framing(judgement));
    button.addEventListener("click", () => {
      chosen = verdict.judge;
      choose();
      byId("detail-verdicts").querySelector("[aria-pressed=true]").focus();
    });
    head.scope = "row";
    head.append(button);
    says.append(mark(verdict.yes), ` ${word(verdict.yes)}`);
    if (verdict.shuffled !== null) says.append(element("small", "", `to others ${percent(verdict.shuffled)}`));
    says.title = "Below: the share of labels of other neurons to which it says yes on these images";
    line.append(
      head, says, measured("Top images", counted(ofRole(judgement, verdict.answers, "top"))),
      measured("Precision", percent(verdict.precision)), measured("Recall", percent(verdict.recall)),
      measured("Discrimination", percent(verdict.discrimination), verdict.chance === null ? "" : `chance ${percent(verdict.chance)}`),
      measured("Mean score", number(meanScore(judgement, verdict)), score),
    );
    return line;
  }

  function group(className, judgement, title, ofGroup) {
    const { answers: given, scores, judge } = framing(judgement);
    const places = judgement.images.flatMap((image, place) => (ofGroup(image) ? [place] : []));
    if (!places.length) return [];
    const [block, heading, tiles] = [element("div", className), element("dt", "", title), element("dd")];
    heading.append(element("small", "", counted(places.map((place) => given[place]))));
    tiles.append(...places.map((place) => {
      const { id, activation } = judgement.images[place];
      const tile = framed(id, given[place]);
      tile.title = `Image ${id}: activation ${number(activation)}, ${evaluators[judge].score} ${number(scores[place])}`;
      return tile;
    }));
    block.append(heading, tiles);
    return [block];
  }

  /** The images drawn from each tenth of the probe, most activating first, and the controls. */
  function groups(judgement) {
    const drawn = judgement.images.filter(({ role }) => role === "decile").map(({ decile }) => decile);
    const deciles = [...new Set(drawn)].sort((one, other) => other - one);
    return [
      ...deciles.flatMap((tenth) =>
        group("decile", judgement, `${tenth}`, ({ role, decile }) => role === "decile" && decile === tenth)),
      ...group("controls", judgement, "Controls", ({ role }) => role === "control"),
    ];
  }

  /** Fill the part of the details that judges have; `choose` shows the neuron again by another judge. */
  function show(judgement, choose) {
    byId("detail-judges").hidden = !judgement.count;
    if (!judgement.count) return;
    const found = groups(judgement);
    byId("detail-verdicts").tBodies[0].replaceChildren(
      ...judgement.verdicts.map((verdict) => judgeRow(judgement, verdict, choose)),
    );
    byId("detail-groups").replaceChildren(...found);
    byId("detail-groups-title").hidden = !found.length;
    byId("detail-framing").textContent = evaluators[framing(judgement).judge].name;
  }

  const options = Object.entries(FILTERS).map(([key, [text]]) => [key, text]);
  const matches = (judgement, key) => FILTERS[key][1](judgement);
  return { of, cell, framed, answers, show, options, matches };
};
