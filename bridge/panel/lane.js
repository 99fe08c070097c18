/**
 * Lanes: the recording with its waveform, and under it each sound and the rest, with spectrogram,
 * certainty, switches, and meter.
 *
 * @import { Desk } from "./desk.js"
 * @import { Certainty, Lane, Panel, View } from "./types.js"
 */

import { lookup } from "./colours.js";
import { byId, find, icon, keep, make, mark, say } from "./dom.js";
import { chosenLanes, job, lanes, source, switches } from "./lanes.js";
import { drawSpectrogram, fit, heightOf, Tiles } from "./spectrogram.js";
import { changed } from "./store.js";
import { clock } from "./time.js";
import { drawWaveform, Peaks } from "./waveform.js";

const HERTZ = [100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const LOWEST = -60; // dB at the left end of a meter
const SURE = 0.5; // certainty from which a sound counts as there
const SPOKEN = 500; // milliseconds between two values of a meter for screen readers
const DRAGGED = 60e6; // bytes up to which a clip is made ready to be dragged out
const DRAGS = /Chrom(e|ium)\//.test(navigator.userAgent); // no other browser knows DownloadURL

/** @param {Desk} desk */
export function laneRows(desk) {
  const { store } = desk;
  const arrived = () => {
    stale = true;
    store.refresh();
  };
  const tiles = new Tiles(desk.api, arrived);
  const peaks = new Peaks(desk.api, arrived);
  let stale = true;
  let spokenAt = 0;
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", arrived);
  window.addEventListener("resize", arrived);
  store.watch((state, before) => {
    const from = source(state);
    const place = byId("lanes");
    if (!from) {
      keep(place, [], String, () => make("div"));
      return;
    }
    const all = lanes(state);
    const shapes = changed(state, before, "sources", "chosen", "shown", "lane", "switches", "listen", "loudness");
    if (shapes) {
      keep(
        place,
        all,
        (lane) => `${state.chosen} ${lane.id}`,
        (lane) => build(lane, desk),
        (row, lane) => update(row, lane, all.indexOf(lane), state),
      );
    }
    const now = performance.now();
    const aloud = now - spokenAt > SPOKEN;
    if (aloud) spokenAt = now;
    for (const row of place.children) meter(row, state, aloud);
    const drawn = ["view", "width", "look", "channel", "theme"];
    if (!shapes && !stale && !changed(state, before, .../** @type {(keyof Panel)[]} */ (drawn))) return;
    if (!state.width) return; // not laid out yet
    stale = false;
    tiles.begin();
    const { map, floor, ceiling } = state.look;
    const colours = lookup(map, floor, ceiling);
    const look = `${map} ${floor} ${ceiling}`;
    const { view, channel } = state;
    const { frames, rate, channels } = from;
    for (const row of place.children) {
      const lane = all.find((each) => each.id === row.getAttribute("data-lane"));
      const canvas = row.querySelector(".spectrogram");
      if (!lane || !(canvas instanceof HTMLCanvasElement)) continue;
      drawSpectrogram(canvas, tiles, { path: lane.path, channel, frames, view, look, colours });
      drawHertz(canvas, rate, map === "paper");
      const wave = row.querySelector(".waveform");
      if (wave instanceof HTMLCanvasElement) {
        drawWaveform(wave, peaks, { path: lane.path, channels, channel, frames, view });
      }
      const curve = row.querySelector(".certainty");
      if (curve instanceof HTMLCanvasElement) drawCertainty(curve, lane, view, rate);
    }
    tiles.end();
    mark(place, "data-settled", tiles.settled);
  });
}

/**
 * @param {Lane} lane
 * @param {Desk} desk
 */
function build(lane, desk) {
  const whole = lane.kind === "mixture";
  const field = make("div", { className: "field" });
  if (whole) field.append(canvas("waveform", `Waveform of ${lane.title}`));
  field.append(canvas("spectrogram", `Spectrogram of ${lane.title}`));
  if (lane.kind === "target") field.append(canvas("certainty", ""));
  field.append(make("div", { className: "rects", "aria-hidden": "true" }));
  const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ act) =>
    make("button", { type: "button", className: "switch", textContent: text, title, onclick: act });
  const controls = make("div", { className: "switches" });
  if (whole) {
    controls.append(button("Listen", "Listen to the recording (A)", () => desk.listen("mixture")));
  } else {
    controls.append(
      button("S", "Solo (S)", () => desk.solo(lane.id)),
      button("M", "Mute (M)", () => desk.mute(lane.id)),
      saving(lane.id, desk),
    );
  }
  const head = make(
    "div",
    { className: "head", onpointerdown: () => desk.pick(lane.id) },
    make(
      "div",
      { className: "name" },
      make("span", { className: "number", "aria-hidden": "true" }),
      make("h3", {}, lane.title),
      make("span", { className: "badge", hidden: true }),
    ),
    make("p", { className: "sure hint" }),
    controls,
    make(
      "div",
      { className: "meter", role: "meter", "aria-valuemin": LOWEST, "aria-valuemax": 0 },
      make("div", { className: "level" }),
    ),
  );
  const row = make("section", { className: `row lane ${lane.kind}` }, head, field);
  row.dataset.lane = lane.id;
  return row;
}

