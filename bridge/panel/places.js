/**
 * Where a sound may be, as the engine's options write it: spans "3.2-7.5" and rectangles
 * "3.2-4:2000-8000", in seconds and hertz, with commas between them.
 */

/**
 * @typedef {{start: number, stop: number}} Span  seconds; `stop` may be Infinity
 * @typedef {Span & {low: number, high: number}} Rect  and hertz; `high` may be Infinity
 * @typedef {"at" | "never" | "rect"} Kind
 */

const PAIR = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:-|–|to)\s*(\d+(?:\.\d*)?|\.\d+)?\s*$/;

/**
 * @param {string} text
 * @returns {[number, number] | null}
 */
function pair(text) {
  const found = PAIR.exec(text);
  if (!found) return null;
  const first = Number(found[1]);
  const last = found[2] === undefined ? Infinity : Number(found[2]);
  return first < last ? [first, last] : null;
}

/**
 * Read one span or rectangle; null where the text is none.
 *
 * @param {Kind} kind
 * @param {string} text
 * @returns {Span | Rect | null}
 */
export function readPlace(kind, text) {
  const [time = "", tones = "", more] = text.replaceAll(" ", "").split(":");
  const span = pair(time);
  if (!span || more !== undefined || (kind === "rect") !== (tones !== "")) return null;
  const [start, stop] = span;
  if (kind !== "rect") return { start, stop };
  const band = pair(tones);
  return band && { start, stop, low: band[0], high: band[1] };
}

/** @param {number} value */
const number = (value) => (value === Infinity ? "" : String(Math.round(value * 1e6) / 1e6));

/** @param {Span | Rect} place */
export function writePlace(place) {
  const time = `${number(place.start)}-${number(place.stop)}`;
  return "low" in place ? `${time}:${number(place.low)}-${number(place.high)}` : time;
}

/**
 * @param {string | undefined} text  of an option
 * @returns {string[]} the text of each
 */
export const placesOf = (text) => (text ? text.split(",").map((each) => each.trim()).filter(Boolean) : []);

/** What a place is called beside its text. */
export const KINDS = { at: "Only", never: "Not", rect: "Only" };
