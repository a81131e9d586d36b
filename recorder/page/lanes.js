// The lanes: what each shows, where it stands, and how it is drawn.
import { brief, clamp, lastUntil, milliseconds, ownerColors, seconds } from "./base.js";
import { call, endTime, events, outlines, typeOf } from "./data.js";
import { samplesOf, sound } from "./sound.js";
import { on, view } from "./view.js";

const bar = (from, to, color, label, more = {}) => ({ from, to: Math.max(to ?? endTime, from), color, label, ...more });

function speechBars() {
  return call.speech.filter((each) => each.end_ns > each.start_ns).map((each) =>
    bar(each.start_ns / 1e9, each.end_ns / 1e9, "user", `speech, ${milliseconds(each.end_ns - each.start_ns)} (found by ${each.anchor})`));
}

function responseBars() {
  return call.responses.filter((each) => each.created_ns !== null).map((each) =>
    bar(each.created_ns / 1e9, seconds(each.done_ns), each.status === "completed" ? "assistant" : "cut",
      `response ${brief(each.status)}${each.reason ? `: ${brief(each.reason)}` : ""}${each.out_of_band ? " (out of band)" : ""}`, { seq: each.seq }));
}

/** Where the time of each turn went: the parts of its waterfall, one after the other. */
function latencyBars() {
  const bars = [];
  for (const { turn, waterfall } of call.latency) {
    let at = waterfall?.start_ns ?? 0;
    for (const part of waterfall?.parts ?? []) {
      const from = at;
      at += part.ns;
      if (part.ns > 0) bars.push(bar(from / 1e9, at / 1e9, ownerColors[part.owner] ?? "dim", `turn ${turn}, ${part.name}: ${milliseconds(part.ns)}, ${part.owner}`));
    }
  }
  return bars;
}

function toolBars() {
  return call.calls.map((each) => bar(each.at_ns / 1e9, seconds(each.output_ns), "tool",
    `${brief(each.name) || "tool"}${each.output_ns === null ? ", no output" : `, ${milliseconds(each.output_ns - each.at_ns)}`}`, { seq: each.seq }));
}

function playedBars() {
  return call.played.flatMap((each) => each.runs.map(([from, to]) =>
    bar(from / 1e9, to / 1e9, "played", `played (${each.label}), ${milliseconds(each.heard_ns)} of ${milliseconds(each.received_ns)}`)));
}

function unheardBars() {
  return call.played.filter((each) => each.heard_ns < each.received_ns && (each.end_ns ?? each.stop_ns) !== null).map((each) => {
    const from = seconds(each.end_ns ?? each.stop_ns);
    return bar(from, from + (each.received_ns - each.heard_ns) / 1e9, "ghost", `generated, never played: ${milliseconds(each.received_ns - each.heard_ns)}`);
  });
}

function cutMarks() {
  const cut = call.played.filter((each) => each.stopped_by).map((each) =>
    ({ time: seconds(each.end_ns ?? each.stop_ns), color: "cut", label: `playback stopped (${each.stopped_by}, ${each.label}); ${milliseconds(each.received_ns - each.heard_ns)} unheard`, seq: each.evidence.at(-1) }));
  const on = call.played.filter((each) => each.flags.includes("not_stopped")).map((each) =>
    ({ time: seconds(each.start_ns), color: "cut", label: "talked over, and it played on: nothing says that playback stopped" }));
  return [...cut, ...on].filter((mark) => mark.time !== null);
}

function flags() {
  return call.findings.filter((each) => each.at_ns !== null).map((each) =>
    ({ time: each.at_ns / 1e9, color: each.severity, label: `${each.severity}: ${brief(each.sentence)}`, flag: true, finding: each }));
}

const tickRows = { 0: null, 1: null };

/** The rows of a side and their times; of a call that grows, those that came are added. */
function ticks(origin) {
  const kept = tickRows[origin] ?? { rows: [], times: [], upTo: 0 };
  for (let row = kept.upTo; row < events.size; row++) {
    if (events.origin[row] === origin) { kept.rows.push(row); kept.times.push(events.time[row]); }
  }
  tickRows[origin] = Object.assign(kept, { upTo: events.size });
  return kept;
}

