"use strict";
// Everything that comes from files reaches the page as text nodes and attributes of our own: nothing is parsed as HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;
const COLORS = ["#3a7fd0", "#d9741b", "#2f8f4e", "#b0368f", "#7a5cd0", "#0f8b8d", "#a8781a", "#777f88"];
const color = (i) => COLORS[i % COLORS.length];
const several = RUNS.length > 1;

function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "line", "path", "text", "circle", "rect", "g"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function shown(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 0.01 ? value.toFixed(digits) : value.toPrecision(3);
}

const swatch = (i) => el("span", { class: "swatch", style: `background:${color(i)}` });
const runName = (i) => el("span", {}, swatch(i), RUNS[i].name);
const legend = (indices) => el("div", { class: "legend" }, indices.map(runName));
const duration = (s) => (s < 120 ? `${s.toFixed(1)} s` : s < 7200 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`);

function section(id, title, ...children) {
  document.getElementById("nav").append(el("a", { href: `#${id}` }, title));
  const node = el("section", { id }, el("h2", {}, title), children);
  document.getElementById("main").append(node);
  return node;
}

// ---- tables that sort and filter ----
// columns: {title, value(row) for sorting and filtering, show(row, value) -> text or node, number, best}
function table(columns, rows, { filter = () => true, limit = Infinity, sort = null, descending = false } = {}) {
  const state = { sort, descending, limit };
  const head = el("tr");
  const body = el("tbody");
  const more = el("button", { class: "more", type: "button", onclick: () => { state.limit += limit; draw(); } });
  const count = el("div", { class: "note" });
  columns.forEach((column, i) => {
    const order = () => {
      state.descending = state.sort === i ? !state.descending : Boolean(column.number);
      state.sort = i;
      state.limit = limit;
      draw();
    };
    head.append(el("th", { class: column.number ? "number" : null, scope: "col" },
      el("button", { type: "button", onclick: order, title: "sort" }, column.title)));
  });
  function compare(a, b) {
    const column = columns[state.sort];
    const [x, y] = [column.value(a), column.value(b)];
    const missing = (v) => v === null || v === undefined || v === "";
    if (missing(x) || missing(y)) return missing(x) - missing(y); // always last
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return state.descending ? -order : order;
  }
  function cell(column, row) {
    const value = column.value(row);
    const node = column.show ? column.show(row, value) : shown(value);
    return el("td", { class: column.number ? "number" : "text" }, node);
  }
  function draw() {
    const kept = rows.filter(filter);
    if (state.sort !== null) kept.sort(compare);
    [...head.children].forEach((th, i) => {
      if (state.sort === i) th.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    });
    body.replaceChildren(...kept.slice(0, state.limit).map((row) => el("tr", {}, columns.map((c) => cell(c, row)))));
    count.textContent = kept.length === rows.length ? `${shown(rows.length)} rows` : `${shown(kept.length)} of ${shown(rows.length)} rows`;
    more.hidden = kept.length <= state.limit;
    more.textContent = `show ${shown(Math.min(limit, kept.length - state.limit))} more`;
  }
  draw();
  const restart = () => { state.limit = limit; draw(); };
  return { node: el("div", {}, el("div", { class: "scroll card" }, el("table", {}, el("thead", {}, head), body)), count, more), draw: restart };
}

function searchBox(label, onchange) {
  const input = el("input", { type: "search", placeholder: label, "aria-label": label, oninput: () => onchange(words()) });
  const words = () => input.value.toLowerCase().split(/\s+/).filter(Boolean);
  return { node: input, matches: (text) => words().every((word) => text.toLowerCase().includes(word)), set: (text) => { input.value = text; onchange(); } };
}

function select(label, options, onchange) {
  const node = el("select", { "aria-label": label, onchange: () => onchange(node.value) },
    options.map(([value, title]) => el("option", { value }, title)));
  return node;
}

// ---- charts ----
function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return found;
}

