// The list of sessions: searched, put in order, paged, and always as of now.
import { addressWith, ask, byId, counted, grouped, latestOnly, lengthText, make, marked, NA, parameters, say, shown, tail, wholeTime, whenText, writing } from "./kit.js";
import { showError, startSearch } from "./search.js";
import { editTags } from "./tags.js";

const api = "/api/v1", kept = "recorder.columns";
const count = (value, bad = false) => (value === null ? NA : make("span", { class: value && bad ? "bad" : value ? "" : "dim" }, grouped(value)));

/** Every column: its name in addresses, its head, what it is sorted by, and what stands in a cell. */
const columns = [
  { name: "when", head: "When", sort: "time", falls: true, cell: (row) => make("time", { title: wholeTime(row.opened_ns), dateTime: new Date(row.opened_ns / 1e6).toISOString() }, whenText(row.opened_ns)) },
  { name: "session", head: "Session", cell: (row) => make("code", { title: row.id }, tail(row.id)) },
  { name: "status", head: "Status", sort: "status", cell: (row) => make("span", { class: `status ${row.status}` }, row.status) },
  { name: "length", head: "Length", sort: "duration", falls: true, right: true, cell: (row) => lengthText(row.duration_ns) },
  { name: "model", head: "Model", sort: "model", cell: (row) => make("span", { title: row.model_asked !== row.model ? `asked for ${shown(row.model_asked)}` : "" }, shown(row.model) || NA) },
  { name: "call", head: "Call", sort: "call", cell: (row) => shown(row.call) },
  { name: "tags", head: "Tags", cell: (row) => tagsOf(row) },
  { name: "turns", head: "Turns", sort: "turns", falls: true, right: true, cell: (row) => count(row.turns) },
  { name: "findings", head: "Findings", sort: "findings", falls: true, right: true, cell: (row) => count(row.findings, true) },
  { name: "errors", head: "Errors", sort: "errors", falls: true, right: true, cell: (row) => count(row.errors, true) },
  { name: "lost", head: "Lost", sort: "lost", falls: true, right: true, cell: (row) => count(row.lost, true) },
  { name: "events", head: "Events", sort: "events", falls: true, right: true, cell: (row) => grouped(row.last_seq) },
  { name: "vantage", head: "Vantage", sort: "vantage", cell: (row) => row.vantage },
];
const usual = ["when", "session", "status", "length", "model", "call", "tags", "turns", "findings", "errors"];
const pointNames = ["metric", "ge", "lt", "by", "is", "per", "at"];
const names = ["q", "sort", "offset", ...pointNames];

let state = {}, shownColumns = usual, page = null, search = null, timer = 0, failedOn = null;
const marks = new Set(), rows = new Map(), question = latestOnly();

// ---- the address

function readAddress() {
  state = parameters(names);
  state.sort ||= "-time";
  state.offset = Number(state.offset) || 0;
  const given = parameters(["cols"]).cols || remembered();
  const wanted = given.split(",").filter((name) => columns.some((column) => column.name === name));
  shownColumns = wanted.length ? columns.map((column) => column.name).filter((name) => wanted.includes(name)) : usual;
}

function remembered() {
  try { return localStorage.getItem(kept) ?? ""; } catch { return ""; }
}

function writeAddress(push) {
  const isUsual = shownColumns.join() === usual.join();
  const point = Object.fromEntries(pointNames.map((name) => [name, state[name]]));
  const to = addressWith({ ...point, q: state.q, sort: state.sort === "-time" ? "" : state.sort, offset: state.offset || "", cols: isUsual ? "" : shownColumns.join(",") });
  if (to !== location.pathname + location.search) history[push ? "pushState" : "replaceState"](null, "", to);
  byId("to-reports").href = addressWith({ q: state.q }, new URL("/reports", location.href).href);
}

// ---- asking

