// Draws runs: of a report those it holds, of a live page those that the server tells
// of, again and again. Texts and names come from files that anybody may have written:
// they reach the page as text nodes, and plotly only after `plainly`.
"use strict";

const LOOK_EVERY = 1000; // milliseconds while a run is at work
const LOOK_SELDOM = 4000; // milliseconds when none is
const DRAW_AT_LEAST = 5000; // milliseconds after which anything new is drawn
const SMOOTHING = 0.02; // share of a curve that a smoothed point is the mean of
const COLOURS = 8;
const DASHES = ["solid", "dot", "dashdot"];

const CHARTS = [
  { id: "learning_rate", title: "Learning rate", unit: "", ticks: "~g" },
  { id: "grad_norm", title: "Gradient norm", unit: "before clipping", ticks: "" },
  { id: "tokens_per_second", title: "Speed", unit: "tokens per second", ticks: "~s" },
];
const MEMORY = [["resident_bytes", "process"], ["device_bytes", "GPU"]];
const NO_CHART = new Set(["step", "epoch", "batch", "tokens", "seconds", "loss",
  "stage", "learning_rate", "grad_norm", "tokens_per_second", "train_loss", "test_loss",
  "ema_test_loss", ...MEMORY.map(([name]) => name)]);
const AXES = { step: "optimizer steps", tokens: "target tokens", seconds: "time" };
const SPANS = [[7200, 3600, "hours of training"], [180, 60, "minutes of training"],
  [0, 1, "seconds of training"]]; // from so many seconds on: unit in seconds, words

const BUTTONS = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];
// These alone: plotly also has one that sends what it draws to a place on the internet.

const runs = []; // what is known of each, in the order of the server
const hidden = new Set(); // names of runs that are not to be drawn
let plotEvery = 1; // new points that make a new picture
let fresh = 0; // points that are not drawn yet
let drawnAt = 0;
let follows = true; // the newest samples are shown

const $ = (id) => document.getElementById(id);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (place) => style(`--run-${place % COLOURS}`);
const plainly = (text) => String(text).replace(/[\u0000-\u001f\u007f]/g, " ")
  .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// ---- what is known ---------------------------------------------------------------

function take(answer) {
  // Add what is new to `runs`; -> whether something came that is drawn at once.
  plotEvery = answer.plot_frequency;
  let urgent = false;
  answer.runs.forEach((news, place) => {
    let run = runs[place];
    if (!run || run.version !== news.version) {
      run = runs[place] = { name: news.name, place, points: {}, tests: {}, samples: [],
        about: {}, version: news.version };
      urgent = true;
    }
    const before = length(run.points);
    append(run.points, news.points);
    fresh += length(run.points) - before;
    if (JSON.stringify(run.tail) !== JSON.stringify(news.tail)) fresh += length(news.tail);
    urgent ||= length(news.tests) > 0 || news.samples.length > 0
      || run.about.state !== news.about.state;
    append(run.tests, news.tests);
    run.samples.push(...news.samples);
    run.tail = news.tail;
    run.about = news.about;
  });
  return urgent;
}

function append(columns, more) {
  for (const [name, values] of Object.entries(more)) {
    columns[name] = (columns[name] || []).concat(values);
  }
}

const length = (columns) => Object.values(columns)[0]?.length ?? 0;
const shown = () => runs.filter((run) => !hidden.has(run.name));

function column(run, name) {
  // A column of steps.csv with the point that is not whole yet.
  return (run.points[name] || []).concat(run.tail?.[name] || []);
}

function smoothed(values) {
  // The mean over a window around each point, which is narrower at both ends.
  const half = Math.floor(values.length * SMOOTHING / 2);
  if (half < 1) return values;
  const sums = [0], counts = [0];
  values.forEach((value, i) => {
    sums.push(sums[i] + (value ?? 0));
    counts.push(counts[i] + (value === null ? 0 : 1));
  });
  return values.map((_, i) => {
    const from = Math.max(0, i - half), to = Math.min(values.length, i + Math.min(half, i) + 1);
    const count = counts[to] - counts[from];
    return count ? (sums[to] - sums[from]) / count : null;
  });
}

