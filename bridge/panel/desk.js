/**
 * What a user can do: every button, key, and message of the engine ends in a method here, which
 * changes the state. Views only read the state.
 *
 * @import { Api } from "./api.js"
 * @import { Channel, Event, HeardSound, Job, Lane, Listen, Panel, Source, State } from "./types.js"
 * @import { Report } from "./transport.js"
 * @import { Store } from "./store.js"
 */

import { Refused, Unreachable } from "./api.js";
import { announce } from "./dom.js";
import { gains, head, job, lanes, roots, source, switches } from "./lanes.js";
import { Comparing } from "./comparing.js";
import { Steering } from "./steering.js";
import { within, zoomed } from "./timeline.js";
import { Transport } from "./transport.js";

const SUGGEST_AFTER = 120; // milliseconds without a key
const LISTEN_AGAIN = 700; // milliseconds between two looks at what is heard
const LOOK_AGAIN = 1000; // milliseconds between two looks for an engine that did not answer
const SHORTEST = 64; // frames of a range
const DRAFT = "draft";

export class Desk {
  /**
   * @param {Store} store
   * @param {Api} api
   */
  constructor(store, api) {
    this.store = store;
    this.api = api;
    this.transport = new Transport(
      api,
      (report) => this.reported(report),
      (error) => this.fail(error),
      () => this.swapped(),
    );
    this.steering = new Steering(this);
    this.comparing = new Comparing(this);
    this.number = 0;
    this.suggesting = new AbortController();
    /** @type {Set<string>} jobs whose lanes were shown once */
    this.met = new Set();
    /** @type {Set<string>} recordings that are listened to */
    this.listening = new Set();
    /** @type {Set<string>} jobs that are forgotten */
    this.gone = new Set();
    this.changes = 0; // of recordings and jobs, that the engine told of
    /** @type {Set<string>} recordings whose last question is not answered yet */
    this.asking = new Set();
    this.looking = false; // for an engine that did not answer
    this.all = true; // whether all of the recording is shown, whatever the width
  }

  /** @returns {Panel} */
  get state() {
    return this.store.state;
  }

  // -- the engine --------------------------------------------------------------------------------

  async start() {
    try {
      const wanted = await this.api.open();
      this.took(await this.snapshot(), wanted);
      if (!wanted) this.steering.recall();
      this.store.set({ link: "open" });
    } catch (error) {
      if (error instanceof Unreachable) this.store.set({ link: "lost" });
      else {
        this.store.set({ link: "locked" });
        this.fail(error);
        return;
      }
    }
    this.api.listen({
      event: (event) => this.happened(event),
      open: () => void this.found(),
      lost: () => this.lost(),
      locked: () => this.store.set({ link: "locked" }),
    });
  }

  /** The socket is there (again): look what went by without it. */
  async found() {
    const back = this.state.link === "lost";
    try {
      this.took(await this.snapshot(), "");
    } catch (error) {
      if (!(error instanceof Unreachable)) this.fail(error);
      return;
    }
    this.store.set({ link: "open" });
    if (back) this.note("The engine is back.", true);
    if (back) this.steering.again();
  }

  /** All that the engine knows, and nothing that was overtaken by what it told meanwhile. */
  async snapshot() {
    for (;;) {
      const before = this.changes;
      const state = await this.api.state();
      if (before === this.changes) return state;
    }
  }

  /** After one request that failed the socket may be there still, and would never say so. */
  async lookAgain() {
    if (this.looking) return;
    this.looking = true;
    while (this.state.link === "lost") {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
      if (this.state.link === "lost") await this.found();
    }
    this.looking = false;
  }

  lost() {
    if (this.state.link === "locked" || this.state.link === "lost") return;
    this.store.set({ link: "lost" });
  }

  /**
   * @param {State} state
   * @param {string} wanted  the recording to show, if it is there
   */
  took(state, wanted) {
    const { engine, models, options, sources, library = false } = state;
    this.store.set({ engine, models, options, sources, library });
    const has = (/** @type {string} */ id) => sources.some((each) => each.id === id);
    const next = [wanted, this.state.chosen, sources.at(-1)?.id ?? ""].find(has) ?? "";
    if (next !== this.state.chosen) this.choose(next);
    else this.mix();
    for (const each of sources) for (const one of each.jobs) this.meet(one, false);
  }

