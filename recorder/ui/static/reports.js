// Reports: the figures of `recorder report`, drawn. Every bar and point leads to its calls.
import { drawDistribution, drawGroups, drawOverTime, swatch } from "./charts.js";
import { addressWith, ask, byId, counted, grouped, latestOnly, make, ms, NA, parameters, say, shown, tail, writing } from "./kit.js";
import { showError, startSearch } from "./search.js";

const api = "/api/v1", names = ["q", "chart", "by", "per", "vs", "fail-if", "min-n"], judging = ["vs", "fail-if", "min-n"], question = latestOnly();
let state = {}, found = null, search = null, timer = 0;

function readAddress() {
  const given = new URLSearchParams(location.search);
  state = parameters(names);
  if (!given.has("by")) state.by = "model";
  state.chart ||= "v2v_audible";
}

function writeAddress(push) {
  const to = addressWith({ q: state.q, chart: state.chart === "v2v_audible" ? "" : state.chart, per: state.per, ...Object.fromEntries(judging.map((name) => [name, state[name]])) });
  const url = new URL(to, location.href);
  if (state.by === "model") url.searchParams.delete("by"); else url.searchParams.set("by", state.by);
  if (url.href !== location.href) history[push ? "pushState" : "replaceState"](null, "", url);
  byId("to-list").href = addressWith({ q: state.q }, new URL("/", location.href).href);
}

async function load(push = false) {
  clearTimeout(timer);
  writeAddress(push);
  byId("report").setAttribute("aria-busy", "true");
  try {
    const answer = await question((signal) => ask(`${api}/report`, state, signal));
    if (!answer) return;
    fillMetrics(answer.metrics);
    showError(answer.error, state.q, (text) => { search.set(text); state.q = text; load(true); });
    showJudgeError(answer.vs_error);
    if (answer.vs_error) { say("Not compared", byId("count")); document.body.dataset.ready = "yes"; return; }
    if (answer.error) { say("Not understood", byId("count")); document.body.dataset.ready = "yes"; return; }
    if (answer.unread) { say(`${counted(answer.unread, "session")} still to be read…`, byId("count")); timer = setTimeout(() => load(), 250); return; }
    found = answer;
    draw();
  } catch (error) {
    if (error.message.startsWith("fail-if") || error.message.startsWith("min-n")) showJudgeError(error);
    else showError({ message: error.message, from: null, to: null }, state.q, () => {});
  }
  byId("report").setAttribute("aria-busy", "false");
  document.body.dataset.ready = "yes";
}

function showJudgeError(error) {
  const place = byId("vs-trouble");
  place.hidden = !error;
  place.textContent = error ? shown(error.message) : "";
}

function fillMetrics(metrics) {
  const select = byId("chart");
  if (select.options.length) return;
  select.replaceChildren(...Object.entries(metrics).map(([name, help]) => make("option", { value: name, title: help }, name)));
  select.value = state.chart;
}

/** The list of exactly those calls that something in a chart is made of. */
function hrefOf({ ge, lt, at, per, group }) {
  const given = new URLSearchParams({ metric: state.chart });
  if (state.q.trim()) given.set("q", state.q);
  if (ge !== undefined && ge !== null) given.set("ge", ge);
  if (lt !== undefined && lt !== null) given.set("lt", lt);
  if (at) { given.set("per", per); given.set("at", at); }
  if (state.by && group) { given.set("by", state.by); given.set("is", group.name ?? ""); }
  return `/?${given}`;
}

function reasons(counts) {
  return Object.entries(counts).map(([why, count]) => `${grouped(count)} ${why.replaceAll("_", " ")}`).join(", ");
}

function draw() {
  const { report, chart } = found, out = chart.turns - chart.n;
  say(`${counted(report.turns, "turn")} of ${counted(report.sessions, "session")}`, byId("count"));
  byId("help").replaceChildren(make("b", {}, chart.metric), `: ${chart.help}`);
  const estimated = Object.entries(chart.labels).filter(([label]) => label !== "measured").map(([label, count]) => `${grouped(count)} ${label}`).join(", ");
  byId("facts").textContent = `n = ${grouped(chart.n)} of ${counted(chart.turns, "turn")}${estimated ? ` (${estimated})` : ""}. ${out ? `Left out: ${reasons(chart.left_out)}.` : "Nothing left out."} Percentiles by ${report.percentiles}.`
    + (report.unread.length ? ` Without ${counted(report.unread.length, "session")} that could not be analysed.` : "");
  byId("charts").hidden = !chart.n;
  byId("nothing").hidden = Boolean(chart.n);
  byId("nothing").textContent = report.turns ? `None of these turns has a ${chart.metric}.` : "There are no turns here.";
  drawGates();
  drawCharts();
  drawChanges();
  drawTable();
}

function drawCharts() {
  if (!found?.chart?.n) return;
  const { chart, report } = found, drawn = chart.distribution.groups;
  byId("legend").replaceChildren(...(drawn.length > 1 ? drawn.map((group, number) => swatch(number, shown(group.shown))) : []), make("span", { class: "rank" }, "solid: median   dashed: 95th percentile"),
    chart.not_drawn ? make("span", {}, `${counted(chart.not_drawn, "smaller group")} not drawn; the table has all`) : "");
  drawOverTime(byId("over-time"), chart, byId("over-time-note"), hrefOf);
  drawDistribution(byId("distribution"), chart, byId("distribution-note"), hrefOf);
  const rows = report.rows.filter((row) => row.metric === chart.metric && row.n);
  const by = state.by && rows.length ? drawn.map((group) => ({ name: group.name, shown: group.shown, figures: rows.find((row) => (row.group[state.by] ?? "") === group.name) })).filter((row) => row.figures) : [];
  byId("groups").hidden = by.length < 2;
  byId("groups-head").textContent = `By ${state.by}`;
  if (by.length > 1) drawGroups(byId("by-group"), by, chart, byId("by-group-note"), hrefOf);
}

