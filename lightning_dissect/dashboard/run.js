/** The dissections of the run, unpacked from the page, and what they say of a neuron. */
const run = (() => {
  const UNIT = 32767;
  const TYPES = {
    i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
    i8: BigInt64Array, f4: Float32Array, f8: Float64Array,
  };
  const parsed = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = parsed("data");
  const pictures = parsed("pictures");
  const blocks = [...document.querySelectorAll("script.block")];
  const NO_LABEL = new Set(["no clear function", "dead", "non-finite"].map((status) => data.statuses.indexOf(status)));
  const finite = (value) => (Number.isFinite(value) ? value : null);
  const correlation = (value) => (value < -UNIT ? null : value / UNIT);

  async function unpacked(text) {
    const packed = atob(text);
    const bytes = new Uint8Array(packed.length);
    for (let place = 0; place < packed.length; place++) bytes[place] = packed.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  function columnsOf(buffer, layout) {
    let offset = 0;
    return Object.fromEntries(layout.map(([name, type, shape]) => {
      const values = new TYPES[type](buffer, offset, shape.reduce((size, length) => size * length, 1));
      offset += Math.ceil(values.byteLength / 8) * 8;
      return [name, { values, width: shape[1] ?? 1 }];
    }));
  }

  /** One dissection; a row of it is that of one neuron, -1 stands for a neuron that it does not have. */
  class Dissection {
    constructor(at, columns) {
      Object.assign(this, data.dissections[at], { at });
      this.columns = columns;
      this.size = columns.status.values.length;
      this.neurons = this.rows ?? Array.from({ length: this.size }, (_, row) => row);
      this.places = new Map(this.neurons.map((neuron, row) => [neuron, row]));
      this.exceptions = pictures.exceptions[this.cycle] ?? {};
    }

    row(neuron) {
      return this.places.get(neuron) ?? -1;
    }

    cell(name, row, column = 0) {
      const found = this.columns[name];
      return found && found.width > column ? found.values[row * found.width + column] : null;
    }

    status(row) {
      return data.statuses[this.cell("status", row)];
    }

    /** The concept that describes the neuron best, even where it is withheld, and -1 if there is none. */
    best(row) {
      const place = this.cell("candidates", row) ?? -1;
      return place < 0 ? -1 : this.concepts[place];
    }

    /** The concept that the neuron reliably stands for, or -1. */
    label(row) {
      return row < 0 || NO_LABEL.has(this.cell("status", row)) ? -1 : this.best(row);
    }

    name(row) {
      const label = this.label(row);
      return label < 0 ? "" : data.concepts[label];
    }

    contends(row, place) {
      return Boolean((this.cell("contenders", row, place >> 3) >> (7 - (place & 7))) & 1);
    }

    candidates(row) {
      return Array.from({ length: this.columns.candidates.width }, (_, place) => place)
        .filter((place) => this.cell("candidates", row, place) >= 0)
        .map((place) => {
          const concept = this.concepts[this.cell("candidates", row, place)];
          return {
            concept, name: data.concepts[concept], contends: this.contends(row, place),
            score: finite(this.cell("scores", row, place) ?? NaN), quality: correlation(this.cell("qualities", row, place)),
          };
        });
    }

    contenders(row) {
      return new Set(this.candidates(row).filter(({ contends }) => contends).map(({ concept }) => concept));
    }

    /** Whether more than half of several candidates may be the best, so that others may be it too. */
    isOpen(row) {
      const found = this.candidates(row);
      return found.length > 1 && 2 * found.filter(({ contends }) => contends).length > found.length;
    }

    quality(row) {
      const found = this.cell("qualities", row);
      return found === null ? null : correlation(found);
    }

    interval(row) {
      return { low: correlation(this.cell("interval", row, 0)), high: correlation(this.cell("interval", row, 1)) };
    }

    value(name, row) {
      return finite(this.cell(name, row) ?? NaN);
    }

    /** The larger of both q-values. */
    doubt(row) {
      const [chance, untrained] = [this.value("trust/q_chance", row), this.value("trust/q_untrained", row)];
      return chance === null ? null : Math.max(chance, untrained ?? 0);
    }

    /** What an evaluator says: true, false, or null where it did not judge. */
    verdict(judge, row) {
      const found = this.cell(`verdict/${judge}`, row);
      return found === null || found < 0 ? null : found === 1;
    }

    images(row) {
      return Array.from({ length: this.columns.images?.width ?? 0 }, (_, place) => place)
        .filter((place) => this.cell("images", row, place) >= 0)
        .map((place) => {
          const id = String(this.columns.ids.values[this.cell("images", row, place)]);
          const thumbnail = this.exceptions[id] ?? pictures.samples[id];
          return { id, base64: pictures.thumbnails[thumbnail], activation: finite(this.cell("activations", row, place)) };
        });
    }

    histogram(row) {
      const found = this.columns.histogram;
      if (!found?.width) return null;
      const [low, high] = [this.value("range", row), finite(this.cell("range", row, 1))];
      return low === null ? null : { low, high, heights: [...found.values.subarray(row * found.width, (row + 1) * found.width)] };
    }

    named(kind) {
      return Object.keys(this.columns).filter((name) => name.startsWith(`${kind}/`)).map((name) => name.slice(kind.length + 1));
    }
  }

  const waiting = new Map();

  /** The dissection in a place of the run. */
  function dissection(at) {
    if (!waiting.has(at)) {
      waiting.set(at, unpacked(blocks[at].textContent).then((buffer) => {
        blocks[at].remove();
        return new Dissection(at, columnsOf(buffer, data.dissections[at].layout));
      }));
    }
    return waiting.get(at);
  }

  const newest = data.dissections.length - 1;
  const rising = data.dissections.every(({ step }, at) => at === 0 || step > data.dissections[at - 1].step);
  let everything = null;

  return {
    ...data,
    newest,
    /** Where each dissection stands on the axis of steps, or of dissections where steps do not rise. */
    moments: data.dissections.map(({ step }, at) => (rising ? step : at)),
    axis: rising ? "step" : "dissection",
    dissection,
    /** All dissections in their order. */
    all: () => (everything ??= Promise.all(data.dissections.map((_, at) => dissection(at)))),
    layerName: (place) => data.layers[place] || "(model)",
    place: (neuron) => ({ layer: data.neurons.layer[neuron], unit: data.neurons.unit[neuron] }),
    neuronAt: (layer, unit) => data.neurons.unit.findIndex((found, neuron) =>
      found === unit && data.layers[data.neurons.layer[neuron]] === layer),
    conceptCalled: (name) => data.concepts.indexOf(name),
    linkTo: (neuron) =>
      `#/neuron/${encodeURIComponent(data.layers[data.neurons.layer[neuron]])}/${data.neurons.unit[neuron]}`,
    linkToConcept: (concept) => `#/concept/${encodeURIComponent(data.concepts[concept])}`,
    moment: (at) => `step ${data.dissections[at].step.toLocaleString("en")}`,
  };
})();
