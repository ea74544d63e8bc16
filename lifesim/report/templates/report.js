"use strict";
(() => {
  const { figures, choices, csv } = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = 8;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (number) => css(`--c${number % COLOURS}`);
  const narrow = () => window.innerWidth < 640;
  const clear = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

  const painted = (trace) => {
    const copy = structuredClone(trace), meta = copy.meta || {};
    if ("colour" in meta) copy.line.color = colour(meta.colour);
    if ("band" in meta) copy.fillcolor = clear(colour(meta.band), 0.16);
    if ("bar" in meta) copy.marker.color = colour(meta.bar);
    return copy;
  };
  const axis = (given) => ({
    gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--muted"), automargin: true, ...given,
    title: { standoff: 8, ...(given || {}).title },
  });
  const layoutOf = (given, extra = {}) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: css("--ink"), family: getComputedStyle(document.body).fontFamily, size: narrow() ? 11.5 : 13 },
    margin: { l: narrow() ? 44 : 60, r: 12, t: 8, b: 44 }, hovermode: "closest",
    hoverlabel: { namelength: -1, bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
    legend: { orientation: "h", x: 0, y: -0.2, yanchor: "top" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
    ...given, ...extra, xaxis: axis({ ...given.xaxis, ...extra.xaxis }), yaxis: axis({ ...given.yaxis, ...extra.yaxis }),
  });
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  // Shares are drawn in percent, seconds in days.
  const scaleOf = (unit) => (unit === "1" ? [100, "%"] : unit === "s" ? [1 / 86400, "days"] : [1, unit]);
  const scaled = (value, factor) => (value === null ? null : value * factor);
  const titleOf = (name) => {
    const measure = choices.measures[name], unit = scaleOf(measure.unit)[1];
    return unit ? `${measure.title} (${unit})` : measure.title;
  };
  const chosen = (figure) => Object.fromEntries(
    [...document.querySelectorAll(`select[data-figure="${figure}"]`)].map((select) => [select.dataset.axis, select.value]));

  // A few far ones would squeeze all others into a point: the axis shows the others, and its edge says where the far ones are.
  const FAR = 10;
  const shownRange = (spans, origin) => {
    const reach = spans.map(([low, high]) => Math.max(Math.abs(low - origin), Math.abs(high - origin)));
    const median = [...reach].sort((a, b) => a - b)[(reach.length - 1) >> 1];
    const far = reach.map((value) => median > 0 && value > FAR * median);
    if (!far.some(Boolean)) return { far };
    const near = spans.filter((_, i) => !far[i]).flat().concat(origin);
    const [low, high] = [Math.min(...near), Math.max(...near)], margin = 0.08 * (high - low);
    return { far, range: [low - margin, high + margin] };
  };

  const differences = () => {
    const name = chosen("differences").measure, [factor, unit] = scaleOf(choices.measures[name].unit);
    const rows = choices.differences[name].filter((row) => row.difference !== null);
    const data = rows.map((row) => {
      const known = row.low !== null, ink = colour(row.schedule);
      return {
        type: "scatter", mode: "markers", showlegend: false, y: [choices.labels[row.schedule]], x: [row.difference * factor],
        error_x: known ? { type: "data", symmetric: false, array: [(row.high - row.difference) * factor],
          arrayminus: [(row.difference - row.low) * factor], color: ink, thickness: 2, width: 5 } : undefined,
        marker: { size: 12, color: row.real ? ink : css("--card"), line: { color: ink, width: 2.5 } },
        hovertemplate: `%{x:.4g} ${unit}${known ? ` (${(row.low * factor).toPrecision(3)} to ${(row.high * factor).toPrecision(3)})` : ""}` +
          `<br>${row.verdict}${row.p_holm === null ? "" : `, adjusted p ${row.p_holm.toPrecision(2)}`}<extra></extra>`,
      };
    });
    const title = { text: `${choices.measures[name].title}: difference to ${choices.labels[choices.baseline]} (${unit === "%" ? "points" : unit})` };
    const height = 110 + 34 * Math.max(rows.length, 2);
    const spans = rows.map((row) => [(row.low ?? row.difference) * factor, (row.high ?? row.difference) * factor]);
    const { far, range } = shownRange(spans, 0);
    const annotations = rows.filter((_, i) => far[i]).map((row) => {
      const left = row.difference < 0, text = (row.difference * factor).toPrecision(3);
      return { x: left ? 0 : 1, xref: "paper", xanchor: left ? "left" : "right", y: choices.labels[row.schedule], showarrow: false,
        text: left ? `◂ ${text}` : `${text} ▸`, font: { color: colour(row.schedule) } };
    });
    return [data, layoutOf({ ...figureOf("differences").layout, height, annotations },
      { xaxis: { ...figureOf("differences").layout.xaxis, title, ...(range ? { range, autorange: false } : {}) } })];
  };

  const pareto = () => {
    const { x, y } = chosen("pareto"), [fx, ux] = scaleOf(choices.measures[x].unit), [fy, uy] = scaleOf(choices.measures[y].unit);
    const front = new Set(choices.fronts[`${x}|${y}`] || choices.fronts[`${y}|${x}`] || []);
    const points = choices.labels.map((label, number) => ({ label, number, x: (choices.means[x] || {})[number], y: (choices.means[y] || {})[number] }))
      .filter((point) => point.x && point.y && point.x[0] !== null && point.y[0] !== null);
    const bars = ([mean, low, high], factor, ink) => (low === null ? undefined : { type: "data", symmetric: false,
      array: [(high - mean) * factor], arrayminus: [(mean - low) * factor], color: clear(ink, 0.55), thickness: 1.5, width: 3 });
    const data = points.map((point) => {
      const ink = colour(point.number);
      return {
        type: "scatter", mode: "markers", name: point.label, x: [point.x[0] * fx], y: [point.y[0] * fy],
        error_x: bars(point.x, fx, ink), error_y: bars(point.y, fy, ink),
        marker: { size: 12, color: front.has(point.number) ? ink : css("--card"), line: { color: ink, width: 2.5 } },
        hovertemplate: `%{x:.5g} ${ux}<br>%{y:.5g} ${uy}<extra>${point.label}</extra>`,
      };
    });
    const line = points.filter((point) => front.has(point.number)).sort((a, b) => a.x[0] - b.x[0]);
    if (line.length > 1 && x !== y) {
      data.unshift({ type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: css("--muted"), width: 1.5, dash: "dot" },
        x: line.map((point) => scaled(point.x[0], fx)), y: line.map((point) => scaled(point.y[0], fy)) });
    }
    // What varies over orders of magnitude is drawn on a logarithmic scale, if it can be.
    const scaleFor = (name, axisName, factor) => {
      const values = points.map((point) => point[axisName][0] * factor), title = { text: titleOf(name) };
      if (Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values)) return [{ title, type: "log" }, values.map(() => false)];
      const best = choices.measures[name].better === "higher" ? Math.max(...values) : Math.min(...values);
      const { far, range } = shownRange(values.map((value) => [value, value]), best);
      return [{ title, ...(range ? { range, autorange: false } : {}) }, far];
    };
    const [xaxis] = scaleFor(x, "x", fx), [yaxis, farUp] = scaleFor(y, "y", fy);
    const annotations = points.filter((_, i) => farUp[i]).map((point) => {
      const down = point.y[0] * fy < yaxis.range[0];
      return { x: xaxis.type === "log" ? Math.log10(point.x[0] * fx) : point.x[0] * fx, y: down ? 0 : 1, yref: "paper",
        yanchor: down ? "bottom" : "top", showarrow: false, font: { color: colour(point.number) },
        text: `${point.label}: ${(point.y[0] * fy).toPrecision(3)} ${down ? "▾" : "▴"}` };
    });
    return [data, layoutOf({ annotations }, { xaxis, yaxis })];
  };

  const figureOf = (name) => figures.find((figure) => figure.name === name);
  const drawn = (figure) => {
    if (figure.name === "differences") return differences();
    if (figure.name === "pareto") return pareto();
    return [figure.data.map(painted), layoutOf(figure.layout)];
  };
  const draw = (figure) => {
    const [data, layout] = drawn(figure);
    return Plotly.react(figure.name, data, layout, config);
  };

  const select = (figure, axisName, wanted) => {
    const box = document.querySelector(`select[data-figure="${figure}"][data-axis="${axisName}"]`);
    const name = wanted.find((candidate) => [...box.options].some((option) => option.value === candidate));
    if (name) box.value = name;
  };
  select("pareto", "x", ["cost", "tests", "cell_cycles"]);
  select("pareto", "y", ["in_spec_availability"]);

  const drawAll = () => {
    for (const key of document.querySelectorAll(".key")) key.style.background = colour(Number(key.dataset.colour));
    return Promise.all(figures.map(draw));
  };
  for (const box of document.querySelectorAll("select[data-figure]")) box.addEventListener("change", () => draw(figureOf(box.dataset.figure)));
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv[button.dataset.csv]], { type: "text/csv" }));
      link.download = button.dataset.csv;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll().then(() => { document.body.dataset.drawn = String(figures.length); });
})();
