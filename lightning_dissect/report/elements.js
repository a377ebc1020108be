"use strict";
/** How pages put plain values into the document. */
const elements = (() => {
  /** Build an element; text only ever becomes text, never markup. */
  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function percent(value) {
    return value === null ? "–" : `${(100 * value).toFixed(0)} %`;
  }

  function number(value) {
    if (value === null) return "–";
    const size = Math.abs(value);
    return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential(2) : value.toFixed(3);
  }

  function small(value) {
    return value !== null && value < 1e-3 ? "<0.001" : number(value);
  }

  function interval({ low, high }) {
    return low === null ? "–" : `${low.toFixed(2)} to ${high.toFixed(2)}`;
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

  function picture(id, base64) {
    if (!base64) return element("span", "blank");
    const image = element("img");
    image.alt = `Image ${id}`;
    image.decoding = "async";
    image.src = `data:image/jpeg;base64,${base64}`;
    return image;
  }

  function word(yes) {
    return yes ? "yes" : "no";
  }

  /** A tick or a cross. */
  function mark(yes) {
    const node = element("span", `mark ${word(yes)}`);
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", word(yes));
    return node;
  }

  /** A status with its dot. */
  function dot(status) {
    return element("span", `dot ${status.replaceAll(" ", "-")}`, status);
  }

  return { element, percent, number, small, interval, bar, breakable, picture, word, mark, dot };
})();
