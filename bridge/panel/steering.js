/**
 * The hand on the wheel: how much of a sound, how sharply, and where. Each change asks the engine
 * for the answer anew, from the masks that it kept, and the lanes change while they play: what is
 * heard next comes at once as a preview, and as soon as the hand rests a job makes the clips, with
 * the same samples. Changes are steps, which can be undone and done again; they outlive a reload.
 *
 * @import { Desk } from "./desk.js"
 * @import { Candidate, Job, Step, Snapshot } from "./types.js"
 * @import { Kind } from "./places.js"
 */

import { Refused } from "./api.js";
import { announce } from "./dom.js";
import { head, job, roots, source } from "./lanes.js";
import { placesOf, readPlace, writePlace } from "./places.js";

const AFTER = 40; // milliseconds without a change until a job is asked for, where there is no preview
const REST = 400; // and where there is one
const PATIENCE = 60000; // milliseconds that a job is waited for
const TOGETHER = 900; // milliseconds within which changes of one thing are one step
const MOST = 200; // steps
const SAVED = "tweeze-steps";

/** Options that can be changed while it plays, by what a step calls them. */
export const WHEELS = /** @type {const} */ ({
  sharpness: "Sharpness",
  amount: "Amount",
  compete: "Sounds compete",
  stereo: "Stereo",
  at: "Only here",
  never: "Not here",
  rect: "Rectangles",
});

/** What changes bit by bit under the hand, and is one step. */
const GLIDES = [WHEELS.sharpness, WHEELS.amount].map(String);

/** @typedef {Record<string, string>} Values */

