// The lanes of two sessions on one axis: where a turn begins in one, its partner begins in the other.
import { byId, clamp, ms, shown } from "./kit.js";
import { wavesOf } from "./waves.js";

const names = ["panel", "ink", "dim", "line", "soft", "user", "assistant", "ghost", "tool", "played", "cut", "select", "accent", "error", "warning", "notice"];
const ruler = 26, apart = 14, foot = 12;
const lanes = [
  { name: "Findings", high: 20 }, { name: "User", high: 44, wave: "user" }, { name: "Response", high: 20 },
  { name: "Assistant", high: 44, wave: "assistant" }, { name: "Tools", high: 20 },
];
let below = 0;
for (const lane of lanes) { lane.top = below; below += lane.high + 3; }
const block = 18 + below;
const tall = ruler + 2 * block + apart + foot;

export function clock(value) {
  if (value === null) return "–";
  const seconds = Math.max(value, 0) / 1000, minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(2).padStart(5, "0")}`;
}

/** `data` is what the server says; `chosen(pair)` is told which turn was pointed at. */
export function startLanes(data, chosen) {
  const stage = byId("lanes"), canvas = stage.querySelector("canvas"), tip = byId("tip");
  const { axis } = data, end = axis.length ? axis.at(-1).at_ms + axis.at(-1).length_ms : 1;
  const view = { from: 0, to: Math.max(end, 1), pair: 0, pointer: null };
  const differing = new Map(data.comparison.turns.map((turn) => [turn.number, turn.differs.length > 0]));
  let colors = {}, asked = false, hits = [];
  const bars = { a: barsOf(data.a), b: barsOf(data.b) };
  const waves = { a: wavesOf(data.a.session, redraw), b: wavesOf(data.b.session, redraw) };

  const isNarrow = () => stage.clientWidth < 700;
  const gutter = () => (isNarrow() ? 62 : 86);
  const scale = () => (stage.clientWidth - gutter()) / (view.to - view.from);
  const x = (at) => gutter() + (at - view.from) * scale();
  const timeAt = (px) => view.from + (px - gutter()) / scale();
  const stretchAt = (at) => axis.findLast((each) => each.at_ms <= at) ?? axis[0];

  function readColors() {
    const style = getComputedStyle(document.documentElement);
    colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  function redraw() {
    if (asked || ended.signal.aborted) return; // a wave of sessions that are no longer compared
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  function draw() {
    const width = stage.clientWidth, ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(tall * ratio); canvas.style.height = `${tall}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, tall);
    hits = [];
    for (const [row, side] of ["a", "b"].entries()) drawSide(context, side, ruler + row * (block + apart), width);
    drawRuler(context, width);
    for (const [row, side] of ["a", "b"].entries()) drawTitle(context, side, ruler + row * (block + apart) + 8);
    drawStrip(context, width);
    if (view.pointer !== null) { context.fillStyle = colors.accent; context.fillRect(view.pointer, ruler, 1, tall - ruler - foot); }
    stage.dataset.drawn = "yes";
  }

  function drawSide(context, side, top, width) {
    const left = gutter();
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    if (isNarrow()) context.font = "10px system-ui, sans-serif";
    for (const { name, top: from, high } of lanes) {
      const y = top + 18 + from;
      context.fillStyle = colors.soft;
      context.fillRect(left, y, width - left, high);
      context.fillStyle = colors.dim;
      context.fillText(name, isNarrow() ? 4 : 10, y + high / 2 + 0.5);
    }
    for (const each of axis) {
      const from = x(each.at_ms), to = x(each.at_ms + each.length_ms);
      if (to < left || from > width) continue;
      const span = each[side], begin = Math.max(from, left), stop = Math.min(to, width);
      if (!span) { hatch(context, begin, top + 18, stop - begin, below - 3); continue; }
      drawBars(context, bars[side], span, each, top + 18, left, width, waves[side].there);
      if (waves[side].there) drawWaves(context, waves[side], span, each, top + 18, left, width);
    }
  }

  function drawTitle(context, side, y) {
    const words = `${side.toUpperCase()}  ${data[side].session.slice(-6)}  ${shown(data[side].model)}`, left = isNarrow() ? 6 : 10;
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = colors.panel;
    context.fillRect(left - 2, y - 8, context.measureText(words).width + 6, 16);
    context.fillStyle = colors.ink;
    context.fillText(words, left, y);
  }

  /** What the other side has and this one has not. */
  function hatch(context, from, top, wide, high) {
    context.save();
    context.beginPath(); context.rect(from, top, wide, high); context.clip();
    context.fillStyle = colors.panel; context.globalAlpha = 0.7; context.fillRect(from, top, wide, high);
    context.globalAlpha = 1; context.strokeStyle = colors.ghost; context.lineWidth = 1;
    context.beginPath();
    for (let at = from - high; at < from + wide; at += 9) { context.moveTo(at, top + high); context.lineTo(at + high, top); }
    context.stroke();
    context.restore();
  }

  function drawBars(context, found, [begin, stop], each, top, left, width, pale) {
    const last = each === axis.at(-1), limit = last ? Infinity : stop;
    for (const bar of found) {
      if (bar.to < begin || bar.from >= limit || (bar.from < begin && bar.to <= begin)) continue;
      const one = x(each.at_ms + Math.max(bar.from, begin) - begin), two = x(each.at_ms + Math.min(bar.to, limit) - begin);
      const from = Math.max(one, left), wide = Math.max(Math.min(two, width) - from, bar.mark ? 3 : 1.5), { high, wave } = lanes[bar.lane], y = top + lanes[bar.lane].top;
      if (two < left || one > width) continue;
      context.fillStyle = colors[bar.color] ?? colors.notice;
      if (bar.ghost) {
        context.globalAlpha = 0.3; context.fillRect(from, y + 3, wide, high - 6); context.globalAlpha = 1;
        context.strokeStyle = colors.ghost; context.setLineDash([4, 3]); context.strokeRect(from + 0.5, y + 3.5, wide - 1, high - 7); context.setLineDash([]);
      } else if (bar.mark) {
        context.beginPath(); context.moveTo(from, y + 2); context.lineTo(from + 9, y + 7); context.lineTo(from, y + 12); context.fill(); context.fillRect(from - 0.75, y + 2, 1.5, high - 4);
      } else {
        context.globalAlpha = pale && wave ? 0.22 : 1; context.fillRect(from, y + 3, wide, high - 6); context.globalAlpha = 1;
      }
      hits.push({ x: from - 2, y, width: wide + (bar.mark ? 10 : 4), height: high, label: `${clock(bar.from)}  ${bar.label}` });
    }
  }

  /** What was heard, pixel by pixel, in the stretch in which it belongs; unheard below it. */
  function drawWaves(context, sound, [begin, stop], each, top, left, width) {
    const last = each === axis.at(-1), from = Math.max(Math.ceil(x(each.at_ms)), left), per = 1 / scale();
    const to = Math.min(last ? width : x(each.at_ms + stop - begin), width);
    for (const { wave, top: down, high } of lanes) {
      if (!wave) continue;
      const middle = top + down + high / 2, half = high / 2 - 1;
      for (const [channel, color] of wave === "user" ? [["user", "user"]] : [["unheard", "ghost"], ["assistant", "assistant"]]) {
        context.fillStyle = colors[color];
        for (let px = from; px < to; px++) {
          const at = begin + timeAt(px) - each.at_ms, found = sound.peak(channel, at, at + per);
          if (found) context.fillRect(px, middle - found[1] * half, 1, Math.max((found[1] - found[0]) * half, 1));
        }
      }
    }
  }

  function drawRuler(context, width) {
    const left = gutter();
    context.font = "12px system-ui, sans-serif";
    for (const each of axis) {
      const from = x(each.at_ms), to = x(each.at_ms + each.length_ms);
      if (to < left || from > width) continue;
      const begin = Math.max(from, left), stop = Math.min(to, width);
      if (each.pair === view.pair && view.pair) { context.fillStyle = colors.select; context.fillRect(begin, 0, stop - begin, tall - foot); }
      if (from >= left - 1) { context.fillStyle = colors.dim; context.globalAlpha = 0.6; context.fillRect(Math.round(from), 0, 1, tall - foot); context.globalAlpha = 1; }
      const label = each.pair ? `turn ${each.pair}` : "before", room = stop - begin;
      context.fillStyle = differing.get(each.pair) ? colors.cut : colors.dim;
      if (room > 16) { const words = context.measureText(label).width + 10 < room ? label : each.pair ? String(each.pair) : ""; context.fillText(words, begin + 5, 12); }
      drawSeconds(context, each, begin, stop);
    }
  }

  function drawSeconds(context, each, begin, stop) {
    const step = [100, 500, 1000, 5000, 10000, 30000, 60000, 300000].find((length) => length * scale() >= 58);
    if (!step || stop - begin < 120) return;
    context.fillStyle = colors.dim;
    for (let at = step; at < each.length_ms; at += step) {
      const place = x(each.at_ms + at);
      if (place < begin + 52 || place > stop - 24) continue;
      context.fillRect(Math.round(place), ruler - 6, 1, 5);
      context.fillText(`+${at >= 1000 ? `${at / 1000} s` : `${at} ms`}`, place + 3, 12);
    }
  }

  /** Below: all turns, those that differ in colour, and what of them is seen. */
  function drawStrip(context, width) {
    const left = gutter(), full = (width - left) / Math.max(end, 1), y = tall - foot + 3;
    for (const each of axis) {
      context.fillStyle = differing.get(each.pair) ? colors.cut : colors.line;
      context.fillRect(left + each.at_ms * full, y, Math.max(each.length_ms * full - 1, 1), 6);
    }
    context.strokeStyle = colors.accent;
    context.strokeRect(left + view.from * full + 0.5, y - 1.5, Math.max((view.to - view.from) * full - 1, 3), 9);
  }

  function show(from, to) {
    const width = clamp(to - from, 40, Math.max(end, 40));
    view.from = clamp(from, 0, Math.max(end - width, 0));
    view.to = view.from + width;
    redraw();
  }

  function zoom(factor, anchor = (view.from + view.to) / 2) {
    const width = clamp((view.to - view.from) * factor, 40, Math.max(end, 40)), share = (anchor - view.from) / (view.to - view.from);
    show(anchor - share * width, anchor + (1 - share) * width);
  }

  /** Mark a turn; bring it into view if it is not. */
  function choose(pair) {
    view.pair = pair;
    const each = axis.find((stretch) => stretch.pair === pair);
    stage.setAttribute("aria-valuenow", String(pair));
    stage.setAttribute("aria-valuetext", pair ? `turn ${pair}${differing.get(pair) ? ", differs" : ", the same"}` : "before the first turn");
    if (each && (each.at_ms < view.from || each.at_ms + Math.min(each.length_ms, view.to - view.from) > view.to)) {
      const width = view.to - view.from;
      show(each.at_ms - width * 0.05, each.at_ms + width * 0.95);
    }
    redraw();
  }

  function place(event) {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function point(event) {
    const [px, py] = place(event), hit = hits.findLast((each) => px >= each.x && px <= each.x + each.width && py >= each.y && py <= each.y + each.height);
    view.pointer = px >= gutter() ? px : null;
    const each = stretchAt(timeAt(px)), into = timeAt(px) - each.at_ms;
    const times = ["a", "b"].map((side) => `${side.toUpperCase()} ${each[side] && into <= each[side][1] - each[side][0] ? clock(each[side][0] + into) : "–"}`).join("   ");
    tip.hidden = px < gutter();
    tip.textContent = `${times}${hit ? `\n${hit.label}` : ""}`;
    tip.style.left = `${clamp(px + 12, 0, Math.max(stage.clientWidth - tip.offsetWidth - 4, 0))}px`;
    tip.style.top = `${py + 16}px`;
    redraw();
  }

  function press(event) {
    if (event.button !== 0) return;
    const [px] = place(event), start = { from: view.from, to: view.to, per: 1 / scale() };
    let moved = false;
    const drag = (move) => { const [now] = place(move); moved ||= Math.abs(now - px) > 3; if (moved) show(start.from - (now - px) * start.per, start.to - (now - px) * start.per); };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", drag);
    const done = () => { stage.removeEventListener("pointermove", drag); if (!moved && px >= gutter()) { const { pair } = stretchAt(timeAt(px)); choose(pair); chosen(pair); } };
    stage.addEventListener("pointerup", done, { once: true });
  }

  function wheel(event) {
    event.preventDefault();
    const width = view.to - view.from, across = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) show(view.from + (across / 800) * width, view.to + (across / 800) * width);
    else zoom(Math.exp(clamp(event.deltaY, -240, 240) / 300), timeAt(place(event)[0]));
  }

  function key(event) {
    const width = view.to - view.from, way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    if (event.shiftKey) { show(view.from + way * width * 0.2, view.to + way * width * 0.2); return; }
    const next = clamp(view.pair + way, 0, axis.length - 1);
    choose(next);
    chosen(next, false);
  }

  readColors();
  const ended = new AbortController(), options = { signal: ended.signal };
  stage.setAttribute("aria-valuemax", String(Math.max(axis.length - 1, 0)));
  stage.addEventListener("pointerdown", press, options);
  stage.addEventListener("pointermove", point, options);
  stage.addEventListener("pointerleave", () => { tip.hidden = true; view.pointer = null; redraw(); }, options);
  stage.addEventListener("wheel", wheel, { passive: false, ...options });
  stage.addEventListener("keydown", key, options);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); redraw(); }, options);
  const watch = new ResizeObserver(redraw);
  watch.observe(stage);
  choose(0);
  return { choose, zoom, fit: () => show(0, end), view, stop: () => { ended.abort(); watch.disconnect(); } };
}

