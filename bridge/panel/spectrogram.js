/**
 * Spectrograms: tiles of levels come from the engine, colours are put on here.
 *
 * Only tiles that are seen are fetched; those not seen for longest go first, so the page holds at
 * most LIMIT of them (64 KB of levels and 256 KB of colours each, 64 MB in all).
 *
 * @import { Api } from "./api.js"
 * @import { Channel, View } from "./types.js"
 */

const SIZE = 256; // rows and columns of a tile
const FRAMES = 64; // frames of a column at zoom 0
const LIMIT = 200;
const AT_ONCE = 6;
const LOWEST = 50; // Hz
const AGAIN = 1500; // milliseconds until a tile that failed is asked for once more

/** @typedef {{levels: Uint8Array, picture: OffscreenCanvas | null, look: string}} Tile */

export class Tiles {
  /**
   * @param {Api} api
   * @param {() => void} arrived
   */
  constructor(api, arrived) {
    this.api = api;
    this.arrived = arrived;
    /** @type {Map<string, Tile>} in the order in which they were seen */
    this.tiles = new Map();
    /** @type {Map<string, AbortController>} */
    this.fetching = new Map();
    /** @type {Set<string>} */
    this.seen = new Set();
    /** @type {Map<string, number>} when those that failed may be asked for again */
    this.failed = new Map();
  }

  /** Before a frame is drawn. */
  begin() {
    this.seen.clear();
  }

  /** After a frame is drawn: fetch what it lacked, and nothing that it did not want. */
  end() {
    for (const [key, control] of this.fetching) {
      if (this.seen.has(key)) continue;
      control.abort();
      this.fetching.delete(key);
    }
    const now = performance.now();
    for (const key of this.seen) {
      if (this.fetching.size >= AT_ONCE) break;
      if (this.tiles.has(key) || this.fetching.has(key)) continue;
      if ((this.failed.get(key) ?? 0) > now) continue;
      void this.load(key);
    }
    for (const key of this.tiles.keys()) {
      if (this.tiles.size <= LIMIT) break;
      this.tiles.delete(key);
    }
  }

  /**
   * @param {string} key
   * @returns {Tile | undefined}
   */
  want(key) {
    this.seen.add(key);
    return this.peek(key);
  }

  /**
   * @param {string} key
   * @returns {Tile | undefined}
   */
  peek(key) {
    const tile = this.tiles.get(key);
    if (tile) {
      this.tiles.delete(key);
      this.tiles.set(key, tile);
    }
    return tile;
  }

  /** Whether all that the last frame wanted is there. */
  get settled() {
    return [...this.seen].every((key) => this.tiles.has(key));
  }

  /** @param {string} key */
  async load(key) {
    const control = new AbortController();
    this.fetching.set(key, control);
    try {
      const levels = new Uint8Array(await this.api.bytes(key, control.signal));
      if (levels.length === SIZE * SIZE) this.tiles.set(key, { levels, picture: null, look: "" });
    } catch {
      if (control.signal.aborted) return;
      this.failed.set(key, performance.now() + AGAIN);
      setTimeout(this.arrived, AGAIN);
    }
    this.fetching.delete(key);
    this.arrived();
  }
}

/**
 * The zoom whose columns are about a device pixel wide.
 *
 * @param {number} framesPerPixel
 * @param {number} frames  of the recording
 */
export function zoomFor(framesPerPixel, frames) {
  const most = Math.max(0, Math.ceil(Math.log2(frames / (FRAMES * SIZE))));
  return Math.max(0, Math.min(most, Math.round(Math.log2(framesPerPixel / FRAMES))));
}

/**
 * Where a frequency is seen, from 0 at the bottom to 1 at the top.
 *
 * @param {number} hertz
 * @param {number} rate
 */
export const heightOf = (hertz, rate) => Math.log(hertz / LOWEST) / Math.log(rate / 2 / LOWEST);

/**
 * The frequency that is seen at a height.
 *
 * @param {number} height  from 0 at the bottom to 1 at the top
 * @param {number} rate
 */
export const hertzAt = (height, rate) => LOWEST * (rate / 2 / LOWEST) ** Math.max(0, Math.min(1, height));

/**
 * Draw what a view shows of a lane.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Tiles} tiles
 * @param {{path: string, channel: Channel, frames: number, view: View, look: string,
 *   colours: Uint32Array}} what
 */
export function drawSpectrogram(canvas, tiles, what) {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return;
  const ratio = fit(canvas);
  const { width, height } = canvas;
  const scale = what.view.scale / ratio; // frames in a device pixel
  context.fillStyle = cssColour(what.colours[0] ?? 0);
  context.fillRect(0, 0, width, height);
  const zoom = zoomFor(scale, what.frames);
  const span = SIZE * FRAMES * 2 ** zoom;
  const first = Math.max(0, Math.floor(what.view.start / span));
  const stop = Math.min(what.frames, what.view.start + width * scale);
  context.imageSmoothingEnabled = true;
  for (let index = first; index * span < stop; index += 1) {
    const left = Math.round((index * span - what.view.start) / scale);
    const right = Math.round(((index + 1) * span - what.view.start) / scale);
    const tile = tiles.want(address(what, zoom, index));
    if (tile) {
      context.drawImage(picture(tile, what), left, 0, right - left, height);
      continue;
    }
    coarser(context, tiles, what, zoom, index, left, right, height);
  }
  const end = Math.round((what.frames - what.view.start) / scale);
  if (end < width) {
    context.fillStyle = getComputedStyle(canvas).getPropertyValue("--beyond");
    context.fillRect(Math.max(0, end), 0, width, height);
  }
}

/**
 * While a tile is on its way, draw the part of a coarser one that is there.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Tiles} tiles
 * @param {{path: string, channel: Channel, look: string, colours: Uint32Array}} what
 * @param {number} zoom
 * @param {number} index
 * @param {number} left
 * @param {number} right
 * @param {number} height
 */
function coarser(context, tiles, what, zoom, index, left, right, height) {
  for (let up = 1; up <= 6; up += 1) {
    const tile = tiles.peek(address(what, zoom + up, index >> up));
    if (!tile) continue;
    const width = SIZE / 2 ** up;
    const from = (index % 2 ** up) * width;
    context.drawImage(picture(tile, what), from, 0, width, SIZE, left, 0, right - left, height);
    return;
  }
}

/**
 * @param {{path: string, channel: Channel}} what
 * @param {number} zoom
 * @param {number} index
 */
const address = (what, zoom, index) =>
  `${what.path}/tile?channel=${what.channel}&zoom=${zoom}&index=${index}`;

/**
 * @param {Tile} tile
 * @param {{look: string, colours: Uint32Array}} what
 * @returns {OffscreenCanvas}
 */
function picture(tile, what) {
  if (tile.picture && tile.look === what.look) return tile.picture;
  const canvas = tile.picture ?? new OffscreenCanvas(SIZE, SIZE);
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const image = context.createImageData(SIZE, SIZE);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < SIZE; row += 1) {
    const to = (SIZE - 1 - row) * SIZE; // the lowest frequency is the first row, and seen last
    for (let column = 0; column < SIZE; column += 1) {
      pixels[to + column] = what.colours[tile.levels[row * SIZE + column] ?? 0] ?? 0;
    }
  }
  context.putImageData(image, 0, 0);
  tile.picture = canvas;
  tile.look = what.look;
  return canvas;
}

/**
 * Give a canvas as many pixels as the screen shows of it.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {number} device pixels in a CSS pixel
 */
export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return ratio;
}

/** @param {number} pixel */
export const cssColour = (pixel) => `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