  /** @param {Event} event */
  happened(event) {
    if (event.engine) this.store.set({ engine: event.engine });
    if (event.source) this.takeSource(event.source);
    if (event.gone) this.dropSource(event.gone);
    if (event.job) this.takeJob(event.job);
    if (event.forgotten) this.dropJob(event.forgotten);
    if (event.presets) this.store.set({ presets: event.presets });
  }

  /** @param {Source} next */
  takeSource(next) {
    this.changes += 1;
    const known = this.state.sources.some((each) => each.id === next.id);
    const sources = known
      ? this.state.sources.map((each) => (each.id === next.id ? next : each))
      : [...this.state.sources, next];
    this.store.set({ sources });
    if (!known) this.choose(next.id);
  }

  /** @param {string} id */
  dropSource(id) {
    this.changes += 1;
    const sources = this.state.sources.filter((each) => each.id !== id);
    this.store.set({ sources });
    this.steering.drop(id);
    if (this.state.chosen === id) this.choose(sources.at(-1)?.id ?? "");
  }

  /** @param {Job} next */
  takeJob(next) {
    if (this.gone.has(next.id)) return; // late news of what is forgotten
    /** @type {Job | undefined} */
    let before;
    this.changes += 1;
    const sources = this.state.sources.map((each) => {
      if (each.id !== next.source) return each;
      before = each.jobs.find((one) => one.id === next.id);
      const jobs = before
        ? each.jobs.map((one) => (one.id === next.id ? next : one))
        : [...each.jobs, next];
      return { ...each, jobs };
    });
    this.store.set({ sources });
    this.steering.arrived(next);
    if (before?.state !== next.state) this.changedState(next);
    this.steering.elsewhere(next);
    this.meet(next, true);
    this.mix();
  }

  /** @param {string} id */
  dropJob(id) {
    this.gone.add(id);
    this.changes += 1;
    const sources = this.state.sources.map((each) =>
      each.jobs.some((one) => one.id === id)
        ? { ...each, jobs: each.jobs.filter((one) => one.id !== id) }
        : each,
    );
    this.store.set({ sources });
    this.mix();
  }

  /**
   * Whether a job only adjusts another of its recording.
   *
   * @param {Job} one
   */
  adjusts(one) {
    const from = this.state.sources.find((each) => each.id === one.source);
    return !roots(from ?? null).some((each) => each.id === one.id);
  }

  /** @param {Job} next */
  changedState(next) {
    const what = next.queries.join(", ");
    if (this.adjusts(next) && next.state !== "failed") return;
    if (next.state === "failed") this.note(next.message || `Separating ${what} failed.`, false);
    if (next.state === "done") announce(`${what}: done.`);
    if (next.state === "cancelled") announce(`${what}: cancelled.`);
  }

  /**
   * When lanes of a job are first there, its first target is what is heard.
   *
   * @param {Job} next
   * @param {boolean} show
   */
  meet(next, show) {
    const clips = next.clips.length ? next.clips : next.draft;
    if (!clips.length || this.met.has(next.id) || this.adjusts(next)) return;
    this.met.add(next.id);
    const first = clips.find((clip) => clip.kind === "target") ?? clips[0];
    if (!first) return;
    const id = `${next.id}/${first.index}`;
    this.store.set({
      switches: { ...this.state.switches, [id]: { solo: true, mute: false } },
    });
    if (show && next.source === this.state.chosen && job(this.state)?.id === next.id) {
      this.store.set({ listen: "lanes", lane: id });
      announce(`${next.queries.join(", ")}: ${clips.length} lanes.`);
    }
  }

  // -- messages ----------------------------------------------------------------------------------

  /**
   * @param {string} text
   * @param {boolean} good
   */
  note(text, good) {
    const notes = this.state.notes.filter((each) => each.text !== text);
    const id = (this.number += 1);
    this.store.set({ notes: [...notes.slice(-3), { id, text, good }] });
    if (good) setTimeout(() => this.dismiss(id), 6000);
  }

  /** @param {number} id */
  dismiss(id) {
    this.store.set({ notes: this.state.notes.filter((each) => each.id !== id) });
  }

  /** @param {unknown} error */
  fail(error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (error instanceof Unreachable) {
      this.lost();
      void this.lookAgain();
      return;
    }
    if (error instanceof Refused && error.status === 401) this.store.set({ link: "locked" });
    const text = error instanceof Error ? error.message : String(error);
    this.note(text, false);
  }