async function load({ typing = false, quietly = false, push = false } = {}) {
  clearTimeout(timer);
  if (!quietly) { byId("sessions").setAttribute("aria-busy", "true"); writeAddress(push); }
  let found = null;
  try {
    found = await question((signal) => ask(`${api}/sessions`, { ...state, offset: state.offset || "", typing: typing ? "1" : "" }, signal));
  } catch (error) {
    say(error.message, byId("count"));
    byId("sessions").setAttribute("aria-busy", "false");
    again(3000);
    return;
  }
  if (!found) return;
  byId("sessions").setAttribute("aria-busy", "false");
  failedOn = found.error ? state.q : null;
  showError(found.error, found.query, meantInstead);
  if (found.error) { byId("list").classList.add("old"); say(page ? "Not understood; below is what was found before" : "Not understood", byId("count")); document.body.dataset.ready = "yes"; return; }
  byId("list").classList.remove("old");
  page = found;
  if (!found.sessions.length && found.total && state.offset) { state.offset = Math.floor((found.total - 1) / found.limit) * found.limit; load({ quietly }); return; }
  draw();
  again(found.unread ? 250 : found.sessions.some((row) => row.status === "live") ? 1000 : 4000);
}

/** What is live grows, and new calls come: look again, unless nobody looks at us. */
function again(wait) {
  clearTimeout(timer);
  timer = setTimeout(() => { if (document.hidden || byId("list").querySelector("form")) again(wait); else load({ quietly: true }); }, wait);
}

function meantInstead(text) {
  search.set(text);
  change({ q: text });
  byId("query").focus();
}

function change(news) {
  Object.assign(state, { offset: 0 }, news);
  load({ push: true });
}

// ---- drawing

function draw() {
  drawHead();
  const before = byId("list"), wanted = [];
  for (const row of page.sessions) wanted.push(...rowOf(row));
  wanted.forEach((node, place) => { if (before.children[place] !== node) before.insertBefore(node, before.children[place] ?? null); });
  while (before.children.length > wanted.length) before.lastElementChild.remove();
  const there = new Set(page.sessions.map((row) => row.id));
  for (const id of rows.keys()) if (!there.has(id)) rows.delete(id);
  drawCount();
  drawPoint();
  drawMarks();
  byId("nothing").hidden = page.sessions.length > 0 || page.unread > 0;
  byId("nothing").textContent = page.there ? `None of ${counted(page.there, "session")} is meant.` : "Nothing was recorded yet. `recorder demo` makes a first session.";
  document.body.dataset.ready = "yes";
}

function drawHead() {
  const cells = [make("th", { scope: "col", class: "mark" }, make("span", { class: "unseen" }, "Compare"))];
  for (const column of columns.filter((each) => shownColumns.includes(each.name))) {
    const falling = state.sort === `-${column.sort}`, rising = state.sort === column.sort;
    const sort = rising ? "ascending" : falling ? "descending" : "none";
    const inside = column.sort ? make("button", { type: "button", onclick: () => change({ sort: nextSort(column) }) }, column.head, make("i", { "aria-hidden": "true" }, rising ? " ▲" : falling ? " ▼" : "")) : column.head;
    cells.push(make("th", { scope: "col", class: column.right ? "right" : "", ...(column.sort ? { "aria-sort": sort } : {}) }, inside));
  }
  const head = make("tr", {}, ...cells), old = byId("head").firstElementChild;
  if (old?.outerHTML === head.outerHTML) return;
  const focused = old && [...old.querySelectorAll("button")].findIndex((button) => button === document.activeElement);
  byId("head").replaceChildren(head);
  if (focused >= 0) head.querySelectorAll("button")[focused]?.focus();
  byId("sort").value = state.sort;
}

function nextSort(column) {
  if (state.sort === `-${column.sort}`) return column.sort;
  if (state.sort === column.sort) return `-${column.sort}`;
  return column.falls ? `-${column.sort}` : column.sort;
}

