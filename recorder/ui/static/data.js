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

/** That nobody records it any more does not stand in its log. */
function tellInterrupted() {
  if (now.status === "interrupted" && call.findings[0] !== facts.interrupted) call.findings = [facts.interrupted, ...call.findings];
}

function take(found) {
  facts = found;
  words = found.words;
  Object.assign(call, Object.fromEntries(found.parts));
  about = call.about;
  endTime = Math.max(about.end_ns / 1e9, 0.001);
  tellInterrupted();
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
const markTimes = [];
export const seqOf = (row) => row + events.first;
export const rowOf = (seq) => seq - events.first;
const tiles = { columns: new Map(), messages: new Map(), states: new Map() };
const complete = new Set();

/** The same numbers, and room for more: there is some behind them, so that growing costs little. */
function longer(values, size) {
  const Kind = values.constructor;
  if (values.buffer.byteLength >= size * Kind.BYTES_PER_ELEMENT) return new Kind(values.buffer, 0, size);
  const grown = new Kind(new ArrayBuffer(Math.max(size, 2 * values.length) * Kind.BYTES_PER_ELEMENT), 0, size);
  grown.set(values);
  return grown;
}

/** Rows for all events; those from `known` on have about the time that the marks say. */
function takeMarks(known = events.size) {
  const { log } = facts, count = size();
  events.first = log.first;
  for (const name of Object.keys(columns)) events[name] = longer(events[name], count);
  events.size = count;
  const from = Math.min(Math.floor(known / log.mark), log.at_us.length);
  while (markTimes.length > from) markTimes.pop();
  for (let mark = from; mark < log.at_us.length; mark++) markTimes.push((mark ? markTimes[mark - 1] : 0) + log.at_us[mark]);
  for (let mark = from; mark < log.at_us.length; mark++) {
    fill(mark, markTimes[mark] / 1e6, mark + 1 < log.at_us.length ? markTimes[mark + 1] / 1e6 : (about.duration_ns ?? 0) / 1e9, known);
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
  if (found === undefined) { readAgain(events.block[row]); return ""; }
  return typeof found === "string" ? found : fromBase64(found[0]);
}

const again = new Set();

/** A tile of messages that has grown since it was read; once for each growth. */
function readAgain(tile) {
  if (!texts.has(tile) || again.has(tile)) return;
  again.add(tile);
  tiles.messages.delete(tile);
  quietly(messageTile(tile));
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
      const before = outlines[name][level];
      return { step, low: longer(before?.low ?? new Int8Array(0), bins), high: longer(before?.high ?? new Int8Array(0), bins) };
    });
  }
}

/** What stands from a bin of a level on; a channel that is not told is still. */
function drawBins(level, from, found, end = Infinity) {
  for (const name of Object.keys(outlines)) {
    const target = outlines[name][level], room = Math.max(Math.min(target.low.length, end) - from, 0);
    for (const side of ["low", "high"]) {
      if (found[name]) target[side].set(new Int8Array(fromBase64(found[name][side]).buffer).subarray(0, room), from);
      else target[side].fill(0, from, from + room);
    }
  }
}

const peaks = new Map();

function peakTile(level, tile) {
  const key = `${level}/${tile}`, asked = { done: false };
  if (peaks.has(key)) return;
  peaks.set(key, asked);
  get(`/peaks/${key}`).then((found) => {
    if (peaks.get(key) !== asked) return; // it has changed meanwhile
    asked.done = true;
    drawBins(level, tile * facts.outlines.bins, found, (tile + 1) * facts.outlines.bins);
    tellLoaded("outlines");
  }, () => { if (peaks.get(key) === asked) peaks.delete(key); });
}

