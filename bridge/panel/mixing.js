/**
 * Mixing lanes on one clock, in samples: no Web Audio here, so that it can be tested anywhere.
 *
 * Every lane is read at the same frame. Where a lane that is heard has no audio yet, all of them
 * wait: lanes can be late, never apart.
 *
 * A lane's audio may be replaced while it plays, by another take of it: all lanes that change do so
 * at the same frame, and each fades from the one take into the other.
 */

/** Frames of a chunk; chunk `i` of a lane begins at frame `i * CHUNK`. */
export const CHUNK = 32768;
const RAMP = 256; // frames that a gain takes from one value to the next, so that nothing clicks
/** Frames in which one take of a lane fades into the next. */
export const FADE = 1024;

/**
 * @typedef {Map<number, Float32Array[]>} Chunks
 * @typedef {{takes: Map<number, Chunks>, take: number, old: number, left: number, gain: number,
 *   goal: number, step: number, peak: number}} Strip  `old` is the take that fades out for `left`
 *   more frames
 */

export class Mixing {
  constructor() {
    /** @type {Map<string, Strip>} */
    this.strips = new Map();
    this.frames = 0; // of the recording
    this.position = 0; // the frame that is heard next
    this.playing = false;
    this.ending = false; // whether the next block fades out and playing ends with it
    this.waiting = false; // whether the last block lacked audio
    /** @type {{start: number, stop: number} | null} */
    this.loop = null;
  }

  /**
   * @param {string} lane
   * @returns {Strip}
   */
  strip(lane) {
    let strip = this.strips.get(lane);
    if (!strip) {
      strip = { takes: new Map(), take: 0, old: 0, left: 0, gain: 0, goal: 0, step: 0, peak: 0 };
      this.strips.set(lane, strip);
    }
    return strip;
  }

  /**
   * @param {string} lane
   * @param {number} take
   * @param {number} index
   * @param {Float32Array[]} data  one array for each channel
   */
  put(lane, take, index, data) {
    const { takes } = this.strip(lane);
    takes.set(take, (takes.get(take) ?? new Map()).set(index, data));
  }

  /**
   * @param {string} lane
   * @param {number} take
   * @param {number} index
   */
  drop(lane, take, index) {
    this.strip(lane).takes.get(take)?.delete(index);
  }

  /**
   * Go on with other takes of some lanes, all from the same frame on.
   *
   * @param {[string, number][]} lanes  each with its take
   */
  swap(lanes) {
    for (const [lane, take] of lanes) {
      const strip = this.strip(lane);
      if (strip.take === take) continue;
      strip.old = strip.take;
      strip.left = this.playing && strip.takes.has(strip.old) ? FADE : 0;
      strip.take = take;
      for (const each of strip.takes.keys()) {
        if (each !== take && !(strip.left && each === strip.old)) strip.takes.delete(each);
      }
    }
  }

  /**
   * Say how loud each lane is; lanes that are not named are forgotten. Gains glide while playing.
   *
   * @param {[string, number][]} gains
   */
  level(gains) {
    const named = new Set(gains.map(([lane]) => lane));
    for (const lane of this.strips.keys()) if (!named.has(lane)) this.strips.delete(lane);
    for (const [lane, goal] of gains) {
      const strip = this.strip(lane);
      strip.goal = goal;
      if (this.playing) strip.step = (goal - strip.gain) / RAMP;
      else strip.gain = goal;
    }
  }

  /** @param {number} frame */
  seek(frame) {
    this.position = Math.max(0, Math.min(this.frames, Math.round(frame)));
  }

  play() {
    if (this.position >= this.frames) this.position = this.loop ? this.loop.start : 0;
    for (const strip of this.strips.values()) strip.gain = strip.goal;
    this.ending = false;
    this.playing = true;
  }

  pause() {
    if (this.playing) this.ending = true;
  }

  /**
   * Fill `outputs`, which hold zeros, with the next frames.
   *
   * @param {Float32Array[]} outputs  one array for each channel
   */
  render(outputs) {
    const length = outputs[0]?.length ?? 0;
    this.waiting = false;
    let done = 0;
    while (this.playing && done < length) {
      if (this.loop && this.position === this.loop.stop) this.position = this.loop.start;
      if (this.position >= this.frames) {
        this.playing = false;
        break;
      }
      const index = Math.floor(this.position / CHUNK);
      const inside = this.position - index * CHUNK;
      let count = Math.min(length - done, CHUNK - inside, this.frames - this.position);
      if (this.loop && this.position < this.loop.stop) {
        count = Math.min(count, this.loop.stop - this.position);
      }
      if (this.lacks(index)) {
        this.waiting = true;
        break;
      }
      for (const strip of this.strips.values()) this.add(strip, index, inside, outputs, done, count);
      this.position += count;
      done += count;
    }
    if (this.ending) {
      for (const output of outputs) {
        for (let place = 0; place < length; place += 1) {
          output[place] = (output[place] ?? 0) * (1 - place / length);
        }
      }
      this.ending = false;
      this.playing = false;
    }
  }

  /**
   * Whether a lane that is heard has no such chunk yet.
   *
   * @param {number} index
   */
  lacks(index) {
    for (const strip of this.strips.values()) {
      const heard = strip.gain !== 0 || strip.goal !== 0;
      if (heard && !strip.takes.get(strip.take)?.has(index)) return true;
    }
    return false;
  }

  /**
   * @param {Strip} strip
   * @param {number} index
   * @param {number} inside
   * @param {Float32Array[]} outputs
   * @param {number} done
   * @param {number} count
   */
  add(strip, index, inside, outputs, done, count) {
    const chunk = strip.takes.get(strip.take)?.get(index);
    const old = strip.left ? strip.takes.get(strip.old)?.get(index) : undefined;
    let gain = strip.gain;
    const silent = gain === 0 && strip.goal === 0;
    for (let channel = 0; channel < outputs.length; channel += 1) {
      const input = chunk?.[channel];
      const output = outputs[channel];
      const before = old?.[channel];
      if (!input || !output) continue;
      gain = strip.gain;
      for (let place = 0; place < count; place += 1) {
        let sample = input[inside + place] ?? 0;
        if (before && place < strip.left) {
          sample += ((before[inside + place] ?? 0) - sample) * ((strip.left - place) / FADE);
        }
        const size = Math.abs(sample);
        if (size > strip.peak) strip.peak = size;
        if (silent) continue;
        if (gain !== strip.goal) gain = nearer(gain, strip.goal, strip.step);
        output[done + place] = (output[done + place] ?? 0) + gain * sample;
      }
    }
    if (chunk) strip.gain = gain;
    else strip.gain = strip.goal;
    if (strip.left) {
      strip.left = Math.max(0, strip.left - count);
      if (!strip.left) strip.takes.delete(strip.old);
    }
  }

  /** The largest sample of each lane since the last call. */
  peaks() {
    /** @type {[string, number][]} */
    const result = [];
    for (const [lane, strip] of this.strips) {
      result.push([lane, strip.peak]);
      strip.peak = 0;
    }
    return result;
  }
}

/**
 * @param {number} gain
 * @param {number} goal
 * @param {number} step
 */
function nearer(gain, goal, step) {
  const next = gain + step;
  return step === 0 || (step > 0 ? next >= goal : next <= goal) ? goal : next;
}
