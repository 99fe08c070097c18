/**
 * The page's one state. Views are functions of it: they are called after it has changed, at most
 * once a frame.
 *
 * @import { Panel } from "./types.js"
 */

/** @typedef {(state: Panel, before: Panel | null) => void} Watcher */

/** What editors are called, by the name of the host. */
export const EDITORS = { audacity: "Audacity", reaper: "REAPER" };

export class Store {
  /** @param {Panel} state */
  constructor(state) {
    /** @type {Panel} */
    this.state = state;
    /** @type {{watcher: Watcher, before: Panel | null}[]} */
    this.watchers = [];
    this.due = false;
  }

  /**
   * Change what is named, and have the views drawn soon.
   *
   * @param {Partial<Panel>} change
   */
  set(change) {
    this.state = { ...this.state, ...change };
    this.refresh();
  }

  /** Have the views drawn soon, though nothing has changed that the state tells of. */
  refresh() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => this.draw());
  }

  /** Draw every view now. */
  draw() {
    this.due = false;
    for (const entry of this.watchers) {
      const before = entry.before;
      entry.before = this.state;
      entry.watcher(this.state, before);
    }
  }

  /**
   * Call `watcher` after every change.
   *
   * @param {Watcher} watcher
   */
  watch(watcher) {
    this.watchers.push({ watcher, before: null });
    this.refresh();
  }
}

/**
 * Whether any of these differs between two states.
 *
 * @param {Panel} state
 * @param {Panel | null} before
 * @param {...(keyof Panel)} names
 */
export function changed(state, before, ...names) {
  return !before || names.some((name) => state[name] !== before[name]);
}

/** @returns {Panel} */
export function fresh() {
  return {
    link: "opening",
    engine: null,
    models: [],
    options: [],
    sources: [],
    library: false,
    chosen: "",
    shown: {},
    uploads: [],
    notes: [],
    view: { start: 0, scale: 1 },
    width: 0,
    channel: "mix",
    look: { map: "ember", floor: -90, ceiling: -10 },
    words: [],
    steer: {},
    previews: {},
    steps: [],
    done: 0,
    tool: "range",
    drawing: null,
    candidates: [],
    compared: "",
    presets: [],
    typed: "",
    terms: [],
    advice: "",
    settings: {},
    heard: {},
    loudness: {},
    pointed: null,
    playing: false,
    waiting: false,
    position: 0,
    loop: null,
    listen: "mixture",
    against: "lanes",
    matched: true,
    volume: 0,
    switches: {},
    lane: "mixture",
    theme: "",
    peaks: new Map(),
    letters: true,
  };
}
