// The raw log: filtered as one types, runs of deltas folded, only the rows in sight in the page.
import { brief, byId, clamp, clockText, lastUntil, make, visible } from "./base.js";
import { events, messageOf, messagesIn, rowOf, seqOf, typeOf } from "./data.js";
import { chooseEvent, moveTo, on, view } from "./view.js";

const tall = 24, box = byId("event-list"), inner = box.firstElementChild;
const filter = byId("filter"), origin = byId("origin"), fold = byId("fold");
const mostShown = 60000;
const arrows = ["→", "←", "•"];
let rows = [], firsts = [], opened = new Set(), asked = false;
let open = new Map(), looked = 0, passed = 0; // how far the rows are made, and of how many events

const isOneOfMany = (row) => /\.(delta|append)$/.test(typeOf(row));

/** Rows that pass: {row, last, count, us}; a run is told as its first event. */
function build() {
  rows = []; firsts = []; open = new Map(); looked = passed = 0;
  add();
  if (opened.size) rows = rows.flatMap((each) => (each.count > 1 && opened.has(each.row) ? unfolded(each) : [each]));
  firsts = rows.map((each) => each.row);
  tell();
}

/** Those of a call that grows that came since. */
function extend() {
  if (opened.size || looked > events.size) { build(); return; }
  add();
  for (let row = firsts.length; row < rows.length; row++) firsts.push(rows[row].row);
  tell();
}

function add() {
  const passes = sieve();
  for (let row = looked; row < events.size; row++) {
    if (!passes(row)) continue;
    passed++;
    if (fold.checked && isOneOfMany(row)) {
      const key = events.type[row] * 4 + events.origin[row], run = open.get(key);
      if (run) { run.last = row; run.count++; run.us += events.us[row]; run.bytes += events.bytes[row]; run.members.push(row); continue; }
      const made = { row, last: row, count: 1, us: events.us[row], bytes: events.bytes[row], members: [row] };
      open.set(key, made);
      rows.push(made);
    } else {
      if (open.size) open = new Map();
      rows.push({ row, last: row, count: 1, us: events.us[row], bytes: events.bytes[row], members: null });
    }
  }
  looked = events.size;
}

function tell() {
  byId("count").textContent = passed === events.size ? `${events.size.toLocaleString("en")} events` : `${passed.toLocaleString("en")} of ${events.size.toLocaleString("en")} events`;
  inner.style.height = `${rows.length * tall}px`;
  draw();
}

const unfolded = (run) => run.members.map((row) => ({ row, last: row, count: 1, us: events.us[row], bytes: events.bytes[row], members: null, of: run.row }));

/** Which events pass: by side, and by type or text. */
function sieve() {
  const text = filter.value.trim().toLowerCase(), side = origin.value;
  if (!text) return (row) => side === "" || events.origin[row] === Number(side);
  const types = events.types.map((name) => name.toLowerCase().includes(text));
  const found = new Map();
  const inMessage = (row) => {
    const block = events.block[row];
    if (!found.has(block)) found.set(block, messagesIn(block).map((message) => typeof message === "string" && message.toLowerCase().includes(text)));
    return found.get(block)[events.head[row]];
  };
  return (row) => (side === "" || events.origin[row] === Number(side)) && (types[events.type[row]] || inMessage(row));
}

const wanted = ["transcript", "text", "delta", "name", "arguments", "output", "status", "audio_end_ms", "audio_start_ms", "item_id", "call_id", "code", "reason", "url"];

function preview(row) {
  const message = messageOf(row);
  if (typeof message !== "string") return `${message.length} bytes`;
  if (message.length > 20000) return `${message.length.toLocaleString("en")} characters`;
  let body;
  try { body = JSON.parse(message); } catch { return visible(message.slice(0, 160)); }
  const looked = [body, body?.error, body?.item, body?.item?.content?.[0], body?.part, body?.response, body?.session];
  const told = [];
  for (const each of looked) {
    if (!each || typeof each !== "object") continue;
    if (each.message && each !== body) told.push(String(each.message));
    for (const name of wanted) if (typeof each[name] === "string" || typeof each[name] === "number") if (each[name] !== "") told.push(String(each[name]));
  }
  return visible([...new Set(told)].join("  ").slice(0, 200)).replace(/\s+/g, " ");
}

function rowNode(each, index) {
  const { row } = each, chosen = view.seq !== null && rowOf(view.seq) >= row && (each.count > 1 ? each.members.includes(rowOf(view.seq)) : rowOf(view.seq) === row);
  const lit = view.lit.size && [...view.lit].some((seq) => (each.members ? each.members.includes(rowOf(seq)) : rowOf(seq) === row));
  const audio = each.us ? `${Math.round(each.us / 1000).toLocaleString("en")} ms of audio` : each.bytes ? `${each.bytes.toLocaleString("en")} bytes of audio` : "";
  const many = each.count > 1 ? `${audio ? `${audio}, ` : ""}${each.count} events up to ${seqOf(each.last)}` : [audio, preview(row)].filter(Boolean).join("  ");
  const sign = each.count > 1 ? "▸ " : each.of !== undefined ? "  " : "";
  const node = make("div", { class: `event${lit ? " lit" : ""}`, id: `event-${index}`, role: "option", "aria-selected": String(chosen), "aria-posinset": String(index + 1), "aria-setsize": String(rows.length),
    onclick: () => choose(index), ondblclick: () => toggle(index) },
    make("span", { class: "nr", textContent: seqOf(row) }),
    make("span", { class: "time", textContent: clockText(events.time[row]) }),
    make("span", { class: `kind side${events.origin[row]}`, textContent: `${arrows[events.origin[row]]} ${sign}${brief(typeOf(row))}` }),
    make("span", { class: "words", textContent: many }));
  node.style.top = `${index * tall}px`;
  return node;
}

