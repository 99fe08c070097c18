/**
 * Where a sound may be, drawn over the timeline and the lanes.
 *
 * @import { Desk } from "./desk.js"
 * @import { Panel } from "./types.js"
 */

import { byId, keep, make } from "./dom.js";
import { source } from "./lanes.js";
import { placesOf, readPlace } from "./places.js";
import { heightOf } from "./spectrogram.js";
import { changed } from "./store.js";

const LOWEST = 50; // Hz
const SEEN = /** @type {(keyof Panel)[]} */ (["view", "width", "steer", "drawing", "sources", "chosen", "shown"]);

/** @typedef {{kind: string, key: string, start: number, stop: number, low: number, high: number}} Mark */

/** @param {Desk} desk */
export function marks(desk) {
  desk.store.watch((state, before) => {
    if (!changed(state, before, ...SEEN)) return;
    const all = marksOf(state, desk);
    const spans = all.filter(({ kind }) => kind !== "rect");
    keep(byId("spans"), spans, ({ key }) => key, ({ kind }) => make("div", { className: `span ${kind}` }), (element, one) => {
      lay(element, one, state);
    });
    const from = source(state);
    if (!from) return;
    const rects = all.filter(({ kind }) => kind === "rect");
    for (const field of byId("lanes").querySelectorAll(".field")) {
      const canvas = field.querySelector(".spectrogram");
      const layer = field.querySelector(".rects");
      if (!(canvas instanceof HTMLElement) || !(layer instanceof HTMLElement)) continue;
      layer.style.top = `${canvas.offsetTop}px`;
      layer.style.height = `${canvas.offsetHeight}px`;
      keep(layer, rects, ({ key }) => key, () => make("div", { className: "rect" }), (element, one) => {
        lay(element, one, state);
        const top = 100 * (1 - Math.min(1, heightOf(Math.min(one.high, from.rate / 2), from.rate)));
        const bottom = 100 * (1 - Math.max(0, heightOf(Math.max(one.low, LOWEST), from.rate)));
        element.style.top = `${top}%`;
        element.style.height = `${Math.max(1, bottom - top)}%`;
      });
    }
  });
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 * @returns {Mark[]}
 */
function marksOf(state, desk) {
  const from = source(state);
  const root = desk.steering.root();
  if (!from || !root) return [];
  const values = desk.steering.values(root);
  /** @type {Mark[]} */
  const all = [];
  for (const kind of /** @type {const} */ (["at", "never", "rect"])) {
    placesOf(values[kind]).forEach((text, index) => {
      const place = readPlace(kind, text);
      if (!place) return;
      const { low, high } = "low" in place ? place : { low: 0, high: Infinity };
      const stop = Math.min(from.frames, place.stop * from.rate);
      all.push({ kind, key: `${kind} ${index}`, start: place.start * from.rate, stop, low, high });
    });
  }
  const { drawing } = state;
  if (drawing) all.push({ kind: drawing.tool, key: "drawing", ...drawing });
  return all;
}

/**
 * @param {HTMLElement} element
 * @param {Mark} one
 * @param {Panel} state
 */
function lay(element, one, state) {
  const { view, width } = state;
  const left = Math.max(-4, (one.start - view.start) / view.scale);
  const right = Math.min(width + 4, (one.stop - view.start) / view.scale);
  element.hidden = right < 0 || left > width;
  element.style.left = `${left}px`;
  element.style.width = `${Math.max(1, right - left)}px`;
}
