/**
 * Time on the page: which part is seen, the ruler, the playhead, the range, and moving all of these
 * by mouse, wheel, fingers, and keys.
 *
 * @import { Desk } from "./desk.js"
 * @import { Panel, View } from "./types.js"
 */

import { byId, keep, make, mark, say } from "./dom.js";
import { source } from "./lanes.js";
import { fit, hertzAt } from "./spectrogram.js";
import { draws } from "./steer.js";
import { changed } from "./store.js";
import { clock, digitsFor, rulerStep, spoken } from "./time.js";

const FINEST = 1 / 40; // frames in a CSS pixel: a sample every 40 pixels
const MARKS = 90; // CSS pixels between marks with a time
const DRAG = 4; // CSS pixels from which a press is a drag

/**
 * Keep a view within the recording.
 *
 * @param {View} view
 * @param {number} width
 * @param {number} frames
 * @returns {View}
 */
export function within(view, width, frames) {
  const whole = Math.max(FINEST, frames / Math.max(1, width));
  const scale = Math.max(FINEST, Math.min(whole, view.scale));
  const start = Math.max(0, Math.min(frames - width * scale, view.start));
  return { start, scale };
}

/**
 * Zoom by a factor and leave a frame where it is seen.
 *
 * @param {View} view
 * @param {number} by  above 1 shows more of the recording
 * @param {number} around  the frame
 * @param {number} width
 * @param {number} frames
 */
export function zoomed(view, by, around, width, frames) {
  const whole = frames / Math.max(1, width);
  const scale = Math.max(FINEST, Math.min(whole, view.scale * by));
  return within({ start: around - ((around - view.start) * scale) / view.scale, scale }, width, frames);
}

/** @param {Desk} desk */
export function timeline(desk) {
  const { store } = desk;
  const ruler = /** @type {HTMLCanvasElement} */ (byId("ruler"));
  new ResizeObserver(() => desk.resized(ruler.clientWidth)).observe(ruler);
  byId("zoom-in").onclick = () => desk.zoom(1 / 2);
  byId("zoom-out").onclick = () => desk.zoom(2);
  byId("zoom-all").onclick = () => desk.showAll();
  gestures(byId("rows"), ruler, desk);
  wheel(byId("stage"), ruler, desk);
  scrolling(desk);
  ruler.addEventListener("keydown", (event) => {
    const rate = source(store.state)?.rate ?? 1;
    const far = event.shiftKey ? 10 : 1;
    const page = store.state.width * store.state.view.scale;
    const moves = /** @type {Record<string, number>} */ ({
      ArrowLeft: -far * rate,
      ArrowDown: -far * rate,
      ArrowRight: far * rate,
      ArrowUp: far * rate,
      PageUp: page,
      PageDown: -page,
    });
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    desk.seek(store.state.position + move);
  });
  store.watch((state, before) => draw(state, before, ruler));
}

/**
 * @param {Panel} state
 * @param {Panel | null} before
 * @param {HTMLCanvasElement} ruler
 */