function draw() {
  asked = false;
  if (byId("events").hidden) return;
  const first = Math.max(Math.floor(box.scrollTop / tall) - 4, 0), end = Math.min(first + Math.ceil(box.clientHeight / tall) + 8, rows.length);
  inner.replaceChildren(...rows.slice(first, end).map((each, index) => rowNode(each, first + index)));
  const at = chosenIndex();
  if (at >= first && at < end) box.setAttribute("aria-activedescendant", `event-${at}`);
  else box.removeAttribute("aria-activedescendant");
}

function later() {
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

function chosenIndex() {
  if (view.seq === null) return -1;
  const row = rowOf(view.seq), at = lastUntil(firsts, row);
  for (let index = at; index >= 0 && at - index < 2000; index--) {
    const each = rows[index];
    if (each.row === row || each.members?.includes(row)) return index;
  }
  return at;
}

function choose(index) {
  const each = rows[clamp(index, 0, rows.length - 1)];
  if (!each) return;
  moveTo(events.time[each.row]);
  chooseEvent(seqOf(each.row));
}

function toggle(index) {
  const each = rows[index];
  if (!each) return;
  const run = each.of ?? (each.count > 1 ? each.row : null);
  if (run === null) return;
  if (opened.has(run)) opened.delete(run);
  else opened.add(run);
  build();
}

function intoSight(index) {
  if (index < 0) return;
  const top = index * tall;
  if (top < box.scrollTop || top + tall > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 3;
}

function showMessage() {
  const text = byId("message");
  if (view.seq === null) { text.textContent = ""; return; }
  const row = rowOf(view.seq), message = messageOf(row), size = events.bytes[row];
  const audio = size ? `// its ${size.toLocaleString("en")} bytes of audio${events.us[row] ? ` (${(events.us[row] / 1000).toLocaleString("en")} ms)` : ""} are left out\n` : "";
  let told = message;
  if (typeof message !== "string") told = `// ${message.length} bytes that are no text\n${[...message.slice(0, 4096)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
  else try { told = JSON.stringify(JSON.parse(message), null, 2); } catch { /* shown as it is */ }
  text.textContent = audio + visible(told.length > mostShown ? `${told.slice(0, mostShown)}\n… ${told.length.toLocaleString("en")} characters in all` : told);
  text.scrollTop = 0;
}

/** The message exactly as it passed goes to the clipboard. Audio is not in a page byte for byte: what lacks it is said. */
export async function copyMessage() {
  if (view.seq === null) { byId("copied").textContent = "Choose an event first."; return; }
  const row = rowOf(view.seq), message = messageOf(row);
  if (typeof message !== "string") { byId("copied").textContent = "It is no text and cannot be copied."; return; }
  try {
    await navigator.clipboard.writeText(message);
  } catch {
    const area = make("textarea", { value: message, class: "unseen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  byId("copied").textContent = events.bytes[row]
    ? `Event ${view.seq} copied without its ${events.bytes[row].toLocaleString("en")} bytes of audio: a page holds the sound, not these bytes (recorder events --seq ${view.seq} --raw has them).`
    : `Event ${view.seq} copied, byte for byte.`;
}

const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity };

function keyed(event) {
  const at = chosenIndex();
  if (event.key in steps) choose(at < 0 ? 0 : clamp(at + steps[event.key], 0, rows.length - 1));
  else if (event.key === "Enter" || event.key === "ArrowRight" || event.key === "ArrowLeft") toggle(at);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

export function startEvents() {
  for (const [node, name] of [[filter, "input"], [origin, "change"], [fold, "change"]]) node.addEventListener(name, () => { opened = new Set(); build(); box.scrollTop = 0; });
  box.addEventListener("scroll", later);
  box.addEventListener("keydown", keyed);
  byId("copy").addEventListener("click", copyMessage);
  on("lit", later);
  on("event", () => { showMessage(); intoSight(chosenIndex()); later(); });
  on("time", (by) => {
    if (byId("events").hidden) return;
    if (by === "sound" || view.seq === null) intoSight(lastUntil(firsts, lastUntil(events.time, view.time)));
    later();
  });
  on("shown", (name) => { if (name === "events") { intoSight(view.seq === null ? lastUntil(firsts, lastUntil(events.time, view.time)) : chosenIndex()); draw(); } });
  on("grown", extend);
  on("loaded", (what) => {
    if (what === "events" || (what === "messages" && filter.value.trim())) build();
    else if (what === "messages") later();
    if (what !== "outlines" && what !== "states" && view.seq !== null) showMessage();
  });
  build();
}
