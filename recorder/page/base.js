// Small helpers. Text reaches the page through `make` and `textContent` only.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

/** Who took the time of a part of a turn, and the colour that stands for them everywhere. */
export const ownerColors = {
  caller: "user", vad: "vad", network: "network", "network and server": "network", application: "application",
  provider: "assistant", tool: "tool", playback: "played",
};

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export const seconds = (ns) => (ns === null || ns === undefined ? null : ns / 1e9);

/** 75.25 -> 1:15.250; an hour and more -> 1:01:15.250 */
export function clockText(time, digits = 3) {
  const scale = 10 ** digits;
  const ticks = Math.round(Math.max(time, 0) * scale);
  const whole = Math.floor(ticks / scale);
  const two = (number) => String(number).padStart(2, "0");
  const rest = digits ? `.${String(ticks % scale).padStart(digits, "0")}` : "";
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(whole % 60)}${rest}`;
}

export const milliseconds = (ns) => (ns === null || ns === undefined ? "–" : `${Math.round(ns / 1e6).toLocaleString("en")} ms`);

/** The last index whose value is at most `wanted`; -1 if there is none. `values` ascend. */
export function lastUntil(values, wanted, count = values.length) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Control and bidirectional characters made visible, so that text cannot pose as other text. */
export function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most)}… (${text.length.toLocaleString("en")} characters)` : text;
}

/** A name, an id, a sentence of a session in one line of ours: whole unless it is absurdly long. */
export const brief = (text, most = 300) => visible(shortened(text, most));

export function fromBase64(text) {
  const raw = atob(text.trim());
  const bytes = new Uint8Array(raw.length);
  for (let row = 0; row < raw.length; row++) bytes[row] = raw.charCodeAt(row);
  return bytes;
}

/** These nodes and no others, in this order; one that stands where it belongs is not touched. */
export function arrange(list, nodes) {
  for (const [row, node] of nodes.entries()) {
    const there = list.childNodes[row];
    if (there !== node) {
      if (there) there.replaceWith(node);
      else list.append(node);
    }
  }
  while (list.childNodes.length > nodes.length) list.lastChild.remove();
}

/** `make` for each thing, once: asked for the same thing again, it is the same node. */
export function keeping(make) {
  const made = new WeakMap();
  return (thing) => {
    if (!made.has(thing)) made.set(thing, make(thing));
    return made.get(thing);
  };
}
