"use strict";
(() => {
  const ANSWERS = { y: "yes", n: "no", u: "unsure" };
  const COLUMNS = ["rater", "layer", "unit", "label", "answer", "seconds", "note"];
  const FORMULA = /^[=+\-@\t\r']/;
  const GAP = 10;
  const SMALL = 100;
  const LOWEST = 40;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const neurons = data.neurons.map(([layer, unit, label, images]) => ({ layer, unit, label, images }));
  const keyOf = ({ layer, unit, label }) => JSON.stringify([layer, Number(unit), label]);
  const places = new Map(neurons.map((neuron, place) => [keyOf(neuron), place]));
  const storageKey = `${data.format} ${data.fingerprint}`;

  let kept = recall();
  let rater = "";
  let given = {};
  let place = 0;
  let undone = [];
  let since = 0;
  let spent = 0;

  /* What the browser keeps: by rater and place what was answered, in how many seconds, with which note. */

  function recall() {
    try {
      return JSON.parse(localStorage.getItem(storageKey)) ?? {};
    } catch {
      byId("forgetful").hidden = false;
      return {};
    }
  }

  function keep() {
    kept = { ...kept, ...recall(), [rater]: given };
    try {
      localStorage.setItem(storageKey, JSON.stringify(kept));
    } catch {
      byId("forgetful").hidden = false;
    }
  }

  function answered(ratings = given) {
    return Object.values(ratings).filter(({ answer }) => answer).length;
  }

  function firstLeft() {
    const left = neurons.findIndex((_, position) => !given[position]?.answer);
    return left < 0 ? neurons.length : left;
  }

  /* Views */

  function view(name) {
    for (const id of ["start", "rate", "finish"]) byId(id).hidden = id !== name;
    window.scrollTo(0, 0);
  }

  function showStart() {
    view("start");
    kept = { ...kept, ...recall() };
    byId("name").value = rater;
    byId("trouble").textContent = "";
    byId("known").replaceChildren(...Object.entries(kept).map(([name, ratings]) => {
      const button = document.createElement("button");
      const count = document.createElement("i");
      button.type = "button";
      button.className = "secondary";
      count.textContent = ` ${answered(ratings)} of ${neurons.length}`;
      button.append(`Go on as ${name}`, count);
      button.addEventListener("click", () => begin(name));
      return button;
    }));
    byId("name").focus();
  }

  function begin(name) {
    rater = name;
    given = { ...kept[name] };
    undone = [];
    byId("rater").textContent = name;
    show(firstLeft());
  }

  function show(position) {
    place = position;
    [since, spent] = [performance.now(), 0];
    byId("progress").value = answered();
    byId("undo").disabled = !undone.length;
    if (place >= neurons.length) return showFinish();
    const neuron = neurons[place];
    const current = given[place];
    const label = byId("label");
    label.textContent = neuron.label;
    label.dataset.length = neuron.label.length <= 24 ? "short" : neuron.label.length <= 90 ? "medium" : "long";
    label.scrollTop = 0;
    byId("images").replaceChildren(...neuron.images.map(picture));
    byId("position").textContent = `${place + 1} / ${neurons.length}`;
    byId("back").disabled = place === 0;
    byId("note").value = current?.note ?? "";
    for (const button of document.querySelectorAll("[data-answer]")) {
      button.setAttribute("aria-pressed", button.dataset.answer === current?.answer);
    }
    const opened = byId("rate").hidden;
    view("rate");
    if (opened) label.focus();
    fit();
    say(`Neuron ${place + 1} of ${neurons.length}: ${neuron.label}`);
  }

  function showFinish() {
    const left = neurons.length - answered();
    const first = firstLeft();
    byId("finisher").textContent = rater;
    byId("verdict").textContent = left ? `${left} ${left === 1 ? "label is" : "labels are"} left` : "All done, thank you";
    for (const answer of Object.values(ANSWERS)) {
      byId(`tally-${answer}`).textContent = Object.values(given).filter((rating) => rating.answer === answer).length;
    }
    byId("tally-left").textContent = left;
    byId("unanswered").hidden = first >= neurons.length;
    view("finish");
    byId("verdict").focus();
    say(byId("verdict").textContent);
  }

  function say(text) {
    byId("said").textContent = text;
  }

  function picture(id, index, all) {
    const [width, height, source] = data.images[id];
    const image = new Image();
    image.alt = `Image ${index + 1} of ${all.length}`;
    image.decoding = "sync";
    image.src = source;
    image.className = Math.max(width, height) < SMALL ? "small" : "";
    Object.assign(image.dataset, { width, height });
    return image;
  }

  /** The rows that images of one height take, filled one after the other. */
  function rowsOf(shapes, height, width) {
    let [rows, used] = [1, -GAP];
    for (const shape of shapes) {
      const wide = Math.ceil(height * shape);
      if (wide > width) return Infinity;
      if (used + GAP + wide > width) [rows, used] = [rows + 1, -GAP];
      used += GAP + wide;
    }
    return rows;
  }

  /** Make the images as high as the room allows, all the same, in rows of about the same length. */
  function fit() {
    const images = [...byId("images").children];
    const shapes = images.map(({ dataset }) => dataset.width / dataset.height);
    const [room, high] = [byId("stage").clientWidth, byId("stage").clientHeight];
    let height = high;
    while (height > LOWEST && rowsOf(shapes, height, room) * (height + GAP) - GAP > high) height -= 1;
    const [rows, widest] = [rowsOf(shapes, height, room), Math.ceil(height * Math.max(...shapes))];
    let width = room;
    while (width > widest && rowsOf(shapes, height, width - 1) === rows) width -= 1;
    byId("images").style.width = `${width}px`;
    images.forEach((image, index) => Object.assign(image.style, { height: `${height}px`, width: `${height * shapes[index]}px` }));
  }

  /* Answers */

  function answer(value) {
    const before = given[place];
    undone.push([place, before]);
    pause();
    const seconds = Math.round(10 * ((before?.seconds ?? 0) + spent / 1000)) / 10;
    given = { ...given, [place]: { answer: value, seconds, note: byId("note").value } };
    keep();
    show(place + 1);
  }

  function undo() {
    if (!undone.length) return;
    const [position, before] = undone.pop();
    given = { ...given, [position]: before };
    if (!before) delete given[position];
    keep();
    show(position);
  }

  function annotate() {
    given = { ...given, [place]: { answer: "", seconds: 0, ...given[place], note: byId("note").value } };
    keep();
  }

  /** Time counts while the page is looked at. */
  function pause() {
    spent += performance.now() - since;
    since = performance.now();
  }

  function step(distance) {
    if (place + distance >= 0 && place < neurons.length + (distance < 0)) show(place + distance);
  }

  /* Files */

  function records() {
    return neurons.flatMap(({ layer, unit, label }, position) => {
      const { answer: value, seconds, note } = given[position] ?? {};
      return value ? [{ rater, layer, unit, label, answer: value, seconds, note }] : [];
    });
  }

  function csvCell(value) {
    const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\r\n;\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function toCSV() {
    const lines = [COLUMNS, ...records().map((record) => COLUMNS.map((column) => record[column]))];
    return `\ufeff${lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("")}`;
  }

  function toJSON() {
    const { format, fingerprint, question, guideline } = data;
    return `${JSON.stringify({ format, sheet: fingerprint, question, guideline, rater, ratings: records() }, null, 1)}\n`;
  }

  function save(kind) {
    const [text, type] = kind === "csv" ? [toCSV(), "text/csv"] : [toJSON(), "application/json"];
    const link = document.createElement("a");
    const name = rater.replace(/[^\p{L}\p{N}]+/gu, "-");
    const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `ratings-${name}-${time}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`Saved ${link.download}`);
  }

  /** The cells of a CSV file (RFC 4180), whatever parts them. */
  function csvLines(text) {
    const head = text.split(/[\r\n]/, 1)[0];
    const delimiter = [",", ";", "\t"].reduce((best, mark) => (head.split(mark).length > head.split(best).length ? mark : best));
    const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${delimiter}\\r\\n]*))(${delimiter}|\\r\\n|\\n|\\r|$)`, "gy");
    const lines = [[]];
    for (const [, quoted, plain, end] of text.matchAll(cell)) {
      lines.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
      if (end !== delimiter) lines.push([]);
    }
    return lines.filter((cells) => cells.some(Boolean));
  }

  function fromCSV(text) {
    const [columns = [], ...lines] = csvLines(text);
    return lines.map((cells) => Object.fromEntries(columns.map((column, index) => {
      const value = cells[index] ?? "";
      return [column, value[0] === "'" && FORMULA.test(value.slice(1)) ? value.slice(1) : value];
    })));
  }

  function fromJSON(text) {
    const saved = JSON.parse(text);
    if (saved.format !== data.format || !Array.isArray(saved.ratings)) throw new Error("it is not a file of ratings");
    return saved.ratings.map((record) => ({ rater: saved.rater, ...record }));
  }

  /** Take over what a saved file holds of this sheet's labels. */
  async function load(file) {
    const text = (await file.text()).replace(/^\ufeff/, "");
    const found = /\.json$/i.test(file.name) ? fromJSON(text) : fromCSV(text);
    const name = found[0]?.rater?.trim();
    const own = found.filter((record) => record.rater?.trim() === name && places.has(keyOf(record)))
      .filter((record) => Object.values(ANSWERS).includes(record.answer));
    if (!name || !own.length) throw new Error("it holds no ratings of this sheet");
    kept = { ...kept, [name]: { ...kept[name] } };
    for (const record of own) {
      const seconds = Number(String(record.seconds ?? 0).replace(",", ".")) || 0;
      kept[name][places.get(keyOf(record))] = { answer: record.answer, seconds, note: record.note ?? "" };
    }
    begin(name);
    keep();
  }

  /* Wiring */

  byId("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("name").value.trim();
    if (name) begin(name);
  });
  byId("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    try {
      await load(file);
    } catch (error) {
      byId("trouble").textContent = `${file.name} cannot be taken over: ${error.message}.`;
    }
    target.value = "";
  });
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.addEventListener("click", () => answer(button.dataset.answer));
  }
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save));
  }
  byId("note").addEventListener("input", annotate);
  byId("rater").addEventListener("click", showStart);
  byId("undo").addEventListener("click", undo);
  byId("back").addEventListener("click", () => step(-1));
  byId("forward").addEventListener("click", () => step(1));
  byId("unanswered").addEventListener("click", () => show(firstLeft()));
  byId("review").addEventListener("click", () => show(0));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) pause();
    since = performance.now();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !byId("start").hidden) return;
    if (event.target === byId("note")) {
      if (event.key === "Enter" || event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.toLowerCase();
    if (key === "arrowleft") step(-1);
    else if (key === "arrowright") step(1);
    else if (key === "z") undo();
    else if (key in ANSWERS && !event.repeat && !byId("rate").hidden) answer(ANSWERS[key]);
  });
  new ResizeObserver(fit).observe(byId("stage"));
  showStart();
})();