export class Steering {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    this.timer = 0;
    this.changedAt = 0; // when something was last changed
    /** How long it took until the last change was heard, in milliseconds; tests read it. */
    this.took = 0;
    /** @type {Map<string, string>} the job that was asked for last, by the one that it adjusts */
    this.last = new Map();
    /** @type {Set<string>} the jobs that this page asked for */
    this.own = new Set();
    /** @type {Set<string>} what is being asked for */
    this.busy = new Set();
    /** @type {Set<string>} what a preview is being made of */
    this.previewing = new Set();
    /** @type {Map<string, Values>} what the jobs asked for last are to be */
    this.asked = new Map();
  }

  get state() {
    return this.desk.state;
  }

  /** The job that can be adjusted, if one is shown. */
  root() {
    const shown = job(this.state);
    return shown?.state === "done" && shown.clips.length ? shown : null;
  }

  /**
   * What is wanted of a job, as far as it differs from the usual.
   *
   * @param {Job} root
   * @returns {Values}
   */
  values(root) {
    return this.state.steer[root.id] ?? kept(head(this.state, root).options);
  }

  /**
   * @param {string} name  of an option
   * @param {string} text  "" for the usual
   */
  set(name, text) {
    const root = this.root();
    if (!root) return;
    const before = this.values(root);
    if ((before[name] ?? "") === text) return;
    const after = { ...before, [name]: text };
    if (!text || text === this.usual(name)) delete after[name];
    this.step(label(name, text), root, before, after);
    this.want(root, after);
  }

  /** @param {string} name */
  usual(name) {
    const option = this.state.options.find((each) => each.name === name);
    return option ? String(option.default === true ? "yes" : option.default === false ? "no" : option.default) : "";
  }

  /** Everything as it was found. */
  reset() {
    const root = this.root();
    if (!root) return;
    this.step("As it was found", root, this.values(root), {});
    this.want(root, {});
  }

  /**
   * @param {Kind} kind
   * @param {string} text
   */
  add(kind, text) {
    const root = this.root();
    if (root) this.set(kind, [...placesOf(this.values(root)[kind]), text].join(","));
  }

  /**
   * Change a place, or take it away.
   *
   * @param {Kind} kind
   * @param {number} index
   * @param {string} text  "" takes it away
   * @returns {boolean} whether the text says a place
   */
  replace(kind, index, text) {
    const root = this.root();
    if (!root) return true;
    const place = text && readPlace(kind, text);
    if (text && !place) return false;
    const all = placesOf(this.values(root)[kind]);
    if (place) all[index] = writePlace(place);
    else all.splice(index, 1);
    this.set(kind, all.join(","));
    return true;
  }

  /** What the mouse has drawn becomes a place. */
  drawn() {
    const { drawing } = this.state;
    const from = source(this.state);
    this.desk.store.set({ drawing: null });
    if (!drawing || !from || drawing.stop - drawing.start < from.rate / 200) return;
    const time = { start: drawing.start / from.rate, stop: drawing.stop / from.rate };
    if (drawing.tool !== "rect") this.add(drawing.tool, writePlace(rounded(time)));
    else if (drawing.high > drawing.low * 1.02) {
      const { low, high } = drawing;
      this.add("rect", writePlace({ ...rounded(time), low: Math.round(low), high: Math.round(high) }));
    }
  }

  /**
   * A tool for the mouse; where a range is marked, it becomes such a place at once.
   *
   * @param {Kind} tool
   */
  tool(tool) {
    const { loop } = this.state;
    const from = source(this.state);
    if (loop && from) {
      const time = rounded({ start: loop.start / from.rate, stop: loop.stop / from.rate });
      this.desk.unmark();
      this.desk.store.set({ tool: "range" });
      this.add(tool, writePlace(tool === "rect" ? { ...time, low: 200, high: Math.min(4000, from.rate / 2) } : time));
      return;
    }
    this.desk.store.set({ tool: this.state.tool === tool ? "range" : tool });
  }

  // -- asking ------------------------------------------------------------------------------------

  /**
   * @param {Job} root
   * @param {Values} values
   */
  want(root, values) {
    this.desk.store.set({ steer: { ...this.state.steer, [root.id]: values } });
    this.save();
    this.changedAt = performance.now();
    this.later(root.id, REST);
    void this.preview(root.id);
  }

  /**
   * @param {string} id
   * @param {number} rest  milliseconds
   */
  later(id, rest) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.ask(id), rest);
  }

  /** @param {string} id */
  async preview(id) {
    if (this.previewing.has(id)) return; // the newest is previewed when that is there
    const root = source(this.state)?.jobs.find((each) => each.id === id);
    const wanted = this.state.steer[id];
    if (!root || !wanted) return;
    this.previewing.add(id);
    try {
      const { preview } = await this.desk.api.preview(id, this.options(root, wanted));
      this.desk.store.set({ previews: { ...this.state.previews, [id]: preview } });
      this.desk.mix();
    } catch (error) {
      // The masks do not serve for that: only the job can tell.
      if (error instanceof Refused) {
        this.forget(id);
        this.later(id, AFTER);
      } else this.desk.fail(error);
      return;
    } finally {
      this.previewing.delete(id);
    }
    if (this.state.steer[id] !== wanted) void this.preview(id);
  }

  /** @param {string} id */
  forget(id) {
    const previews = { ...this.state.previews };
    delete previews[id];
    this.desk.store.set({ previews });
  }

  /**
   * A job was heard of; one that is done takes the place of its preview.
   *
   * @param {Job} next
   */
  arrived(next) {
    const { base } = next;
    if (next.state !== "done" || this.last.get(base) !== next.id) return;
    if (this.state.steer[base] === this.asked.get(base)) this.forget(base);
  }

  /** Wait until the clips are what was asked for last. */
  async settled() {
    const root = this.root();
    const wanted = root && this.state.steer[root.id];
    if (!root || !wanted) return;
    const { id } = root;
    if (!this.asked.has(id) && same(wanted, kept(head(this.state, root).options))) return;
    clearTimeout(this.timer);
    if (this.asked.get(id) !== wanted) await this.ask(id);
    const end = performance.now() + PATIENCE;
    for (;;) {
      const last = source(this.state)?.jobs.find((each) => each.id === this.last.get(id));
      if (this.asked.get(id) === wanted && last?.state === "done") return;
      if (last?.state === "failed") throw new Error(last.message || "The change failed: try again.");
      if (performance.now() > end) throw new Error("The engine has not made the clips yet: try again.");
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /**
   * @param {Job} root
   * @param {Values} wanted
   */
  options(root, wanted) {
    return { ...without(root.options), ...wanted, keep: "both", draft: "no" };
  }

  /** @param {string} id */
  async ask(id) {
    if (this.busy.has(id)) return; // asks again when that is answered
    const root = source(this.state)?.jobs.find((each) => each.id === id);
    const wanted = this.state.steer[id];
    if (!root || !wanted) return;
    this.busy.add(id);
    try {
      const options = this.options(root, wanted);
      const { queries, nots, source: from } = root;
      const known = new Set(source(this.state)?.jobs.map((each) => each.id));
      const last = this.last.get(id) ?? "";
      const shown = head(this.state, root).id;
      const instead = known.has(last) ? last : shown === id ? "" : shown;
      const next = await this.desk.api.separate(from, { queries, nots, options, base: id, instead });
      this.last.set(id, next.id);
      this.asked.set(id, wanted);
      this.own.add(next.id);
      const there = source(this.state)?.jobs.find((each) => each.id === next.id);
      if (there) this.arrived(there); // the socket was faster
      else this.desk.takeJob(next);
      this.desk.mix();
    } catch (error) {
      this.desk.fail(error);
    } finally {
      this.busy.delete(id);
    }
    if (this.state.steer[id] !== wanted) void this.ask(id);
  }

  /** Ask again for what no engine answered, or did not get to. */
  again() {
    for (const root of roots(source(this.state))) {
      const wanted = this.state.steer[root.id];
      if (root.state === "done" && wanted && !same(wanted, kept(head(this.state, root).options))) void this.ask(root.id);
    }
  }

  /**
   * Another page, or the command line, has adjusted what is shown here: that is what counts now.
   *
   * @param {Job} next
   */
  elsewhere(next) {
    const { base } = next;
    if (!base || next.state !== "done" || this.own.has(next.id) || this.busy.has(base)) return;
    if (!(base in this.state.steer) || performance.now() - this.changedAt < TOGETHER) return;
    const { [base]: gone, ...steer } = this.state.steer;
    this.desk.store.set({ steer });
    this.save();
  }

  /** Lanes are heard as they were asked for last. */
  swapped() {
    this.took = performance.now() - this.changedAt;
  }

  // -- steps -------------------------------------------------------------------------------------

  /**
   * @param {string} text
   * @param {Job} root
   * @param {Values} before
   * @param {Values} after
   */
  step(text, root, before, after) {
    const shown = root.id;
    const name = text.split(":")[0] ?? text;
    const { steps, done } = this.state;
    const last = steps[done - 1];
    const same = last && last.name === name && last.after.shown === shown;
    const again = same && GLIDES.includes(name) && performance.now() - this.changedAt < TOGETHER;
    this.record({
      label: text,
      name,
      source: root.source,
      before: again ? last.before : { shown, values: before },
      after: { shown, values: after },
    }, again ? done - 1 : done);
  }

  /**
   * @param {Step} step
   * @param {number} place  steps from there on are forgotten
   */
  record(step, place = this.state.done) {
    const steps = [...this.state.steps.slice(0, place), step].slice(-MOST);
    this.desk.store.set({ steps, done: steps.length });
    this.save();
  }

  /** @param {number} count  of steps that are to be done */
  goTo(count) {
    const { steps, done } = this.state;
    const target = Math.max(0, Math.min(steps.length, count));
    if (target === done) return;
    const back = target < done;
    const step = back ? steps[target] : steps[target - 1];
    if (!step) return;
    this.desk.store.set({ done: target });
    if (step.source !== this.state.chosen) this.desk.choose(step.source);
    this.restore(back ? step.before : step.after);
    announce(`${back ? "Undone" : "Done again"}: ${step.label}.`);
    this.save();
  }

  /**
   * Forget the steps of a recording that was closed.
   *
   * @param {string} id
   */
  drop(id) {
    const { steps, done } = this.state;
    const left = (/** @type {Step[]} */ some) => some.filter((each) => each.source !== id);
    if (left(steps).length === steps.length) return;
    this.desk.store.set({ steps: left(steps), done: left(steps.slice(0, done)).length });
    this.save();
  }

  undo() {
    this.goTo(this.state.done - 1);
  }

  redo() {
    this.goTo(this.state.done + 1);
  }

  /** @param {Snapshot} snapshot */
  restore(snapshot) {
    const { chosen, shown } = this.state;
    if ((shown[chosen] ?? "") !== snapshot.shown) this.desk.show(snapshot.shown);
    const root = this.root();
    if (snapshot.values && root && root.id === snapshot.shown) this.want(root, snapshot.values);
  }

  // -- reloading ---------------------------------------------------------------------------------

  save() {
    const { steps, done, steer, shown, chosen, candidates, compared } = this.state;
    try {
      sessionStorage.setItem(SAVED, JSON.stringify({ steps, done, steer, shown, chosen, candidates, compared }));
    } catch {
      return; // a browser that keeps nothing
    }
  }

  /** Take up the steps from before a reload, as far as their recordings are there. */
  recall() {
    try {
      const saved = JSON.parse(sessionStorage.getItem(SAVED) ?? "{}");
      if (!Array.isArray(saved.steps)) return;
      const here = new Set(this.state.sources.map((each) => each.id));
      const { done, steer, shown, chosen, candidates, compared } = saved;
      const left = (/** @type {Step[]} */ some) => some.filter((each) => here.has(each.source));
      const steps = left(saved.steps);
      this.desk.store.set({ steps, done: left(saved.steps.slice(0, done)).length, steer, shown });
      if (here.has(chosen) && chosen !== this.state.chosen) this.desk.choose(chosen);
      if (!here.has(compared)) return;
      const jobs = new Set(this.state.sources.flatMap((each) => each.jobs.map(({ id }) => id)));
      this.desk.store.set({ candidates: candidates.filter((/** @type {Candidate} */ each) => jobs.has(each.id)), compared });
    } catch {
      return;
    }
  }
}

/** @param {Values} options */
function kept(options) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name in WHEELS));
}

/**
 * Whether two sets of values mean the same; the engine writes "1.50" where the page writes "1.5".
 *
 * @param {Values} one
 * @param {Values} other
 */
function same(one, other) {
  const plainly = (/** @type {string | undefined} */ text) => (text && !Number.isNaN(Number(text)) ? String(Number(text)) : text);
  const names = Object.keys({ ...one, ...other });
  return names.every((name) => plainly(one[name]) === plainly(other[name]));
}

/** @param {Values} options */
function without(options) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !(name in WHEELS)));
}

/**
 * To the millisecond.
 *
 * @param {{start: number, stop: number}} time
 */
function rounded({ start, stop }) {
  return { start: Math.round(start * 1000) / 1000, stop: Math.round(stop * 1000) / 1000 };
}

/**
 * @param {string} name
 * @param {string} text
 */
function label(name, text) {
  const called = name in WHEELS ? WHEELS[/** @type {keyof typeof WHEELS} */ (name)] : name;
  return `${called}: ${text.replaceAll(",", ", ") || "as usual"}`;
}