/** From this bin on the outlines are others: `tail` by level, or null where they are to be loaded. */
function changeOutlines(from, tail, count) {
  const { bins, levels } = facts.outlines;
  takeOutlines();
  for (const [level] of levels.entries()) {
    const begin = Math.min(Math.floor(from / count ** level), levels[level].bins);
    if (tail) drawBins(level, begin, tail[level]);
    for (const key of [...peaks.keys()].filter((each) => each.startsWith(`${level}/`))) {
      if (Number(key.slice(2)) >= Math.floor(begin / bins) && !(tail && peaks.get(key).done)) peaks.delete(key);
    }
    if (tail) for (let tile = Math.ceil(begin / bins); tile * bins < levels[level].bins; tile++) peaks.set(`${level}/${tile}`, { done: true });
  }
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

let stateRows = [], newer = [];
let asking = null;

export function statesRead() {
  asking ??= quietly(loadStates());
  return stateRows;
}

async function loadStates() {
  const found = [];
  for (let tile = 0; tile < facts.states; tile++) found.push(...await get(`/states/${tile}`));
  const last = found.at(-1)?.seq ?? 0;
  stateRows = [...found, ...newer.filter((row) => row.seq > last)];
  newer = [];
  tellLoaded("states");
}

/** Those that came; where they are too many, all are read again. */
function takeStates(rows) {
  if (!asking) return;
  if (rows === null) { asking = null; newer = []; statesRead(); return; }
  const last = stateRows.at(-1)?.seq ?? 0;
  (stateRows.length ? stateRows : newer).push(...rows.filter((row) => row.seq > last));
  if (rows.length) tellLoaded("states");
}

// ---- sound: read by ranges

let taken = null;

/** A sound is made as far as the call has come: of one that grows, that is used as long as it will do. */
export const served = {
  get url() { return new URL(`${api}/sound.wav?until=${facts.last_seq}`, location.href).href; },
  /** The sound as far as the call has come now. */
  take() {
    taken = { url: served.url, bytes: 44 + 4 * call.sound.samples };
    return taken.url;
  },
  slice(from, to) {
    if (!taken || to > taken.bytes) served.take();
    const { url } = taken, range = { Range: `bytes=${from}-${to - 1}` };
    return { arrayBuffer: async () => (await fetch(url, { credentials: "same-origin", headers: range })).arrayBuffer() };
  },
};

// ---- growing

export const lastSeq = () => facts.last_seq;

/** What came since; whether there was anything. */
export async function refresh() {
  const found = await get(`/growth?after=${facts.last_seq}`);
  if (!found) return false;
  if (found.again) return reload();
  grow(found);
  return true;
}

/** All facts anew: of a session that is over, to which something was added. */
async function reload() {
  const found = await get(`?seq=${facts.last_seq}`);
  if (!found) return false;
  const edge = Math.floor(size() / facts.log.block);
  take(found);
  changeOutlines(0, null, coarser);
  looseEnds(edge);
  takeStates(null);
  await Promise.all([quietly(eventTile(edge)), ...(texts.has(edge) ? [quietly(messageTile(edge))] : [])]);
  return true;
}

const coarser = 8;

/** Tiles from this one on are loaded again. */
function looseEnds(edge) {
  for (const kind of ["columns", "messages"]) for (const tile of [...tiles[kind].keys()]) if (tile >= edge) tiles[kind].delete(tile);
  for (const tile of [...complete]) if (tile >= edge) complete.delete(tile);
  for (const tile of [...texts.keys()]) if (tile >= edge) texts.delete(tile);
}

/** What is another than we knew, put in its place. */
function grow(found) {
  const before = size(), { log } = facts;
  if (call.findings[0] === facts.interrupted) call.findings.shift();
  for (const name of ["about", "sound"]) call[name] = found[name];
  for (const [name, { count, rows }] of Object.entries(found.parts)) {
    call[name].length = Math.min(call[name].length, count);
    for (const [row, value] of rows) call[name][row] = value;
  }
  for (const name of ["at_us", "client", "server"]) log[name].splice(found.log.from, Infinity, ...found.log[name]);
  Object.assign(facts, { last_seq: found.last_seq, interrupted: found.interrupted, states: found.states.tiles });
  Object.assign(log, { first: found.log.first, last_seq: found.log.last_seq });
  facts.outlines = { bins: found.outlines.bins, levels: found.outlines.levels };
  about = call.about;
  endTime = Math.max(about.end_ns / 1e9, 0.001);
  changeOutlines(found.outlines.from, found.outlines.tail, coarser);
  takeMarks(before);
  if (found.events) for (const piece of found.events) takePiece(piece, before);
  else looseEnds(Math.floor(before / log.block));
  takeStates(found.states.rows);
  again.clear();
  tellInterrupted();
}

/** Events that came; a tile that was whole up to them is so again. */
function takePiece(piece, before) {
  const { tile } = piece, row = piece.first - events.first, begins = row % facts.log.block === 0;
  if (begins) {
    complete.add(tile);
    tiles.columns.set(tile, Promise.resolve(true));
  }
  takeColumns(tile, piece);
  if (begins || texts.get(tile)?.length === piece.known) {
    texts.set(tile, [...(texts.get(tile) ?? []), ...piece.messages]);
    tiles.messages.set(tile, Promise.resolve(true));
  } else {
    texts.delete(tile);
    tiles.messages.delete(tile);
  }
}

export async function refreshNow() {
  now = await get("/now");
  if (facts) tellInterrupted();
  return now;
}

const [first] = await Promise.all([get(""), refreshNow()]);
take(first);
