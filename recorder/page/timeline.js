// The timeline and the minimap on their canvases, and what mouse, pen and finger do there.
import { byId, clamp, clockText } from "./base.js";
import { call, endTime, outlines } from "./data.js";
import { axisHeight, drawAxis, drawLane, drawNames, gutter, lanes, lanesHeight, tickAt } from "./lanes.js";
import { goToEvent } from "./links.js";
import { emit, moveTo, on, select, show, view, zoom } from "./view.js";

const stage = byId("lanes"), canvas = stage.querySelector("canvas"), tip = byId("tip");
const map = byId("minimap"), mapCanvas = map.querySelector("canvas"), mapHeight = 38;
const names = ["back", "panel", "ink", "dim", "line", "soft", "user", "assistant", "ghost", "tool", "played", "cut", "cursor", "select", "light", "error", "warning", "notice", "vad", "network", "application", "accent"];
let colors = {}, drawn = null, asked = false;

function readColors() {
  const style = getComputedStyle(document.documentElement);
  colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function sized(target, width, height) {
  const ratio = devicePixelRatio || 1;
  if (target.width !== Math.round(width * ratio) || target.height !== Math.round(height * ratio)) {
    target.width = Math.round(width * ratio);
    target.height = Math.round(height * ratio);
    target.style.height = `${height}px`;
  }
  const context = target.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

export function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; drawAll(); });
}

function drawAll() {
  const width = stage.clientWidth, left = gutter(), context = sized(canvas, width, lanesHeight);
  const scale = (width - left) / (view.to - view.from);
  const draw = {
    context, colors, width, left, hits: [], tickHits: [],
    x: (time) => left + (time - view.from) * scale, time: (x) => view.from + (x - left) / scale, label: clockText,
  };
  drawAxis(draw);
  for (const lane of lanes) drawLane(draw, lane);
  drawSelection(draw, lanesHeight);
  drawNames(draw);
  const at = draw.x(view.time);
  if (at >= left - 1 && at <= width + 1) {
    context.fillStyle = colors.cursor;
    context.fillRect(at - 0.75, 0, 1.5, lanesHeight);
  }
  drawn = draw;
  drawMap(width, left);
  stage.dataset.drawn = "yes";
}

function drawSelection(draw, height) {
  if (!view.selection) return;
  const from = clamp(draw.x(view.selection[0]), draw.left, draw.width), to = clamp(draw.x(view.selection[1]), draw.left, draw.width);
  draw.context.fillStyle = colors.select;
  draw.context.fillRect(from, 0, to - from, height);
}

function drawMap(width, left) {
  const context = sized(mapCanvas, width, mapHeight), scale = (width - left) / endTime;
  const half = mapHeight / 2;
  for (const [name, up] of [["user", true], ["assistant", false]]) {
    context.fillStyle = colors[name];
    const level = outlines[name].at(-1) && (outlines[name].findLast((each) => each.step / 24000 <= endTime / width) ?? outlines[name][0]);
    for (let x = 0; level && x < width - left; x++) {
      const first = Math.floor((x / scale) * 24000 / level.step), end = Math.max(Math.floor(((x + 1) / scale) * 24000 / level.step), first + 1);
      let most = 0;
      for (let index = first; index < end && index < level.high.length; index++) most = Math.max(most, level.high[index], -level.low[index]);
      const tall = (most / 128) * (half - 2);
      context.fillRect(left + x, up ? half - tall : half, 1, tall);
    }
    if (!level) {
      const bars = lanes.find((lane) => lane.wave === name).bars;
      for (const each of bars) context.fillRect(left + each.from * scale, up ? 6 : half + 1, Math.max((each.to - each.from) * scale, 1), half - 7);
    }
  }
  for (const found of call.findings) {
    if (found.at_ns === null) continue;
    context.fillStyle = colors[found.severity] ?? colors.notice;
    context.fillRect(left + (found.at_ns / 1e9) * scale - 1, 0, 2, 5);
  }
  const from = left + view.from * scale, to = left + view.to * scale;
  context.fillStyle = colors.select;
  context.fillRect(from, 0, Math.max(to - from, 2), mapHeight);
  context.strokeStyle = colors.accent;
  context.strokeRect(from + 0.5, 0.5, Math.max(to - from - 1, 1), mapHeight - 1);
  context.fillStyle = colors.cursor;
  context.fillRect(left + view.time * scale - 0.75, 0, 1.5, mapHeight);
}