// ---- drawing ---------------------------------------------------------------------

function axis() {
  const chosen = document.querySelector("input[name=axis]:checked").value;
  if (chosen !== "seconds") return { name: chosen, unit: 1, title: AXES[chosen] };
  const longest = Math.max(0, ...shown().map((run) => column(run, "seconds").at(-1) ?? 0));
  const [, unit, title] = SPANS.find(([from]) => longest >= from);
  return { name: chosen, unit, title };
}

const along = (values, over) => over.unit === 1 ? values
  : values.map((value) => value === null ? null : value / over.unit);

function line(run, x, y, name, more) {
  return { type: "scatter", mode: "lines", x, y, name: plainly(name),
    hovertemplate: "%{y:.5~g}", line: { color: colour(run.place), width: 1.8,
      dash: DASHES[Math.floor(run.place / COLOURS) % DASHES.length], ...more?.line },
    ...Object.fromEntries(Object.entries(more || {}).filter(([key]) => key !== "line")) };
}

function lossTraces(over) {
  const traces = [], alone = shown().length === 1;
  for (const run of shown()) {
    const x = along(column(run, over.name), over), loss = column(run, "loss");
    const label = (what) => alone ? what : `${run.name}, ${what}`;
    const smooth = $("smooth").checked ? smoothed(loss) : loss;
    if (smooth !== loss) {
      traces.push(line(run, x, loss, "", { opacity: 0.22, hoverinfo: "skip",
        hovertemplate: null, line: { width: 1 } }));
    }
    traces.push(line(run, x, smooth, label("training"), { opacity: alone ? 0.8 : 0.55,
      line: { width: 1.5 }, meta: "training" }));
    const at = along(run.tests[over.name] || [], over), second = colour(run.place + alone);
    traces.push(line(run, at, run.tests.test_loss || [], label("test"), {
      mode: "lines+markers", marker: { size: 6 }, line: { width: 2.2, color: second }, meta: "test" }));
    if (run.tests.ema_test_loss) {
      traces.push(line(run, at, run.tests.ema_test_loss, label("test, averaged weights"), {
        mode: "lines+markers", marker: { size: 5, symbol: "circle-open" },
        line: { width: 1.8, dash: "dash", color: second }, meta: "averaged" }));
    }
  }
  return traces;
}

function worthShowing(traces, log) {
  // The range of losses that matter: of a long curve not its first 4 %.
  let low = Infinity, high = -Infinity;
  for (const { y } of traces) {
    for (let i = y.length >= 100 ? Math.floor(y.length / 25) : 0; i < y.length; i++) {
      if (y[i] === null || (log && y[i] <= 0)) continue;
      low = Math.min(low, y[i]);
      high = Math.max(high, y[i]);
    }
  }
  if (!Number.isFinite(low)) return undefined;
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  const margin = 0.05 * (high - low) || 0.1 * Math.abs(high) || 0.1;
  return [low - margin, high + margin];
}

function borders(over) {
  // A line where each stage of a training begins, but for the first.
  return shown().flatMap((run) => {
    const stages = column(run, "stage"), x = along(column(run, over.name), over);
    return x.filter((_, i) => i + 1 < x.length && stages[i + 1] > stages[i]).map((at) => ({
      type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, layer: "below",
      line: { color: style("--soft"), width: 1, dash: "dot" } }));
  });
}

function draw(id, traces, over, vertical) {
  const soft = style("--soft"), lines = { gridcolor: style("--grid"), zeroline: false,
    linecolor: style("--line"), tickfont: { color: soft, size: 11.5 } };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    margin: { l: 52, r: 10, t: 10, b: 40 }, hovermode: "x unified", dragmode: "zoom",
    font: { family: style("--body"), color: style("--ink"), size: 12.5 },
    hoverlabel: { bgcolor: style("--card"), bordercolor: style("--line"),
      font: { color: style("--ink"), size: 12.5 }, namelength: 40 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: style("--ink") },
    uirevision: `${over.name} ${over.unit} ${vertical.type || ""}`,
    xaxis: { ...lines, title: { text: over.title, font: { color: soft, size: 12 }, standoff: 8 },
      rangemode: "tozero", separatethousands: true,
      unifiedhovertitle: { text: `${over.title}: %{x:${over.name === "seconds" ? ".2f" : ",d"}}` } },
    yaxis: { ...lines, ...vertical },
    shapes: borders(over),
  };
  const options = { displaylogo: false, responsive: true, showTips: false,
    modeBarButtons: BUTTONS, showSendToCloud: false };
  return Plotly.react(id, traces, layout, options);
}