const made = () => [
  { name: "Findings", height: 20, marks: flags() },
  { name: "User", height: 60, wave: "user", channel: 0, bars: call.sound ? [] : speechBars() },
  { name: "Assistant", height: 60, wave: "assistant", channel: 1, bars: call.sound ? [] : playedBars(), ghosts: unheardBars() },
  { name: "Speech", height: 18, bars: speechBars() },
  { name: "Latency", height: 18, bars: latencyBars() },
  { name: "Responses", height: 18, bars: responseBars() },
  { name: "Tools", height: 18, bars: toolBars() },
  { name: "Playback", height: 18, bars: playedBars(), ghosts: unheardBars() },
  { name: "Interrupted", height: 18, marks: cutMarks() },
  { name: "Client", height: 18, ticks: ticks(0), color: "user" },
  { name: "Server", height: 18, ticks: ticks(1), color: "assistant" },
];
export const lanes = made();
export const axisHeight = 22;
const isNarrow = () => innerWidth < 800;
/** Pixels on the left for the names, so that none of them lies over what it names. */
export const gutter = () => (isNarrow() ? 62 : 92);
let top = axisHeight;
for (const lane of lanes) { lane.top = top; top += lane.height + 3; }
export const lanesHeight = top + 2;
/* A call that is still being recorded. */
on("grown", () => { for (const [row, lane] of made().entries()) Object.assign(lanes[row], lane); });
on("loaded", (what) => { if (what === "events") tickRows[0] = tickRows[1] = null; if (what === "events") for (const [row, lane] of lanes.entries()) if (lane.ticks) lanes[row].ticks = ticks(lane.name === "Client" ? 0 : 1); });

// ---- drawing; `draw` holds the context, the colours, the width, and where a time stands

export function drawLane(draw, lane) {
  const { context, colors } = draw;
  context.fillStyle = colors.soft;
  context.globalAlpha = 0.55;
  context.fillRect(draw.left, lane.top, draw.width - draw.left, lane.height);
  context.globalAlpha = 1;
  for (const each of lane.ghosts ?? []) drawBar(draw, lane, each, true);
  for (const each of lane.bars ?? []) drawBar(draw, lane, each, false);
  if (lane.wave) {
    drawWave(draw, lane, "unheard", colors.ghost, 0.75);
    drawWave(draw, lane, lane.wave, colors[lane.wave], 1);
  }
  if (lane.ticks) drawTicks(draw, lane);
  for (const mark of lane.marks ?? []) drawMark(draw, lane, mark);
}

function drawBar(draw, lane, each, ghost) {
  const from = draw.x(each.from), to = draw.x(each.to);
  if (to < draw.left || from > draw.width) return;
  const begin = Math.max(from, draw.left), width = Math.max(Math.min(to, draw.width) - begin, 2);
  const inset = lane.height > 40 ? 14 : 2;
  const { context } = draw;
  if (!(ghost && lane.wave && outlines.unheard.length)) {
    context.fillStyle = draw.colors[each.color];
    context.globalAlpha = ghost ? 0.3 : 0.85;
    context.fillRect(begin, lane.top + inset, width, lane.height - 2 * inset);
  }
  context.globalAlpha = 1;
  if (ghost) {
    context.strokeStyle = draw.colors.ghost;
    context.setLineDash([4, 3]);
    context.strokeRect(begin + 0.5, lane.top + inset + 0.5, width - 1, lane.height - 2 * inset - 1);
    context.setLineDash([]);
  }
  draw.hits.push({ x: begin, y: lane.top, width, height: lane.height, time: each.from, ...each });
}

function drawMark(draw, lane, mark) {
  const x = draw.x(mark.time);
  if (x < draw.left - 6 || x > draw.width + 6) return;
  const { context } = draw;
  context.fillStyle = draw.colors[mark.color];
  context.beginPath();
  if (mark.flag) {
    context.rect(x - 0.75, lane.top + 1, 1.5, lane.height - 2);
    context.moveTo(x, lane.top + 1); context.lineTo(x + 10, lane.top + 5.5); context.lineTo(x, lane.top + 10);
  } else {
    context.moveTo(x, lane.top + 2); context.lineTo(x + 6, lane.top + lane.height - 3); context.lineTo(x - 6, lane.top + lane.height - 3);
  }
  context.fill();
  draw.hits.push({ x: x - 6, y: lane.top, width: 16, height: lane.height, ...mark });
}

function drawTicks(draw, lane) {
  const { rows, times } = lane.ticks, { context } = draw;
  const first = Math.max(lastUntil(times, view.from - 1e-9), 0), end = lastUntil(times, view.to) + 1;
  context.fillStyle = draw.colors[lane.color];
  context.globalAlpha = end - first > 4 * draw.width ? 0.5 : 0.9;
  let drawn = -1;
  for (let index = first; index < end; index++) {
    const x = Math.round(draw.x(times[index]));
    if (x === drawn || x < draw.left) continue;
    context.fillRect(x, lane.top + 4, 1, lane.height - 8);
    drawn = x;
  }
  context.globalAlpha = 1;
  context.fillStyle = draw.colors.vad;
  for (const seq of view.lit) {
    const row = seq - events.first;
    if (row < 0 || row >= events.size || events.origin[row] !== (lane.name === "Client" ? 0 : 1)) continue;
    const x = draw.x(events.time[row]);
    if (x >= draw.left) context.fillRect(x - 1.5, lane.top, 3, lane.height);
  }
  draw.tickHits.push({ lane, rows, times });
}