function barsOf(side) {
  const bar = (row, from, to, color, label, more = {}) => ({ lane: row, from, to: Math.max(to ?? side.end_ms, from), color, label, ...more });
  const long = (from, to) => (to === null ? "" : `, ${ms(to - from)} ms`);
  return [
    ...side.findings.map(([at, severity, sentence]) => bar(0, at, at + 1, severity, `${severity}: ${shown(sentence)}`, { mark: true })),
    ...side.speech.map(([from, to]) => bar(1, from, to, "user", `speech${long(from, to)}`)),
    ...side.responses.map(([from, to, status]) => bar(2, from, to, status === "completed" ? "ghost" : "cut", `response ${shown(status)}${long(from, to)}`)),
    ...side.unheard.map(([from, to]) => bar(3, from, to, "ghost", `generated, never played${long(from, to)}`, { ghost: true })),
    ...side.played.map(([from, to]) => bar(3, from, to, "assistant", `played${long(from, to)}`)),
    ...side.cuts.filter((at) => at !== null).map((at) => bar(3, at, at + 1, "cut", "playback stopped", { mark: true })),
    ...side.tools.map(([from, to, name]) => bar(4, from, to, "tool", `${shown(name) || "tool"}${to === null ? ", no output" : long(from, to)}`)),
  ];
}

