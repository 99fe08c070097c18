/**
 * Playing: fetches audio of all lanes a few seconds ahead and hands it to the mixer, which plays
 * them on one clock at the recording's own rate, so no sample is resampled here.
 *
 * @import { Api } from "./api.js"
 */

import { Unreachable } from "./api.js";
import { CHUNK } from "./mixing.js";

const AHEAD = 5; // chunks fetched before they are heard: 3.7 s at 44.1 kHz
const BEHIND = 1;
const AT_ONCE = 4; // requests
const REST = 1000; // milliseconds after a failure

/**
 * @typedef {{path: string, number: number, have: Set<number>, missed?: boolean}} Take  the audio of a lane from one
 *   place, and the chunks of it that are here
 * @typedef {{kind: "recording", frames: number}
 *   | {kind: "chunk", lane: string, take: number, index: number, data: Float32Array[]}
 *   | {kind: "drop", lane: string, take: number, index: number}
 *   | {kind: "swap", lanes: [string, number][]}
 *   | {kind: "gains", gains: [string, number][]}
 *   | {kind: "loop", loop: {start: number, stop: number} | null}
 *   | {kind: "seek" | "play", frame: number}
 *   | {kind: "pause"}} Order
 * @typedef {{position: number, time: number, playing: boolean, waiting: boolean,
 *   peaks: [string, number][]}} Report
 * @typedef {{rate: number, channels: number, frames: number}} Recording
 */

export class Transport {
  /**
   * @param {Api} api
   * @param {(report: Report) => void} told  is called for every report of the mixer
   * @param {(error: unknown) => void} failed  is called where audio cannot be had
   * @param {() => void} swapped  is called when lanes are heard from their new takes
   */
  constructor(api, told, failed, swapped) {
    this.api = api;
    this.told = told;
    this.failed = failed;
    this.swapped = swapped;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    this.shape = ""; // rate and channels that the context was made for
    this.starting = false; // whether the mixer was told to play and has not said so yet
    this.resting = 0; // when audio may be asked for again after a failure
    /** @type {Recording | null} */
    this.recording = null;
    /** @type {Map<string, Take>} what is heard of each lane */
    this.takes = new Map();
    /** @type {Map<string, Take>} what takes its place as soon as it is here */
    this.coming = new Map();
    this.taken = 0; // the number of the last take
    /** @type {Map<string, number>} */
    this.gains = new Map();
    /** @type {{start: number, stop: number} | null} */
    this.loop = null;
    /** @type {Report} */
    this.last = { position: 0, time: 0, playing: false, waiting: false, peaks: [] };
    /** @type {Map<string, AbortController>} */
    this.fetching = new Map();
  }

  /**
   * Make ready to play this recording; what played before ends.
   *
   * @param {Recording} recording
   */
  async open(recording) {
    this.restart();
    this.recording = recording;
    const shape = `${recording.rate}/${recording.channels}`;
    if (this.context && this.shape !== shape) {
      void this.context.close();
      this.context = null;
      this.node = null;
    }
    this.last = { position: 0, time: 0, playing: false, waiting: false, peaks: [] };
    if (!this.context) {
      const context = new AudioContext({ sampleRate: recording.rate, latencyHint: "interactive" });
      this.context = context;
      this.shape = shape;
      await context.audioWorklet.addModule("/mixer.js");
      if (this.context !== context) return; // another recording was opened meanwhile
      const node = new AudioWorkletNode(context, "mixer", {
        numberOfInputs: 0,
        outputChannelCount: [recording.channels],
      });
      node.port.onmessage = (event) => this.heard(event.data);
      node.connect(context.destination);
      this.node = node;
    }
    if (!this.node) return;
    this.order({ kind: "recording", frames: (this.recording ?? recording).frames });
    this.order({ kind: "swap", lanes: [...this.takes].map(([lane, take]) => [lane, take.number]) });
    this.order({ kind: "gains", gains: [...this.gains] });
    this.order({ kind: "loop", loop: this.loop });
    this.fetch();
  }

  /** Fetch nothing more of this recording: another is opened, or none. */
  leave() {
    this.setLoop(null);
    this.restart();
    this.recording = null;
  }

