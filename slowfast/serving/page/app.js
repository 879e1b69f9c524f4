"use strict";
// What comes from files and from the server reaches the page as text nodes alone.

const $ = (id) => document.getElementById(id);
const COLORS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"];
const POLL_MS = 300;
let run = 0; // number of the newest job: answers of older ones are dropped
let jobId = null;
let objectUrls = [];
let result = null; // what is shown

async function answer(response) {
  let content = {};
  try {
    content = await response.json();
  } catch {
    // no JSON: the status alone tells
  }
  if (!response.ok) throw new Error(content.detail || `the server answered with status ${response.status}`);
  return content;
}

async function start() {
  const model = await answer(await fetch("/api/model"));
  document.title = `slowfast: ${model.title}`;
  $("model").textContent = model.title + (model.num_classes ? `, ${model.num_classes} classes` : "");
  $("protocol").textContent = model.protocol;
  $("limits").textContent = `up to ${Math.round(model.max_megabytes)} MB and ${Math.round(model.max_seconds)} seconds`;
  model.samples.forEach((name, index) => $("sample").append(new Option(name, index)));
  $("sample-row").hidden = !model.samples.length;
  $("explain-row").hidden = !model.explains;
  document.body.dataset.ready = "yes";
}

// ---- a job ----

function upload(file) {
  const form = new FormData();
  form.append("video", file, file.name);
  follow(form, () => objectUrl(file));
}

function pickSample(index) {
  const form = new FormData();
  form.append("sample", index);
  follow(form, () => `/samples/${index}`);
}

function objectUrl(blob) {
  objectUrls.push(URL.createObjectURL(blob));
  return objectUrls.at(-1);
}

