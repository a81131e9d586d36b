// Two sessions side by side: what differs, turn by turn, and the lanes of both on one axis.
import { clock, startLanes } from "./beside.js";
import { addressWith, ask, byId, counted, latestOnly, lengthText, make, ms, NA, parameters, say, shown, tail, whenText, wholeTime, writing } from "./kit.js";

const api = "/api/v1", question = latestOnly();
const owners = { caller: "caller", vad: "vad", "network and server": "network", network: "network", application: "application", provider: "provider", tool: "toolpart", playback: "playback" };
let state = {}, found = null, lanes = null, wanted = new Set();

// ---- asking

async function load(push = false) {
  byId("a").value = state.a;
  byId("b").value = state.b;
  const to = addressWith(state);
  if (to !== location.pathname + location.search) history[push ? "pushState" : "replaceState"](null, "", to);
  if (!state.a || !state.b) { document.body.dataset.ready = "yes"; return; }
  say("Comparing…", byId("count"));
  complain("");
  try {
    const answer = await question((signal) => ask(`${api}/compare`, state, signal));
    if (!answer) return;
    found = answer;
    draw();
  } catch (error) { complain(error.message); say("", byId("count")); byId("found").hidden = true; }
  document.body.dataset.ready = "yes";
}

function complain(words) {
  byId("trouble").hidden = !words;
  byId("trouble").replaceChildren(...words.split("\n").map((line, row) => make("p", { class: row ? "mono" : "error" }, shown(line))));
}

function draw() {
  const { comparison } = found, different = comparison.turns.filter((turn) => turn.differs.length).length;
  byId("nothing").hidden = true;
  byId("found").hidden = false;
  say(comparison.differs.length ? `${different} of ${counted(comparison.turns.length, "turn")} ${different === 1 ? "differs" : "differ"}; there are differences of ${comparison.differs.join(", ")}.` : "Nothing differs.", byId("count"));
  document.title = `${tail(found.a.session)} and ${tail(found.b.session)} · recorder`;
  byId("sides").replaceChildren(sideCard("A", found.a), sideCard("B", found.b));
  drawWhole();
  drawKinds();
  drawTurns();
  lanes?.stop();
  lanes = startLanes(found, (pair, focus = true) => goTo(pair, focus));
  const timed = found.a.timed && found.b.timed;
  byId("lanes-note").textContent = timed ? "Turns that belong together begin at the same place; a second is as wide in both." : "A session without times is not drawn to scale: only the order of its events is known.";
}

function sideCard(name, side) {
  const facts = [whenText(side.opened_ns), lengthText(side.end_ms * 1e6), side.model, side.call && `call ${side.call}`, side.status, ...side.tags].filter(Boolean).map(shown).join(" · ");
  return make("div", { class: `side side-${name.toLowerCase()}` }, make("b", { class: "letter" }, name), make("div", {}, make("a", { href: `/session/${encodeURIComponent(side.session)}`, title: wholeTime(side.opened_ns) }, tail(side.session)), make("p", { class: "dim" }, facts)));
}

// ---- of the whole sessions

function drawWhole() {
  const { comparison } = found, rows = [], numbers = [];
  for (const change of [...comparison.facts, ...comparison.settings.map((each) => ({ ...each, path: `configuration ${each.path}` }))]) rows.push(changeRow(change));
  for (const measure of [...comparison.counts, ...comparison.latencies]) if (differs(measure)) numbers.push(measureRow(measure, found.words.counts[measure.name] ?? ""));
  const parts = [rows.length ? table(["", "A", "B"], rows, "What differs of the whole sessions") : make("p", { class: "dim" }, "Model, configuration and ends are the same.")];
  if (numbers.length) parts.push(make("details", {}, make("summary", {}, `Counts: ${counted(numbers.length, "difference")}`), table(["", "A", "B", "B − A"], numbers, "Counts of the whole sessions")));
  byId("whole").replaceChildren(...parts);
}

const differs = (measure) => measure.a.value !== measure.b.value;
const value = (one) => (one === null || one === undefined ? NA : Array.isArray(one) && one.every((each) => typeof each === "string") ? one.join(", ") || "none" : typeof one === "object" ? JSON.stringify(one) : String(one));