  /**
   * Say which lanes there are, where their audio is, and how loud each is. Where a lane has its
   * audio from elsewhere than before, the new take is heard when all that change are here.
   *
   * @param {Map<string, string>} paths
   * @param {Map<string, number>} gains
   */
  mix(paths, gains) {
    for (const lane of this.takes.keys()) if (!paths.has(lane)) this.forget(lane);
    for (const [lane, path] of paths) {
      const now = this.takes.get(lane);
      if (this.coming.get(lane)?.path === path) continue;
      this.stop(lane, this.coming.get(lane));
      this.coming.delete(lane);
      if (now?.path === path) continue;
      const take = { path, number: (this.taken += 1), have: new Set() };
      if (now) {
        this.stop(lane, now); // whose clip may be gone already
        this.coming.set(lane, take);
      } else {
        this.takes.set(lane, take);
        this.order({ kind: "swap", lanes: [[lane, take.number]] });
      }
    }
    this.gains = gains;
    this.order({ kind: "gains", gains: [...gains] });
    this.fetch();
  }

  /** Hear what came, if all that is to be heard of it next is here. */
  swap() {
    if (!this.coming.size) return;
    const next = this.wanted().slice(0, 2);
    const heard = [...this.coming].filter(([lane]) => this.gains.get(lane));
    if (!heard.every(([, take]) => next.every((index) => take.have.has(index)))) return;
    this.order({
      kind: "swap",
      lanes: [...this.coming].map(([lane, take]) => [lane, take.number]),
    });
    for (const [lane, take] of this.coming) {
      this.stop(lane, this.takes.get(lane));
      this.takes.set(lane, take);
    }
    this.coming.clear();
    this.swapped();
  }

  /** @param {{start: number, stop: number} | null} loop */
  setLoop(loop) {
    this.loop = loop;
    this.order({ kind: "loop", loop });
    this.fetch();
  }

  /** @param {number} frame */
  async play(frame) {
    if (!this.context || !this.node) return;
    this.last = { ...this.last, position: frame, time: this.context.currentTime };
    this.starting = true;
    this.fetch();
    await this.context.resume();
    if (!this.starting) return; // paused meanwhile
    this.order({ kind: "play", frame });
  }

  pause() {
    this.starting = false;
    this.order({ kind: "pause" });
  }

  /** @param {number} frame */
  seek(frame) {
    this.last = { ...this.last, position: frame, time: this.context?.currentTime ?? 0 };
    this.order({ kind: "seek", frame });
    this.fetch();
  }

  /** The frame that is heard at this moment, between two reports. */
  now() {
    const { position, time, playing, waiting } = this.last;
    if (!playing || waiting || !this.context || !this.recording) return position;
    const latency = this.context.outputLatency || 0;
    const since = (this.context.currentTime - time - latency) * this.recording.rate;
    let frame = position + Math.min(since, this.recording.rate / 4);
    if (this.loop && position < this.loop.stop && frame >= this.loop.stop) {
      frame = this.loop.start + ((frame - this.loop.start) % (this.loop.stop - this.loop.start));
    }
    return Math.max(0, Math.min(this.recording.frames, frame));
  }

  /** @param {Report} report */
  heard(report) {
    if (this.starting && !report.playing) return; // a report from before
    this.starting = false;
    this.last = report;
    this.fetch();
    this.told(report);
  }

  /** @param {Order} order */
  order(order) {
    const moved = order.kind === "chunk" ? order.data.map((channel) => channel.buffer) : [];
    this.node?.port.postMessage(order, moved);
  }

  /** Begin anew with all lanes, of which nothing is here then. */
  restart() {
    for (const control of this.fetching.values()) control.abort();
    this.fetching.clear();
    for (const [lane, take] of [...this.takes, ...this.coming]) {
      this.takes.set(lane, { path: take.path, number: (this.taken += 1), have: new Set() });
    }
    this.coming.clear();
  }

  /**
   * Let go of a lane's audio.
   *
   * @param {string} lane
   */
  forget(lane) {
    for (const takes of [this.takes, this.coming]) {
      const take = takes.get(lane);
      this.stop(lane, take);
      for (const index of take?.have ?? []) {
        this.order({ kind: "drop", lane, take: take?.number ?? 0, index });
      }
      takes.delete(lane);
    }
  }

  /**
   * Fetch nothing more of a take.
   *
   * @param {string} lane
   * @param {Take} [take]
   */
  stop(lane, take) {
    if (!take) return;
    for (const [key, control] of this.fetching) {
      if (!key.startsWith(`${lane} ${take.number} `)) continue;
      control.abort();
      this.fetching.delete(key);
    }
  }

