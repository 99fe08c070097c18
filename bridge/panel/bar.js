/**
 * The transport bar, how the spectrograms are seen, and what is said at the top of the page.
 *
 * @import { Desk } from "./desk.js"
 * @import { Channel, Listen, Panel } from "./types.js"
 */

import { MAPS, table } from "./colours.js";
import { byId, icon, keep, make, mark, say } from "./dom.js";
import { lanes, match, source } from "./lanes.js";
import { changed } from "./store.js";
import { clock } from "./time.js";

const PLAY = "M5 3l8 5-8 5z";
const PAUSE = "M5 3v10M11 3v10";
const SAVED = "tweeze-look"; // what the browser keeps between two panels
const THEMES = /** @type {const} */ (["", "dark", "light"]);

/** @param {Desk} desk */
export function bars(desk) {
  const { store } = desk;
  recall(desk);
  byId("to-start").onclick = () => desk.seek(0);
  byId("play").onclick = () => desk.toggle();
  byId("loop").onclick = () => desk.toggleLoop();
  byId("matched").onclick = () => desk.match(!store.state.matched);
  const volume = /** @type {HTMLInputElement} */ (byId("volume"));
  volume.oninput = () => desk.volume(Number(volume.value));
  for (const button of byId("listen-group").querySelectorAll("button[data-listen]")) {
    const listen = /** @type {Listen} */ (button.getAttribute("data-listen"));
    button.addEventListener("click", () => desk.listen(listen));
  }
  for (const button of byId("channels").querySelectorAll("button")) {
    const channel = /** @type {Channel} */ (button.getAttribute("data-channel"));
    button.addEventListener("click", () => desk.channel(channel));
  }
  const map = /** @type {HTMLSelectElement} */ (byId("map"));
  for (const [value, { title }] of Object.entries(MAPS)) map.append(make("option", { value, textContent: title }));
  map.onchange = () => desk.look({ map: map.value });
  const floor = /** @type {HTMLInputElement} */ (byId("floor"));
  const ceiling = /** @type {HTMLInputElement} */ (byId("ceiling"));
  floor.oninput = () => desk.look({ floor: Number(floor.value) });
  ceiling.oninput = () => desk.look({ ceiling: Number(ceiling.value) });
  byId("theme").onclick = () => {
    const place = THEMES.indexOf(store.state.theme);
    store.set({ theme: THEMES[(place + 1) % THEMES.length] ?? "" });
  };
  store.watch((state, before) => {
    drawTop(state, before);
    if (changed(state, before, "notes")) drawNotes(state, desk);
    if (changed(state, before, "look", "channel", "theme", "volume", "matched", "letters")) {
      drawLook(state);
      if (before) remember(state);
    }
    drawTransport(state, before);
  });
}

/**
 * @param {Panel} state
 * @param {Panel | null} before
 */
