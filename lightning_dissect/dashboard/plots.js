/** Plots in the colours of the page, drawn by Bokeh. */
const plots = (() => {
  const { Plotting } = Bokeh;
  const FEW = 12;
  const HEIGHT = 190;
  const LEAST_SPAN = { share: 0.02, count: 1, distance: 0.02 };
  const HUES = ["#6d66ee", "#0f9d8a", "#d9822b", "#c2417c", "#3f83d6", "#7a9a1f", "#a15fd0", "#b4573c"];
  const drawn = new Map();

  Bokeh.logger.set_level("warn");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function axes(figure, unit) {
    const [ink, line] = [colour("soft"), colour("line")];
    for (const axis of [figure.xaxis, figure.yaxis]) {
      axis.axis_line_color = line;
      axis.major_tick_line_color = null;
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = ink;
      axis.major_label_text_font_size = "11px";
      axis.axis_label_text_color = ink;
      axis.axis_label_text_font_size = "11px";
      axis.axis_label_text_font_style = "normal";
      axis.axis_label_standoff = 4;
    }
    figure.xaxis.formatter = new Bokeh.NumeralTickFormatter({ format: "0.[00]a" });
    const ticker = new Bokeh.BasicTicker({ desired_num_ticks: 4, ...(unit === "count" && { min_interval: 1 }) });
    figure.yaxis.ticker = ticker;
    figure.ygrid.ticker = ticker;
    if (unit === "share") figure.yaxis.formatter = new Bokeh.NumeralTickFormatter({ format: "0.[0]%" });
    figure.xgrid.grid_line_color = null;
    figure.ygrid.grid_line_color = line;
  }

  function frame({ label, unit, ...ranges }) {
    const figure = Plotting.figure({
      height: HEIGHT, sizing_mode: "stretch_width", tools: [], toolbar_location: null, x_axis_label: label, min_border_right: 14,
      outline_line_color: null, background_fill_alpha: 0, border_fill_alpha: 0, ...ranges,
    });
    axes(figure, unit);
    return figure;
  }

  /** An empty plot over the run; a unit says what its ordinate counts, and all but signed numbers begin at zero. */
  function overRun({ unit = "number", isSigned = unit === "number" }) {
    const [first, last] = [run.moments[0], run.moments[run.newest]];
    const margin = (last - first) * 0.03 || 1;
    return frame({
      label: run.axis, unit, x_range: new Bokeh.Range1d({ start: first - margin, end: last + margin }),
      y_range: new Bokeh.DataRange1d({ ...(LEAST_SPAN[unit] && { min_interval: LEAST_SPAN[unit], default_span: LEAST_SPAN[unit] }), ...(!isSigned && { start: 0 }) }),
    });
  }

  /** An empty plot of a distribution; only shapes matter, so its ordinate has no numbers. */
  function overValues(label) {
    const figure = frame({ label, unit: "number", y_range: new Bokeh.DataRange1d({ start: 0 }) });
    figure.yaxis.visible = false;
    return figure;
  }

  /** A line over the run; gaps stay gaps, and few dissections get points. */
  function line(figure, values, { colour: line_color, dash = "solid", width: line_width = 2 }) {
    const xs = run.moments;
    const ys = values.map((value) => value ?? NaN);
    figure.line(xs, ys, { line_color, line_width, line_dash: dash, line_join: "round" });
    if (xs.length > FEW && ys.filter(Number.isFinite).length > 1) return;
    figure.scatter(xs, ys, { marker: "circle", size: 4 + line_width, fill_color: line_color, line_color: null });
  }

  function band(figure, lows, highs, fill_color) {
    const clean = (values) => values.map((value) => value ?? NaN);
    figure.varea(run.moments, clean(lows), clean(highs), { fill_color, fill_alpha: 0.18 });
  }

  /** A mark of the chosen dissection; a tap on the plot chooses the nearest. */
  function follow(figure, at, choose) {
    const mark = new Bokeh.Span({
      location: run.moments[at], dimension: "height", line_color: colour("ink"), line_alpha: 0.45, line_dash: "dotted", line_width: 1.5,
    });
    figure.add_layout(mark);
    figure.on_event("tap", ({ x }) => {
      const distances = run.moments.map((moment) => Math.abs(moment - x));
      choose(distances.indexOf(Math.min(...distances)));
    });
    return (next) => {
      mark.location = run.moments[next];
    };
  }

  function forget(view) {
    const place = Bokeh.documents.indexOf(view.model.document);
    view.remove();
    if (place >= 0) Bokeh.documents.splice(place, 1);
  }

  /** Take a figure away, and what Bokeh keeps of it. */
  function clear(node) {
    drawn.get(node)?.then(forget);
    drawn.delete(node);
    node.replaceChildren();
  }

  /** Put a figure where another one may have been, with a text for those who do not see it. */
  function show(node, figure, text) {
    clear(node);
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", text);
    drawn.set(node, Plotting.show(figure, node));
  }

  /** What a plot draws, in words beside a sample of the line. */
  function key(text, line, dash) {
    const node = elements.element("span", `key ${dash ?? "solid"}`, text);
    if (line) node.style.setProperty("--key", line);
    return node;
  }

  return { overRun, overValues, line, band, follow, show, clear, key, colour, hue: (place) => HUES[place % HUES.length] };
})();