function changeRow(change) {
  const cell = (side, kind) => make("td", { class: change.kind === kind || change.kind === "changed" ? (side === "a" ? "gone" : "came") : "" }, long(value(change[side])));
  return make("tr", {}, make("th", { scope: "row" }, shown(change.path)), cell("a", "only_a"), cell("b", "only_b"));
}

/** A text that may be very long. */
function long(text, most = 280) {
  if (text.length <= most) return shown(text);
  return make("details", {}, make("summary", {}, `${shown(text.slice(0, most))}…`), make("div", { class: "mono" }, shown(text)));
}

function figure(one, unit) {
  if (one.value === null) return make("span", { class: "dim", title: one.reason.replaceAll("_", " ") }, NA);
  const label = one.label && one.label !== "measured" ? ` ${one.label}` : "";
  return make("span", { class: one.suspect ? "dim" : "", title: `${one.suspect ? "suspect: nearly always joined to the wrong turn" : ""}` }, `${ms(one.value, unit ? 0 : 2)}${unit ? ` ${unit}` : ""}`, label && make("small", { class: "dim" }, label));
}

function measureRow(measure, help) {
  const change = measure.difference, words = change === null ? measure.why.replaceAll("_", " ") || NA : `${ms(change) === "0" ? "" : change > 0 ? "+" : "−"}${ms(Math.abs(change))}${measure.unit ? ` ${measure.unit}` : ""}`;
  const tone = change === null || !measure.unit ? "" : Math.abs(change) < 1 ? "dim" : change > 0 ? "worse" : "better";
  return make("tr", {}, make("th", { scope: "row", title: help }, ...measure.name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")])), make("td", { class: "right" }, figure(measure.a, measure.unit)), make("td", { class: "right" }, figure(measure.b, measure.unit)), make("td", { class: `right ${tone}` }, words));
}

function table(heads, rows, label) {
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": label }, make("table", { class: "beside", "aria-label": label }, make("thead", {}, make("tr", {}, ...heads.map((head) => (head ? make("th", { scope: "col" }, head) : make("td", {}))))), make("tbody", {}, ...rows)));
}

// ---- turn by turn

function drawKinds() {
  const counts = {};
  for (const turn of found.comparison.turns) for (const kind of turn.differs) counts[kind] = (counts[kind] ?? 0) + 1;
  wanted = new Set([...wanted].filter((kind) => counts[kind]));
  byId("kinds").replaceChildren(...Object.keys(found.words.kinds).filter((kind) => counts[kind]).map((kind) => make("button", {
    type: "button", "aria-pressed": String(wanted.has(kind)), title: found.words.kinds[kind],
    onclick: (event) => { if (!wanted.delete(kind)) wanted.add(kind); event.currentTarget.setAttribute("aria-pressed", String(wanted.has(kind))); filterTurns(); },
  }, `${kind} ${counts[kind]}`)));
}

function drawTurns() {
  byId("turns").replaceChildren(...found.comparison.turns.map(turnCard));
  filterTurns();
}

function filterTurns() {
  const only = byId("only").checked;
  found.comparison.turns.forEach((turn, row) => {
    const meant = wanted.size ? turn.differs.some((kind) => wanted.has(kind)) : !only || turn.differs.length > 0;
    byId("turns").children[row].hidden = !meant;
  });
}

function turnCard(turn) {
  const start = (side, name) => (turn[name] ? make("a", { href: `/session/${encodeURIComponent(side.session)}#turn=${turn[name].index}` }, `${name.toUpperCase()} ${turn[name].index}`, turn[name].start_ns === null ? "" : ` at ${clock(turn[name].start_ns / 1e6)}`) : make("span", { class: "dim" }, `not in ${name.toUpperCase()}`));
  const head = make("div", { class: "turn-head" }, make("h3", {}, `Turn ${turn.number}`), start(found.a, "a"), start(found.b, "b"), ...(turn.differs.length ? turn.differs.map((kind) => make("span", { class: "kind" }, kind)) : [make("span", { class: "dim" }, "the same")]));
  const columns = make("div", { class: "columns" }, column(turn, "a"), column(turn, "b"));
  return make("li", { id: `turn-${turn.number}`, tabIndex: -1, class: turn.differs.length ? "differs" : "" }, head, columns, latency(turn), more(turn));
}

function column(turn, side) {
  const mine = turn[side];
  if (!mine) return make("div", { class: `column missing side-${side}` }, make("p", { class: "dim" }, `${side.toUpperCase()} has no such turn.`));
  const parts = [said("User", "user", turn.user, side), said("Assistant", "assistant", turn.heard, side)];
  if (turn.generated[side] !== turn.heard[side]) parts.push(said("Generated", "ghost", turn.generated, side));
  for (const pair of turn.tools) if (pair[side]) parts.push(tool(pair, side));
  const changed = new Set(turn.status.map((change) => change.path));
  const status = ["trigger", "status", "responses"].filter((name) => changed.has(name)).map((name) => `${name}: ${value(mine[name])}`);
  if (changed.has("interrupted")) status.push(mine.interrupted ? "interrupted" : "not interrupted");
  if (status.length) parts.push(make("p", { class: `state ${side === "a" ? "gone" : "came"}` }, shown(status.join(" · "))));
  return make("div", { class: `column side-${side}` }, make("span", { class: "letter", "aria-hidden": "true" }, side.toUpperCase()), ...parts);
}

/** What one side said; words that the other has not are marked, and said so to who cannot see. */
function said(who, kind, wording, side) {
  const mine = wording[side], only = `only_${side}`;
  if (mine === null) return make("p", { class: "said" }, make("b", { class: kind }, who), make("span", { class: "dim" }, "spoken, and not transcribed"));
  if (mine === "") return make("p", { class: "said" }, make("b", { class: kind }, who), make("span", { class: "dim" }, NA));
  const stretches = wording.stretches.length ? wording.stretches : [{ kind: "same", a: mine, b: mine }];
  const words = stretches.filter((each) => each.kind === "same" || each.kind === only).map((each) => (each.kind === "same" ? `${shown(each[side])} ` : make(side === "a" ? "del" : "ins", {}, shown(each[side]))));
  return make("p", { class: "said" }, make("b", { class: kind }, who), make("span", {}, ...words.flatMap((word) => [word, " "])));
}

function tool(pair, side) {
  const mine = pair[side], changed = new Set(pair.changes.map((change) => change.path.split(/[.[]/)[0]));
  const tone = pair.kind === "same" ? "" : side === "a" ? "gone" : "came";
  const whole = pair.kind === `only_${side}` ? tone : "";
  return make("div", { class: `tool-use ${whole}` }, make("b", { class: "tool" }, shown(mine.name) || "tool"), make("div", { class: `mono ${changed.has("arguments") ? tone : ""}` }, long(mine.arguments)),
    mine.output === null ? make("span", { class: "dim" }, "no output was sent") : make("div", { class: `mono ${changed.has("output") ? tone : ""}` }, "→ ", long(mine.output)), mine.error && make("div", { class: "bad" }, shown(mine.error)));
}

function latency(turn) {
  const parts = turn.parts.filter((part) => part.a.value !== null || part.b.value !== null);
  const measures = turn.latencies.filter((each) => each.a.value !== null || each.b.value !== null);
  if (!parts.length && !measures.length) return "";
  const sum = (side) => parts.reduce((all, part) => all + (part[side].value ?? 0), 0);
  const most = Math.max(sum("a"), sum("b"), 1), fall = [];
  for (const side of ["a", "b"]) {
    if (!turn[side] || !parts.length) continue;
    const bar = make("div", { class: "fall", role: "img", "aria-label": `${side.toUpperCase()}: ${parts.filter((part) => part[side].value).map((part) => `${part.name} ${ms(part[side].value)} ms`).join(", ")}` });
    for (const part of parts) {
      if (!part[side].value) continue;
      const piece = make("i", { class: `owner-${owners[found.words.parts[part.name]?.owner] ?? "playback"}`, title: `${part.name}, ${ms(part[side].value)} ms: ${found.words.parts[part.name]?.help ?? ""} (${found.words.parts[part.name]?.owner ?? ""})` });
      piece.style.width = `${(part[side].value / most) * 100}%`;
      bar.append(piece);
    }
    fall.push(make("div", { class: "fall-row" }, make("span", { class: "letter" }, side.toUpperCase()), bar, make("span", { class: "total" }, `${ms(sum(side))} ms`)));
  }
  const rows = [...parts.map((part) => { const row = measureRow(part, found.words.parts[part.name]?.help ?? ""); row.firstChild.prepend(make("i", { class: `swatch owner-${owners[found.words.parts[part.name]?.owner] ?? "playback"}` })); return row; }), ...measures.map((each) => measureRow(each, found.words.metrics[each.name] ?? ""))];
  const headline = measures.find((each) => each.name === "v2v_audible" && each.difference !== null);
  const words = headline ? `v2v_audible ${ms(headline.a.value)} → ${ms(headline.b.value)} ms` : "Latency";
  return make("div", { class: "latency" }, ...fall, make("details", {}, make("summary", {}, `${words}, by part`), table(["", "A", "B", "B − A"], rows, `Latency of turn ${turn.number}`)));
}

/** What is looked at less often: configuration, tokens, the order of events. */
function more(turn) {
  const parts = [];
  if (turn.settings.length) parts.push(make("details", {}, make("summary", {}, `Configuration: ${counted(turn.settings.length, "difference")}`), table(["", "A", "B"], turn.settings.map(changeRow), "Configuration")));
  const usage = turn.usage.filter(differs);
  if (usage.length) parts.push(make("details", {}, make("summary", {}, `Tokens: ${counted(usage.length, "difference")}`), table(["", "A", "B", "B − A"], usage.map((each) => measureRow(each, "")), "Tokens")));
  const grammar = turn.grammar.filter((each) => !each.same);
  if (grammar.length) parts.push(make("details", {}, make("summary", {}, `Events: another order on ${counted(grammar.length, "lane")}`), ...grammar.map((each) => make("div", { class: "grammar" }, make("h3", { title: found.words.lanes[each.lane] }, each.lane), ...each.shifts.map(shift)))));
  return parts.length ? make("div", { class: "more-of" }, ...parts) : "";
}

function shift(each) {
  const tone = { only_a: "gone", only_b: "came" }[each.kind] ?? "", sign = { only_a: "A", only_b: "B" }[each.kind] ?? " ";
  return make("p", { class: `mono ${tone}` }, make("b", {}, sign), " ", each.runs.map((run) => shown(run.types.join(", "))).join(" → "));
}

// ---- going about

function goTo(pair, focus = true) {
  const card = byId(`turn-${pair}`);
  for (const each of byId("turns").querySelectorAll(".now")) each.classList.remove("now");
  if (!card) return;
  card.classList.add("now");
  card.scrollIntoView({ block: "nearest", behavior: "auto" });
  if (focus) card.focus({ preventScroll: true });
}

function step(way, differing) {
  const turns = found.comparison.turns.filter((turn) => !byId(`turn-${turn.number}`).hidden && (!differing || turn.differs.length));
  const next = way > 0 ? turns.find((turn) => turn.number > lanes.view.pair) : turns.findLast((turn) => turn.number < lanes.view.pair);
  if (!next) return;
  lanes.choose(next.number);
  goTo(next.number);
}

const keys = { j: () => step(1), k: () => step(-1), d: () => step(1, true), D: () => step(-1, true), "+": () => lanes.zoom(0.5), "=": () => lanes.zoom(0.5), "-": () => lanes.zoom(2), 0: () => lanes.fit(), s: swap, "?": () => byId("guide").showModal() };

function swap() {
  state = { a: state.b, b: state.a };
  load(true);
}

function start() {
  state = parameters(["a", "b"]);
  byId("which").addEventListener("submit", (event) => { event.preventDefault(); state = { a: byId("a").value.trim(), b: byId("b").value.trim() }; load(true); });
  byId("swap").addEventListener("click", swap);
  byId("only").addEventListener("change", filterTurns);
  byId("zoom-in").addEventListener("click", () => lanes.zoom(0.5));
  byId("zoom-out").addEventListener("click", () => lanes.zoom(2));
  byId("fit").addEventListener("click", () => lanes.fit());
  addEventListener("popstate", () => { state = parameters(["a", "b"]); load(); });
  document.addEventListener("keydown", (event) => { if (!writing(event) && keys[event.key] && (found || event.key === "?")) { event.preventDefault(); keys[event.key](); } });
  load();
}

start();
/* What tests may look at. */
globalThis.recorderCompare = { get lanes() { return lanes; } };