function extraCharts() {
  // Charts of columns that only some runs have.
  const found = new Map();
  for (const run of runs) {
    for (const source of ["tests", "points"]) {
      for (const name of Object.keys(run[source])) {
        if (!NO_CHART.has(name)) found.set(name, source);
      }
    }
  }
  return [...found].map(([id, source]) => ({ id, source, title: id.replaceAll("_", " "), unit: "",
    ticks: "" }));
}

function memoryChart() {
  // What was measured of any run: one chart, or none.
  const some = MEMORY.filter(([name]) => runs.some((run) => measured(run, name)));
  const unit = some.length > 1 ? "GiB, that on the GPU dashed" : "GiB, of the process";
  return some.length ? [{ id: "memory", title: "Memory", unit, ticks: "~g", traces: memoryTraces }] : [];
}

const measured = (run, name) => column(run, name).some((value) => value !== null);

function memoryTraces(over) {
  return shown().flatMap((run) => MEMORY.filter(([name]) => measured(run, name))
    .map(([name, what], dashed) => line(run, along(column(run, over.name), over),
      along(column(run, name), { unit: 2 ** 30 }), shown().length === 1 ? what : `${run.name}, ${what}`,
      { meta: name, line: { width: 1.5, ...(dashed && { dash: "dash" }) } })));
}

function place(chart) {
  // Make the element that a small chart is drawn into, where it is not there yet.
  const there = $(`chart-${chart.id}`);
  if (there) {
    there.parentNode.querySelector(".note").textContent = chart.unit;
    return;
  }
  const card = make("section", "card"), caption = make("div", "caption"), plot = make("div", "plot");
  caption.append(make("h2", "", chart.title), make("p", "note", chart.unit));
  plot.id = `chart-${chart.id}`;
  card.append(caption, plot);
  $("others").append(card);
}

function drawAll() {
  // Every place is made before anything is drawn: each makes the others narrower.
  const charts = [...CHARTS, ...memoryChart(), ...extraCharts()];
  charts.forEach(place);
  const over = axis(), log = $("log").checked, losses = lossTraces(over);
  const vertical = { type: log ? "log" : "linear", range: worthShowing(losses, log) };
  if (log) vertical.dtick = "D1";
  draw("loss", losses, over, vertical);
  $("averaged").hidden = !runs.some((run) => run.tests.ema_test_loss);
  for (const chart of charts) {
    const traces = chart.traces?.(over) ?? shown().map((run) => chart.source === "tests"
      ? line(run, along(run.tests[over.name] || [], over), run.tests[chart.id] || [], run.name)
      : line(run, along(column(run, over.name), over), column(run, chart.id), run.name,
        { line: { width: 1.5 } }));
    draw(`chart-${chart.id}`, traces, over, { rangemode: "tozero", tickformat: chart.ticks });
  }
  tellRuns();
  tellSamples();
  fresh = 0;
  drawnAt = performance.now();
  performance.mark("drawn");
}

// ---- words -----------------------------------------------------------------------

const counted = (value) => new Intl.NumberFormat("en", { notation: "compact",
  maximumSignificantDigits: 3 }).format(value);
const FIGURES = [
  ["loss", "loss", (value) => value.toFixed(4)],
  ["best_test_loss", "best test loss", (value) => value.toFixed(4)],
  ["step", "step", (value) => value.toLocaleString("en")],
  ["learning_rate", "rate", (value) => value.toExponential(2)],
  ["tokens_per_second", "tokens/s", counted],
  ["peak_memory_bytes", "peak memory", (value) => `${(value / 2 ** 30).toFixed(2)} GiB`],
];