/** The row of a session, the one that stands there already if nothing changed. */
function rowOf(row) {
  const told = JSON.stringify([row, shownColumns, marks.has(row.id), Math.floor(Date.now() / 86400000)]);
  const old = rows.get(row.id);
  if (old?.told === told) return old.nodes;
  const node = old?.nodes[0] ?? make("tr", { id: `session-${row.id}` });
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.part : null;
  node.className = `${row.status === "live" ? "live" : ""} ${marks.has(row.id) ? "marked" : ""}`;
  node.replaceChildren(markOf(row), ...columns.filter((each) => shownColumns.includes(each.name)).map((column, place) => cellOf(row, column, place)));
  if (focused) node.querySelector(`[data-part="${focused}"]`)?.focus();
  const nodes = [node];
  if (row.found.length) nodes.push(foundOf(row));
  if (row.trouble) nodes.push(make("tr", { class: "more" }, make("td", { colSpan: shownColumns.length + 1 }, make("span", { class: "bad" }, `Could not be analysed: ${shown(row.trouble)}`))));
  for (const gone of old?.nodes.slice(1) ?? []) gone.remove();
  rows.set(row.id, { told, nodes });
  return nodes;
}

function cellOf(row, column, place) {
  const inside = column.cell(row), cell = make("td", { class: `c-${column.name} ${column.right ? "right" : ""}`, "data-head": column.head });
  if (place) { cell.append(inside); return cell; }
  cell.append(make("a", { href: `/session/${encodeURIComponent(row.id)}`, "data-part": "link", "aria-label": `${column.name === "when" ? whenText(row.opened_ns) : ""} ${tail(row.id)}, ${row.status}` }, inside));
  return cell;
}

function markOf(row) {
  const box = make("input", { type: "checkbox", checked: marks.has(row.id), "data-part": "mark", "aria-label": `Compare ${tail(row.id)}`, onchange: () => mark(row.id, box.checked) });
  return make("td", { class: "mark" }, box);
}

function foundOf(row) {
  return make("tr", { class: "more" }, make("td", { colSpan: shownColumns.length + 1 }, ...row.found.map((each) => marked(each.before, each.match, each.after))));
}

function tagsOf(row) {
  const place = make("span", { class: "tags" }, ...row.tags.map((tag) => make("button", { type: "button", class: "tag", title: "Only those with this tag", onclick: () => add(`tag:${/\s|"/.test(tag) ? `'${tag}'` : tag}`) }, shown(tag))));
  if (row.status !== "live") place.append(make("button", { type: "button", class: "edit", "data-part": "tags", "aria-label": `Change the tags of ${tail(row.id)}`, title: "Change tags (t)", onclick: () => editTags(row, place, (done) => { rows.delete(row.id); if (done) load({ quietly: true }); else draw(); byId(`session-${row.id}`)?.querySelector("[data-part=tags]")?.focus(); }) }, row.tags.length ? "✎" : "+ tag"));
  return place;
}

function add(word) {
  const words = state.q.trim();
  if (words.split(/\s+/).includes(word)) return;
  const text = `${words} ${word}`.trim();
  search.set(text);
  change({ q: text });
}

function drawCount() {
  const first = page.offset + 1, last = page.offset + page.sessions.length;
  const range = page.sessions.length < page.total ? `${grouped(first)}–${grouped(last)} of ${counted(page.total, "session")}` : counted(page.total, "session");
  const of = page.total < page.there ? ` (of ${grouped(page.there)})` : "";
  say(range + of + (page.unread ? `; ${grouped(page.unread)} still to be read` : ""), byId("count"));
  byId("before").disabled = page.offset === 0;
  byId("after").disabled = page.offset + page.sessions.length >= page.total;
  byId("pages").hidden = page.total <= page.limit;
}

function drawPoint() {
  const place = byId("point");
  place.hidden = !state.metric;
  if (!state.metric) return;
  const range = state.ge || state.lt ? `from ${state.ge || "…"} to under ${state.lt || "…"} ms` : "measured";
  const of = state.by ? `, ${state.by} ${state.is || "not stated"}` : "", at = state.at ? `, ${state.per} ${state.at}` : "";
  place.replaceChildren(make("span", {}, `Calls with a turn whose ${state.metric} is ${range}${shown(of)}${at}`),
    make("button", { type: "button", onclick: () => change(Object.fromEntries(pointNames.map((name) => [name, ""]))) }, "All calls"));
}