// series: {name, run, points: [[x, y]], dots, dash}
function chart(title, series, { x: xTitle, y: yRange, ideal = false, whole = false, note = "" } = {}) {
  const [W, H, left, right, top, bottom] = [420, 240, 48, 10, 10, 32];
  const points = series.flatMap((s) => s.points);
  let [x0, x1] = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
  let [y0, y1] = yRange || [Math.min(0, ...points.map((p) => p[1])), Math.max(...points.map((p) => p[1])) * 1.05];
  if (ideal) [x0, x1] = [0, 100];
  if (x0 === x1) [x0, x1] = [x0 - 0.5, x1 + 0.5];
  if (y0 === y1) y1 = y0 + 1;
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (W - left - right);
  const py = (y) => H - bottom - ((y - y0) / (y1 - y0)) * (H - top - bottom);
  const tick = (v) => (v !== 0 && Math.abs(v) < 0.01 ? v.toExponential(0) : String(+v.toPrecision(6)));
  const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
  for (const v of ticks(y0, y1)) {
    svg.append(el("line", { class: "axis", x1: left, x2: W - right, y1: py(v), y2: py(v) }),
      el("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, tick(v)));
  }
  for (const v of ticks(x0, x1, 6).filter((t) => !whole || Number.isInteger(t))) svg.append(el("text", { x: px(v), y: H - bottom + 15, "text-anchor": "middle" }, tick(v)));
  svg.append(el("text", { x: (left + W - right) / 2, y: H - 3, "text-anchor": "middle" }, xTitle));
  if (ideal) svg.append(el("line", { class: "ideal", x1: px(0), y1: py(0), x2: px(100), y2: py(100) }));
  for (const s of series) {
    const path = s.points.map((p, i) => `${i ? "L" : "M"}${px(p[0]).toFixed(1)} ${py(p[1]).toFixed(1)}`).join("");
    svg.append(el("path", { d: path, fill: "none", stroke: color(s.run), "stroke-width": 1.8, "stroke-dasharray": s.dash }));
    if (s.dots || s.points.length === 1) for (const p of s.points) svg.append(el("circle", { cx: px(p[0]), cy: py(p[1]), r: 2.6, fill: color(s.run) }));
  }
  const readout = el("div", { class: "readout" }, note);
  const cursor = el("line", { class: "ideal", y1: top, y2: H - bottom, visibility: "hidden" });
  svg.append(cursor);
  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = x0 + (((event.clientX - box.left) / box.width) * W - left) / (W - left - right) * (x1 - x0);
    const near = series.map((s) => [s, s.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a))]);
    cursor.setAttribute("x1", px(near[0][1][0]));
    cursor.setAttribute("x2", px(near[0][1][0]));
    cursor.setAttribute("visibility", "visible");
    readout.textContent = near.map(([s, p]) => `${s.name}: ${shown(p[1], 3)} at ${shown(p[0])}`).join("   ");
  });
  svg.addEventListener("mouseleave", () => { cursor.setAttribute("visibility", "hidden"); readout.textContent = note; });
  return el("div", { class: "card" }, el("h3", {}, title), svg, several ? legend([...new Set(series.map((s) => s.run))]) : null, readout);
}

// ---- sections ----
function figures() {
  const names = [...new Set(RUNS.flatMap((run) => Object.keys(run.figures)))];
  const rows = names.map((name) => ({ name, values: RUNS.map((run) => run.figures[name]), ranked: !name.startsWith("num_") }));
  const add = (name, values) => { if (values.some((v) => v !== null && v !== undefined)) rows.push({ name, values }); };
  add("expected calibration error (percent points)", RUNS.map((run) => run.analysis?.calibration?.ece));
  add("videos", RUNS.map((run) => run.num_videos));
  add("of them without a label", RUNS.map((run) => (run.num_videos ?? 0) - (run.num_labelled ?? run.num_videos ?? 0) || null));
  add("not decodable (count as wrong)", RUNS.map((run) => run.num_failed));
  add("test took", RUNS.map((run) => (run.seconds == null ? null : duration(run.seconds))));
  add("training waited for data (share of time)", RUNS.map((run) => (run.data_share == null ? null : `${(100 * run.data_share).toFixed(1)} %`)));
  add("training steps took", RUNS.map((run) => (run.train_seconds == null ? null : duration(run.train_seconds))));
  add("protocol", RUNS.map((run) => run.protocol));
  add("evaluator", RUNS.map((run) => run.evaluator));
  add("weights", RUNS.map((run) => run.weights));
  add("list of the test", RUNS.map((run) => run.list));
  const columns = [{ title: "figure", value: (row) => row.name }];
  RUNS.forEach((run, i) => columns.push({
    title: run.name, value: (row) => row.values[i],
    show: (row, value) => {
      const numbers = row.values.filter((v) => typeof v === "number");
      const best = several && row.ranked && numbers.length > 1 && value === Math.max(...numbers) && Math.min(...numbers) < value;
      return el("span", { class: best ? "best" : null }, shown(value));
    },
  }));
  section("figures", "Figures", el("p", {}, several ? "Runs side by side; figures in percent, the larger one bold. Compare figures of one protocol and one list." : "In percent, over the videos with a label."),
    table(columns, rows).node);
}

