/** The mixer as Web Audio runs it, on its own thread; see mixing.js for what it does. */

import { Mixing } from "./mixing.js";

const REPORT = 1024; // frames between two reports of where the playhead is

// What an audio worklet's global scope has; TypeScript's library for pages does not know it.
const scope = /** @type {any} */ (globalThis);

class Mixer extends scope.AudioWorkletProcessor {
  constructor() {
    super();
    this.mixing = new Mixing();
    this.since = 0;
    this.was = false;
    const port = /** @type {MessagePort} */ (this.port);
    port.onmessage = (event) => this.told(event.data);
  }

  /** @param {import("./transport.js").Order} order */
  told(order) {
    const mixing = this.mixing;
    switch (order.kind) {
      case "recording":
        mixing.frames = order.frames;
        mixing.strips.clear();
        mixing.playing = false;
        mixing.loop = null;
        mixing.seek(0);
        break;
      case "chunk":
        mixing.put(order.lane, order.take, order.index, order.data);
        break;
      case "drop":
        mixing.drop(order.lane, order.take, order.index);
        break;
      case "swap":
        mixing.swap(order.lanes);
        break;
      case "gains":
        mixing.level(order.gains);
        break;
      case "loop":
        mixing.loop = order.loop;
        break;
      case "seek":
        mixing.seek(order.frame);
        break;
      case "play":
        mixing.seek(order.frame);
        mixing.play();
        break;
      case "pause":
        mixing.pause();
    }
    this.since = REPORT;
  }

  /**
   * @param {Float32Array[][]} _
   * @param {Float32Array[][]} outputs
   */
  process(_, outputs) {
    const output = outputs[0] ?? [];
    this.mixing.render(output);
    this.since += output[0]?.length ?? 0;
    if (this.since >= REPORT || this.was !== this.mixing.playing) {
      this.since = 0;
      this.was = this.mixing.playing;
      this.port.postMessage({
        position: this.mixing.position,
        time: scope.currentTime,
        playing: this.mixing.playing,
        waiting: this.mixing.waiting,
        peaks: this.mixing.peaks(),
      });
    }
    return true;
  }
}

scope.registerProcessor("mixer", Mixer);
