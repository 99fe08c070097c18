/**
 * The controls that adjust an answer, what it is limited to, and the steps.
 *
 * @import { Desk } from "./desk.js"
 * @import { Job, Option, Panel } from "./types.js"
 * @import { Kind } from "./places.js"
 */

import { byId, find, icon, keep, make, mark, say } from "./dom.js";
import { plain } from "./desk.js";
import { job } from "./lanes.js";
import { KINDS, placesOf } from "./places.js";
import { changed } from "./store.js";

const FINE = 10; // times finer with Shift
const CROSS = "M4.5 4.5l7 7M11.5 4.5l-7 7";
const RANGES = { sharpness: { step: 0.05, unit: "" }, amount: { step: 1, unit: " %" } };
const KINDS_OF = /** @type {const} */ (["at", "never", "rect"]);

/** @param {Desk} desk */
export function steerView(desk) {
  const { store, steering } = desk;
  byId("as-found").onclick = () => steering.reset();
  byId("undo").onclick = () => steering.undo();
  byId("redo").onclick = () => steering.redo();
  for (const button of byId("tools").querySelectorAll("button")) {
    const tool = button.dataset.tool ?? "range";
    button.onclick = () => {
      if (tool === "range") store.set({ tool });
      else steering.tool(/** @type {Kind} */ (tool));
    };
  }
  store.watch((state, before) => {
    if (!changed(state, before, "sources", "chosen", "shown", "steer", "steps", "done", "tool", "options")) return;
    const root = steering.root();
    byId("steer").hidden = !root && !state.steps.length;
    mark(byId("stage"), "data-tool", root ? state.tool : "range");
    drawSteps(state, desk);
    for (const part of byId("steer").querySelectorAll("#wheels, #tools, #places, #places-of, #as-found")) {
      if (part instanceof HTMLElement) part.hidden = !root;
    }
    if (!root) return;
    drawWheels(state, root, desk);
    drawPlaces(root, desk);
    for (const button of byId("tools").querySelectorAll("button")) {
      mark(button, "aria-pressed", button.dataset.tool === state.tool);
    }
  });
}

/**
 * @param {Panel} state
 * @param {Job} root
 * @param {Desk} desk
 */
function drawWheels(state, root, desk) {
  const values = desk.steering.values(root);
  const several = root.queries.length + root.nots.length > 1;
  const named = ["sharpness", "amount", ...(several ? ["compete"] : []), "stereo"];
  const list = named.flatMap((name) => state.options.find((each) => each.name === name) ?? []);
  keep(
    byId("wheels"),
    list,
    (option) => option.name,
    (option) => (option.kind === "number" ? slider(option, desk) : choice(option, desk)),
    (element, option) => {
      const text = values[option.name] ?? plain(option.default);
      const value = option.kind === "number" ? String(Number(text)) : text; // not "1.00"
      for (const input of element.querySelectorAll("input, select")) {
        if (input === document.activeElement && input instanceof HTMLInputElement && input.type === "number") continue;
        if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === "yes";
        else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) input.value = value;
        if (input instanceof HTMLInputElement && input.type === "range") {
          mark(input, "aria-valuetext", `${value}${unit(option.name)}`);
        }
      }
    },
  );
}

/** @param {string} name */
const unit = (name) => (name in RANGES ? RANGES[/** @type {keyof typeof RANGES} */ (name)].unit : "");

/**
 * @param {Option} option
 * @param {Desk} desk
 */
function slider(option, desk) {
  const { name, label } = option;
  const least = option.least ?? 0;
  const most = name === "sharpness" ? Math.min(4, option.most ?? 4) : (option.most ?? 100);
  const step = name in RANGES ? RANGES[/** @type {keyof typeof RANGES} */ (name)].step : (most - least) / 100;
  const usual = plain(option.default);
  const set = (/** @type {number} */ value) => {
    const held = Math.max(least, Math.min(option.most ?? most, value));
    desk.steering.set(name, String(Math.round(held * 1000) / 1000));
  };
  let fine = false;
  let anchor = 0;
  const range = make("input", {
    type: "range",
    min: String(least),
    max: String(most),
    step: String(step / FINE),
    "aria-label": label,
    title: "Double click: as usual. Shift: fine steps.",
    onpointerdown: (/** @type {PointerEvent} */ event) => {
      fine = event.shiftKey;
      anchor = Number(range.value);
    },
    oninput: () => {
      const raw = Number(range.value);
      set(fine ? anchor + (raw - anchor) / FINE : Math.round(raw / step) * step);
    },
    ondblclick: () => desk.steering.set(name, usual),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const ways = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 });
      const way = ways[event.key];
      if (way === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      set(Number(range.value) + (way * step) / (event.shiftKey ? FINE : 1));
    },
  });
  const exact = make("input", {
    type: "number",
    className: "exact",
    min: String(least),
    max: String(option.most ?? most),
    step: "any",
    "aria-label": `${label}, typed`,
    onchange: () => set(exact.value === "" ? Number(usual) : Number(exact.value)),
  });
  return make("div", { className: "wheel" }, make("span", { "aria-hidden": "true" }, label), range, exact);
}