function curves() {
  const names = [...new Set(RUNS.flatMap((run) => Object.keys(run.curves)))];
  if (!names.length) return;
  const titles = { "train/loss": "training loss", lr: "learning rate", data_share: "share of the time that waits for data", clips_per_second: "clips per second", step_seconds: "seconds a step", data_seconds: "seconds a step that wait for data" };
  const rank = (name) => (name === "train/loss" ? 0 : name.startsWith("val/") ? 1 : name === "lr" ? 2 : 3);
  names.sort((a, b) => rank(a) - rank(b));
  const charts = names.map((name) => {
    const series = RUNS.flatMap((run, i) => (run.curves[name]?.length ? [{ name: run.name, run: i, points: run.curves[name], dots: name.startsWith("val/") }] : []));
    const top = Math.max(...series.flatMap((s) => s.points.map((p) => p[1])));
    const range = name === "data_share" ? [0, 1] : name.startsWith("val/") && top > 1 && top <= 100 ? [0, 100] : undefined;
    return chart(titles[name] ?? name, series, { x: "epoch", y: range });
  });
  section("curves", "Training", el("div", { class: "grid" }, charts));
}

function confidence() {
  const charts = [];
  const views = RUNS.flatMap((run, i) => {
    const crops = [...new Set(run.accuracy_by_views.map((row) => row.crops))];
    return crops.map((c, j) => ({
      name: `${run.name}, ${c} crop${c > 1 ? "s" : ""}`, run: i, dots: true, dash: j < crops.length - 1 ? "4 3" : null,
      points: run.accuracy_by_views.filter((row) => row.crops === c).map((row) => [row.clips, row.top1]),
    }));
  });
  if (views.length) {
    const lowest = Math.min(...views.flatMap((s) => s.points.map((p) => p[1])));
    const note = views.some((s) => s.dash) ? "solid: all crops; dashed: the center crop alone" : "";
    charts.push(chart("top-1 (%) by number of clips", views, { x: "clips of a video", whole: true, y: [Math.max(0, Math.floor(lowest / 10 - 0.5) * 10), 100], note }));
  }
  const reliability = RUNS.flatMap((run, i) => {
    const bins = run.analysis?.calibration?.bins.filter((bin) => bin.videos) ?? [];
    return bins.length ? [{ name: run.name, run: i, dots: true, points: bins.map((bin) => [bin.confidence, bin.accuracy]) }] : [];
  });
  if (reliability.length) {
    const errors = RUNS.flatMap((run) => (run.analysis?.calibration ? [`${several ? `${run.name} ` : ""}${run.analysis.calibration.ece.toFixed(2)}`] : []));
    charts.push(chart("reliability: accuracy (%) by confidence", reliability, { x: "confidence (%)", y: [0, 100], ideal: true, note: `expected calibration error, percent points: ${errors.join(", ")}` }));
    charts.push(chart("videos by confidence (%)", RUNS.flatMap((run, i) => {
      const bins = run.analysis?.calibration?.bins ?? [];
      const total = bins.reduce((sum, bin) => sum + bin.videos, 0);
      return total ? [{ name: run.name, run: i, dots: true, points: bins.map((bin) => [50 * (bin.low + bin.high), (100 * bin.videos) / total]) }] : [];
    }), { x: "confidence (%)", y: [0, 100] }));
  }
  const reasons = RUNS.filter((run) => run.analysis?.calibration_reason).map((run) => el("p", {}, `${run.name}: no calibration, for ${run.analysis.calibration_reason}.`));
  if (charts.length || reasons.length) section("confidence", "Views and confidence", el("div", { class: "grid" }, charts), reasons);
}

