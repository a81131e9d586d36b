// What was said, following the sound; what nobody heard is struck through.
import { arrange, byId, clockText, keeping, lastUntil, make, milliseconds, seconds, shortened, visible } from "./base.js";
import { call } from "./data.js";
import { moveTo, on, view } from "./view.js";

const list = byId("transcript").querySelector("ol");
const most = 20000;
let shown = [], starts = [], current = null;

/** Words that can be clicked: where each was said is reckoned from its place in the text. */
function spokenWords(text, from, to) {
  const pieces = text.split(/(\s+)/), fragment = document.createDocumentFragment();
  if (from === null || to === null || pieces.length > 600) { fragment.append(text); return fragment; }
  let done = 0;
  for (const piece of pieces) {
    const time = from + (done / Math.max(text.length, 1)) * (to - from);
    done += piece.length;
    if (!piece.trim()) fragment.append(piece);
    else fragment.append(make("span", { class: "word", textContent: piece, onclick: (event) => { event.stopPropagation(); moveTo(time); } }));
  }
  return fragment;
}

function wordsOf(line) {
  const words = make("div", { class: "words" });
  const text = visible(shortened(line.text, most));
  const from = seconds(line.start_ns), to = seconds(line.end_ns);
  if (line.kind === "tool") {
    const detail = line.detail ?? {};
    words.append(text, detail.output === null || detail.output === undefined ? "" : `\n→ ${visible(shortened(detail.output, most))}`,
      detail.error ? `\nerror: ${visible(shortened(detail.error, most))}` : "");
  } else if (line.heard !== null && line.heard !== undefined && line.text) {
    const heard = visible(line.heard), rest = text.startsWith(heard) ? text.slice(heard.length) : text;
    words.append(spokenWords(heard, from, to), make("span", { class: "unheard", textContent: rest, title: "generated, never played (estimated)" }));
  } else if (text) words.append(line.kind === "speech" ? spokenWords(text, from, to) : text);
  else words.append(make("span", { class: "dim", textContent: line.speech_ns ? `(${milliseconds(line.speech_ns)} of speech, no transcript)` : "(no words)" }));
  return words;
}

function noteOf(line) {
  const notes = [];
  if (line.heard !== null && line.heard !== undefined) notes.push("interrupted: what is struck through was not heard");
  if (line.out_of_band) notes.push("out of band");
  if (line.kind === "tool" && line.detail?.exec_ms != null) notes.push(milliseconds(line.detail.exec_ms * 1e6));
  return notes.join(", ");
}

function lineOf(line) {
  const kind = line.kind === "error" ? "error" : line.speaker, time = seconds(line.start_ns);
  const note = noteOf(line), go = () => { if (time !== null) moveTo(time); };
  return make("li", { class: kind, onclick: go },
    make("span", { class: "time", textContent: time === null ? "" : clockText(time, 1) }),
    make("div", {}, make("span", { class: "who", textContent: kind }), note ? make("span", { class: "dim", textContent: ` ${note}` }) : "", wordsOf(line)));
}

function follow(by) {
  const row = lastUntil(starts, view.time + 0.02);
  const next = shown[row] ?? null;
  if (next === current) return;
  current?.classList.remove("now");
  current?.removeAttribute("aria-current");
  current = next;
  if (!current) return;
  current.classList.add("now");
  current.setAttribute("aria-current", "true");
  const above = current.offsetTop - list.clientHeight / 3;
  list.scrollTo({ top: above, behavior: by === "sound" ? "smooth" : "auto" });
}

const nodeOf = keeping(lineOf);
const nothing = make("li", {}, "", make("span", { class: "dim", textContent: "Nothing was said." }));

function fill() {
  const lines = call.lines, nodes = lines.map(nodeOf);
  list.classList.toggle("many", nodes.length > 200);
  arrange(list, nodes.length ? nodes : [nothing]);
  const timed = lines.map((line, row) => [line.start_ns, nodes[row]]).filter(([at]) => at !== null).sort((one, other) => one[0] - other[0]);
  starts = timed.map(([at]) => at / 1e9);
  shown = timed.map(([, node]) => node);
  if (!shown.includes(current)) current = null;
  follow();
}

export function startTranscript() {
  fill();
  on("time", follow);
  on("grown", fill);
}