/**
 * @param {Option} option
 * @param {Desk} desk
 */
function choice(option, desk) {
  const { name, label } = option;
  const id = `wheel-${name}`;
  if (option.kind === "flag") {
    const box = make("input", { type: "checkbox", id, onchange: () => desk.steering.set(name, box.checked ? "yes" : "no") });
    return make("div", { className: "wheel" }, box, make("label", { htmlFor: id }, label));
  }
  const pick = make("select", { id, onchange: () => desk.steering.set(name, pick.value) });
  for (const [value, textContent] of Object.entries(option.words ?? {})) pick.append(make("option", { value, textContent }));
  return make("div", { className: "wheel" }, make("label", { htmlFor: id }, label), pick);
}

/**
 * @param {Job} root
 * @param {Desk} desk
 */
function drawPlaces(root, desk) {
  const values = desk.steering.values(root);
  const all = KINDS_OF.flatMap((kind) => placesOf(values[kind]).map((text, index) => ({ kind, text, index })));
  byId("places-of").hidden = !all.length || root.queries.length < 2;
  keep(
    byId("places"),
    all,
    ({ kind, index }) => `${kind} ${index}`,
    ({ kind, index }) => {
      const wrong = byId("place-wrong");
      const form = kind === "rect" ? "start-end:low-high, like 3.2-4:2000-8000 (seconds, hertz)" : "start-end, like 3.2-7.5 (seconds)";
      const name = kind === "rect" ? "Only in this rectangle" : kind === "at" ? "Only here" : "Not here";
      const input = make("input", {
        type: "text",
        spellcheck: false,
        "aria-label": `${name}: ${form}`,
        title: form,
        onchange: () => {
          const right = desk.steering.replace(kind, index, input.value.trim());
          wrong.hidden = right;
          say(wrong, right ? "" : `'${input.value}' is no such place: write ${form}.`);
          mark(input, "aria-invalid", right ? null : true);
        },
      });
      return make(
        "li",
        { className: `place ${kind}` },
        make("span", { "aria-hidden": "true" }, KINDS[kind]),
        input,
        make("button", { type: "button", className: "away", title: "Take it away", "aria-label": `Take away: ${name}`, onclick: () => desk.steering.replace(kind, index, "") }, icon(CROSS)),
      );
    },
    (element, { text }) => {
      const input = find(element, "input", HTMLInputElement);
      if (input !== document.activeElement) input.value = text;
      input.size = Math.max(6, text.length);
      mark(find(element, "button", HTMLButtonElement), "data-place", text);
    },
  );
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawSteps(state, desk) {
  const { steps, done } = state;
  const back = steps[done - 1];
  const on = steps[done];
  const undo = /** @type {HTMLButtonElement} */ (byId("undo"));
  const redo = /** @type {HTMLButtonElement} */ (byId("redo"));
  undo.disabled = !back;
  redo.disabled = !on;
  mark(undo, "title", back ? `Undo: ${back.label} (Ctrl+Z)` : "Nothing to undo");
  mark(redo, "title", on ? `Do again: ${on.label} (Ctrl+Shift+Z)` : "Nothing was undone");
  keep(
    byId("steps"),
    [{ label: "At first", place: 0 }, ...steps.map(({ label }, index) => ({ label, place: index + 1 }))],
    ({ place }) => String(place),
    ({ place }) => make("li", {}, make("button", { type: "button", className: "wide", onclick: () => desk.steering.goTo(place) })),
    (element, { label, place }) => {
      const button = find(element, "button", HTMLButtonElement);
      say(button, label);
      mark(button, "aria-current", place === done ? "step" : null);
      button.classList.toggle("undone", place > done);
    },
  );
}

/**
 * Whether the mouse draws places just now.
 *
 * @param {Panel} state
 */
export const draws = (state) => state.tool !== "range" && job(state)?.state === "done";
