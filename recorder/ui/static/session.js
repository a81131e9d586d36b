// The page of a session that is served: what stands in an exported page is loaded here, and grows.
import { byId, make, visible } from "./base.js";

const note = byId("live");

function say(words, kind = "") {
  note.hidden = false;
  note.className = kind;
  note.textContent = words;
}

/** What came since, drawn; who saw the whole call still sees the whole. */
async function grown(data, show, view, emit) {
  const whole = view.from <= 0 && view.to >= data.endTime - 0.01;
  if (!await data.refresh()) return false;
  emit("grown");
  if (whole) show(0, data.endTime);
  else emit("view");
  return true;
}

/** An event that a link names: when it was is known once its tile is there. */
async function linked(data) {
  const seq = Number(new URLSearchParams(location.hash.slice(1)).get("seq"));
  if (seq >= data.events.first && data.rowOf(seq) < data.events.size) await data.eventTile(data.tileOf(data.rowOf(seq)));
}

/** The cursor stands where an event was reckoned to be; once its tile is there, where it was. */
async function exactly(data, view, moveTo) {
  const { seq, time } = view;
  if (seq === null || data.isLoaded(data.rowOf(seq))) return;
  await data.eventTile(data.tileOf(data.rowOf(seq))).catch(() => {});
  if (view.seq === seq && view.time === time) moveTo(data.events.time[data.rowOf(seq)]);
}

async function start() {
  const data = await import("./data.js");
  const { on, emit, moveTo, show, view } = await import("./view.js");
  await linked(data);
  await import("./main.js");
  const looked = () => {
    data.outlinesIn(view.from, view.to, byId("lanes").clientWidth);
    data.outlinesIn(0, data.endTime, byId("lanes").clientWidth);
    data.eventsIn(view.from, view.to);
  };
  on("view", looked);
  on("event", () => exactly(data, view, moveTo));
  data.onLoaded((what) => emit("loaded", what));
  on("shown", (name) => { if (name === "events") data.allEvents().catch(() => {}); });
  byId("filter").addEventListener("input", () => { data.allEvents().then(data.allMessages).catch(() => {}); }, { once: true });
  looked();
  byId("compare").href = `/compare?a=${encodeURIComponent(data.session)}`;
  byId("made").textContent = "Served by recorder ui on this machine. Nothing is loaded from anywhere else.";
  if (data.now.live) follow(data, show, view, emit);
  else {
    if (!data.about.events) say("Nothing was recorded in this session.");
    lookAfter(data, show, view, emit);
  }
}

const gone = "This session has just been removed. What is shown here is the last that was read of it.";

/** A call that is over: now and then it is asked whether it is still there, and as it was. */
function lookAfter(data, show, view, emit) {
  const look = async () => {
    if (document.hidden) return;
    try {
      if ((await data.refreshNow()).last_seq > data.lastSeq()) await grown(data, show, view, emit);
    } catch (error) {
      if (!(error instanceof data.Missing)) return; // the server does not answer: it may again
      clearInterval(timer);
      say(gone, "removed");
    }
  };
  const timer = setInterval(look, 5000);
  document.addEventListener("visibilitychange", look);
}

/** While it is recorded: what came is loaded as it comes, at most one question at a time. */
function follow(data, show, view, emit) {
  let source = null, busy = false, more = false, told = 0;
  const grow = async () => {
    if (busy) { more = true; return; }
    busy = true;
    try {
      // It is folded for us again only a while after it was last: then a little later.
      if (!await grown(data, show, view, emit) && told > data.lastSeq()) setTimeout(grow, 300);
    } catch (error) {
      if (error instanceof data.Missing) removed();
    }
    busy = false;
    if (more) { more = false; setTimeout(grow, 50); }
  };
  const end = () => { source?.close(); source = null; };
  const removed = () => { end(); over = true; say(gone, "removed"); };
  let over = false;
  const listen = () => {
    if (over || source || document.hidden) return;
    source = new EventSource(`${data.api}/live?after=${data.events.first + data.events.size - 1}`);
    source.addEventListener("grown", (event) => { told = JSON.parse(event.data).last_seq; grow(); });
    source.addEventListener("over", async () => { end(); over = true; await grow(); await data.refreshNow().catch(() => {}); say(`The session is over (${visible(data.now.status)}).`); emit("grown"); });
    source.addEventListener("removed", removed);
    // A dropped connection is made again by the browser; a refused one never is. A question says
    // why: the session may have gone between the page and the first word of its stream.
    source.addEventListener("error", () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      end();
      grow();
      setTimeout(listen, 2000);
    });
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) end(); else { grow(); listen(); } });
  say("Being recorded now", "live");
  listen();
}

start().catch((error) => {
  say(visible(error.message), "trouble");
  document.title = "This session cannot be shown · recorder";
  byId("about").textContent = "";
  document.querySelector("main").replaceChildren(make("p", { class: "dim" }, "There is nothing to draw. ", make("a", { href: "/" }, "All sessions")));
});