const className = (id) => (id === null || id === undefined || id < 0 ? "" : DATA.class_names?.[id] ?? String(id));

function classes() {
  const ids = [...new Set(RUNS.flatMap((run) => run.classes.map((row) => row.class)))].sort((a, b) => a - b);
  if (!ids.length) return;
  const tables = RUNS.map((run) => new Map(run.classes.map((row) => [row.class, row])));
  const worst = RUNS.map((run) => {
    const found = new Map();
    for (const pair of run.analysis?.confused_pairs ?? []) if (!found.has(pair.label)) found.set(pair.label, pair);
    return found;
  });
  const figure = (row) => row?.accuracy ?? row?.ap ?? null;
  const columns = [
    { title: "class", value: (id) => className(id) },
    { title: "videos", number: true, value: (id) => tables.map((t) => t.get(id)?.videos).find((v) => v !== undefined) ?? null },
  ];
  RUNS.forEach((run, i) => {
    const unit = run.classes.some((row) => "accuracy" in row) ? "accuracy %" : "AP %";
    const title = (text) => (several ? `${run.name}: ${text}` : text);
    columns.push({ title: title(unit), number: true, value: (id) => figure(tables[i].get(id)) });
    if (run.classes.some((row) => "precision" in row)) columns.push({ title: title("precision %"), number: true, value: (id) => tables[i].get(id)?.precision ?? null });
    if (run.classes.some((row) => "top5" in row)) columns.push({ title: title("top-5 %"), number: true, value: (id) => tables[i].get(id)?.top5 ?? null });
  });
  if (RUNS.length === 2) {
    const change = (id) => { const [a, b] = tables.map((t) => figure(t.get(id))); return a === null || b === null ? null : b - a; };
    columns.push({ title: "difference", number: true, value: change, show: (_, v) => (v === null ? "–" : (v > 0 ? "+" : "") + v.toFixed(2)) });
  }
  RUNS.forEach((run, i) => {
    if (worst[i].size) columns.push({ title: several ? `${run.name}: taken for` : "most often taken for", value: (id) => worst[i].get(id)?.videos ?? null,
      show: (id) => { const pair = worst[i].get(id); return pair ? `${className(pair.predicted)} (${pair.videos})` : "–"; } });
  });
  const box = searchBox("filter classes", () => listing.draw());
  const listing = table(columns, ids, { filter: (id) => box.matches(className(id)), limit: 500, sort: 2 });
  section("classes", "Classes", el("div", { class: "controls" }, box.node), listing.node);
}

let showVideos = null; // (run, label, predicted): filters the table of videos

