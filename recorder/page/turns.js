// The turns: where the time of each went, in its owners' colours.
import { arrange, brief, byId, clockText, make, milliseconds, ownerColors } from "./base.js";
import { call, words } from "./data.js";
import { goToTurn } from "./links.js";
import { lightUp, moveTo, on, view } from "./view.js";

const list = byId("turn-list"), told = byId("part");
let latencies = new Map(call.latency.map((each) => [each.turn, each]));
let qualities = new Map(call.quality.map((each) => [each.turn, each]));
let nodes = [], current = null, scale = 1, kept = [];

const colorOf = (owner) => `var(--${ownerColors[owner] ?? "dim"})`;

function tellPart(turn, part) {
  const [, meaning] = words.parts[part.name] ?? ["", part.name];
  told.textContent = `Turn ${turn.index}, ${part.name}: ${milliseconds(part.ns)}, ${part.owner}. ${meaning}. Events ${part.evidence.join(", ") || "none"}.`;
  lightUp(part.evidence);
}

function barOf(turn, fall) {
  const bar = make("div", { class: "fall" });
  let at = 0;
  for (const part of fall.parts) {
    const from = Math.min(at, at + part.ns), width = Math.abs(part.ns);
    at += part.ns;
    if (width < 500000) continue;
    const tell = () => tellPart(turn, part), leave = () => lightUp(kept);
    const begin = fall.start_ns + from, keep = () => { kept = part.evidence; moveTo(begin / 1e9); tell(); };
    const node = make("button", { type: "button", "aria-label": `${part.name}, ${milliseconds(part.ns)}, ${part.owner}`,
      onmouseenter: tell, onfocus: tell, onclick: keep, onmouseleave: leave, onblur: leave });
    node.style.left = `${(Math.max(from, 0) / scale) * 100}%`;
    node.style.width = `${(width / scale) * 100}%`;
    node.style.background = colorOf(part.owner);
    bar.append(node);
  }
  return bar;
}

function turnOf(turn) {
  const latency = latencies.get(turn.index), fall = latency?.waterfall ?? null;
  const flags = [...new Set([turn.status === "answered" ? "" : turn.status, turn.greeting ? "greeting" : "", ...turn.flags, ...(qualities.get(turn.index)?.flags ?? [])])].filter(Boolean);
  const values = Object.entries(latency?.values ?? {}).filter(([, value]) => value.ns !== null)
    .map(([name, value]) => `${name} ${milliseconds(value.ns)}: ${words.metrics[name] ?? ""}`).join("\n");
  return make("div", { class: "turn" },
    make("button", { type: "button", textContent: `Turn ${turn.index}`, onclick: () => goToTurn(turn.index) }),
    make("span", { class: "time", textContent: clockText(turn.start_ns / 1e9, 1) }),
    fall ? barOf(turn, fall) : make("span", { class: "dim", textContent: brief(turn.status) }),
    make("span", { class: "total", title: values, textContent: fall ? milliseconds(fall.total_ns) : "–" }),
    flags.length ? make("span", { class: "flags", textContent: flags.map((flag) => flag.replaceAll("_", " ")).join(", ") }) : "");
}

function legend() {
  byId("owners").replaceChildren();
  const owners = new Set(call.latency.flatMap((each) => each.waterfall?.parts.filter((part) => Math.abs(part.ns) >= 500000).map((part) => part.owner) ?? []));
  for (const owner of owners) {
    const swatch = make("i");
    swatch.style.background = colorOf(owner);
    byId("owners").append(make("span", {}, swatch, owner));
  }
}

function follow() {
  const row = call.turns.findLastIndex((turn) => turn.start_ns / 1e9 <= view.time + 1e-6);
  if (nodes[row] === current) return;
  current?.classList.remove("now");
  current = nodes[row] ?? null;
  if (!current) return;
  current.classList.add("now");
  const above = current.offsetTop - list.clientHeight / 3;
  if (!list.contains(document.activeElement)) list.scrollTop = above;
}

/** The index of the turn before (-1) or after (1) the cursor; null where there is none. */
export function turnBeside(way) {
  const at = view.time, found = way > 0
    ? call.turns.find((turn) => turn.start_ns / 1e9 > at + 1e-6)
    : call.turns.findLast((turn) => turn.start_ns / 1e9 < at - 1e-6);
  return found ? found.index : null;
}

const drawn = new Map();

/** The same node as long as nothing that it shows is another. */
function nodeOf(turn) {
  const shown = [turn, latencies.get(turn.index), qualities.get(turn.index), scale], known = drawn.get(turn.index);
  if (known && shown.every((each, row) => each === known.shown[row])) return known.node;
  const node = turnOf(turn);
  drawn.set(turn.index, { shown, node });
  return node;
}

function fill() {
  latencies = new Map(call.latency.map((each) => [each.turn, each]));
  qualities = new Map(call.quality.map((each) => [each.turn, each]));
  scale = Math.max(1, ...call.latency.map((each) => each.waterfall?.total_ns ?? 0));
  nodes = call.turns.map(nodeOf);
  list.classList.toggle("many", nodes.length > 200);
  arrange(list, nodes);
  if (!nodes.includes(current)) current = null;
  legend();
  told.textContent = nodes.length ? "Point at a part to see what it means and which events it was computed from." : "There are no turns in this call.";
  follow();
}

export function startTurns() {
  fill();
  on("time", follow);
  on("grown", fill);
}
