/**
 * Presets: sounds and options under a name.
 *
 * @import { Desk } from "./desk.js"
 * @import { Preset } from "./types.js"
 */

import { byId, icon, keep, make, say } from "./dom.js";
import { job } from "./lanes.js";
import { changed } from "./store.js";

const CROSS = "M4.5 4.5l7 7M11.5 4.5l-7 7";
const ELSEWHERE = ["at", "never", "band", "rect", "like", "keep", "draft", "masks"];

/** @param {Desk} desk */
export function presetMenu(desk) {
  const { store } = desk;
  const name = /** @type {HTMLInputElement} */ (byId("preset-name"));
  const save = async () => {
    const preset = current(desk, name.value.trim());
    if (!preset.name) {
      name.focus();
      return;
    }
    if (!preset.queries.length && !Object.keys(preset.options).length) {
      desk.note("There is nothing to save yet: type a sound, or change an option.", false);
      return;
    }
    try {
      await desk.api.savePreset(preset);
      desk.note(`The preset '${preset.name}' is saved.`, true);
      if (name.value.trim() === preset.name) name.value = ""; // else it is the next one's already
      await refresh(desk);
    } catch (error) {
      desk.fail(error);
    }
  };
  byId("preset-save").onclick = () => void save();
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // the box around it would separate
    void save();
  });
  byId("presets").addEventListener("toggle", () => void refresh(desk));
  store.watch((state, before) => {
    if (!changed(state, before, "presets")) return;
    byId("preset-none").hidden = state.presets.length > 0;
    keep(
      byId("preset-list"),
      state.presets,
      (each) => each.name,
      (each) =>
        make(
          "li",
          {},
          make("button", { type: "button", className: "wide", onclick: () => apply(each.name, desk) }, make("strong", {}, each.name), make("span", { className: "hint" })),
          make("button", { type: "button", className: "away", title: "Remove", "aria-label": `Remove the preset ${each.name}`, onclick: () => void remove(each.name, desk) }, icon(CROSS)),
        ),
      (element, each) => say(element.querySelector(".hint"), words(each)),
    );
  });
}

let asked = 0;

/**
 * Show the presets as they are now; an answer that comes after a later one's question, or after
 * the engine told of others, is old.
 *
 * @param {Desk} desk
 */
async function refresh(desk) {
  const turn = ++asked;
  const before = desk.state.presets;
  try {
    const { presets } = await desk.api.presets();
    if (turn === asked && before === desk.state.presets) desk.store.set({ presets });
  } catch (error) {
    desk.fail(error);
  }
}

/** @param {Preset} preset */
function words({ queries, nots, options }) {
  const changes = Object.entries(options).map(([name, text]) => `${name} ${text}`);
  return [...queries, ...nots.map((each) => `not ${each}`), ...changes].join(", ");
}

/**
 * What is typed and chosen now, or what the shown answer was asked with.
 *
 * @param {Desk} desk
 * @param {string} name
 * @returns {Preset}
 */
function current(desk, name) {
  const { state, steering } = desk;
  const shown = job(state);
  const typed = state.words.length > 0;
  const root = steering.root();
  const queries = typed ? state.words.filter((word) => word.wanted).map((word) => word.text) : (shown?.queries ?? []);
  const nots = typed ? state.words.filter((word) => !word.wanted).map((word) => word.text) : (shown?.nots ?? []);
  const all = { ...(typed ? {} : shown?.options), ...state.settings, ...(root && !typed ? steering.values(root) : {}) };
  const options = Object.fromEntries(Object.entries(all).filter(([option]) => !ELSEWHERE.includes(option)));
  return { name, queries, nots, options };
}

/**
 * Put a preset into the box; one without sounds adjusts the answer that is shown.
 *
 * @param {string} name
 * @param {Desk} desk
 */
function apply(name, desk) {
  const preset = desk.state.presets.find((each) => each.name === name);
  if (!preset) return;
  byId("presets").removeAttribute("open");
  if (preset.queries.length) {
    desk.store.set({ words: [], settings: { ...preset.options } });
    for (const query of preset.queries) desk.add(query, true);
    for (const query of preset.nots) desk.add(query, false);
    byId("separate").focus();
    return;
  }
  desk.store.set({ settings: { ...desk.state.settings, ...preset.options } });
  for (const [option, text] of Object.entries(preset.options)) desk.steering.set(option, text);
}

/**
 * @param {string} name
 * @param {Desk} desk
 */
async function remove(name, desk) {
  try {
    await desk.api.removePreset(name);
    await refresh(desk);
  } catch (error) {
    desk.fail(error);
  }
}
