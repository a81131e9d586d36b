// The keyboard: one table for what is done and what the help says.
import { byId, make } from "./base.js";
import { endTime } from "./data.js";
import { copyMessage } from "./events.js";
import { nextFinding } from "./findings.js";
import { goToTurn } from "./links.js";
import { setSide, setSpeed, soundState, toggle } from "./sound.js";
import { turnBeside } from "./turns.js";
import { emit, moveTo, select, show, view, zoom } from "./view.js";

const width = () => view.to - view.from;
const turn = (way) => { const index = turnBeside(way); if (index !== null) goToTurn(index); };
const options = (id) => [...byId(id).options].map((option) => option.value);

export function changeSpeed(way) {
  const all = options("speed"), next = all[all.indexOf(String(soundState().speed)) + way];
  if (next) setSpeed(Number(next));
}

function nextSide() {
  const all = options("solo");
  setSide(all[(all.indexOf(soundState().side) + 1) % all.length]);
}

export function toggleLoop() {
  if (!view.selection) select(view.time, Math.min(view.time + Math.min(width() / 4, 5), endTime));
  view.looping = !view.looping;
  if (view.looping) moveTo(view.selection[0]);
  emit("selection");
}

function edge(which) {
  const [from, to] = view.selection ?? [view.time, view.time];
  if (which === 0) select(view.time, Math.max(to, view.time));
  else select(Math.min(from, view.time), view.time);
}

const table = [
  [[" ", "k"], "space", "play, pause", toggle],
  [["ArrowLeft"], "←", "back by a fiftieth of what is seen", () => moveTo(view.time - width() / 50)],
  [["ArrowRight"], "→", "on by as much", () => moveTo(view.time + width() / 50)],
  [["Shift+ArrowLeft"], "shift ←", "move what is seen back", () => show(view.from - width() / 4, view.to - width() / 4)],
  [["Shift+ArrowRight"], "shift →", "move it on", () => show(view.from + width() / 4, view.to + width() / 4)],
  [["Home"], "Home", "to the beginning", () => moveTo(0)],
  [["End"], "End", "to the end", () => moveTo(endTime)],
  [["+", "="], "+", "zoom in", () => zoom(0.5)],
  [["-"], "−", "zoom out", () => zoom(2)],
  [["0"], "0", "the whole call", () => show(0, endTime)],
  [["n"], "n", "the next turn", () => turn(1)],
  [["p"], "p", "the turn before", () => turn(-1)],
  [["f"], "f", "the next finding", nextFinding],
  [["["], "[", "the selection begins here", () => edge(0)],
  [["]"], "]", "the selection ends here", () => edge(1)],
  [["l"], "l", "loop the selection", toggleLoop],
  [["Escape"], "Esc", "no selection", () => select(null)],
  [["s"], "s", "hear both sides, the user, the assistant", nextSide],
  [["<", ","], "<", "slower", () => changeSpeed(-1)],
  [[">", "."], ">", "faster", () => changeSpeed(1)],
  [["t"], "t", "turns", () => emit("panel", "turns")],
  [["e"], "e", "events", () => { emit("panel", "events"); byId("event-list").focus(); }],
  [["i"], "i", "state", () => emit("panel", "state")],
  [["/"], "/", "filter the events", () => { emit("panel", "events"); byId("filter").focus(); }],
  [["c"], "c", "copy the chosen message", copyMessage],
  [["?"], "?", "these keys", () => byId("help").showModal()],
];

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const target = event.target, own = target.closest?.("input, select, textarea");
  if (own) { if (event.key === "Escape") own.blur(); return; }
  if (event.key === " " && target.closest?.("button")) return;
  if (target.getAttribute?.("role") === "tab" && event.key.startsWith("Arrow")) return;
  const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const row = table.find(([keys]) => keys.includes(name));
  if (!row) return;
  event.preventDefault();
  row[3]();
}

export function startKeys() {
  addEventListener("keydown", pressed);
  const list = byId("help").querySelector("dl");
  for (const [, key, meaning] of table) list.append(make("dt", { textContent: key }), make("dd", { textContent: meaning }));
}