export function tickAt(draw, x, y) {
  for (const { lane, rows, times } of draw.tickHits) {
    if (y < lane.top || y > lane.top + lane.height) continue;
    const time = draw.time(x), at = lastUntil(times, time);
    const near = [at, at + 1].filter((index) => index >= 0 && index < rows.length)
      .sort((one, other) => Math.abs(times[one] - time) - Math.abs(times[other] - time))[0];
    if (near !== undefined && Math.abs(draw.x(times[near]) - x) < 6) {
      return { time: times[near], seq: rows[near] + events.first, label: `${rows[near] + events.first} ${brief(typeOf(rows[near]))}` };
    }
  }
  return null;
}

function drawWave(draw, lane, name, color, alpha) {
  const levels = outlines[name], { context } = draw;
  if (!levels.length || (name === "unheard" && lane.wave !== "assistant")) return;
  const perPixel = ((view.to - view.from) / (draw.width - draw.left)) * sound.rate;
  const middle = lane.top + lane.height / 2, half = lane.height / 2 - 1;
  context.fillStyle = context.strokeStyle = color;
  context.globalAlpha = alpha;
  const found = perPixel < levels[0].step && name !== "unheard" ? samplesOf(view.from, view.to) : null;
  if (found) drawSamples(draw, found, lane.channel, middle, half, perPixel);
  else drawOutline(draw, levels, middle, half, perPixel);
  context.globalAlpha = 1;
}

function drawOutline(draw, levels, middle, half, perPixel) {
  const level = [...levels].reverse().find((each) => each.step <= perPixel) ?? levels[0];
  const scale = sound.rate / level.step;
  for (let x = Math.max(draw.left, Math.floor(draw.x(0))); x < draw.width; x++) {
    const first = Math.floor(draw.time(x) * scale), end = Math.max(Math.floor(draw.time(x + 1) * scale), first + 1);
    let low = 127, high = -128;
    for (let index = Math.max(first, 0); index < end && index < level.low.length; index++) {
      if (level.low[index] < low) low = level.low[index];
      if (level.high[index] > high) high = level.high[index];
    }
    if (low > high || (low >= -1 && high <= 0 && low === high)) continue;
    const y = middle - (high / 128) * half;
    draw.context.fillRect(x, y, 1, Math.max(((high - low) / 128) * half, 1));
  }
}

function drawSamples(draw, found, channel, middle, half, perPixel) {
  const { context } = draw, values = found.channels[channel];
  const first = Math.max(Math.floor(view.from * sound.rate) - 1, found.first), end = Math.min(Math.ceil(view.to * sound.rate) + 2, found.first + values.length);
  context.beginPath();
  for (let index = first; index < end; index++) {
    const x = Math.max(draw.x(index / sound.rate), draw.left), y = middle - values[index - found.first] * half;
    if (index === first) context.moveTo(x, y);
    else context.lineTo(x, y);
  }
  context.stroke();
  if (perPixel > 0.2) return;
  for (let index = first; index < end; index++) {
    const x = draw.x(index / sound.rate);
    if (x >= draw.left) context.fillRect(x - 2, middle - values[index - found.first] * half - 2, 4, 4);
  }
}

export function drawAxis(draw) {
  const { context, colors } = draw;
  const steps = [1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const room = (draw.width - draw.left) / (view.to - view.from);
  const step = steps.find((each) => each * room >= 74) ?? 7200;
  const digits = clamp(Math.ceil(-Math.log10(step)), 0, 4);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (let number = Math.ceil(view.from / step); number * step <= view.to; number++) {
    const x = Math.round(draw.x(number * step)) + 0.5;
    context.fillStyle = colors.line;
    context.fillRect(x, axisHeight - 5, 1, lanesHeight);
    context.fillStyle = colors.dim;
    const text = draw.label(number * step, digits);
    if (x + context.measureText(text).width + 4 < draw.width) context.fillText(text, x + 3, 10);
  }
}

export function drawNames(draw) {
  const { context, colors } = draw;
  context.font = `${isNarrow() ? 10 : 12}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillStyle = colors.dim;
  for (const lane of lanes) context.fillText(lane.name, isNarrow() ? 4 : 10, lane.top + lane.height / 2 + 0.5, gutter() - (isNarrow() ? 6 : 12));
}
