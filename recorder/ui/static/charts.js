// Charts in SVG: axes with round numbers and units, and every mark a link to what it is made of.
import { clamp, make, ms } from "./kit.js";

const space = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

/** Round numbers between which a scale is divided, about so many. */
export function steps(low, high, about) {
  const span = high - low || 1, power = 10 ** Math.floor(Math.log10(span / about));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => span / each <= about) ?? 10 * power;
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number++) found.push(number * step || 0);
  return found;
}

const spans = [[60e3, "minute"], [300e3, "minute"], [900e3, "minute"], [1800e3, "minute"], [3600e3, "hour"], [7200e3, "hour"], [10800e3, "hour"], [21600e3, "hour"], [43200e3, "hour"], [86400e3, "day"], [172800e3, "day"], [604800e3, "day"], [1209600e3, "day"], [2419200e3, "day"], [7776000e3, "day"]];

/** Times on a clock's round places, in the browser's zone: [[time, label]]. */
export function timeSteps(low, high, about) {
  const [step, kind] = spans.find(([each]) => (high - low) / each <= about) ?? spans.at(-1);
  const shift = new Date(low).getTimezoneOffset() * 60e3, found = [];
  for (let time = Math.ceil((low - shift) / step) * step + shift; time <= high; time += step) {
    const at = new Date(time), day = at.toLocaleDateString("en", { day: "numeric", month: "short" });
    const clock = at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false }).replace(/^24/, "00");
    found.push([time, kind === "day" || clock === "00:00" ? day : clock]);
  }
  return found;
}

/** A frame with room for axes; `x` and `y` place values in it. */
function frame(width, height, { left = 52, right = 12, top = 10, bottom = 38, x, y }) {
  const inner = { left, top, width: width - left - right, height: height - top - bottom };
  const place = (value, [low, high], from, length) => from + ((value - low) / (high - low || 1)) * length;
  return {
    ...inner, full: width, tall: height, bottom: top + inner.height,
    x: (value) => place(value, x, left, inner.width),
    y: (value) => place(value, [y[1], y[0]], top, inner.height),
  };
}

function axes(at, { xs = [], ys = [], xTitle = "", yTitle = "" }) {
  const parts = [];
  for (const [value, label] of ys) {
    const y = Math.round(at.y(value)) + 0.5;
    parts.push(svg("line", { class: "grid", x1: at.left, x2: at.left + at.width, y1: y, y2: y }), svg("text", { class: "tick", x: at.left - 7, y: y + 4, "text-anchor": "end" }, label));
  }
  for (const [value, label] of xs) {
    const x = Math.round(at.x(value)) + 0.5;
    parts.push(svg("line", { class: "stroke", x1: x, x2: x, y1: at.bottom, y2: at.bottom + 4 }), svg("text", { class: "tick", x: clamp(x, at.left + 6, at.full - 14), y: at.bottom + 17, "text-anchor": "middle" }, label));
  }
  parts.push(svg("line", { class: "stroke", x1: at.left, x2: at.left + at.width, y1: at.bottom + 0.5, y2: at.bottom + 0.5 }));
  if (xTitle) parts.push(svg("text", { class: "title", x: at.left + at.width, y: at.tall - 4, "text-anchor": "end" }, xTitle));
  if (yTitle) parts.push(svg("text", { class: "title", x: at.left - 44, y: at.top - 4 < 8 ? 9 : at.top - 6 }, yTitle));
  return svg("g", { "aria-hidden": "true" }, ...parts);
}

/** The drawing with its links: one of them is reached by tab, arrows go on from there. */
function drawing(place, width, height, label, parts, note) {
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, ...parts);
  const links = [...root.querySelectorAll("a")];
  links.forEach((link, number) => link.setAttribute("tabindex", number ? "-1" : "0"));
  const tell = (event) => { const link = event.target.closest?.("a"); note.textContent = link ? link.getAttribute("aria-label") : ""; };
  root.addEventListener("pointerover", tell);
  root.addEventListener("focusin", tell);
  root.addEventListener("pointerleave", () => { note.textContent = ""; });
  root.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const here = links.indexOf(event.target.closest("a"));
    if (!way || here < 0) return;
    event.preventDefault();
    const next = links[clamp(here + way, 0, links.length - 1)];
    links[here].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
  place.replaceChildren(root);
}

