/**
 * Keys that work anywhere on the page but where text is typed, and the list of them.
 *
 * @import { Desk } from "./desk.js"
 */

import { byId, make } from "./dom.js";
import { source } from "./lanes.js";

const STEP = 1; // seconds that an arrow moves the playhead
const PIXELS = 8; // what it moves with Alt, in CSS pixels of the view

/** @type {[string, string][]} */
const LIST = [
  ["Space", "Play, pause"],
  ["← →", "Playhead by a second; with Shift by ten, with Alt by a little of what is seen"],
  ["Home, End", "To the start, to the end"],
  ["↑ ↓", "Pick the lane above, below"],
  ["1 to 9", "Hear only that lane; 1 is the recording"],
  ["S, M", "Solo, mute the picked lane"],
  ["A", "Compare: the recording, or the lanes"],
  ["T", "What was taken out: the recording without the lanes that are on"],
  ["Shift+1 to 9", "Hear that candidate, where you compare"],
  ["X", "Switch between the two candidates that are pinned"],
  ["[ ]", "The range begins, ends at the playhead"],
  ["L", "Loop the range"],
  ["Z", "Show the range"],
  ["O, N, R", "Only here, not here, only this rectangle: the marked range, or what you drag next"],
  ["Ctrl+Z, Ctrl+Shift+Z", "Undo, do again"],
  ["Esc", "Forget the range, close what is open"],
  ["+ −", "Zoom in, out around the playhead (also Ctrl and the wheel, or pinch)"],
  ["0", "Show all"],
  ["/", "Type a sound"],
  ["?", "This list"],
];

/** @param {Desk} desk */
export function keys(desk) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  const letters = /** @type {HTMLInputElement} */ (byId("letters"));
  byId("key-list").append(
    ...LIST.map(([key, text]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, text))),
  );
  byId("keys-open").onclick = () => dialog.showModal();
  letters.onchange = () => desk.store.set({ letters: letters.checked });
  desk.store.watch((state) => {
    letters.checked = state.letters;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && closeMenus(event.target)) return;
    // A dialog is in front of all that keys mean, and closes itself on Escape.
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey) {
      const typed = /** @type {HTMLElement} */ (event.target).closest("input[type=text], input[type=search], textarea");
      if (!typed && stepped(event, desk)) event.preventDefault();
      return;
    }
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("input, select, textarea")) return;
    // Space and Enter press what has the focus.
    if (event.key === " " && target.closest("button, summary, a")) return;
    if (!source(desk.state)) return;
    if (act(event, desk, dialog)) event.preventDefault();
  });
  document.addEventListener("pointerdown", (event) => {
    const inside = /** @type {Element} */ (event.target).closest("details.menu");
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== inside) menu.removeAttribute("open");
    }
  });
}

/**
 * @param {EventTarget | null} target
 * @returns {boolean} whether there was one
 */
function closeMenus(target) {
  const open = document.querySelectorAll("details.menu[open]");
  for (const menu of open) {
    menu.removeAttribute("open");
    if (target instanceof Node && menu.contains(target)) menu.querySelector("summary")?.focus();
  }
  return open.length > 0;
}

/**
 * Undo and redo.
 *
 * @param {KeyboardEvent} event
 * @param {Desk} desk
 * @returns {boolean} whether the key means that
 */
function stepped(event, desk) {
  const key = event.key.toLowerCase();
  if (event.altKey || (key !== "z" && key !== "y")) return false;
  if (key === "y" || event.shiftKey) desk.steering.redo();
  else desk.steering.undo();
  return true;
}

/**
 * @param {KeyboardEvent} event
 * @param {Desk} desk
 * @param {HTMLDialogElement} dialog
 * @returns {boolean} whether the key means something here
 */
function act(event, desk, dialog) {
  const { state } = desk;
  const from = source(state);
  if (!from) return false;
  const far = event.shiftKey ? 10 * STEP * from.rate : STEP * from.rate;
  const move = event.altKey ? PIXELS * state.view.scale : far;
  /** @type {Record<string, () => void>} */
  const always = {
    ArrowLeft: () => desk.seek(state.position - move),
    ArrowRight: () => desk.seek(state.position + move),
    ArrowUp: () => desk.step(-1),
    ArrowDown: () => desk.step(1),
    Home: () => desk.seek(0),
    End: () => desk.seek(from.frames),
    Escape: () => (state.tool === "range" ? desk.unmark() : desk.store.set({ tool: "range" })),
  };
  /** @type {Record<string, () => void>} */
  const single = {
    " ": () => desk.toggle(),
    s: () => desk.solo(state.lane),
    m: () => desk.mute(state.lane),
    a: () => desk.compare(),
    t: () => desk.listen(state.listen === "rest" ? "lanes" : "rest"),
    l: () => desk.toggleLoop(),
    z: () => desk.showRange(),
    o: () => desk.steering.tool("at"),
    n: () => desk.steering.tool("never"),
    r: () => desk.steering.tool("rect"),
    "[": () => desk.markEnd("start"),
    "]": () => desk.markEnd("stop"),
    "+": () => desk.zoom(1 / 2),
    "=": () => desk.zoom(1 / 2),
    "-": () => desk.zoom(2),
    "0": () => desk.showAll(),
    x: () => desk.comparing.flip(),
    "/": () => byId("typed").focus(),
    "?": () => dialog.showModal(),
  };
  for (let number = 1; number <= 9; number += 1) single[String(number)] = () => desk.only(number);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.altKey && key.length === 1) return false;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  if (event.shiftKey && digit && state.letters && state.candidates.length) {
    desk.comparing.number(Number(digit));
    return true;
  }
  const action = always[key] ?? (state.letters || key === " " ? single[key] : undefined);
  action?.();
  return action !== undefined;
}