async function follow(form, makeUrl) {
  const own = ++run;
  const isOld = () => own !== run;
  if (jobId) drop(jobId);
  jobId = null;
  clear();
  tell("sending", 0);
  try {
    const query = $("explain").checked ? "?explain=1" : "";
    const { id } = await answer(await fetch(`/jobs${query}`, { method: "POST", body: form }));
    if (isOld()) {
      drop(id);
      return;
    }
    jobId = id;
    for (;;) {
      const job = await answer(await fetch(`/jobs/${id}`));
      if (isOld()) return;
      if (job.state === "failed") throw new Error(job.error.detail);
      if (job.state === "done") {
        show(job.result, makeUrl(), id);
        return;
      }
      tell(job.state === "queued" ? `waiting: ${job.before} before this one` : job.step, job.progress);
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  } catch (error) {
    if (!isOld()) fail(error);
  }
}

function fail(error) {
  $("status").hidden = true;
  $("error").textContent = error.message;
  $("error").hidden = false;
}

function drop(id) {
  fetch(`/jobs/${id}`, { method: "DELETE" }).catch(() => {});
}

function clear() {
  for (const id of ["error", "result", "evidence", "unplayable", "over-time"]) $(id).hidden = true;
  result = null;
  for (const id of ["video", "overlay"]) {
    $(id).removeAttribute("src");
    $(id).load();
  }
  objectUrls.forEach((url) => URL.revokeObjectURL(url));
  objectUrls = [];
}

function tell(step, progress) {
  $("status").hidden = false;
  $("step").textContent = step;
  $("progress").value = progress;
}

// ---- the result ----

function show(found, url, id) {
  result = found;
  const { record, timeline } = found;
  $("status").hidden = true;
  $("result").hidden = false;
  $("name").textContent = record.path;
  play("video", url);
  showTop(record.key_frames ? [] : record.top);
  const looks = record.key_frames ? `, ${record.key_frames.length} key frames` : "";
  $("facts").textContent = `${found.duration.toFixed(1)} s of video scored in ${record.seconds.toFixed(2)} s${looks}`;
  $("json").href = objectUrl(new Blob([JSON.stringify(record, null, 1)], { type: "application/json" }));
  $("evidence").hidden = !found.overlay;
  if (found.overlay) play("overlay", `/jobs/${id}/overlay.mp4`);
  $("over-time").hidden = !timeline;
  if (timeline) drawChart(timeline, found.duration);
  requestAnimationFrame(() => tick(found));
}

function play(id, url) {
  $(id).src = url;
  $(id).play().catch(() => {}); // browsers may ask for a click first
}

function showTop(top) {
  $("top").replaceChildren(
    ...top.map((entry) => {
      const row = document.createElement("li");
      for (const text of [entry.name, entry.score.toFixed(3), ""]) {
        row.append(Object.assign(document.createElement("span"), { textContent: text }));
      }
      row.lastChild.className = "bar";
      row.lastChild.style.width = `${100 * Math.min(1, Math.max(0, entry.score))}%`;
      return row;
    }),
  );
}

function tick(found) {
  if (result !== found) return;
  const t = $("video").currentTime || 0;
  if (found.timeline) showNow(found.timeline, t);
  if (found.record.key_frames) drawBoxes(found.record.key_frames, t);
  requestAnimationFrame(() => tick(found));
}

// ---- scores over time ----

const FRAME = { left: 34, right: 14, top: 8, bottom: 22 };
let scale = null; // {x, width, duration} of the chart that is drawn

function svg(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function drawChart(timeline, duration) {
  const chart = $("chart");
  const { width, height } = chart.getBoundingClientRect();
  const all = timeline.classes.flatMap((entry) => entry.scores);
  const low = Math.min(0, ...all);
  const high = Math.max(1, ...all); // scores that are no probabilities have their own scale
  const [right, bottom] = [width - FRAME.right, height - FRAME.bottom];
  const x = (t) => FRAME.left + ((right - FRAME.left) * t) / Math.max(duration, 1e-6);
  const y = (score) => bottom - ((bottom - FRAME.top) * (score - low)) / (high - low);
  scale = { x, width, duration };
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren();
  for (const score of [low, (low + high) / 2, high]) {
    chart.append(svg("line", { class: "grid", x1: FRAME.left, x2: right, y1: y(score), y2: y(score) }));
    chart.append(svg("text", { x: 4, y: y(score) + 4 }, score.toFixed(1)));
  }
  for (let i = 0; i <= 5; i += 1) {
    const anchor = ["start", "middle", "middle", "middle", "middle", "end"][i];
    const t = (duration * i) / 5;
    chart.append(svg("text", { x: x(t), y: height - 5, "text-anchor": anchor }, `${t.toFixed(1)} s`));
  }
  timeline.classes.forEach((entry, index) => {
    // A window stands at its middle; the first and the last one reach to the ends of what was looked at.
    const points = entry.scores.map((score, i) => [middle(timeline, i), score]);
    points.unshift([timeline.start[0], points[0][1]]);
    points.push([timeline.end.at(-1), points.at(-1)[1]]);
    const path = `M${points.map(([t, score]) => `${x(t).toFixed(1)},${y(score).toFixed(1)}`).join("L")}`;
    const line = svg("path", { class: "series", d: path });
    line.style.stroke = COLORS[index % COLORS.length];
    chart.append(line);
  });
  chart.append(svg("line", { class: "now", id: "now", x1: x(0), x2: x(0), y1: FRAME.top, y2: bottom }));
  $("legend").replaceChildren(
    ...timeline.classes.map((entry, index) => {
      const row = document.createElement("li");
      row.append(`${entry.name} `, document.createElement("span"));
      row.style.setProperty("--color", COLORS[index % COLORS.length]);
      return row;
    }),
  );
}

function middle(timeline, i) {
  return (timeline.start[i] + timeline.end[i]) / 2;
}

function showNow(timeline, t) {
  const place = scale.x(Math.min(t, scale.duration));
  $("now").setAttribute("x1", place);
  $("now").setAttribute("x2", place);
  let at = 0;
  for (let i = 1; i < timeline.start.length; i += 1) {
    if (Math.abs(middle(timeline, i) - t) < Math.abs(middle(timeline, at) - t)) at = i;
  }
  const scores = timeline.classes.map((entry) => entry.scores[at]);
  [...$("legend").children].forEach((row, index) => {
    row.lastChild.textContent = scores[index].toFixed(2);
    row.classList.toggle("best", scores[index] === Math.max(...scores));
  });
}

// ---- boxes of key frames ----

function drawBoxes(keyFrames, t) {
  const canvas = $("boxes");
  const video = $("video");
  canvas.width = canvas.clientWidth;
  canvas.height = canvas.clientHeight;
  const spacing = keyFrames.length > 1 ? keyFrames[1].seconds - keyFrames[0].seconds : 1;
  const distance = (frame) => Math.abs(frame.seconds - t);
  const frame = keyFrames.reduce((best, other) => (best && distance(best) <= distance(other) ? best : other), null);
  if (!frame || distance(frame) > spacing || !video.videoWidth) {
    showTop([]);
    return;
  }
  const factor = Math.min(canvas.width / video.videoWidth, canvas.height / video.videoHeight);
  const shown = [video.videoWidth * factor, video.videoHeight * factor];
  const offset = [(canvas.width - shown[0]) / 2, (canvas.height - shown[1]) / 2];
  const pen = canvas.getContext("2d");
  pen.font = "13px system-ui, sans-serif";
  pen.lineWidth = 2;
  for (const box of frame.boxes) {
    const [x1, y1, x2, y2] = box.box.map((share, i) => offset[i % 2] + share * shown[i % 2]);
    const label = box.top.length ? `#${box.track} ${box.top[0].name} ${box.top[0].score.toFixed(2)}` : `#${box.track}`;
    const top = Math.max(0, y1 - 18);
    pen.strokeStyle = getComputedStyle(document.body).getPropertyValue(`--c${box.track % 5}`);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    pen.fillStyle = "rgba(0, 0, 0, 0.65)";
    pen.fillRect(x1, top, pen.measureText(label).width + 8, 18);
    pen.fillStyle = "#fff";
    pen.fillText(label, x1 + 4, top + 13);
  }
  showTop(frame.boxes.flatMap((box) => box.top.map(({ name, score }) => ({ name: `#${box.track} ${name}`, score }))));
}

// ---- what a person does ----

$("file").addEventListener("change", (event) => {
  if (event.target.files.length) upload(event.target.files[0]);
  event.target.value = "";
});
$("sample").addEventListener("change", (event) => {
  if (event.target.value !== "") pickSample(event.target.value);
});
$("cancel").addEventListener("click", () => {
  run += 1;
  if (jobId) drop(jobId);
  jobId = null;
  $("status").hidden = true;
});
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
$("drop").addEventListener("dragover", () => $("drop").classList.add("over"));
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  $("drop").classList.remove("over");
  if (event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
});
$("video").addEventListener("error", () => {
  if ($("video").getAttribute("src")) $("unplayable").hidden = false;
});
$("chart").addEventListener("click", (event) => {
  const place = event.clientX - $("chart").getBoundingClientRect().left;
  const share = (place - FRAME.left) / (scale.width - FRAME.left - FRAME.right);
  $("video").currentTime = scale.duration * Math.min(1, Math.max(0, share));
});
window.addEventListener("resize", () => {
  if (result && result.timeline) drawChart(result.timeline, result.duration);
});
start().catch(fail);