function drawTop(state, before) {
  if (!changed(state, before, "engine", "link", "theme")) return;
  const { link, engine, theme } = state;
  const root = document.documentElement;
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  const named = { "": "Theme: system", dark: "Theme: dark", light: "Theme: light" };
  say(byId("theme"), named[theme]);
  const place = byId("engine");
  mark(place, "data-link", link);
  const work = engine && engine.running + engine.queue > 0 ? `at work, ${engine.queue} waiting` : "ready";
  const texts = { opening: "Connecting…", open: `Engine ${work}`, lost: "Engine gone", locked: "No access" };
  say(place, texts[link]);
  const banner = byId("banner");
  banner.hidden = link !== "lost";
  say(banner, link === "lost" ? "The engine is gone. What you see stays, and the page goes on by itself when the engine answers again. If it does not, open the panel anew, with 'tweeze panel' or from your editor: your recordings and answers are kept." : "");
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawNotes(state, desk) {
  keep(
    byId("notes"),
    state.notes,
    (note) => String(note.id),
    (note) =>
      make(
        "div",
        { className: note.good ? "note good" : "note", role: note.good ? "status" : "alert" },
        make("p", {}, note.text),
        make("button", { type: "button", className: "away", "aria-label": "Dismiss", onclick: () => desk.dismiss(note.id) }, icon("M4.5 4.5l7 7M11.5 4.5l-7 7")),
      ),
  );
}

/** @param {Panel} state */
function drawLook(state) {
  const { look, channel, volume, matched } = state;
  for (const button of byId("channels").querySelectorAll("button")) {
    mark(button, "aria-pressed", button.getAttribute("data-channel") === channel);
  }
  const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));
  input("map").value = look.map;
  for (const end of /** @type {const} */ (["floor", "ceiling"])) {
    input(end).value = String(look[end]);
    mark(input(end), "aria-valuetext", `${look[end]} dB`);
  }
  say(byId("levels"), `${look.floor} to ${look.ceiling} dB`);
  const canvas = /** @type {HTMLCanvasElement} */ (byId("scale"));
  const context = canvas.getContext("2d");
  if (context) {
    const image = context.createImageData(canvas.width, canvas.height);
    const colours = new Uint32Array(table(look.map).buffer);
    const pixels = new Uint32Array(image.data.buffer);
    for (let place = 0; place < pixels.length; place += 1) {
      pixels[place] = colours[Math.round((255 * (place % canvas.width)) / (canvas.width - 1))] ?? 0;
    }
    context.putImageData(image, 0, 0);
  }
  input("volume").value = String(volume);
  mark(input("volume"), "aria-valuetext", `${volume} dB`);
  mark(byId("matched"), "aria-pressed", matched);
}

/**
 * @param {Panel} state
 * @param {Panel | null} before
 */
function drawTransport(state, before) {
  if (changed(state, before, "playing", "waiting")) {
    const button = byId("play");
    mark(button, "aria-label", state.playing ? "Pause" : "Play");
    mark(button, "title", state.playing ? "Pause (space)" : "Play (space)");
    mark(button, "aria-busy", state.playing && state.waiting);
    button.replaceChildren(icon(state.playing ? PAUSE : PLAY));
  }
  const from = source(state);
  if (!from) return;
  if (changed(state, before, "position", "chosen")) {
    say(byId("time"), `${clock(state.position / from.rate)} / ${clock(from.frames / from.rate)}`);
  }
  if (changed(state, before, "loop", "chosen")) {
    mark(byId("loop"), "aria-pressed", state.loop?.on ?? false);
    const { loop } = state;
    const rate = from.rate;
    say(byId("range"), loop ? `Range ${clock(loop.start / rate)} to ${clock(loop.stop / rate)}` : "No range marked");
  }
  if (!changed(state, before, "listen", "sources", "chosen", "shown", "matched", "loudness", "switches")) return;
  const some = lanes(state).length > 1;
  byId("listen-group").hidden = !some;
  for (const button of byId("listen-group").querySelectorAll("button[data-listen]")) {
    mark(button, "aria-pressed", button.getAttribute("data-listen") === state.listen);
  }
  const decibels = state.matched ? match(state, state.listen) : 0;
  say(byId("match"), some && decibels < -0.05 ? `${decibels.toFixed(1)} dB` : "");
}

/** @param {Panel} state */
function remember(state) {
  const { look, theme, volume, matched, letters } = state;
  try {
    localStorage.setItem(SAVED, JSON.stringify({ look, theme, volume, matched, letters }));
  } catch {
    return; // a browser that keeps nothing
  }
}

/** @param {Desk} desk */
function recall(desk) {
  try {
    const saved = JSON.parse(localStorage.getItem(SAVED) ?? "{}");
    const { look, theme, volume, matched, letters } = desk.state;
    desk.store.set({
      look: saved.look?.map in MAPS ? { ...look, ...saved.look } : look,
      theme: THEMES.includes(saved.theme) ? saved.theme : theme,
      volume: typeof saved.volume === "number" ? saved.volume : volume,
      matched: saved.matched ?? matched,
      letters: saved.letters ?? letters,
    });
  } catch {
    return;
  }
}