const link = (href, label, ...children) => svg("a", { href, "aria-label": label }, ...children, svg("title", {}, label));

// ---- how often

/** One histogram a group, below each other on one scale. */
export function drawDistribution(place, chart, note, hrefOf) {
  const { edges, groups, open } = chart.distribution, width = place.clientWidth;
  const bars = edges.length - 1, step = bars ? edges[1] - edges[0] : 1, last = edges[0] + bars * step;
  const each = groups.length > 1 ? 104 : 230, head = groups.length > 1 ? 18 : 4, foot = 38;
  const height = groups.length * each + foot, parts = [];
  const most = Math.max(1, ...groups.flatMap((group) => group.counts));
  groups.forEach((group, number) => {
    const bottom = number === groups.length - 1 ? foot : 4;
    const at = frame(width, each + (bottom === foot ? foot : 0), { x: [edges[0], last], y: [0, most], top: head + 6, bottom: bottom === foot ? foot : 0 });
    const inside = [axes(at, {
      xs: bottom === foot ? steps(edges[0], last, clamp(width / 90, 3, 12)).filter((value) => !open || value <= last - step).map((value) => [value, ms(value)]) : [],
      ys: steps(0, most, groups.length > 1 ? 2 : 5).filter((value) => Number.isInteger(value)).map((value) => [value, ms(value)]),
      xTitle: bottom === foot ? `${chart.metric}, ms` : "", yTitle: number ? "" : "turns",
    })];
    if (groups.length > 1) inside.push(svg("text", { class: "name", x: at.left, y: 14 }, `${group.shown}, n = ${group.n}`));
    group.counts.forEach((count, bar) => {
      if (!count) return;
      const from = edges[bar], to = edges[bar + 1], x = at.x(edges[0] + bar * step), wide = at.x(edges[0] + (bar + 1) * step) - x;
      const range = to === null ? `${ms(from)} ms and more` : `${ms(from)} to under ${ms(to)} ms`;
      const label = `${range}: ${count} ${count === 1 ? "turn" : "turns"} of ${group.sessions[bar]} ${group.sessions[bar] === 1 ? "session" : "sessions"}${groups.length > 1 ? `, ${group.shown}` : ""}`;
      inside.push(link(hrefOf({ ge: from, lt: to, group }), label,
        svg("rect", { class: "reach", x, y: at.top, width: Math.max(wide, 1), height: at.height }),
        svg("rect", { class: `bar fill${number % 8} ${to === null ? "open" : ""}`, x: x + 0.5, y: at.y(count), width: Math.max(wide - 1, 1), height: at.bottom - at.y(count) })));
    });
    parts.push(svg("g", { transform: `translate(0 ${number * each})` }, ...inside));
  });
  if (open) parts.push(svg("text", { class: "tick", x: width - 12, y: height - foot + 17, "text-anchor": "end" }, `≥ ${ms(edges[bars - 1])}`));
  drawing(place, width, height, `Distribution of ${chart.metric}: how many turns took how long`, parts, note);
}

// ---- over time