function draw(state, before, ruler) {
  const from = source(state);
  if (!from || !state.width) return;
  const { view, width } = state;
  if (changed(state, before, "view", "width", "chosen", "loop", "theme", "sources")) {
    drawRuler(ruler, view, from.rate, from.frames);
    const seen = Math.min(from.frames - view.start, width * view.scale) / from.rate;
    say(byId("span-seen"), `${seen < 1 ? `${(seen * 1000).toPrecision(3)} ms` : clock(seen, seen < 60 ? 2 : 0)} shown`);
    drawLoop(state);
    drawScroll(state, from.frames, from.rate);
  }
  if (changed(state, before, "view", "width", "pointed", "chosen")) drawEvents(state, from.rate);
  const playhead = byId("playhead");
  const x = (state.position - view.start) / view.scale;
  playhead.style.transform = `translateX(${x.toFixed(2)}px)`;
  playhead.hidden = x < -1 || x > width + 1;
  if (changed(state, before, "position", "chosen", "width")) {
    const seconds = state.position / from.rate;
    mark(ruler, "aria-valuemax", (from.frames / from.rate).toFixed(2));
    if (!state.playing || Math.abs(Number(ruler.getAttribute("aria-valuenow")) - seconds) > 1) {
      mark(ruler, "aria-valuenow", seconds.toFixed(2));
      mark(ruler, "aria-valuetext", spoken(seconds));
    }
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {View} view
 * @param {number} rate
 * @param {number} frames
 */
function drawRuler(canvas, view, rate, frames) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = fit(canvas);
  const style = getComputedStyle(canvas);
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  context.font = `${11 * ratio}px ${style.fontFamily}`;
  context.textBaseline = "top";
  const scale = view.scale / ratio / rate; // seconds in a device pixel
  const step = Math.max(rulerStep(scale * MARKS * ratio), 10 / rate / 10);
  const digits = digitsFor(step);
  const parts = 5;
  const first = Math.floor(view.start / rate / step);
  const last = Math.min(frames / rate, view.start / rate + width * scale) / step;
  for (let number = first; number <= last; number += 1) {
    const x = Math.round((number * step - view.start / rate) / scale);
    context.fillStyle = style.getPropertyValue("--muted");
    context.fillRect(x, height - 10 * ratio, ratio, 10 * ratio);
    context.fillStyle = style.getPropertyValue("--text");
    context.fillText(clock(number * step, digits), x + 4 * ratio, 3 * ratio);
    context.fillStyle = style.getPropertyValue("--line-strong");
    for (let part = 1; part < parts; part += 1) {
      const at = Math.round(x + (part * step) / parts / scale);
      context.fillRect(at, height - 5 * ratio, ratio, 5 * ratio);
    }
  }
}

/** @param {Panel} state */
function drawLoop(state) {
  const area = byId("loop-area");
  const { loop, view, width } = state;
  area.hidden = !loop;
  if (!loop) return;
  const left = Math.max(-2, (loop.start - view.start) / view.scale);
  const right = Math.min(width + 2, (loop.stop - view.start) / view.scale);
  area.hidden = right < 0 || left > width;
  area.style.transform = `translateX(${left}px)`;
  area.style.width = `${Math.max(1, right - left)}px`;
  area.classList.toggle("off", !loop.on);
}

/**
 * @param {Panel} state
 * @param {number} rate
 */
function drawEvents(state, rate) {
  const { view, width } = state;
  const events = state.pointed?.events ?? [];
  keep(
    byId("events"),
    events.filter(([start, stop]) => {
      return stop * rate > view.start && start * rate < view.start + width * view.scale;
    }),
    ([start]) => String(start),
    () => make("div", { className: "event" }),
    (element, [start, stop]) => {
      const left = Math.max(0, (start * rate - view.start) / view.scale);
      const right = Math.min(width, (stop * rate - view.start) / view.scale);
      element.style.transform = `translateX(${left}px)`;
      element.style.width = `${Math.max(2, right - left)}px`;
    },
  );
}

/**
 * @param {Panel} state
 * @param {number} frames
 * @param {number} rate
 */
function drawScroll(state, frames, rate) {
  const { view, width } = state;
  const part = Math.min(1, (width * view.scale) / frames);
  const hidden = frames - width * view.scale;
  const thumb = byId("thumb");
  const size = Math.max(28, part * width);
  const share = hidden > 0 ? view.start / hidden : 0;
  thumb.style.width = `${size}px`;
  thumb.style.transform = `translateX(${share * (width - size)}px)`;
  const scroll = byId("scroll");
  mark(scroll, "aria-valuenow", Math.round(share * 100));
  const end = Math.min(frames, view.start + width * view.scale);
  mark(scroll, "aria-valuetext", `${clock(view.start / rate, 2)} to ${clock(end / rate, 2)}`);
}

/**
 * Wheel with Ctrl (which is what pinching a touchpad sends, too) zooms; sideways scrolls.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement} field
 * @param {Desk} desk
 */
function wheel(place, field, desk) {
  place.addEventListener(
    "wheel",
    (event) => {
      const { view } = desk.store.state;
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        const x = event.clientX - field.getBoundingClientRect().left;
        const by = Math.exp(Math.max(-1, Math.min(1, event.deltaY * unit * 0.004)));
        desk.zoom(by, view.start + Math.max(0, x) * view.scale);
        return;
      }
      const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
      if (!sideways || (!event.shiftKey && Math.abs(event.deltaY) > Math.abs(sideways))) return;
      event.preventDefault();
      desk.scrollBy(sideways * unit * view.scale);
    },
    { passive: false },
  );
}

/**
 * Mouse: a click sets the playhead, a drag marks a range. One finger scrolls, two zoom.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement} field
 * @param {Desk} desk
 */