const marks = { held: ["✓", "good"], broken: ["✗", "error"] };

/** What became of each gate in each group, the broken ones first. */
function drawGates() {
  const { gates } = found.report, ranks = ["broken", "could not tell", "held"];
  byId("gates").hidden = !gates.length;
  byId("gates-head").textContent = `Gates: ${found.report.verdict ?? ""}`;
  byId("gate-list").replaceChildren(...gates.toSorted((one, other) => ranks.indexOf(one.verdict) - ranks.indexOf(other.verdict)).map((each) => {
    const [sign, look] = marks[each.verdict] ?? ["?", "warning"];
    const where = Object.entries(each.group).map(([by, name]) => `${by} ${name ?? NA}`).join(", ");
    return make("li", {}, make("b", { class: look }, `${sign} ${each.verdict}`), ` ${shown(each.gate)}${where ? ` in ${shown(where)}` : ""}: ${shown(each.why)}`);
  }));
}

const signed = (value) => (value === null ? NA : `${value < 0 ? "−" : "+"}${ms(Math.abs(value))}`);

/** Here and there, percentile by percentile; what is more than chance stands out. */
function drawChanges() {
  const { against, by } = found.report;
  byId("changes").hidden = !against;
  if (!against) return;
  byId("changes-head").textContent = `Against ${shown(against.selection)} (${counted(against.sessions, "session")})`;
  byId("changes-note").textContent = found.compared;
  const heads = [...by, "metric", "", "here", "there", "difference", "interval", "n here", "n there"];
  byId("change-heads").replaceChildren(make("tr", {}, ...heads.map((head, place) => make("th", { scope: "col", class: place > by.length + 1 ? "right" : "" }, head || make("span", { class: "unseen" }, "percentile")))));
  byId("change-rows").replaceChildren(...against.differences.map((each) => {
    const clear = each.low !== null && (each.low > 0 || each.high < 0), change = signed(each.difference);
    const numbers = [ms(each.here), ms(each.there), clear ? make("b", { class: each.difference > 0 ? "error" : "good" }, change) : change, each.low === null ? NA : `${signed(each.low)} to ${signed(each.high)}`, grouped(each.n_here), grouped(each.n_there)];
    return make("tr", { class: each.metric === state.chart ? "marked" : "" }, ...by.map((name) => make("td", {}, shown(each.group[name] ?? NA))), make("td", {}, each.metric), make("td", {}, each.stat), ...numbers.map((value) => make("td", { class: "right" }, value)));
  }));
}

function drawTable() {
  const { report } = found, by = report.by;
  const heads = [...by, "metric", "n", "mean", "p50", "p90", "p95", "p99", "max", "left out", "unanswered", "failed", "worst"];
  byId("figures-head").replaceChildren(make("tr", {}, ...heads.map((head, place) => make("th", { scope: "col", class: place > by.length && head !== "worst" ? "right" : "" }, head))));
  byId("figures").replaceChildren(...report.rows.map((row) => {
    const lost = Object.values(row.left_out).reduce((sum, count) => sum + count, 0);
    const numbers = [row.n, ...["mean", "p50", "p90", "p95", "p99", "max"].map((name) => ms(row[name])), make("span", { title: reasons(row.left_out) }, grouped(lost)), row.unanswered, row.failed];
    const worst = row.worst ? make("a", { href: `/session/${encodeURIComponent(row.worst.session)}#turn=${row.worst.turn}` }, `${tail(row.worst.session)}, turn ${row.worst.turn}`) : NA;
    return make("tr", { class: row.metric === state.chart ? "marked" : "" }, ...by.map((name) => make("td", {}, shown(row.group[name] ?? NA))), make("td", {}, make("button", { type: "button", class: "plain", onclick: () => choose("chart", row.metric), title: found.metrics[row.metric] }, row.metric)), ...numbers.map((value) => make("td", { class: "right" }, typeof value === "number" ? grouped(value) : value)), make("td", {}, worst));
  }));
}

function choose(name, value) {
  state[name] = value;
  if (byId(name).value !== value) byId(name).value = value;
  load(true);
}

function press(event) {
  if (writing(event)) return;
  if (event.key === "/") { event.preventDefault(); byId("query").focus(); byId("query").select(); }
  else if (event.key === "?") byId("guide").showModal();
  else if (event.key === "m") byId("chart").focus();
}

function fromAddress() {
  readAddress();
  for (const name of ["chart", "by", "per", ...judging]) byId(name).value = state[name];
  search.set(state.q);
}

function start() {
  search = startSearch({ language: ask(`${api}/language`), changed: (text, entered) => { if (entered) { state.q = text.trim() ? text : ""; load(true); } } });
  fromAddress();
  for (const name of ["chart", "by", "per"]) byId(name).addEventListener("change", (event) => choose(name, event.target.value));
  byId("judge").addEventListener("submit", (event) => {
    event.preventDefault();
    for (const name of judging) state[name] = byId(name).value.trim();
    load(true);
  });
  byId("guide-open").addEventListener("click", () => byId("guide").showModal());
  addEventListener("popstate", () => { fromAddress(); load(); });
  document.addEventListener("keydown", press);
  let width = 0;
  new ResizeObserver(([entry]) => { if (entry.contentRect.width !== width) { width = entry.contentRect.width; drawCharts(); } }).observe(byId("report"));
  load();
}

start();
