// Puts the page together.
import { brief, byId, clockText } from "./base.js";
import { about, call, endTime, outlines, served } from "./data.js";
import { startEvents } from "./events.js";
import { startFindings } from "./findings.js";
import { startKeys, toggleLoop } from "./keys.js";
import { lanes } from "./lanes.js";
import { startLinks } from "./links.js";
import { heardNow, loadSound, player, setSide, setSpeed, soundNote, soundState, toggle } from "./sound.js";
import { startState } from "./state.js";
import { startTimeline } from "./timeline.js";
import { startTranscript } from "./transcript.js";
import { startTurns } from "./turns.js";
import { emit, moveTo, on, show, view, zoom } from "./view.js";

const panels = ["turns", "events", "state"];

function openPanel(name) {
  for (const each of panels) {
    byId(each).hidden = each !== name;
    byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
  }
  emit("shown", name);
}

function startPanels() {
  for (const [row, name] of panels.entries()) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => openPanel(name));
    tab.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!way) return;
      const next = panels[(row + way + panels.length) % panels.length];
      openPanel(next);
      byId(`tab-${next}`).focus();
    });
  }
  on("panel", openPanel);
}

function startHead() {
  const when = new Date(about.wall_ms).toISOString().replace("T", " ").slice(0, 19);
  const told = [`${when} UTC`, clockText(about.duration_ns / 1e9, 1), `${about.events.toLocaleString("en")} events`, about.model, about.voice, about.vad && `VAD ${about.vad}`, about.url, `session ${about.id}`];
  byId("about").textContent = told.filter(Boolean).map((each) => brief(each)).join(" · ") + (about.timed ? "" : " · imported without times: only the order of events is known");
  const full = served ? "" : "Holds everything that was said.";
  byId("share").textContent = about.share === "full" ? full : "Without content: types, times and figures only.";
  byId("share").className = about.share;
  byId("made").textContent = `Made by ${brief(about.made_by)}. ${served ? "Loaded from this machine alone." : "Nothing is loaded from anywhere."}`;
  byId("sound-note").textContent = soundNote();
}

function startTransport() {
  byId("play").addEventListener("click", toggle);
  byId("speed").addEventListener("change", (event) => setSpeed(Number(event.target.value)));
  byId("solo").addEventListener("change", (event) => setSide(event.target.value));
  byId("loop").addEventListener("click", toggleLoop);
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("fit").addEventListener("click", () => show(0, endTime));
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  on("sound", () => {
    const state = soundState();
    byId("play").textContent = state.playing ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", String(state.playing));
    byId("speed").value = String(state.speed);
    byId("solo").value = state.side;
  });
  on("selection", () => byId("loop").setAttribute("aria-pressed", String(view.looping)));
  on("trouble", (words) => { byId("sound-note").textContent = words; });
}

startHead();
on("grown", startHead);
startPanels();
startTransport();
startFindings();
startTimeline();
startTranscript();
startTurns();
startEvents();
startState();
startKeys();
startLinks();
/* What tests and other scripts may look at. */
globalThis.recorderPage = { view, player, moveTo, soundState, loadSound, heardNow, call, lanes, outlines };
setTimeout(() => { loadSound().then(() => { emit("sound"); emit("view"); }, () => emit("trouble", "The sound in this page is damaged.")); }, 50);