function confusion() {
  const usable = RUNS.map((run, i) => [run, i]).filter(([run]) => run.analysis?.confusion);
  if (!usable.length) return;
  const canvas = el("canvas", { "aria-label": "confusion matrix" });
  const readout = el("div", { class: "readout" });
  const pairs = el("div");
  let current = usable[0][1];
  let cells = [];
  const size = () => Math.max(1, ...RUNS[current].classes.map((row) => row.class + 1));
  const scale = () => Math.min(64, Math.max(1, Math.floor(560 / size())));
  const named = () => scale() >= 18; // room for names beside the cells
  const margin = () => (named() ? 150 : 0);
  function names(pen, n, s, m) {
    pen.font = "12px sans-serif";
    pen.fillStyle = getComputedStyle(document.body).color;
    for (let k = 0; k < n; k++) {
      const name = className(k).length > 22 ? `${className(k).slice(0, 21)}…` : className(k);
      pen.textAlign = "right";
      pen.fillText(name, m - 6, (k + 0.5) * s + 4);
      pen.save();
      pen.translate(m + (k + 0.5) * s + 4, n * s + 6);
      pen.rotate(-Math.PI / 2);
      pen.fillText(name, 0, 0);
      pen.restore();
    }
  }
  function draw() {
    const [n, s, m] = [size(), scale(), margin()];
    const totals = new Array(n).fill(0);
    cells = Array.from({ length: n }, () => new Map());
    for (const [label, predicted, videos] of RUNS[current].analysis.confusion) { totals[label] += videos; cells[label].set(predicted, videos); }
    canvas.width = canvas.height = n * s + m;
    const pen = canvas.getContext("2d");
    const heat = getComputedStyle(document.documentElement).getPropertyValue("--heat");
    cells.forEach((row, label) => row.forEach((videos, predicted) => {
      const share = videos / totals[label];
      pen.fillStyle = `rgba(${heat}, ${0.12 + 0.88 * share})`;
      pen.fillRect(m + predicted * s, label * s, s, s);
      if (s >= 26) {
        pen.fillStyle = share > 0.5 ? "#fff" : getComputedStyle(document.body).color;
        pen.font = "12px sans-serif";
        pen.textAlign = "center";
        pen.fillText(videos, m + (predicted + 0.5) * s, (label + 0.5) * s + 4, s - 2);
      }
    }));
    if (named()) names(pen, n, s, m);
    readout.textContent = "row: label, column: prediction; a cell is shaded by its share of the row. Click one for its videos.";
    const rows = RUNS[current].analysis.confused_pairs;
    pairs.replaceChildren(el("h3", {}, "Most confused"), table([
      { title: "label", value: (row) => className(row.label) }, { title: "taken for", value: (row) => className(row.predicted) },
      { title: "videos", number: true, value: (row) => row.videos }, { title: "% of the label", number: true, value: (row) => row.percent },
    ], rows, { limit: 100 }).node);
  }
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const pixel = (at, extent) => (at / extent) * canvas.width;
    const cell = (at) => Math.floor(at / scale());
    return [cell(pixel(event.clientY - box.top, box.height)), cell(pixel(event.clientX - box.left, box.width) - margin())];
  };
  const inside = ([label, predicted]) => label < size() && predicted >= 0 && predicted < size();
  canvas.addEventListener("mousemove", (event) => {
    const [label, predicted] = place(event);
    if (inside([label, predicted])) readout.textContent = `${className(label)} taken for ${className(predicted)}: ${cells[label].get(predicted) ?? 0} videos`;
  });
  canvas.addEventListener("click", (event) => { if (inside(place(event))) showVideos?.(current, ...place(event)); });
  const choice = several ? select("run of the matrix", usable.map(([run, i]) => [i, run.name]), (value) => { current = Number(value); draw(); }) : null;
  section("confusion", "Confusions", el("div", { class: "controls" }, choice), el("div", { class: "split" }, el("div", { class: "card" }, canvas, readout), pairs));
  draw();
}