  // -- recordings --------------------------------------------------------------------------------

  /** @param {string} id */
  choose(id) {
    const next = this.state.sources.find((each) => each.id === id);
    this.all = true;
    this.store.set({
      chosen: next ? id : "",
      position: 0,
      playing: false,
      waiting: false,
      loop: null,
      pointed: null,
      view: within({ start: 0, scale: Infinity }, this.state.width, next?.frames ?? 1),
    });
    this.transport.leave();
    if (!next) return;
    const last = job(this.state);
    this.store.set({ listen: last?.clips.length ? "lanes" : "mixture", lane: "mixture" });
    this.mix();
    this.transport.open(next).catch((error) => {
      this.fail(new Error(`This browser cannot play ${next.rate} Hz: ${error.message}`));
    });
    void this.hear(next.id);
    void this.measure(next.id);
  }

  /** @param {Iterable<File>} files */
  async upload(files) {
    for (const file of files) {
      const id = (this.number += 1);
      const without = () => this.state.uploads.filter((each) => each.id !== id);
      this.store.set({ uploads: [...without(), { id, name: file.name, share: 0 }] });
      announce(`Opening ${file.name}.`);
      try {
        const next = await this.api.upload(file, (share) => {
          this.store.set({ uploads: [...without(), { id, name: file.name, share }] });
        });
        this.takeSource(next);
        announce(`${file.name} is open.`);
      } catch (error) {
        this.fail(error);
      }
      this.store.set({ uploads: without() });
    }
  }

