// The outlines of one session's sound, in tiles that are loaded when they are looked at.
import { ask } from "./kit.js";

const bytes = (text) => Int8Array.from(atob(text), (each) => each.charCodeAt(0));

/** Of a session that has no sound, or cannot be folded, there are none. `changed` is told of every
 * tile that came. */
export function wavesOf(session, changed) {
  const path = `/api/v1/sessions/${encodeURIComponent(session)}`, tiles = new Map();
  let levels = [], bins = 1, rate = 1;
  ask(path).then((found) => {
    const sound = Object.fromEntries(found.parts).sound;
    if (!sound) return;
    ({ levels, bins } = found.outlines);
    rate = sound.rate;
    changed();
  }, () => {}); // the lanes have their bars without it

  function tileAt(level, number) {
    const key = `${level}/${number}`;
    if (!tiles.has(key)) {
      tiles.set(key, null);
      ask(`${path}/peaks/${key}`).then((found) => {
        tiles.set(key, Object.fromEntries(Object.entries(found).map(([name, { low, high }]) => [name, { low: bytes(low), high: bytes(high) }])));
        changed();
      }, () => {});
    }
    return tiles.get(key);
  }

  /** Lowest and highest of a channel between two times in ms, from -1 to 1; null: still, or not there yet. */
  function peak(channel, from, to) {
    const samples = ((to - from) / 1000) * rate, level = Math.max(levels.findLastIndex((each) => each.step <= samples), 0);
    const { step, bins: count } = levels[level], first = Math.floor(((from / 1000) * rate) / step);
    const end = Math.min(Math.max(Math.floor(((to / 1000) * rate) / step), first + 1), count);
    let low = 0, high = 0;
    for (let bin = Math.max(first, 0); bin < end; bin++) {
      const tile = tileAt(level, Math.floor(bin / bins))?.[channel];
      if (tile) { low = Math.min(low, tile.low[bin % bins]); high = Math.max(high, tile.high[bin % bins]); }
    }
    return low >= -1 && high <= 0 ? null : [low / 128, high / 128];
  }

  return { peak, get there() { return levels.length > 0; } };
}