  /**
   * The chunks that are to be here: from the playhead on, and around the loop's end.
   *
   * @returns {number[]}
   */
  wanted() {
    if (!this.recording) return [];
    const last = Math.ceil(this.recording.frames / CHUNK) - 1;
    const here = Math.floor(this.last.position / CHUNK);
    /** @type {number[]} */
    const result = [];
    const stop = this.loop && this.last.position < this.loop.stop ? this.loop.stop : Infinity;
    let index = here;
    while (result.length < AHEAD && index <= last && index * CHUNK < stop) {
      result.push(index);
      index += 1;
    }
    if (this.loop) {
      const first = Math.floor(this.loop.start / CHUNK);
      for (let more = first; more < first + AHEAD - 2 && more * CHUNK < this.loop.stop; more += 1) {
        if (!result.includes(more)) result.push(more);
      }
    }
    return result;
  }

  /** Fetch what is wanted and let go of the rest. */
  fetch() {
    if (!this.node || !this.recording || performance.now() < this.resting) return;
    const wanted = this.wanted();
    const here = Math.floor(this.last.position / CHUNK);
    const kept = new Set(wanted);
    for (let index = here - BEHIND; index < here; index += 1) kept.add(index);
    for (const takes of [this.takes, this.coming]) {
      for (const [lane, take] of takes) {
        for (const index of take.have) {
          if (kept.has(index)) continue;
          take.have.delete(index);
          this.order({ kind: "drop", lane, take: take.number, index });
        }
      }
    }
    for (const [key, control] of this.fetching) {
      if (kept.has(Number(key.slice(key.lastIndexOf(" ") + 1)))) continue;
      control.abort();
      this.fetching.delete(key);
    }
    this.swap();
    const byNeed = [...this.takes.keys()].sort((one, two) => this.need(two) - this.need(one));
    // What changes under the playhead comes first: somebody waits for it.
    for (const index of wanted.slice(0, 2)) {
      for (const lane of byNeed) this.begin(lane, this.coming.get(lane), index);
    }
    for (const index of wanted) {
      for (const lane of byNeed) this.begin(lane, this.coming.get(lane) ?? this.takes.get(lane), index);
    }
  }

  /**
   * Fetch a chunk, unless it is here or on its way, or too much is.
   *
   * @param {string} lane
   * @param {Take | undefined} take
   * @param {number} index
   */
  begin(lane, take, index) {
    if (!take || !this.recording || this.fetching.size >= AT_ONCE) return;
    if (take.have.has(index) || this.fetching.has(`${lane} ${take.number} ${index}`)) return;
    void this.load(lane, take, index, this.recording);
  }

  /** @param {string} lane */
  need(lane) {
    return this.gains.get(lane) ? 1 : 0;
  }

  /**
   * @param {string} lane
   * @param {Take} take
   * @param {number} index
   * @param {Recording} recording
   */
  async load(lane, take, index, recording) {
    const key = `${lane} ${take.number} ${index}`;
    const control = new AbortController();
    this.fetching.set(key, control);
    const start = index * CHUNK;
    const stop = Math.min(recording.frames, start + CHUNK);
    try {
      const bytes = await this.api.bytes(`${take.path}/audio?start=${start}&stop=${stop}`, control.signal);
      if (control.signal.aborted) return;
      const data = apart(new Float32Array(bytes), recording.channels);
      this.order({ kind: "chunk", lane, take: take.number, index, data });
      take.have.add(index);
    } catch (error) {
      if (control.signal.aborted) return;
      this.fetching.delete(key);
      // A clip may go while it is read, because another takes its place: told the second time.
      if (performance.now() >= this.resting && (take.missed || error instanceof Unreachable)) this.failed(error);
      take.missed = true;
      this.resting = performance.now() + REST;
      setTimeout(() => this.fetch(), REST);
      return;
    }
    this.fetching.delete(key);
    this.fetch();
  }
}

/**
 * Interleaved samples as one array for each channel.
 *
 * @param {Float32Array} samples
 * @param {number} channels
 */
function apart(samples, channels) {
  const frames = Math.floor(samples.length / channels);
  return Array.from({ length: channels }, (_, channel) => {
    const own = new Float32Array(frames);
    for (let frame = 0; frame < frames; frame += 1) own[frame] = samples[frame * channels + channel] ?? 0;
    return own;
  });
}