function videos() {
  const usable = RUNS.map((run, i) => [run, i]).filter(([run]) => run.videos.length);
  if (!usable.length) return;
  let current = usable[0][1];
  let pair = null;
  let kind = "all";
  const holder = el("div");
  const gallery = el("div");
  const names = (ids) => [].concat(ids ?? []).map(className).join(", ");
  const text = (video) => `${video.path} ${names(video.label)} ${video.top.map((t) => className(t[0])).join(" ")}`;
  const state = (video) => (video.failure ? "not decodable" : video.right === null ? "" : video.right ? "right" : "wrong");
  const wanted = (video) => (kind === "all" || state(video) === kind) && box.matches(text(video)) && (!pair || (video.label === pair[0] && video.top[0]?.[0] === pair[1]));
  const said = el("span");
  const clear = el("button", { class: "more", type: "button", hidden: true, onclick: () => { pair = null; update(); } }, "all pairs");
  const box = searchBox("filter by path or class", () => update());
  const kinds = select("which videos", [["all", "all videos"], ["wrong", "wrong"], ["right", "right"], ["not decodable", "not decodable"]], (value) => { kind = value; update(); });
  const choice = several ? select("run of the videos", usable.map(([run, i]) => [i, run.name]), (value) => { current = Number(value); make(); }) : null;
  let listing = null;
  function update() {
    said.textContent = pair ? `${className(pair[0])} taken for ${className(pair[1])}` : "";
    clear.hidden = !pair;
    listing.draw();
    const strips = RUNS[current].videos.filter((video) => video.frames && wanted(video));
    gallery.replaceChildren(...(strips.length ? [el("h3", {}, "Wrong, and most confident of it"), el("div", { class: "gallery" }, strips.slice(0, 12).map((video) => el("figure", { class: "card" },
      el("img", { src: video.frames, alt: `frames of ${video.path}`, loading: "lazy" }),
      el("figcaption", {}, el("b", {}, names(video.label)), " taken for ", el("b", { class: "bad" }, className(video.top[0][0])), ` (${shown(video.top[0][1])})`, el("br"), video.path))))] : []));
  }
  function make() {
    const run = RUNS[current];
    listing = table([
      { title: "video", value: (video) => video.path }, { title: "label", value: (video) => names(video.label) },
      { title: "predicted", value: (video) => className(video.top[0]?.[0]) },
      { title: "score", number: true, value: (video) => video.top[0]?.[1] ?? null, show: (_, v) => shown(v, 3) },
      { title: "next", value: (video) => className(video.top[1]?.[0]), show: (video) => video.top.slice(1).map((t) => `${className(t[0])} ${shown(t[1])}`).join(", ") },
      { title: "", value: state, show: (video, v) => el("span", { class: v === "right" ? null : "bad", title: video.failure }, v) },
    ], run.videos, { filter: wanted, limit: 100 });
    holder.replaceChildren(listing.node, run.videos.length < run.num_videos ? el("p", {}, `The ${shown(run.videos.length)} most interesting of ${shown(run.num_videos)} videos; predictions.csv has all.`) : "");
    update();
  }
  section("videos", "Videos", el("div", { class: "controls" }, choice, box.node, kinds, said, clear), gallery, el("br"), holder);
  make();
  showVideos = (run, label, predicted) => {
    current = run;
    if (choice) choice.value = run;
    pair = [label, predicted];
    make();
    document.getElementById("videos").scrollIntoView({ behavior: "smooth" });
  };
}

function settings(id, title, field, note) {
  const keys = [...new Set(RUNS.flatMap((run) => Object.keys(run[field])))].sort();
  if (!keys.length) return;
  const differs = (key) => new Set(RUNS.map((run) => run[field][key] ?? "")).size > 1;
  let only = several && keys.some(differs) && keys.length > 20;
  const box = searchBox(`filter ${title.toLowerCase()}`, () => listing.draw());
  const check = el("input", { type: "checkbox", onchange: () => { only = check.checked; listing.draw(); } });
  check.checked = only;
  const columns = [{ title: "name", value: (key) => key }];
  RUNS.forEach((run, i) => columns.push({ title: run.name, value: (key) => run[field][key] ?? "", show: (key, v) => el("span", { class: several && differs(key) ? "best" : null }, v) }));
  const listing = table(columns, keys, { filter: (key) => (!only || differs(key)) && box.matches(`${key} ${RUNS.map((run) => run[field][key] ?? "").join(" ")}`), limit: 1000 });
  section(id, title, note ? el("p", {}, note) : null, el("div", { class: "controls" }, box.node, several ? el("label", {}, check, " only what differs") : null), listing.node);
}

document.title = `SlowFast report: ${RUNS.map((run) => run.name).join(", ")}`;
document.getElementById("main").append(el("p", {}, several ? el("span", { class: "legend" }, RUNS.map((_, i) => runName(i))) : RUNS[0].name, ` Written ${DATA.written} by slowfast ${DATA.version}.`));
figures();
curves();
confidence();
classes();
confusion();
videos();
settings("config", "Config", "config");
settings("versions", "Versions", "versions", "Of what the test ran with.");