/**
 * @param {string} name
 * @param {string} label
 */
const canvas = (name, label) => make("canvas", { className: name, role: "img", "aria-label": label });

/**
 * What can be done with a clip: it is saved, or dragged to another program.
 *
 * @param {string} id
 * @param {Desk} desk
 */
function saving(id, desk) {
  const lane = () => lanes(desk.state).find((each) => each.id === id);
  const save = (/** @type {"float" | "pcm24"} */ format) => () => {
    const one = lane();
    if (one) void desk.download(one, format);
  };
  const handle = make(
    "span",
    { className: "drag", draggable: true, title: "Drag the clip to a folder or another program" },
    icon("M6 3h.01M10 3h.01M6 8h.01M10 8h.01M6 13h.01M10 13h.01"),
    "Drag to a folder",
  );
  let ready = "";
  const prepare = async () => {
    const one = lane();
    const from = source(desk.state);
    if (ready || !one || !from || 4 * from.frames * from.channels > DRAGGED) return;
    ready = "wait";
    try {
      const { name, blob } = await desk.wav(one, "float");
      ready = `audio/wav:${name.replaceAll(":", "-")}:${URL.createObjectURL(blob)}`;
    } catch {
      ready = "";
    }
  };
  handle.addEventListener("pointerenter", () => void prepare());
  handle.addEventListener("dragstart", (event) => {
    if (!ready.startsWith("audio/")) event.preventDefault();
    else event.dataTransfer?.setData("DownloadURL", ready);
  });
  return make(
    "details",
    { className: "menu save" },
    make("summary", { "aria-label": "Save", title: "Save this clip" }, icon("M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10")),
    make(
      "div",
      { className: "sheet" },
      make("button", { type: "button", className: "wide", onclick: save("float") }, "Save WAV, 32-bit float"),
      make("button", { type: "button", className: "wide", onclick: save("pcm24") }, "Save WAV, 24-bit"),
      ...(DRAGS ? [handle] : []),
    ),
  );
}

/**
 * @param {HTMLElement} row
 * @param {Lane} lane
 * @param {number} place
 * @param {Panel} state
 */
function update(row, lane, place, state) {
  const { solo, mute } = switches(state, lane.id);
  const whole = lane.kind === "mixture";
  const heard = whole
    ? state.listen === "mixture" || lanes(state).length < 2
    : state.listen === "lanes"
      ? chosenLanes(state).some((each) => each.id === lane.id)
      : state.listen === "rest" && !chosenLanes(state).some((each) => each.id === lane.id);
  row.classList.toggle("silent", !heard);
  row.classList.toggle("picked", state.lane === lane.id);
  mark(row, "aria-label", `${lane.title}, lane ${place + 1}${state.lane === lane.id ? ", picked" : ""}`);
  mark(row, "data-colour", lane.colour);
  say(row.querySelector(".number"), place < 9 ? String(place + 1) : "");
  say(row.querySelector("h3"), lane.title);
  const badge = find(row, ".badge", HTMLElement);
  badge.hidden = !lane.draft;
  say(badge, lane.draft ? "Draft" : "");
  const buttons = row.querySelectorAll("button.switch");
  const names = whole ? ["Listen to the recording"] : [`Solo ${lane.title}`, `Mute ${lane.title}`];
  const pressed = whole ? [heard] : [solo, mute];
  buttons.forEach((button, index) => {
    mark(button, "aria-pressed", pressed[index] ?? false);
    mark(button, "aria-label", names[index] ?? "");
  });
  const save = row.querySelector(".save summary");
  if (save) mark(save, "aria-label", `Save ${lane.title}`);
  const menu = row.querySelector(".save");
  if (menu instanceof HTMLElement) menu.hidden = lane.draft;
  say(row.querySelector(".sure"), sentence(lane, state));
  mark(find(row, ".meter", HTMLElement), "aria-label", `Level of ${lane.title}`);
  const curve = row.querySelector(".certainty");
  if (curve) mark(curve, "aria-label", certaintyText(lane.title, lane.certainty));
}

/**
 * @param {Lane} lane
 * @param {Panel} state
 */
function sentence(lane, state) {
  if (lane.kind === "mixture") {
    const from = source(state);
    if (!from) return "";
    const channels = ["", "mono", "stereo"][from.channels] ?? `${from.channels} channels`;
    return `${from.rate / 1000} kHz, ${channels}`;
  }
  if (lane.kind === "residual") return `without ${(job(state)?.queries ?? []).join(", ")}`;
  if (lane.presence === null) return "";
  return `${Math.round(lane.presence * 100)} % sure it is there`;
}

