// What the views share: words for times and figures, the address, and asking the server.
import { make, visible } from "./base.js";

export { byId, clamp, make, visible } from "./base.js";

export const NA = "–";
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** 340 ms, 12.3 s, 2 min 05 s, 1 h 02 min */
export function lengthText(ns) {
  if (ns === null || ns === undefined) return NA;
  if (Math.abs(ns) < 999.5e6) return `${(ns / 1e6).toFixed(0)} ms`;
  if (Math.abs(ns) < 59.95e9) return `${(ns / 1e9).toFixed(1)} s`;
  const all = Math.round(ns / 1e9), minutes = Math.floor(all / 60);
  return minutes < 60 ? `${minutes} min ${two(all % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** As short as can be without doubt, in the browser's own zone. */
export function whenText(ns, now = new Date()) {
  const time = new Date(ns / 1e6), clock = `${two(time.getHours())}:${two(time.getMinutes())}`;
  if (time.toDateString() === now.toDateString()) return `${clock}:${two(time.getSeconds())}`;
  if (time.getFullYear() === now.getFullYear()) return `${time.getDate()} ${months[time.getMonth()]} ${clock}`;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

export const wholeTime = (ns) => new Date(ns / 1e6).toString();
export const grouped = (number) => Number(number).toLocaleString("en");
export const counted = (number, thing, things = `${thing}s`) => `${grouped(number)} ${number === 1 ? thing : things}`;
export const ms = (value, digits = 0) => (value === null || value === undefined ? NA : (Number(value.toFixed(digits)) || 0).toLocaleString("en", { maximumFractionDigits: digits }));
export const tail = (id) => id.slice(-6);
/** Text of a session on one line, harmless. */
export const shown = (text) => visible(String(text).replace(/\s+/g, " "));

/** The address of this page with these members changed; null or "" takes one away. */
export function addressWith(changes, base = location.href) {
  const url = new URL(base);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return `${url.pathname}${url.search}`;
}

export function parameters(names) {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(names.map((name) => [name, given.get(name) ?? ""]));
}

export class Refused extends Error {}

/** What the server answers to a GET. Raises `Refused` with what it says where it cannot. */
export async function ask(path, params = {}, signal = undefined) {
  const given = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const text = given.toString();
  return answerOf(await reach(text ? `${path}?${text}` : path, { signal }));
}

export async function tell(path, body) {
  return answerOf(await reach(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

async function reach(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer: is `recorder ui` still running?");
  }
}

async function answerOf(response) {
  const found = await response.json().catch(() => null);
  if (response.ok && found !== null) return found;
  const told = found && (typeof found.error === "string" ? found.error : found.error?.message);
  throw new Refused(told || `The server answers ${response.status} ${response.statusText}`);
}

/** At most one question at a time: a new one ends the one before. */
export function latestOnly() {
  let running = null;
  return async (question) => {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    try {
      const answer = await question(mine.signal);
      return running === mine ? answer : null;
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    }
  };
}

export function say(words, target = document.getElementById("said")) {
  if (target.textContent !== words) target.textContent = words;
}

/** The words that stand for a text in which a part is marked. */
export function marked(before, match, after) {
  return make("span", { class: "found" }, shown(before), before && " ", make("mark", {}, shown(match)), after && " ", shown(after));
}

/** Whether a key pressed here is meant as a word of a text. */
export function writing(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog[open]");
}