// ---- marks: two sessions to be compared

function mark(id, on) {
  if (on) marks.add(id); else marks.delete(id);
  if (marks.size > 2) marks.delete([...marks][0]);
  draw();
}

function drawMarks() {
  const link = byId("compare"), [a, b] = [...marks];
  link.hidden = !marks.size;
  if (b) { link.href = `/compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`; link.textContent = `Compare ${tail(a)} with ${tail(b)}`; link.removeAttribute("aria-disabled"); }
  else { link.removeAttribute("href"); link.textContent = "Mark one more to compare"; link.setAttribute("aria-disabled", "true"); }
}

// ---- keys

function links() {
  return [...byId("list").querySelectorAll("a[data-part=link]")];
}

function step(way) {
  const all = links(), here = all.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = all[here < 0 ? (way > 0 ? 0 : all.length - 1) : here + way];
  if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  else if (way > 0 && !byId("after").disabled) turn(1);
  else if (way < 0 && !byId("before").disabled) turn(-1);
}

async function turn(way) {
  state.offset = Math.max(state.offset + way * page.limit, 0);
  await load({ push: true });
  const all = links();
  (way > 0 ? all[0] : all.at(-1))?.focus();
  scrollTo({ top: 0 });
}

const keys = {
  "/": () => { byId("query").focus(); byId("query").select(); },
  j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
  "]": () => { if (!byId("after").disabled) turn(1); }, "[": () => { if (!byId("before").disabled) turn(-1); },
  x: (row) => row?.querySelector("[data-part=mark]")?.click(),
  t: (row) => row?.querySelector("[data-part=tags]")?.click(),
  c: () => { if (marks.size === 2) byId("compare").click(); },
  "?": () => byId("guide").showModal(),
};

function press(event) {
  if (writing(event) || !keys[event.key]) return;
  const row = document.activeElement.closest?.("#list tr");
  if (event.key.startsWith("Arrow") && !row) return;
  event.preventDefault();
  keys[event.key](row);
}

// ---- columns

function startColumns() {
  const place = byId("columns");
  const choose = () => {
    shownColumns = columns.map((each) => each.name).filter((name) => byId(`column-${name}`).checked);
    if (!shownColumns.length) shownColumns = usual;
    try { localStorage.setItem(kept, shownColumns.join(",")); } catch { /* then for this page only */ }
    writeAddress(false);
    if (page) draw();
  };
  place.replaceChildren(...columns.map((column) => make("label", {}, make("input", { type: "checkbox", id: `column-${column.name}`, checked: shownColumns.includes(column.name), onchange: choose }), ` ${column.head}`)));
  byId("sort").replaceChildren(...columns.filter((each) => each.sort).flatMap((column) => [["-", "falling"], ["", "rising"]].map(([sign, way]) => make("option", { value: `${sign}${column.sort}` }, `${column.head}, ${way}`))));
  byId("sort").value = state.sort;
}

/** The menu closes where one presses elsewhere, and by Escape. */
function startMenu() {
  const menu = document.querySelector("details.menu");
  document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => { if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); } });
}

// ---- all together

function start() {
  readAddress();
  startColumns();
  search = startSearch({
    language: ask(`${api}/language`),
    changed: (text, entered) => {
      if (entered && failedOn === text && byId("trouble").querySelector("button")) { byId("trouble").querySelector("button").click(); return; }
      Object.assign(state, { q: text.trim() ? text : "", offset: 0 });
      load({ typing: !entered, push: entered });
    },
  });
  search.set(state.q);
  startMenu();
  byId("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
  byId("before").addEventListener("click", () => turn(-1));
  byId("after").addEventListener("click", () => turn(1));
  byId("guide-open").addEventListener("click", () => byId("guide").showModal());
  addEventListener("popstate", () => { readAddress(); startColumns(); search.set(state.q); load({ quietly: true }); });
  document.addEventListener("keydown", press);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load({ quietly: true }); });
  load();
}

start();