  /** @param {string} id */
  async close(id) {
    try {
      await this.api.close(id);
      this.dropSource(id);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {string} id */
  async measure(id) {
    if (id in this.state.loudness) return;
    try {
      const { integrated } = await this.api.loudness(id);
      this.store.set({ loudness: { ...this.state.loudness, [id]: integrated } });
      this.mix();
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Have the engine listen to a recording, until it has.
   *
   * @param {string} id
   */
  async hear(id) {
    if (this.listening.has(id) || this.state.heard[id]?.state === "done") return;
    this.listening.add(id);
    try {
      let heard;
      do {
        if (heard) await new Promise((resolve) => setTimeout(resolve, LISTEN_AGAIN));
        heard = await this.api.heard(id);
        this.store.set({ heard: { ...this.state.heard, [id]: heard } });
      } while (heard.state === "running" && this.state.sources.some((each) => each.id === id));
    } catch (error) {
      if (error instanceof Refused) {
        const failed = { state: /** @type {"failed"} */ ("failed"), progress: 0, heard: [] };
        this.store.set({
          heard: { ...this.state.heard, [id]: { ...failed, error: error.message } },
        });
      } else this.fail(error);
    } finally {
      this.listening.delete(id);
    }
  }

  /** @param {HeardSound | null} sound */
  point(sound) {
    if (this.state.pointed !== sound) this.store.set({ pointed: sound });
  }

  // -- asking ------------------------------------------------------------------------------------

  /** @param {string} text */
  type(text) {
    this.store.set({ typed: text });
    this.suggesting.abort();
    const control = (this.suggesting = new AbortController());
    const sought = text.replace(/^(-|not:?\s)\s*/i, "").trim();
    if (!sought) {
      this.store.set({ terms: [], advice: "" });
      return;
    }
    setTimeout(async () => {
      if (control.signal.aborted) return;
      try {
        const { terms, note } = await this.api.suggest(sought, control.signal);
        if (!control.signal.aborted) this.store.set({ terms, advice: note });
      } catch (error) {
        this.fail(error);
      }
    }, SUGGEST_AFTER);
  }

  /**
   * Take a sound among those that are asked for; "-rain" and "not rain" are sounds not wanted.
   *
   * @param {string} typed
   * @param {boolean} [wanted]
   */
  add(typed, wanted) {
    const words = [...this.state.words];
    for (const part of typed.split(/[;,]/)) {
      const unwanted = /^\s*(-|not:?\s)\s*/i;
      const text = part.replace(unwanted, "").trim();
      if (!text) continue;
      const good = wanted ?? !unwanted.test(part);
      const place = words.findIndex((word) => word.text.toLowerCase() === text.toLowerCase());
      if (place >= 0) words[place] = { text, wanted: good };
      else words.push({ text, wanted: good });
    }
    this.suggesting.abort();
    this.store.set({ words, typed: "", terms: [], advice: "" });
  }

  /** @param {string} text */
  flip(text) {
    const words = this.state.words.map((word) =>
      word.text === text ? { ...word, wanted: !word.wanted } : word,
    );
    this.store.set({ words });
  }

  /** @param {string} text */
  remove(text) {
    this.store.set({ words: this.state.words.filter((word) => word.text !== text) });
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  setting(name, text) {
    const settings = { ...this.state.settings, [name]: text };
    const option = this.state.options.find((each) => each.name === name);
    if (option && plain(option.default) === text) delete settings[name];
    this.store.set({ settings });
  }

  async separate() {
    if (this.state.typed.trim()) this.add(this.state.typed);
    const { chosen, words, options } = this.state;
    const queries = words.filter((word) => word.wanted).map((word) => word.text);
    const nots = words.filter((word) => !word.wanted).map((word) => word.text);
    if (!chosen || this.asking.has(chosen)) return; // the words stay until they are answered
    if (!queries.length) {
      this.store.set({
        advice: nots.length
          ? "Name a sound that you want as well; these are only sounds that you do not want."
          : "Type a sound first, like 'dog barking', or click one that was heard.",
      });
      return;
    }
    /** @type {Record<string, string>} */
    const settings = { ...this.state.settings, keep: "both" };
    if (options.some((option) => option.name === DRAFT)) settings[DRAFT] ??= "yes";
    this.asking.add(chosen);
    try {
      const before = { shown: job(this.state)?.id ?? "", values: null };
      const next = await this.api.separate(chosen, { queries, nots, options: settings, base: "" });
      const more = this.state.words.filter((word) => !words.includes(word)); // typed meanwhile
      this.store.set({ shown: { ...this.state.shown, [chosen]: next.id }, words: more, advice: "" });
      const label = `Ask for ${[...queries, ...nots.map((each) => `not ${each}`)].join(", ")}`;
      const after = { shown: next.id, values: null };
      this.steering.record({ label, name: label, source: chosen, before, after });
      // The socket may have told of it already, and further.
      if (!source(this.state)?.jobs.some((each) => each.id === next.id)) this.takeJob(next);
      else this.takeLanes(next.id);
      announce(`Separating ${queries.join(", ")}.`);
    } catch (error) {
      this.fail(error);
    } finally {
      this.asking.delete(chosen);
    }
  }

  /**
   * @param {string} id
   */
  takeLanes(id) {
    const shown = job(this.state);
    const first = shown?.id === id ? lanes(this.state)[1] : undefined;
    if (first) this.store.set({ listen: "lanes", lane: first.id });
    this.mix();
  }

  /** @param {string} id */
  async cancel(id) {
    try {
      await this.api.cancel(id);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {string} id */
  show(id) {
    this.store.set({ shown: { ...this.state.shown, [this.state.chosen]: id }, lane: "mixture" });
    this.takeLanes(id);
  }

  // -- hearing -----------------------------------------------------------------------------------

  /** Tell the transport which lanes there are, and how loud each is. */
  mix() {
    const paths = new Map(lanes(this.state).map((lane) => [lane.id, lane.audio]));
    this.transport.mix(paths, gains(this.state));
  }

  swapped() {
    this.steering.swapped();
  }

  /** @param {Report} report */
  reported(report) {
    const change = /** @type {Partial<Panel>} */ ({
      peaks: new Map(report.peaks),
      waiting: report.waiting,
    });
    if (this.state.playing && !report.playing) change.playing = false;
    if (report.playing || this.state.playing) change.position = this.transport.now();
    this.store.set(change);
    if (report.playing) this.follow();
  }

  /** While it plays, the playhead is where the clock says. */
  moved() {
    if (this.state.playing) this.store.set({ position: this.transport.now() });
  }

  /** Move the view along with the playhead. */
  follow() {
    const { view, width, position, playing } = this.state;
    const end = view.start + width * view.scale;
    if (!playing || (position >= view.start && position < end)) return;
    this.scrollTo(position - width * view.scale * 0.05);
  }

  toggle() {
    if (this.state.playing) this.pause();
    else this.play();
  }

  play() {
    const from = source(this.state);
    if (!from) return;
    let { position } = this.state;
    const { loop } = this.state;
    if (position >= from.frames - 1) position = 0;
    if (loop?.on && (position < loop.start || position >= loop.stop)) position = loop.start;
    position = Math.round(position);
    this.store.set({ playing: true, position });
    this.transport.play(position).catch((error) => this.fail(error));
  }

  pause() {
    this.store.set({ playing: false, waiting: false, position: Math.round(this.transport.now()) });
    this.transport.pause();
  }

  /** @param {number} frame */
  seek(frame) {
    const from = source(this.state);
    if (!from) return;
    const position = Math.max(0, Math.min(from.frames, Math.round(frame)));
    this.store.set({ position });
    this.transport.seek(position);
    const { view, width } = this.state;
    const end = view.start + width * view.scale;
    if (position < view.start || position > end) this.scrollTo(position - (width * view.scale) / 2);
  }

  /**
   * Mark a range; it is looped.
   *
   * @param {number} one
   * @param {number} other
   */
  mark(one, other) {
    const from = source(this.state);
    if (!from) return;
    const start = Math.max(0, Math.round(Math.min(one, other)));
    const stop = Math.min(from.frames, Math.round(Math.max(one, other)));
    if (stop - start < SHORTEST) return;
    this.setLoop({ start, stop, on: true });
  }

  unmark() {
    this.setLoop(null);
  }

  /**
   * One end of the range is where the playhead is.
   *
   * @param {"start" | "stop"} end
   */
  markEnd(end) {
    const from = source(this.state);
    if (!from) return;
    const { loop, position } = this.state;
    const other = end === "start" ? (loop?.stop ?? from.frames) : (loop?.start ?? 0);
    if (end === "start") this.mark(position, Math.max(other, position + SHORTEST));
    else this.mark(Math.min(other, position - SHORTEST), position);
  }

  toggleLoop() {
    const { loop } = this.state;
    const from = source(this.state);
    if (loop) this.setLoop({ ...loop, on: !loop.on });
    else if (from) this.setLoop({ start: 0, stop: from.frames, on: true });
  }

  /** @param {Panel["loop"]} loop */
  setLoop(loop) {
    this.store.set({ loop });
    this.transport.setLoop(loop?.on ? { start: loop.start, stop: loop.stop } : null);
  }

  /** @param {Listen} listen */
  listen(listen) {
    if (listen !== "mixture" && lanes(this.state).length < 2) return;
    this.store.set(listen === "mixture" ? { listen } : { listen, against: listen });
    this.mix();
  }

  /**
   * Between the recording and what was last compared with it.
   */
  compare() {
    this.listen(this.state.listen === "mixture" ? this.state.against : "mixture");
  }

  /** @param {boolean} matched */
  match(matched) {
    this.store.set({ matched });
    this.mix();
  }

  /** @param {number} volume */
  volume(volume) {
    this.store.set({ volume });
    this.mix();
  }

  /** @param {string} id */
  pick(id) {
    if (this.state.lane !== id) this.store.set({ lane: id });
  }

  /**
   * Solo on a lane makes the lanes heard; on the recording, the recording.
   *
   * @param {string} id
   */
  solo(id) {
    if (id === "mixture") {
      this.compare();
      return;
    }
    const was = switches(this.state, id);
    this.store.set({ switches: { ...this.state.switches, [id]: { ...was, solo: !was.solo } } });
    if (this.state.listen === "mixture") this.store.set({ listen: "lanes", against: "lanes" });
    this.mix();
  }

  /** @param {string} id */
  mute(id) {
    if (id === "mixture") return;
    const was = switches(this.state, id);
    this.store.set({ switches: { ...this.state.switches, [id]: { ...was, mute: !was.mute } } });
    this.mix();
  }

  /**
   * Hear one lane and no other: 1 is the recording.
   *
   * @param {number} number
   */
  only(number) {
    const all = lanes(this.state);
    const lane = all[number - 1];
    if (!lane) return;
    this.pick(lane.id);
    if (lane.kind === "mixture") {
      this.listen("mixture");
      return;
    }
    const next = { ...this.state.switches };
    for (const each of all) next[each.id] = { ...switches(this.state, each.id), solo: each === lane };
    this.store.set({ switches: next, listen: "lanes", against: "lanes" });
    this.mix();
    announce(`Only ${lane.title}.`);
  }

  /**
   * The lane above or below is the one that M and S act on.
   *
   * @param {number} by
   */
  step(by) {
    const all = lanes(this.state);
    const place = all.findIndex((lane) => lane.id === this.state.lane);
    const lane = all[Math.max(0, Math.min(all.length - 1, place + by))];
    if (!lane) return;
    this.pick(lane.id);
    announce(lane.title);
  }

  // -- seeing ------------------------------------------------------------------------------------

  /** @param {number} width */
  resized(width) {
    if (!width || width === this.state.width) return;
    const frames = source(this.state)?.frames ?? 1;
    const view = this.all ? { start: 0, scale: Infinity } : this.state.view;
    this.store.set({ width, view: within(view, width, frames) });
  }

  /**
   * @param {number} by  above 1 shows more
   * @param {number} [around]  a frame; the playhead where it is seen, else the middle
   */
  zoom(by, around) {
    const from = source(this.state);
    if (!from) return;
    const { view, width, position } = this.state;
    const end = view.start + width * view.scale;
    const seen = position >= view.start && position <= end;
    const middle = around ?? (seen ? position : (view.start + end) / 2);
    const next = zoomed(view, by, middle, width, from.frames);
    this.all = next.scale * width >= from.frames;
    this.store.set({ view: next });
  }

  showAll() {
    this.all = true;
    this.scrollTo(0, Infinity);
  }

  /** Show the marked range. */
  showRange() {
    const { loop, width } = this.state;
    if (!loop) return;
    const length = loop.stop - loop.start;
    this.all = false;
    this.scrollTo(loop.start - length * 0.05, (length * 1.1) / width);
  }

  /** @param {number} frames */
  scrollBy(frames) {
    this.scrollTo(this.state.view.start + frames);
  }

  /**
   * @param {number} start
   * @param {number} [scale]
   */
  scrollTo(start, scale = this.state.view.scale) {
    const frames = source(this.state)?.frames ?? 1;
    this.store.set({ view: within({ start, scale }, this.state.width, frames) });
  }

  /** @param {Channel} channel */
  channel(channel) {
    this.store.set({ channel });
  }

  /** @param {Partial<Panel["look"]>} change */
  look(change) {
    const look = { ...this.state.look, ...change };
    if (look.ceiling - look.floor < 10) {
      if ("floor" in change) look.ceiling = Math.min(0, look.floor + 10);
      else look.floor = look.ceiling - 10;
    }
    this.store.set({ look });
  }

  // -- sending on --------------------------------------------------------------------------------

  /**
   * @param {Job} which
   * @param {keyof typeof import("./store.js").EDITORS} editor
   * @param {boolean} again
   */
  async send(which, editor, again) {
    try {
      await this.steering.settled();
      const { said } = await this.api.send(head(this.state, which).id, editor, again);
      this.note(said, true);
      return true;
    } catch (error) {
      if (!again && error instanceof Refused && error.status === 409) return error.message;
      this.fail(error);
      return false;
    }
  }

  /**
   * @param {Lane} lane
   * @param {"float" | "pcm24"} format
   */
  async wav(lane, format) {
    await this.steering.settled();
    const { path } = lanes(this.state).find((each) => each.id === lane.id) ?? lane;
    const answer = await this.api.ask(`${path}/wav?format=${format}`);
    const said = answer.headers.get("Content-Disposition") ?? "";
    const named = /filename\*=UTF-8''([^;]+)/i.exec(said)?.[1];
    const name = named ? decodeURIComponent(named) : /filename="([^"]+)"/i.exec(said)?.[1];
    return { name: name ?? `${lane.title}.wav`, blob: await answer.blob() };
  }

  /**
   * @param {Lane} lane
   * @param {"float" | "pcm24"} format
   */
  async download(lane, format) {
    try {
      const { name, blob } = await this.wav(lane, format);
      this.keepFile(name, blob);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Save a file where the browser saves what it downloads.
   *
   * @param {string} name
   * @param {Blob} blob
   */
  keepFile(name, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    announce(`${name} was downloaded.`);
  }

  /** @param {string} text */
  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.note("The command line is copied.", true);
    } catch {
      this.note(`The browser does not let this page copy. The command line: ${text}`, false);
    }
  }
}

/**
 * An option's value as the text of a request.
 *
 * @param {string | number | boolean} value
 */
export function plain(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  return String(value);
}