export function drawOverTime(place, chart, note, hrefOf) {
  const groups = chart.over_time.groups.map((group, number) => ({ ...group, number, points: group.points.filter((point) => point.n) }));
  const all = groups.flatMap((group) => group.points), width = place.clientWidth, height = 280;
  const times = all.map((point) => point.start_ms), low = Math.min(...times), high = Math.max(...times);
  const pad = (high - low) * 0.02 || 1800e3, top = Math.max(...all.map((point) => point.p95), 1);
  const at = frame(width, height, { x: [low - pad, high + pad], y: [0, top * 1.06], top: 18 });
  const parts = [axes(at, {
    xs: timeSteps(low - pad, high + pad, clamp(width / 80, 3, 12)), ys: steps(0, top * 1.06, 6).map((value) => [value, ms(value)]),
    xTitle: `${chart.over_time.per} of the turn`, yTitle: "ms",
  })];
  for (const group of groups) {
    for (const rank of ["p50", "p95"]) {
      const path = group.points.map((point, row) => `${row ? "L" : "M"}${at.x(point.start_ms).toFixed(1)} ${at.y(point[rank]).toFixed(1)}`).join("");
      parts.push(svg("path", { class: `curve ${rank} line${group.number % 8}`, d: path }));
    }
  }
  for (const group of groups) {
    for (const rank of ["p50", "p95"]) for (const point of group.points) {
      const label = `${point.at}: ${rank} ${ms(point[rank])} ms, n = ${point.n} of ${point.turns} turns in ${point.calls} ${point.calls === 1 ? "call" : "calls"}${groups.length > 1 ? `, ${group.shown}` : ""}`;
      const x = at.x(point.start_ms), y = at.y(point[rank]);
      parts.push(link(hrefOf({ at: point.at, per: chart.over_time.per, group }), label,
        svg("circle", { class: "reach", cx: x, cy: y, r: 9 }),
        rank === "p50" ? svg("circle", { class: `dot fill${group.number % 8}`, cx: x, cy: y, r: 3.5 }) : svg("rect", { class: `dot fill${group.number % 8}`, x: x - 3, y: y - 3, width: 6, height: 6 })));
    }
  }
  place.classList.toggle("dense", (width - 64) / Math.max(...groups.map((group) => group.points.length)) < 9);
  drawing(place, width, height, `${chart.metric} over time: median and 95th percentile`, parts, note);
}

// ---- group by group

/** From the median to the 95th percentile, and the 99th, of each group. */
export function drawGroups(place, rows, chart, note, hrefOf) {
  const width = place.clientWidth, narrow = width < 560, each = narrow ? 46 : 30, left = narrow ? 12 : 230;
  const top = Math.max(...rows.map((row) => row.figures.p99), 1), height = rows.length * each + 44;
  const at = frame(width, height, { x: [0, top * 1.04], y: [0, 1], left, top: 4 });
  const parts = [axes(at, { xs: steps(0, top * 1.04, clamp((width - left) / 90, 3, 10)).map((value) => [value, ms(value)]), xTitle: `${chart.metric}, ms` })];
  rows.forEach((row, number) => {
    const { p50, p95, p99, n } = row.figures, y = 4 + number * each + (narrow ? 30 : 15), color = `${number % 8}`;
    const label = `${row.shown}: median ${ms(p50)} ms, 95th percentile ${ms(p95)} ms, 99th ${ms(p99)} ms, n = ${n} in ${row.figures.calls} ${row.figures.calls === 1 ? "call" : "calls"}`;
    const name = row.shown.length > 30 ? `${row.shown.slice(0, 29)}…` : row.shown;
    parts.push(link(hrefOf({ group: row }), label,
      svg("rect", { class: "reach", x: 0, y: y - (narrow ? 26 : 14), width, height: each - 2 }),
      svg("text", { class: "name", x: narrow ? 12 : left - 10, y: narrow ? y - 12 : y + 4, "text-anchor": narrow ? "start" : "end" }, `${name}  n = ${n}`),
      svg("line", { class: `whisker line${color}`, x1: at.x(p95), x2: at.x(p99), y1: y, y2: y }),
      svg("rect", { class: `bar fill${color}`, x: at.x(p50), y: y - 6, width: Math.max(at.x(p95) - at.x(p50), 2), height: 12, rx: 3 }),
      svg("line", { class: "median", x1: at.x(p50), x2: at.x(p50), y1: y - 9, y2: y + 9 })));
  });
  drawing(place, width, height, `${chart.metric} by ${chart.by}: median to 95th percentile, and the 99th`, parts, note);
}

export const swatch = (number, words) => make("span", {}, make("i", { class: `swatch fill${number % 8}` }), words);
