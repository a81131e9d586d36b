// Where in the call we are, and what of it is in view; whoever draws listens.
import { clamp } from "./base.js";
import { endTime } from "./data.js";

export const view = { time: 0, from: 0, to: endTime, selection: null, looping: false, lit: new Set(), seq: null };
const least = 16 / 24000;
const listeners = {};

export function on(name, listener) {
  (listeners[name] ??= []).push(listener);
}

export function emit(name, value) {
  for (const listener of listeners[name] ?? []) listener(value);
}

/** Move the cursor. `by` says who: "sound" while it plays, else the user. */
export function moveTo(time, by = "user") {
  view.time = clamp(time, 0, endTime);
  const width = view.to - view.from;
  if (by === "sound" ? view.time > view.to || view.time < view.from : view.time < view.from || view.time > view.to) {
    show(view.time - width * (by === "sound" ? 0.1 : 0.5), view.time + width * (by === "sound" ? 0.9 : 0.5));
  }
  emit("time", by);
}

export function show(from, to) {
  const width = clamp(to - from, least, endTime);
  view.from = clamp(from, 0, endTime - width);
  view.to = view.from + width;
  emit("view");
}

/** Make what is seen `factor` times as long, with `anchor` where it is. */
export function zoom(factor, anchor = view.time) {
  const at = anchor >= view.from && anchor <= view.to ? anchor : (view.from + view.to) / 2;
  const width = clamp((view.to - view.from) * factor, least, endTime);
  const share = (at - view.from) / (view.to - view.from);
  show(at - share * width, at + (1 - share) * width);
}

export function select(from, to) {
  view.selection = from === null ? null : [Math.min(from, to), Math.max(from, to)];
  if (view.selection === null) view.looping = false;
  emit("selection");
}

/** Light up these events. */
export function lightUp(seqs) {
  view.lit = new Set(seqs);
  emit("lit");
}

export function chooseEvent(seq) {
  view.seq = seq;
  emit("event");
}
