// What a page of a session is made of, loaded from the server: takes the place of the exported
// page's `data.js` and gives the same names. Facts come first; events, messages, states and
// outlines of the sound come in tiles when they are looked at, and whoever draws is told.
import { fromBase64 } from "./base.js";

export const session = decodeURIComponent(location.pathname.split("/").pop());
export const api = `/api/v1/sessions/${encodeURIComponent(session)}`;

export class Missing extends Error {}

/** The answer to a GET: JSON, or null where there is nothing new. */
export async function get(path) {
  const response = await fetch(api + path, { credentials: "same-origin" });
  if (response.status === 204) return null;
  const found = await response.json().catch(() => null);
  if (response.ok && found !== null) return found;
  const told = found?.error?.message ?? `The server answers ${response.status}.`;
  throw response.status === 404 ? new Missing(told) : new Error(told);
}

const listeners = [];
/** Called with what was loaded: "events", "messages", "states", "outlines". */
export const onLoaded = (listener) => listeners.push(listener);
const tellLoaded = (what) => { for (const listener of listeners) listener(what); };

let facts = null;
export let now = null;
export let words = null;
export const call = {};
export let about = null;
export let endTime = 0.001;
export const outlines = { user: [], assistant: [], unheard: [] };

function take(found) {
  facts = found;
  words = found.words;
  Object.assign(call, Object.fromEntries(found.parts));
  about = call.about;
  endTime = Math.max(about.end_ns / 1e9, 0.001);
  if (now.status === "interrupted") call.findings = [found.interrupted, ...call.findings];
  takeOutlines();
  takeMarks();
}

// ---- events: columns over the whole call; before a tile is there, its rows have about the time
// ---- that the marks say, and no type

const size = () => Math.max(facts.log.last_seq - facts.log.first + 1, 0);
const unread = 0;
const columns = { time: Float64Array, origin: Uint8Array, opcode: Uint8Array, type: Uint16Array, block: Uint16Array, head: Uint16Array, bytes: Uint32Array, us: Uint32Array };
export const events = { size: 0, types: ["(not read yet)"], first: 1 };
for (const [name, Kind] of Object.entries(columns)) events[name] = new Kind(0);
export const seqOf = (row) => row + events.first;
export const rowOf = (seq) => seq - events.first;
const tiles = { columns: new Map(), messages: new Map(), states: new Map() };
const complete = new Set();

function takeMarks() {
  const { log } = facts, count = size(), known = events.size;
  events.first = log.first;
  for (const [name, Kind] of Object.entries(columns)) {
    const grown = new Kind(count);
    grown.set(events[name].subarray(0, Math.min(known, count)));
    events[name] = grown;
  }
  events.size = count;
  const from = Math.floor(known / log.mark);
  let at = log.at_us.slice(0, from).reduce((sum, step) => sum + step, 0);
  for (let mark = from; mark < log.at_us.length; mark++) {
    at += log.at_us[mark];
    fill(mark, at / 1e6, mark + 1 < log.at_us.length ? (at + log.at_us[mark + 1]) / 1e6 : (about.duration_ns ?? 0) / 1e9, known);
  }
}

function fill(mark, from, to, known) {
  const { log } = facts, first = mark * log.mark, count = Math.min(log.mark, events.size - first);
  const shares = [log.client[mark], log.server[mark]];
  let clients = 0;
  for (let index = 0; index < count; index++) {
    const row = first + index;
    if (row < known) continue;
    events.time[row] = from + ((to - from) * index) / count;
    events.block[row] = Math.floor(row / log.block);
    const due = Math.round(((index + 1) * shares[0]) / count);
    events.origin[row] = due > clients ? 0 : shares[1] ? 1 : 2;
    clients = due;
    events.type[row] = unread;
  }
}

const known = new Map([["(not read yet)", unread]]);

function takeColumns(tile, block) {
  const types = block.types.map((name) => {
    if (!known.has(name)) { known.set(name, events.types.length); events.types.push(name); }
    return known.get(name);
  });
  let at = 0, row = block.first - events.first;
  const end = Math.min(block.at.length, events.size - row);
  for (let index = 0; index < end; index++, row++) {
    at += block.at[index];
    events.time[row] = at / 1e9;
    events.type[row] = types[block.type[index]];
    events.block[row] = tile;
    for (const name of ["origin", "opcode", "head", "bytes", "us"]) events[name][row] = block[name][index];
  }
}

/** Load a tile once; `again` where it has grown. */
function loaded(kind, path, tile, take) {
  if (!tiles[kind].has(tile)) {
    tiles[kind].set(tile, get(`/${path}/${tile}`).then((found) => { take(found); return true; }, (error) => {
      tiles[kind].delete(tile);
      throw error;
    }));
  }
  return tiles[kind].get(tile);
}

const texts = new Map();
const tileCount = () => Math.ceil(size() / facts.log.block);
export const eventTile = (tile) => loaded("columns", "events", tile, (block) => {
  takeColumns(tile, block);
  complete.add(tile);
  tellLoaded("events");
});
export const messageTile = (tile) => loaded("messages", "messages", tile, (block) => { texts.set(tile, block); tellLoaded("messages"); });
export const allEvents = async () => { for (let tile = 0; tile < tileCount(); tile++) await eventTile(tile); };
export const allMessages = async () => { for (let tile = 0; tile < tileCount(); tile++) await messageTile(tile); };
export const tileOf = (row) => Math.floor(row / facts.log.block);
export const isLoaded = (row) => complete.has(tileOf(row));
const quietly = (promise) => promise.catch(() => {});

