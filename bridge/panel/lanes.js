/**
 * What the state means: the recording that is shown, its job, its lanes, and how loud each is.
 *
 * @import { Job, Lane, Panel, Source, Switches } from "./types.js"
 */

const QUIETEST = -30; // dB: matching turns nothing down by more than that
/** @type {Switches} */
const NEITHER = { solo: false, mute: false };

/**
 * @param {Panel} state
 * @returns {Source | null}
 */
export function source(state) {
  return state.sources.find((each) => each.id === state.chosen) ?? null;
}

/**
 * The jobs of a recording, without those that only adjust another of them.
 *
 * @param {Source | null} from
 * @returns {Job[]}
 */
export function roots(from) {
  const jobs = from?.jobs ?? [];
  const ids = new Set(jobs.map((each) => each.id));
  return jobs.filter((each) => !ids.has(each.base));
}

/**
 * The job whose clips are shown for a job: the last that adjusted it, or itself.
 *
 * @param {Panel} state
 * @param {Job} root
 * @returns {Job}
 */
export function head(state, root) {
  const jobs = state.sources.find((each) => each.id === root.source)?.jobs ?? [];
  return jobs.filter((each) => each.base === root.id && each.state === "done").at(-1) ?? root;
}

/**
 * The job that is shown with the recording: the one picked, or the last.
 *
 * @param {Panel} state
 * @returns {Job | null}
 */
export function job(state) {
  const jobs = roots(source(state));
  return jobs.find((each) => each.id === state.shown[state.chosen]) ?? jobs.at(-1) ?? null;
}

/**
 * The recording's own lane first, then those of the job that is shown: targets, then the rest.
 *
 * @param {Panel} state
 * @returns {Lane[]}
 */
export function lanes(state) {
  const from = source(state);
  if (!from) return [];
  const at = `/api/sources/${encodeURIComponent(from.id)}`;
  /** @type {Lane[]} */
  const all = [
    {
      id: "mixture",
      title: "Recording",
      path: at,
      audio: at,
      kind: "mixture",
      clip: null,
      loudness: state.loudness[from.id] ?? null,
      certainty: null,
      presence: null,
      draft: false,
      colour: 0,
    },
  ];
  const shown = job(state);
  if (!shown) return all;
  const now = head(state, shown);
  const preview = state.previews[shown.id];
  const draft = !now.clips.length;
  const clips = draft ? now.draft : now.clips;
  for (const clip of clips) {
    const target = clip.kind === "target";
    const query = target ? shown.queries.indexOf(clip.query) : -1;
    const path = `/api/jobs/${encodeURIComponent(now.id)}/${draft ? "draft" : "clips"}/${clip.index}`;
    all.push({
      id: `${shown.id}/${clip.index}`,
      title: target ? clip.query || clip.name : "The rest",
      path,
      audio: preview ? `/api/jobs/${encodeURIComponent(shown.id)}/previews/${preview}/${clip.index}` : path,
      kind: clip.kind,
      clip,
      loudness: clip.loudness,
      certainty: now.certainty[query] ?? shown.certainty[query] ?? null,
      presence: now.presence[query] ?? shown.presence[query] ?? null,
      draft,
      colour: target ? 1 + (all.length - 1) % 6 : 7,
    });
  }
  return all;
}

/**
 * @param {Panel} state
 * @param {string} id
 * @returns {Switches}
 */
export function switches(state, id) {
  return state.switches[id] ?? NEITHER;
}

/**
 * The lanes that solo and mute leave, as in an editor: solo wins over mute, and where one lane is
 * solo the others are silent.
 *
 * @param {Panel} state
 * @returns {Lane[]}
 */
export function chosenLanes(state) {
  const parts = lanes(state).filter((lane) => lane.kind !== "mixture");
  const solo = parts.filter((lane) => switches(state, lane.id).solo);
  return solo.length ? solo : parts.filter((lane) => !switches(state, lane.id).mute);
}

/** @param {number} decibels */
export const factor = (decibels) => 10 ** (decibels / 20);

/**
 * The factor by which each lane is heard. "rest" is the recording minus the lanes chosen, sample by
 * sample. At matched loudness the louder of what is compared is turned down, so nothing clips.
 *
 * @param {Panel} state
 * @returns {Map<string, number>}
 */
export function gains(state) {
  const all = lanes(state);
  const chosen = chosenLanes(state);
  const volume = factor(state.volume);
  /** @type {Map<string, number>} */
  const result = new Map(all.map((lane) => [lane.id, 0]));
  const listen = all.length > 1 ? state.listen : "mixture";
  const level = volume * (state.matched && all.length > 1 ? factor(match(state, listen)) : 1);
  if (listen !== "lanes") result.set("mixture", level);
  if (listen !== "mixture") {
    for (const lane of chosen) result.set(lane.id, listen === "lanes" ? level : -level);
  }
  return result;
}

/**
 * By how many dB what is listened to must be turned down to be as loud as the quieter one of the
 * recording and the lanes chosen (or what they leave).
 *
 * @param {Panel} state
 * @param {Panel["listen"]} listen
 */
export function match(state, listen) {
  const whole = lanes(state)[0]?.loudness ?? null;
  const chosen = chosenLanes(state).map((lane) => lane.loudness);
  if (whole === null || !chosen.length) return 0;
  const power = chosen.reduce((/** @type {number} */ sum, each) => sum + energy(each), 0);
  const lanesLoud = power > 0 ? 10 * Math.log10(power) : null;
  const left = energy(whole) - power;
  const restLoud = left > energy(whole) * 1e-3 ? 10 * Math.log10(left) : null;
  const loud = { mixture: whole, lanes: lanesLoud, rest: restLoud };
  const own = loud[listen];
  const other = listen === "mixture" ? loud[state.against] : whole;
  if (own === null || other === null) return 0;
  return Math.max(QUIETEST, Math.min(0, other - own));
}

/** @param {number | null} loudness */
const energy = (loudness) => (loudness === null ? 0 : 10 ** (loudness / 10));