function gestures(place, field, desk) {
  /** @type {Map<number, number>} where each finger is, in CSS pixels of the field */
  const fingers = new Map();
  /** @type {{x: number, frame: number, moved: boolean, mouse: boolean, tones: DOMRect | null,
   *   hertz: number} | null} */
  let press = null;
  const rate = () => source(desk.store.state)?.rate ?? 1;
  const tone = (/** @type {PointerEvent} */ event, /** @type {DOMRect | null} */ tones) =>
    tones ? hertzAt((tones.bottom - event.clientY) / tones.height, rate()) : 0;
  const at = (/** @type {PointerEvent} */ event) => event.clientX - field.getBoundingClientRect().left;
  const frame = (/** @type {number} */ x) => {
    const { view } = desk.store.state;
    return view.start + x * view.scale;
  };
  place.addEventListener("pointerdown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.button !== 0 || !target.closest(".field")) return;
    const x = at(event);
    fingers.set(event.pointerId, x);
    place.setPointerCapture(event.pointerId);
    const spectrogram = target.closest(".field")?.querySelector(".spectrogram");
    const tones = spectrogram?.getBoundingClientRect() ?? null;
    const mouse = event.pointerType === "mouse";
    press = { x, frame: frame(x), moved: fingers.size > 1, mouse, tones, hertz: tone(event, tones) };
    const row = target.closest("[data-lane]");
    if (row instanceof HTMLElement) desk.pick(row.dataset.lane ?? "mixture");
  });
  place.addEventListener("pointermove", (event) => {
    const was = fingers.get(event.pointerId);
    if (was === undefined || !press) return;
    const x = at(event);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1] ?? x;
      const apart = Math.abs(was - other);
      const now = Math.abs(x - other);
      if (apart > 8 && now > 8) desk.zoom(apart / now, frame((x + other) / 2));
    } else if (press.moved || Math.abs(x - press.x) > DRAG) {
      press.moved = true;
      const { tool } = desk.store.state;
      if (draws(desk.store.state) && tool !== "range") {
        const frames = source(desk.store.state)?.frames ?? 0;
        const one = Math.max(0, Math.min(frames, press.frame));
        const other = Math.max(0, Math.min(frames, frame(x)));
        const hertz = tone(event, press.tones);
        desk.store.set({
          drawing: {
            tool,
            start: Math.min(one, other),
            stop: Math.max(one, other),
            low: Math.min(hertz, press.hertz),
            high: Math.max(hertz, press.hertz),
          },
        });
      } else if (press.mouse) desk.mark(press.frame, frame(x));
      else desk.scrollBy((was - x) * desk.store.state.view.scale);
    }
    fingers.set(event.pointerId, x);
  });
  const end = (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId) || !press) return;
    if (!press.moved && event.type === "pointerup") desk.seek(frame(at(event)));
    if (desk.store.state.drawing) {
      if (event.type === "pointerup") desk.steering.drawn();
      else desk.store.set({ drawing: null });
    }
    if (!fingers.size) press = null;
  };
  place.addEventListener("pointerup", end);
  place.addEventListener("pointercancel", end);
  place.addEventListener("dblclick", (event) => {
    if (/** @type {Element} */ (event.target).closest(".field")) desk.unmark();
  });
}

/** @param {Desk} desk */
function scrolling(desk) {
  const scroll = byId("scroll");
  const { store } = desk;
  /** @type {number | null} */
  let grip = null;
  const frames = () => source(store.state)?.frames ?? 0;
  scroll.addEventListener("pointerdown", (event) => {
    const thumb = byId("thumb").getBoundingClientRect();
    const inside = event.clientX >= thumb.left && event.clientX <= thumb.right;
    grip = inside ? event.clientX - thumb.left : thumb.width / 2;
    scroll.setPointerCapture(event.pointerId);
    follow(event);
  });
  const follow = (/** @type {PointerEvent} */ event) => {
    if (grip === null) return;
    const track = scroll.getBoundingClientRect();
    const free = track.width - byId("thumb").getBoundingClientRect().width;
    const { view, width } = store.state;
    const share = free > 0 ? (event.clientX - grip - track.left) / free : 0;
    desk.scrollTo(share * (frames() - width * view.scale));
  };
  scroll.addEventListener("pointermove", follow);
  scroll.addEventListener("pointerup", () => {
    grip = null;
  });
  scroll.addEventListener("keydown", (event) => {
    const page = store.state.width * store.state.view.scale;
    const moves = /** @type {Record<string, number>} */ ({
      ArrowLeft: -page / 10,
      ArrowUp: -page / 10,
      ArrowRight: page / 10,
      ArrowDown: page / 10,
      PageUp: -page,
      PageDown: page,
      Home: -frames(),
      End: frames(),
    });
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    desk.scrollBy(move);
  });
}
