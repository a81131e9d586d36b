// Links into a call: #t=12.5&z=10, #turn=7, #seq=120.
import { call, endTime, events, rowOf } from "./data.js";
import { chooseEvent, emit, moveTo, on, show, view } from "./view.js";

let written = false, waiting = 0, jumped = false, following = false;

export function followLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  following = true;
  if (!location.hash && written) { show(0, endTime); moveTo(0); }
  const number = (name) => (asked.has(name) && asked.get(name) !== "" && isFinite(asked.get(name)) ? Number(asked.get(name)) : null);
  const time = number("t"), turn = number("turn"), seq = number("seq"), width = number("z");
  if (turn !== null) goToTurn(turn);
  if (seq !== null) goToEvent(seq);
  if (time !== null) moveTo(time);
  if (width !== null && width > 0) show(view.time - width / 2, view.time + width / 2);
  following = false;
}

/** Whoever leaps to a turn, an event or a finding can go back to where they were. */
function jump() {
  if (following) return;
  if (waiting) { clearTimeout(waiting); writeLink(); }
  jumped = true;
}

export function goToTurn(index) {
  const turn = call.turns.find((each) => each.index === index);
  if (!turn) return;
  jump();
  const from = turn.start_ns / 1e9, to = turn.end_ns / 1e9;
  show(from - 0.5, Math.min(to, from + 60) + 0.5);
  moveTo(from);
  emit("turn", index);
}

export function goToEvent(seq) {
  const row = rowOf(seq);
  if (!(row >= 0 && row < events.size)) return;
  jump();
  moveTo(events.time[row]);
  chooseEvent(seq);
  emit("panel", "events");
}

/** The address says where we are, so that it can be sent to somebody. */
function writeLink() {
  waiting = 0;
  written = true;
  const own = `#t=${view.time.toFixed(3)}&z=${(view.to - view.from).toPrecision(4)}` + (view.seq === null ? "" : `&seq=${view.seq}`);
  if (jumped) history.pushState(null, "", own);
  else history.replaceState(null, "", own);
  jumped = false;
}

function later(by) {
  if (by !== "sound" && !waiting) waiting = setTimeout(writeLink, 400);
}

export function startLinks() {
  followLink();
  on("jump", jump);
  addEventListener("hashchange", followLink);
  for (const name of ["time", "view", "event"]) on(name, later);
}