// ---- pointing

function hitAt(x, y) {
  const hits = drawn ? drawn.hits.filter((hit) => x >= hit.x && x <= hit.x + hit.width && y >= hit.y && y <= hit.y + hit.height) : [];
  return hits.at(-1) ?? (drawn && tickAt(drawn, x, y));
}

function placeOf(event, target) {
  const box = target.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function tell(event) {
  const [x, y] = placeOf(event, stage), hit = hitAt(x, y);
  tip.hidden = !hit;
  if (!hit) return;
  tip.textContent = `${clockText(hit.time)}  ${hit.label}`;
  tip.style.left = `${clamp(x + 12, 0, Math.max(stage.clientWidth - tip.offsetWidth - 4, 0))}px`;
  tip.style.top = `${y + 16}px`;
}

/** Drag on the axis selects, below it moves what is seen; a click seeks, on something, to it. */
function press(event) {
  if (event.button !== 0 || !drawn) return;
  const [x, y] = placeOf(event, stage), from = drawn.time(x), selecting = y < axisHeight || event.shiftKey;
  const start = { from: view.from, to: view.to, scale: (view.to - view.from) / (drawn.width - drawn.left) };
  let moved = false;
  const drag = (move) => {
    const [now] = placeOf(move, stage);
    moved ||= Math.abs(now - x) > 3;
    if (!moved) return;
    if (selecting) select(clamp(from, 0, endTime), clamp(drawn.time(now), 0, endTime));
    else show(start.from - (now - x) * start.scale, start.to - (now - x) * start.scale);
  };
  const done = () => {
    stage.removeEventListener("pointermove", drag);
    stage.removeEventListener("pointercancel", done);
    if (moved) return;
    const hit = hitAt(x, y);
    if (selecting && view.selection) select(null);
    if (hit?.finding) emit("finding", hit.finding);
    else if (hit?.seq !== undefined && !hit.to) goToEvent(hit.seq);
    else moveTo(x < drawn.left ? view.from : from);
  };
  stage.setPointerCapture(event.pointerId);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", done, { once: true });
  stage.addEventListener("pointercancel", done, { once: true });
}

/** The wheel zooms about the pointer; sideways or with shift it moves. */
function turnWheel(event) {
  event.preventDefault();
  const width = view.to - view.from, across = event.shiftKey ? event.deltaY : event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) show(view.from + (across / 800) * width, view.to + (across / 800) * width);
  else zoom(Math.exp(clamp(event.deltaY, -240, 240) / 300), drawn.time(placeOf(event, stage)[0]));
}

function pressMap(event) {
  const left = gutter();
  const centre = (now) => {
    const at = ((placeOf(now, map)[0] - left) / (map.clientWidth - left)) * endTime, width = view.to - view.from;
    show(at - width / 2, at + width / 2);
  };
  map.setPointerCapture(event.pointerId);
  centre(event);
  map.addEventListener("pointermove", centre);
  map.addEventListener("pointerup", () => map.removeEventListener("pointermove", centre), { once: true });
}

function sayTime() {
  stage.setAttribute("aria-valuenow", view.time.toFixed(3));
  stage.setAttribute("aria-valuetext", clockText(view.time));
  byId("clock").textContent = `${clockText(view.time)} / ${clockText(endTime, 1)}`;
}

export function startTimeline() {
  readColors();
  stage.setAttribute("aria-valuemax", endTime.toFixed(3));
  for (const name of ["time", "view", "selection", "lit", "sound", "grown", "loaded"]) on(name, redraw);
  on("time", sayTime);
  on("grown", () => { stage.setAttribute("aria-valuemax", endTime.toFixed(3)); sayTime(); });
  sayTime();
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", tell);
  stage.addEventListener("pointerleave", () => { tip.hidden = true; });
  stage.addEventListener("wheel", turnWheel, { passive: false });
  map.addEventListener("pointerdown", pressMap);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); redraw(); });
  matchMedia("print").addEventListener("change", () => { readColors(); drawAll(); });
  new ResizeObserver(redraw).observe(stage);
  redraw();
}
