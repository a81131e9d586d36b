// The sound: one audio element, its two channels mixed by Web Audio so that one can be heard alone.
import { byId, fromBase64 } from "./base.js";
import { about, call, endTime, served } from "./data.js";
import { emit, moveTo, on, view } from "./view.js";

export let sound = call.sound;
export const player = new Audio();
player.preservesPitch = true;
player.preload = "auto";
player.addEventListener("error", () => emit("trouble", "The sound in this page is damaged."));

let whole = null, mixer = null, playing = false, speed = 1, side = "both", last = 0, ready = null;

const pause = () => new Promise((done) => setTimeout(done));

/** Put the pieces together, one at a time so that the page stays alive. */
async function gathered() {
  if (served) return takeServed();
  const pieces = [];
  for (let number = 0, block; (block = byId(`sound-${number}`)); number++) {
    pieces.push(fromBase64(block.textContent));
    block.textContent = "";
    await pause();
  }
  whole = new Blob(pieces, { type: sound.kind });
  player.src = URL.createObjectURL(whole);
  player.currentTime = view.time;
}

function takeServed() {
  whole = served;
  player.src = served.take();
  player.currentTime = view.time;
}

/** A call that is still being recorded: what came is heard from the next time on that it plays. */
on("grown", () => { sound = call.sound; });

export function loadSound() {
  ready ??= sound ? gathered() : Promise.resolve();
  return ready;
}

function mixed() {
  if (mixer) return mixer;
  const context = new AudioContext();
  const source = context.createMediaElementSource(player);
  const split = context.createChannelSplitter(2);
  const sides = [context.createGain(), context.createGain()];
  source.connect(split);
  sides.forEach((gain, channel) => { split.connect(gain, channel); gain.connect(context.destination); });
  const meter = context.createAnalyser();
  meter.fftSize = 4096;
  sides.forEach((gain) => gain.connect(meter));
  mixer = { context, sides, meter };
  return mixer;
}

export function setSide(name) {
  side = name;
  if (mixer) mixer.sides.forEach((gain, channel) => { gain.gain.value = name === "both" || name === ["user", "assistant"][channel] ? 1 : 0; });
  emit("sound");
}

export function setSpeed(value) {
  speed = value;
  player.playbackRate = value;
  emit("sound");
}

/** The samples that went to the loudspeaker last, for meters. */
export function heardNow() {
  const samples = new Float32Array(mixer ? mixer.meter.fftSize : 0);
  mixer?.meter.getFloatTimeDomainData(samples);
  return { rate: mixer?.context.sampleRate ?? 0, samples: Array.from(samples) };
}

export const soundState = () => ({ playing, speed, side, loaded: whole !== null });

export async function play() {
  if (playing) return;
  await loadSound();
  if (served && sound && player.src !== served.url) takeServed();
  if (view.time >= endTime - 0.01) moveTo(0);
  playing = true;
  last = performance.now();
  if (sound) {
    const { context } = mixed();
    setSide(side);
    player.currentTime = view.time;
    player.playbackRate = speed;
    try {
      await context.resume();
      await player.play();
    } catch (error) {
      playing = false;
      emit("trouble", `The sound cannot be played here (${error.name}).`);
    }
  }
  emit("sound");
  requestAnimationFrame(follow);
}

export function stop() {
  playing = false;
  player.pause();
  emit("sound");
}

export const toggle = () => (playing ? stop() : play());

/** While it plays the cursor goes with the sound; without sound, with the clock. */
function follow(now) {
  if (!playing) return;
  const passed = ((now - last) / 1000) * speed;
  last = now;
  const silent = !sound || player.ended;
  let time = silent ? view.time + Math.max(passed, 0) : player.currentTime;
  if (view.looping && view.selection && (time >= view.selection[1] || time < view.selection[0] - 0.05)) {
    time = view.selection[0];
    if (sound) { player.currentTime = time; if (player.paused) player.play(); }
  }
  moveTo(time, "sound");
  if (time >= endTime - 0.001) stop();
  else requestAnimationFrame(follow);
}

on("time", (by) => {
  if (by !== "sound" && whole) player.currentTime = Math.min(view.time, sound.samples / sound.rate);
});

// ---- single samples, for drawing

let decoded = null, decoding = false;

/** The samples of a stretch if they are at hand: {first, channels}; asks for them if they are not. */
export function samplesOf(from, to) {
  if (!sound || !whole || sound.form === "opus") return null;
  const first = Math.floor(from * sound.rate), end = Math.ceil(to * sound.rate) + 1;
  if (decoded && decoded.first <= first && decoded.end >= Math.min(end, sound.samples)) return decoded;
  if (!decoding && end - first < 60 * sound.rate) {
    decoding = true;
    decode(first, end).then((found) => { decoded = found; decoding = false; emit("view"); }, () => {});
  }
  return null;
}

async function decode(first, end) {
  let begin = 0, bytes;
  if (sound.form === "wav") {
    begin = first;
    const head = 44, raw = await whole.slice(head + first * 4, head + end * 4).arrayBuffer();
    const both = new Int16Array(raw.slice(0, raw.byteLength & ~3));
    const channels = [0, 1].map((side) => Float32Array.from({ length: both.length / 2 }, (_, row) => both[2 * row + side] / 32768));
    return { first: begin, end, channels };
  }
  const marks = sound.marks;
  let row = 0;
  while (row + 1 < marks.length && marks[row + 1][0] <= first) row++;
  let over = row + 1;
  while (over < marks.length && marks[over][0] < end) over++;
  begin = marks[row][0];
  const stopAt = over < marks.length ? marks[over] : [sound.samples, whole.size];
  const head = new Uint8Array(await whole.slice(0, 42).arrayBuffer());
  head[4] |= 0x80; // the only block of metadata
  head[21] &= 0xf0; head.fill(0, 22, 42); // length and sum: not known
  bytes = await new Blob([head, whole.slice(marks[row][1], stopAt[1])]).arrayBuffer();
  const context = new OfflineAudioContext(2, 1, sound.rate);
  const found = await context.decodeAudioData(bytes);
  return { first: begin, end: stopAt[0], channels: [found.getChannelData(0), found.getChannelData(1)] };
}

export function soundNote() {
  if (!sound) return about.share === "full" ? "There is no sound in this page." : "This page holds no content, so no sound: play moves the cursor.";
  return sound.lossy ? "The sound is Opus: compressed with loss, for listening, not for measuring." : "";
}
