/**
 * Comparing: the same sound in several words, more sharply, or by another model; hear each at the
 * same playhead, keep one.
 *
 * @import { Desk } from "./desk.js"
 * @import { Candidate, Job } from "./types.js"
 */

import { announce } from "./dom.js";
import { job, lanes, source } from "./lanes.js";

const WORDS = 3; // that the advice offers
const SHARPER = "2";
const TWICE_SECONDS = 20; // of a recording at most that is asked for twice
const ENDING = 30000; // milliseconds that a cancelled job gets to end

export class Comparing {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
  }

  get state() {
    return this.desk.state;
  }

  /** Ask for the sound that is shown in other ways. */
  async begin() {
    const first = job(this.state);
    const [query, ...others] = first?.queries ?? [];
    if (!first || !query || first.state !== "done") return;
    const control = new AbortController();
    try {
      const { terms } = await this.desk.api.suggest(query, control.signal);
      const words = terms.map(({ term }) => term).filter((term) => !first.queries.includes(term)).slice(0, WORDS);
      /** @type {{label: string, queries: string[], options: Record<string, string>}[]} */
      const wanted = words.map((word) => ({ label: word, queries: [word, ...others], options: {} }));
      wanted.push({ label: `${query}, sharper`, queries: [query, ...others], options: { sharpness: SHARPER } });
      const whole = source(this.state);
      if (whole && !others.length && !first.nots.length && whole.frames <= TWICE_SECONDS * whole.rate) {
        wanted.push({ label: `${query}, asked twice`, queries: [query], options: { twice: "yes" } });
      }
      const used = new Set(first.answers);
      const other = this.state.models.find(({ name, general }) => general && name !== "auto" && !used.has(name));
      if (other) wanted.push({ label: `${query}, by ${other.name}`, queries: [query, ...others], options: { model: other.name } });
      this.desk.store.set({ candidates: [{ id: first.id, label: query, pinned: false }], compared: first.source });
      for (const { label, queries, options } of wanted) {
        const all = { ...first.options, ...this.desk.steering.values(first), ...options, keep: "both", draft: "no" };
        const next = await this.desk.api.separate(first.source, { queries, nots: first.nots.filter((each) => !queries.includes(each)), options: all, base: "" });
        if (this.state.candidates[0]?.id !== first.id) { // it was left, or one was kept, meanwhile
          if (!this.one(next.id)) this.desk.takeJob(next);
          await this.forget([{ id: next.id, label, pinned: false }]);
          return;
        }
        this.desk.store.set({ candidates: [...this.state.candidates, { id: next.id, label, pinned: false }] });
        this.desk.steering.save();
        if (!source(this.state)?.jobs.some((each) => each.id === next.id)) this.desk.takeJob(next);
        this.desk.store.set({ shown: { ...this.state.shown, [first.source]: first.id } });
      }
      announce(`${this.state.candidates.length} to compare.`);
    } catch (error) {
      this.desk.fail(error);
    }
  }

  /** @param {string} id */
  one(id) {
    return source(this.state)?.jobs.find((each) => each.id === id) ?? null;
  }

  /**
   * Hear one where the playhead is, in place of the one before.
   *
   * @param {string} id
   */
  audition(id) {
    const next = this.one(id);
    if (!next?.clips.length) return;
    this.desk.show(id);
    const lane = lanes(this.state)[1];
    if (lane) {
      this.desk.store.set({
        lane: lane.id,
        listen: "lanes",
        against: "lanes",
        switches: { ...this.state.switches, [lane.id]: { solo: true, mute: false } },
      });
    }
    this.desk.mix();
  }

  /** @param {number} number  from 1 */
  number(number) {
    const one = this.state.candidates[number - 1];
    if (one) this.audition(one.id);
  }

  /** @param {string} id */
  pin(id) {
    const pinned = this.state.candidates.filter((each) => each.pinned && each.id !== id).slice(-1);
    const keep = new Set(pinned.map((each) => each.id));
    this.desk.store.set({
      candidates: this.state.candidates.map((each) => ({
        ...each,
        pinned: each.id === id ? !each.pinned : keep.has(each.id),
      })),
    });
    this.desk.steering.save();
  }

  /** Between the two that are pinned. */
  flip() {
    const pinned = this.state.candidates.filter((each) => each.pinned);
    const shown = job(this.state)?.id;
    const next = pinned.find((each) => each.id !== shown);
    if (next) this.audition(next.id);
  }

  /**
   * Keep one; the others are forgotten, but for the answer that was there before.
   *
   * @param {string} id
   */
  async keep(id) {
    const { candidates } = this.state;
    const first = candidates[0]?.id ?? "";
    const label = candidates.find((each) => each.id === id)?.label ?? "";
    this.end();
    this.audition(id);
    if (id !== first) {
      const before = { shown: first, values: null };
      this.desk.steering.record({ label: `Keep ${label}`, name: label, source: this.state.chosen, before, after: { shown: id, values: null } });
    }
    await this.forget(candidates.filter((each) => each.id !== id && each.id !== first));
  }

  /** Leave it: everything is as before. */
  async leave() {
    const { candidates } = this.state;
    const first = candidates[0];
    this.end();
    if (first) this.audition(first.id);
    await this.forget(candidates.slice(1));
  }

  end() {
    this.desk.store.set({ candidates: [], compared: "" });
    this.desk.steering.save();
  }

  /** @param {Candidate[]} others */
  async forget(others) {
    for (const { id } of others) {
      try {
        if (this.works(id)) await this.desk.api.cancel(id);
        const end = performance.now() + ENDING;
        while (this.works(id) && performance.now() < end) {
          await new Promise((done) => setTimeout(done, 50)); // what is at work cannot be forgotten
        }
        await this.desk.api.forget(id);
        this.desk.dropJob(id);
      } catch (error) {
        this.desk.fail(error);
      }
    }
  }

  /**
   * Whether a job has not ended.
   *
   * @param {string} id
   */
  works(id) {
    const jobs = this.state.sources.flatMap((each) => each.jobs);
    const state = jobs.find((each) => each.id === id)?.state;
    return state === "queued" || state === "running";
  }

  /**
   * The share of the recording's energy in a candidate's sound, 0 to 1; null while it is unknown.
   *
   * @param {Job} one
   */
  share(one) {
    const whole = this.state.loudness[one.source];
    const loud = one.clips.find((clip) => clip.kind === "target")?.loudness;
    if (whole == null || loud == null) return null;
    return Math.min(1, 10 ** ((loud - whole) / 10));
  }
}