/** The tiles of events that lie in this stretch, if they are few. */
export function eventsIn(from, to) {
  const row = (time) => { let low = 0, high = events.size; while (low < high) { const middle = (low + high) >> 1; if (events.time[middle] <= time) low = middle + 1; else high = middle; } return low; };
  const first = Math.floor(Math.max(row(from) - 1, 0) / facts.log.block), last = Math.floor(Math.max(row(to) - 1, 0) / facts.log.block);
  if (last - first < 3) for (let tile = first; tile <= last && tile < tileCount(); tile++) quietly(eventTile(tile));
}

export function messagesIn(tile) {
  if (!texts.has(tile)) quietly(messageTile(tile));
  return texts.get(tile) ?? [];
}

/** The message without its audio: text, or bytes where it is no text; "" until it is loaded. */
export function messageOf(row) {
  const found = complete.has(events.block[row]) ? messagesIn(events.block[row])[events.head[row]] : "";
  if (!complete.has(events.block[row])) quietly(eventTile(events.block[row]));
  if (found === undefined) return "";
  return typeof found === "string" ? found : fromBase64(found[0]);
}

const frames = { 2: "(binary)", 8: "(close)", 9: "(ping)", 10: "(pong)" };

export function typeOf(row) {
  return events.types[events.type[row]] || frames[events.opcode[row]] || "(no type)";
}

// ---- outlines of the sound: still until their tile is there

function takeOutlines() {
  const levels = call.sound ? facts.outlines.levels : [];
  for (const name of Object.keys(outlines)) {
    outlines[name] = levels.map(({ step, bins }, level) => {
      const before = outlines[name][level], low = new Int8Array(bins), high = new Int8Array(bins);
      if (before) { low.set(before.low.subarray(0, bins)); high.set(before.high.subarray(0, bins)); }
      return { step, low, high };
    });
  }
}

const peaks = new Map();

function peakTile(level, tile) {
  const key = `${level}/${tile}`;
  if (peaks.has(key)) return;
  peaks.set(key, get(`/peaks/${key}`).then((found) => {
    for (const [name, { low, high }] of Object.entries(found)) {
      const target = outlines[name][level], from = tile * facts.outlines.bins, room = target.low.length - from;
      target.low.set(new Int8Array(fromBase64(low).buffer).subarray(0, room), from);
      target.high.set(new Int8Array(fromBase64(high).buffer).subarray(0, room), from);
    }
    tellLoaded("outlines");
  }, () => peaks.delete(key)));
}

/** The outlines of this stretch, as fine as `pixels` across can show. */
export function outlinesIn(from, to, pixels) {
  if (!call.sound) return;
  const { levels, bins } = facts.outlines, rate = call.sound.rate, each = ((to - from) * rate) / Math.max(pixels, 1);
  let level = levels.findLastIndex((one) => one.step <= each);
  if (level < 0) level = 0;
  const last = Math.min(Math.floor((to * rate) / levels[level].step / bins), Math.ceil(levels[level].bins / bins) - 1);
  for (let tile = Math.max(Math.floor((from * rate) / levels[level].step / bins), 0); tile <= last; tile++) peakTile(level, tile);
}

// ---- states: read when they are first looked at

let stateRows = [];
let asking = null;

export function statesRead() {
  asking ??= quietly(loadStates());
  return stateRows;
}

async function loadStates() {
  const found = [];
  for (let tile = 0; tile < facts.states; tile++) found.push(...await get(`/states/${tile}`));
  stateRows = found;
  tellLoaded("states");
}

// ---- sound: read by ranges

export const served = {
  get url() { return new URL(`${api}/sound.wav?until=${facts.last_seq}`, location.href).href; },
  slice(from, to) {
    const range = { Range: `bytes=${from}-${to - 1}` };
    return { arrayBuffer: async () => (await fetch(served.url, { credentials: "same-origin", headers: range })).arrayBuffer() };
  },
};

// ---- growing

export const lastSeq = () => facts.last_seq;

/** What came since; whether there was anything. */
export async function refresh() {
  const found = await get(`?seq=${facts.last_seq}`);
  if (!found) return false;
  const before = facts, edge = Math.floor(size() / facts.log.block);
  take(found);
  for (const kind of ["columns", "messages"]) tiles[kind].delete(edge);
  complete.delete(edge);
  for (const [level, { bins }] of before.outlines.levels.entries()) peaks.delete(`${level}/${Math.max(Math.ceil(bins / found.outlines.bins) - 1, 0)}`);
  if (asking) { asking = null; statesRead(); }
  await Promise.all([quietly(eventTile(edge)), ...(texts.has(edge) ? [quietly(messageTile(edge))] : [])]);
  return true;
}

export async function refreshNow() {
  now = await get("/now");
  return now;
}

const [first] = await Promise.all([get(""), refreshNow()]);
take(first);
