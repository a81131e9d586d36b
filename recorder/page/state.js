// What was in force, in flight and playing at the cursor.
import { brief, byId, clockText, lastUntil, make, milliseconds, seconds } from "./base.js";
import { about, call, events, rowOf, statesRead } from "./data.js";
import { on, view } from "./view.js";

const panel = byId("state");
let current = null, at = -1, shownFor = null, times = null;

/** The state after the last event that is no delta: changes are applied one after the other. */
function stateAt(time) {
  const rows = statesRead();
  if (times?.length !== rows.length) { times = Float64Array.from(rows, (row) => row.at_ns / 1e9); current = null; }
  const wanted = lastUntil(times, time + 1e-9);
  if (wanted < at || current === null) { current = { items: [] }; at = -1; }
  while (at < wanted) {
    const { items, ...parts } = rows[++at];
    Object.assign(current, parts);
    if (items) current.items.splice(items[0], items[1], ...items[2]);
  }
  return wanted < 0 ? null : current;
}

const text = (value) => brief(typeof value === "string" ? value : JSON.stringify(value) ?? "", 400);

function section(title, pairs, empty = "none") {
  const rows = pairs.map(([name, value]) => make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: value })));
  return [make("h3", { textContent: title }), rows.length ? make("table", {}, make("tbody", {}, ...rows)) : make("p", { class: "dim", textContent: empty })];
}

function playing(time) {
  const found = [];
  for (const item of call.played) {
    const run = item.runs.find(([from, to]) => from / 1e9 <= time && time < to / 1e9);
    const before = item.runs.reduce((sum, [from, to]) => sum + Math.max(Math.min(to / 1e9, time) - from / 1e9, 0), 0);
    if (run) found.push([text(item.item_id), `plays, ${milliseconds(before * 1e9)} of ${milliseconds(item.received_ns)} (${item.label})`]);
    else if (item.arrived_ns / 1e9 <= time && (item.start_ns === null ? item.stop_ns === null || item.stop_ns / 1e9 > time : item.start_ns / 1e9 > time)) found.push([text(item.item_id), "waits"]);
  }
  return found;
}

/** Audio that was appended since the state was taken. */
function appendedSince(seq, time) {
  let us = 0;
  for (let row = rowOf(seq) + 1; row < events.size && events.time[row] <= time; row++) if (events.origin[row] === 0) us += events.us[row];
  return us * 1000;
}

function draw() {
  if (panel.hidden) return;
  const state = stateAt(view.time), mark = `${at} ${Math.floor(view.time * 20)}`;
  if (mark === shownFor) return;
  shownFor = mark;
  if (!state) { panel.replaceChildren(make("p", { class: "dim", textContent: "Nothing had passed yet." })); return; }
  const tokens = state.tokens, speaking = state.speaking;
  panel.replaceChildren(
    make("p", { class: "dim", textContent: `At ${clockText(view.time)}, after event ${state.seq}: ${state.phase}.` }),
    ...section("Playing", playing(view.time), "nothing"),
    ...section("Responses in flight", state.responses.map((each) => [text(each.id), `since ${clockText(seconds(each.created_ns) ?? 0)}, ${milliseconds(each.audio_ns)} of audio${each.cancel_seq === null ? "" : ", cancel asked"}`])),
    ...section("Tool calls without output", state.calls.map((each) => [text(each.name) || "tool", text(each.arguments)])),
    ...section("Input buffer", [["audio", milliseconds(state.buffer.audio_ns + appendedSince(state.seq, view.time))], ["format", text(state.buffer.format)], ["voice", speaking ? `speaks since ${clockText(speaking.since_ns / 1e9)}` : "no speech"]]),
    ...section(`Items (${state.items.length})`, state.items.slice(-30).map((each) => [`${text(each.role || each.type)} ${text(each.status)}`, text(each.text) || (each.spoken ? "(spoken)" : "")]), "none yet"),
    ...section("Configuration", [...state.config, ...state.asked].map((each) => [text(each.path) + (each.stated_seq === null ? " (asked)" : ""), text(each.value)]), "not stated yet"),
    ...section("Tokens so far", [["input", text(tokens.input)], ["output", text(tokens.output)]]),
    ...section("Rate limits", state.rate_limits.map((each) => [text(each.name), `${text(each.remaining)} of ${text(each.limit)}`]), "not told"),
  );
}

export function startState() {
  on("time", draw);
  on("shown", draw);
  on("loaded", (what) => { if (what === "states") { shownFor = null; draw(); } });
  if (!about.timed) panel.append(make("p", { textContent: "This session has no times." }));
}
