/**
 * The waveform: least and greatest samples of short stretches come from the engine, down to
 * stretches of one sample.
 *
 * @import { Api } from "./api.js"
 * @import { Channel, View } from "./types.js"
 */

import { fit } from "./spectrogram.js";

const COLUMNS = 1024; // of a block
const LIMIT = 120; // blocks that are kept: 2 MB for stereo
const AT_ONCE = 4;
const DOTS = 6; // CSS pixels between samples from which each is a dot
const AGAIN = 1500;

export class Peaks {
  /**
   * @param {Api} api
   * @param {() => void} arrived
   */
  constructor(api, arrived) {
    this.api = api;
    this.arrived = arrived;
    /** @type {Map<string, Float32Array>} */
    this.blocks = new Map();
    /** @type {Map<string, AbortController>} */
    this.fetching = new Map();
    /** @type {Map<string, number>} */
    this.failed = new Map();
  }

  /**
   * @param {string} path
   * @param {number} start
   * @param {number} stop
   * @param {number} count
   * @returns {Float32Array | undefined}
   */
  want(path, start, stop, count) {
    const key = `${path}/peaks?start=${start}&stop=${stop}&count=${count}`;
    const block = this.blocks.get(key);
    if (block) {
      this.blocks.delete(key);
      this.blocks.set(key, block);
      return block;
    }
    const soon = (this.failed.get(key) ?? 0) > performance.now();
    if (!soon && !this.fetching.has(key) && this.fetching.size < AT_ONCE) void this.load(key);
    return undefined;
  }

  /** @param {string} key */
  async load(key) {
    const control = new AbortController();
    this.fetching.set(key, control);
    try {
      this.blocks.set(key, new Float32Array(await this.api.bytes(key, control.signal)));
    } catch {
      this.failed.set(key, performance.now() + AGAIN);
      setTimeout(this.arrived, AGAIN);
    }
    this.fetching.delete(key);
    for (const old of this.blocks.keys()) {
      if (this.blocks.size <= LIMIT) break;
      this.blocks.delete(old);
    }
    this.arrived();
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Peaks} peaks
 * @param {{path: string, channels: number, channel: Channel, frames: number, view: View}} what
 */
export function drawWaveform(canvas, peaks, what) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = fit(canvas);
  const { width, height } = canvas;
  const style = getComputedStyle(canvas);
  context.clearRect(0, 0, width, height);
  const scale = what.view.scale / ratio;
  const shown = channelsOf(what);
  const tall = height / shown.length;
  context.fillStyle = style.getPropertyValue("--line");
  for (let row = 0; row < shown.length; row += 1) {
    context.fillRect(0, Math.round((row + 0.5) * tall), width, 1);
  }
  const step = 2 ** Math.max(0, Math.floor(Math.log2(scale)));
  const span = COLUMNS * step;
  context.fillStyle = style.getPropertyValue("--wave");
  context.strokeStyle = style.getPropertyValue("--wave");
  context.lineWidth = ratio * 1.25;
  const stop = Math.min(what.frames, what.view.start + width * scale);
  for (let start = Math.floor(what.view.start / span) * span; start < stop; start += span) {
    // One sample more, so that the line goes on to the next block.
    const end = Math.min(what.frames, start + span + (step === 1 ? 1 : 0));
    const count = Math.ceil((end - start) / step);
    const block = peaks.want(what.path, start, end, count);
    if (!block) continue;
    const each = (end - start) / count;
    shown.forEach((channel, row) => {
      const values = block.subarray(channel * count * 2, (channel + 1) * count * 2);
      const middle = (row + 0.5) * tall;
      const reach = tall / 2 - ratio;
      const x = (/** @type {number} */ place) => (start + place * each - what.view.start) / scale;
      if (step === 1 && scale < 1) line(context, values, count, x, middle, reach, scale, ratio);
      else bars(context, values, count, x, middle, reach, each / scale, width);
    });
  }
}

/** @param {{channels: number, channel: Channel}} what */
function channelsOf(what) {
  if (what.channel === "left") return [0];
  if (what.channel === "right") return [Math.min(1, what.channels - 1)];
  return Array.from({ length: what.channels }, (_, channel) => channel);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Float32Array} values
 * @param {number} count
 * @param {(place: number) => number} x
 * @param {number} middle
 * @param {number} reach
 * @param {number} wide
 * @param {number} width
 */
function bars(context, values, count, x, middle, reach, wide, width) {
  for (let place = 0; place < count; place += 1) {
    const left = x(place);
    if (left + wide < 0 || left > width) continue;
    const top = middle - (values[2 * place + 1] ?? 0) * reach;
    const bottom = middle - (values[2 * place] ?? 0) * reach;
    context.fillRect(left, top, Math.max(1, wide), Math.max(1, bottom - top));
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Float32Array} values
 * @param {number} count
 * @param {(place: number) => number} x
 * @param {number} middle
 * @param {number} reach
 * @param {number} scale
 * @param {number} ratio
 */
function line(context, values, count, x, middle, reach, scale, ratio) {
  context.beginPath();
  for (let place = 0; place < count; place += 1) {
    context.lineTo(x(place), middle - (values[2 * place] ?? 0) * reach);
  }
  context.stroke();
  if (1 / scale < DOTS * ratio) return;
  for (let place = 0; place < count; place += 1) {
    context.beginPath();
    context.arc(x(place), middle - (values[2 * place] ?? 0) * reach, 2.5 * ratio, 0, 7);
    context.fill();
  }
}
