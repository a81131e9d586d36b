// What stands in the page's blocks of data.
import { byId, fromBase64 } from "./base.js";

const parsed = (id) => JSON.parse(byId(id).textContent);

function* blocksOf(name) {
  for (let number = 0; byId(`${name}-${number}`); number++) yield parsed(`${name}-${number}`);
}

export const words = parsed("words");
export const call = Object.fromEntries(parsed("call-0"));
export const about = call.about;
export const endTime = Math.max(about.end_ns / 1e9, 0.001);

// ---- events: columns over the whole call, rows count from 0, numbers from 1

function readEvents() {
  const blocks = [...blocksOf("events")].map((block) => block[0]);
  const size = blocks.reduce((sum, block) => sum + block.at.length, 0);
  const all = {
    size, time: new Float64Array(size), origin: new Uint8Array(size), opcode: new Uint8Array(size),
    type: new Uint16Array(size), block: new Uint16Array(size), head: new Uint16Array(size),
    bytes: new Uint32Array(size), us: new Uint32Array(size), types: [], first: blocks.length ? blocks[0].first : 1,
  };
  const known = new Map();
  let row = 0, at = 0;
  blocks.forEach((block, number) => {
    const types = block.types.map((name) => {
      if (!known.has(name)) { known.set(name, all.types.length); all.types.push(name); }
      return known.get(name);
    });
    at = 0;
    for (let index = 0; index < block.at.length; index++, row++) {
      at += block.at[index];
      all.time[row] = at / 1e9;
      all.origin[row] = block.origin[index];
      all.opcode[row] = block.opcode[index];
      all.type[row] = types[block.type[index]];
      all.block[row] = number;
      all.head[row] = block.head[index];
      all.bytes[row] = block.bytes[index];
      all.us[row] = block.us[index];
    }
  });
  return all;
}

export const events = readEvents();
/** Where the sound is, if it does not stand in the page; `slice` gives its bytes as a blob's does. */
export const served = null;
export const seqOf = (row) => row + events.first;
export const rowOf = (seq) => seq - events.first;

const messageBlocks = new Map();

export function messagesIn(block) {
  if (!messageBlocks.has(block)) messageBlocks.set(block, parsed(`messages-${block}`));
  return messageBlocks.get(block);
}

/** The message without its audio: text, or bytes where it is no text. */
export function messageOf(row) {
  const found = messagesIn(events.block[row])[events.head[row]];
  return typeof found === "string" ? found : fromBase64(found[0]);
}

const frames = { 2: "(binary)", 8: "(close)", 9: "(ping)", 10: "(pong)" };

export function typeOf(row) {
  return events.types[events.type[row]] || frames[events.opcode[row]] || "(no type)";
}

// ---- outlines of the sound

export const outlines = { user: [], assistant: [], unheard: [] };
for (const [level] of blocksOf("peaks")) {
  const low = new Int8Array(fromBase64(level.low).buffer);
  const high = new Int8Array(fromBase64(level.high).buffer);
  outlines[level.name].push({ step: level.step, low, high });
}

// ---- states: read when they are first looked at

let stateRows = null;

export function statesRead() {
  stateRows ??= [...blocksOf("states")].flat();
  return stateRows;
}