function tellRuns() {
  for (const run of runs) {
    const id = `run-${run.place}`;
    const card = $(id) || newCard(run, id);
    card.classList.toggle("off", hidden.has(run.name));
    const { state, reason, progress } = run.about;
    const badge = card.querySelector(".state");
    badge.className = `state ${state}`;
    badge.textContent = state === "ended" && reason ? `ended: ${reason}` : state;
    const known = { ...progress, peak_memory_bytes: run.about.peak_memory_bytes };
    card.querySelector("dl").replaceChildren(...FIGURES
      .filter(([name]) => Number.isFinite(known[name]))
      .map(([name, words, spell]) => {
        const figure = make("div");
        figure.dataset.figure = name;
        figure.append(make("dt", "", words), make("dd", "", spell(known[name])));
        return figure;
      }));
  }
}

function newCard(run, id) {
  const card = make("label", "run"), top = make("div", "top"), box = make("input");
  card.id = id;
  card.style.setProperty("--colour", `var(--run-${run.place % COLOURS})`);
  box.type = "checkbox";
  box.checked = true;
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(run.name); else hidden.add(run.name);
    drawAll();
  });
  top.append(box, make("span", "name", run.name), make("span", "state"));
  card.append(top, make("dl", "figures"));
  $("runs").append(card);
  return card;
}

function tellSamples() {
  const steps = [...new Set(runs.flatMap((run) => run.samples.map((sample) => sample.step)))];
  steps.sort((a, b) => a - b);
  $("writing").hidden = steps.length === 0;
  if (!steps.length) return;
  const moment = $("moment");
  moment.max = steps.length - 1;
  if (follows) moment.value = moment.max;
  const step = steps[Math.min(moment.value, steps.length - 1)];
  $("when").textContent = `after ${step.toLocaleString("en")} of ${steps.at(-1).toLocaleString("en")} steps`;
  const prompts = new Set(runs.flatMap((run) => run.samples.map((sample) => sample.prompt))).size;
  $("texts").classList.toggle("pairs", prompts === 2);
  $("texts").replaceChildren(...shown().flatMap((run) => {
    const last = new Map(); // by prompt: what was written last, up to that step
    for (const sample of run.samples) if (sample.step <= step) last.set(sample.prompt, sample);
    return [...last.values()].map((sample) => {
      const block = make("div", "text"), words = make("p");
      block.style.setProperty("--colour", `var(--run-${run.place % COLOURS})`);
      words.append(make("span", "prompt", sample.prompt), make("span", "", sample.text));
      block.append(make("p", "note", `${run.name}, step ${sample.step.toLocaleString("en")}`), words);
      return block;
    });
  }));
}

// ---- from the outside --------------------------------------------------------------

async function look() {
  const have = runs.map((run) => [run.version, length(run.points), length(run.tests),
    run.samples.length].join(":")).join(",");
  let wait = LOOK_SELDOM;
  try {
    const response = await fetch(`data?have=${encodeURIComponent(have)}`);
    if (!response.ok) throw new Error(response.statusText);
    const urgent = take(await response.json());
    tellRuns();
    await ready;
    const late = performance.now() - drawnAt >= DRAW_AT_LEAST;
    if (!document.hidden && (urgent || fresh >= plotEvery || (fresh > 0 && late))) drawAll();
    const working = runs.filter((run) => run.about.state === "running").length;
    $("status").textContent = working ? `${working} of ${runs.length} at work, updating`
      : "no run is at work";
    if (working) wait = LOOK_EVERY;
  } catch (error) {
    $("status").textContent = "slangmod monitor does not answer; this is what it told last";
  }
  setTimeout(look, wait);
}

const ready = new Promise((resolve) => { // when plotly is there
  document.addEventListener("DOMContentLoaded", resolve, { once: true });
});

for (const input of document.querySelectorAll(".controls input")) {
  input.addEventListener("change", drawAll);
}
$("moment").addEventListener("input", () => {
  follows = $("moment").value === $("moment").max;
  tellSamples();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && fresh > 0) drawAll();
});

const held = $("data");
if (held) {
  take(JSON.parse(held.textContent));
  ready.then(drawAll);
} else {
  look();
}