/**
 * @param {Element} row
 * @param {Panel} state
 * @param {boolean} aloud
 */
function meter(row, state, aloud) {
  const id = row.getAttribute("data-lane") ?? "";
  const peak = state.playing ? (state.peaks.get(id) ?? 0) : 0;
  const decibels = Math.max(LOWEST, Math.min(0, 20 * Math.log10(peak + 1e-9)));
  const element = row.querySelector(".meter");
  const level = element?.firstElementChild;
  if (!(level instanceof HTMLElement) || !element) return;
  const before = Number(level.dataset.at ?? LOWEST);
  const shown = state.playing ? Math.max(decibels, before - 2) : LOWEST; // falls by 2 dB a frame
  if (shown !== before || !level.dataset.at) {
    level.dataset.at = String(shown);
    level.style.clipPath = `inset(0 ${((100 * shown) / LOWEST).toFixed(1)}% 0 0)`;
  }
  if (aloud || !element.hasAttribute("aria-valuenow")) {
    mark(element, "aria-valuenow", Math.round(shown));
    mark(element, "aria-valuetext", shown <= LOWEST ? "silent" : `${Math.round(shown)} dB`);
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} rate
 * @param {boolean} bright  whether the colours begin with white
 */
function drawHertz(canvas, rate, bright) {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return;
  const ratio = window.devicePixelRatio || 1;
  context.font = `${10 * ratio}px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "middle";
  let above = Infinity;
  for (const hertz of HERTZ) {
    const y = Math.round((1 - heightOf(hertz, rate)) * canvas.height);
    if (y < 8 * ratio || y > canvas.height - 8 * ratio || above - y < 18 * ratio) continue;
    above = y;
    const text = hertz < 1000 ? String(hertz) : `${hertz / 1000}k`;
    context.fillStyle = bright ? "rgb(255 255 255 / 0.75)" : "rgb(0 0 0 / 0.55)";
    context.fillRect(0, y - 6 * ratio, context.measureText(text).width + 12 * ratio, 12 * ratio);
    context.fillStyle = bright ? "rgb(0 0 0 / 0.85)" : "rgb(255 255 255 / 0.85)";
    context.fillRect(0, y, 4 * ratio, ratio);
    context.fillText(text, 7 * ratio, y);
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Lane} lane
 * @param {View} view
 * @param {number} rate
 */
function drawCertainty(canvas, lane, view, rate) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = fit(canvas);
  const style = getComputedStyle(canvas);
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const y = (/** @type {number} */ value) => height - ratio - value * (height - 3 * ratio);
  context.fillStyle = style.getPropertyValue("--line");
  context.fillRect(0, Math.round(y(SURE)), width, ratio);
  const curve = lane.certainty;
  if (!curve?.values.length) return;
  const wide = (curve.step * rate * ratio) / view.scale; // device pixels of a value
  const left = (-view.start * ratio) / view.scale;
  const first = Math.max(0, Math.floor(-left / wide) - 1);
  const last = Math.min(curve.values.length, Math.ceil((width - left) / wide) + 1);
  context.beginPath();
  context.moveTo(left + first * wide, y(0));
  if (wide >= 1) {
    for (let place = first; place < last; place += 1) {
      const at = y(curve.values[place] ?? 0);
      context.lineTo(left + place * wide, at);
      context.lineTo(left + (place + 1) * wide, at);
    }
  } else {
    const many = Math.ceil(1 / wide);
    for (let place = first; place < last; place += many) {
      const values = curve.values.slice(place, Math.min(last, place + many));
      context.lineTo(left + place * wide, y(Math.max(...values)));
    }
  }
  context.lineTo(left + last * wide, y(0));
  context.globalAlpha = 0.35;
  context.fillStyle = style.getPropertyValue("--own");
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.5 * ratio;
  context.strokeStyle = style.getPropertyValue("--own");
  context.stroke();
}

/**
 * @param {string} title
 * @param {Certainty | null} curve
 */
function certaintyText(title, curve) {
  if (!curve) return `How sure Tweeze is of ${title}: not known yet`;
  /** @type {string[]} */
  const spans = [];
  let start = -1;
  for (let place = 0; place <= curve.values.length; place += 1) {
    const there = (curve.values[place] ?? 0) >= SURE;
    if (there && start < 0) start = place;
    if (there || start < 0) continue;
    spans.push(`${clock(start * curve.step, 1)} to ${clock(place * curve.step, 1)}`);
    start = -1;
  }
  if (!spans.length) return `${title} is nowhere more likely than not`;
  const more = spans.length > 8 ? `, and ${spans.length - 8} more` : "";
  return `${title} is likely at ${spans.slice(0, 8).join(", ")}${more}`;
}
