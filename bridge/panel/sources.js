/**
 * The recordings at the side: choosing, opening, dropping files, and closing.
 *
 * @import { Desk } from "./desk.js"
 * @import { Panel, Source } from "./types.js"
 */

import { byId, find, icon, keep, make, mark, say } from "./dom.js";
import { EDITORS, changed } from "./store.js";
import { clock } from "./time.js";

/** @param {Desk} desk */
export function sourceList(desk) {
  const { store } = desk;
  const file = /** @type {HTMLInputElement} */ (byId("file"));
  for (const id of ["open", "empty-open"]) byId(id).onclick = () => file.click();
  file.onchange = () => {
    void desk.upload([...(file.files ?? [])]);
    file.value = "";
  };
  dropping(desk);
  const rail = byId("rail");
  const button = byId("rail-switch");
  const open = (/** @type {boolean} */ is) => {
    rail.classList.toggle("open", is);
    mark(button, "aria-expanded", is);
  };
  button.onclick = () => open(!rail.classList.contains("open"));
  store.watch((state, before) => {
    if (!changed(state, before, "sources", "chosen", "uploads", "link")) return;
    if (before && changed(state, before, "chosen")) open(false);
    draw(state, desk);
  });
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function draw(state, desk) {
  keep(
    byId("sources"),
    state.sources,
    (each) => each.id,
    (each) => build(each, desk),
    (element, each) => {
      const button = find(element, "button", HTMLButtonElement);
      mark(button, "aria-current", each.id === state.chosen ? "true" : null);
      say(element.querySelector(".title"), each.title);
      say(element.querySelector(".hint"), about(each));
    },
  );
  keep(
    byId("uploads"),
    state.uploads,
    (each) => String(each.id),
    (each) => make("li", {}, make("span", {}, each.name), make("progress", { max: 1, "aria-label": `Opening ${each.name}` })),
    (element, each) => {
      const bar = find(element, "progress", HTMLProgressElement);
      if (each.share < 1) bar.value = each.share;
      else bar.removeAttribute("value");
    },
  );
  const none = state.link !== "opening" && !state.chosen;
  const locked = state.link === "locked";
  byId("empty").hidden = !(none || locked);
  for (const id of ["ask", "stage", "bar"]) byId(id).hidden = none || locked || !state.chosen;
  byId("rail").hidden = locked;
  byId("rail-switch").hidden = locked;
  for (const id of ["empty-open", "empty-ways"]) byId(id).hidden = locked;
  say(byId("empty-title"), locked ? "This page has no access to Tweeze" : "Open a recording");
  const why = locked
    ? "Each panel is opened with a code that works once. Open it anew: with 'tweeze panel' in a terminal, or from your editor's Tweeze menu."
    : "Then name a sound in it, see where it is, and hear it alone.";
  say(byId("empty-text"), why);
  const chosen = state.sources.find((each) => each.id === state.chosen);
  document.title = chosen ? `${chosen.title} · Tweeze` : "Tweeze";
}

/**
 * @param {Source} each
 * @param {Desk} desk
 */
function build(each, desk) {
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", className: "source", onclick: () => desk.choose(each.id) },
      make("span", { className: "title" }),
      make("span", { className: "hint" }),
    ),
    make("button", { type: "button", className: "away", "aria-label": `Close ${each.title}`, title: "Close; the file stays", onclick: () => desk.close(each.id) }, icon("M4.5 4.5l7 7M11.5 4.5l-7 7")),
  );
}

/** @param {Source} each */
function about(each) {
  const channels = ["", "mono", "stereo"][each.channels] ?? `${each.channels} channels`;
  return `${clock(each.frames / each.rate, 1)}, ${channels}${each.host && `, from ${EDITORS[each.host]}`}`;
}

/** @param {Desk} desk */
function dropping(desk) {
  const veil = byId("drop");
  let depth = 0;
  const holds = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (/** @type {number} */ by) => {
    depth = Math.max(0, depth + by);
    veil.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => holds(event) && show(1));
  addEventListener("dragleave", (event) => holds(event) && show(-1));
  addEventListener("dragover", (event) => {
    if (holds(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    show(-depth);
    void desk.upload([...(event.dataTransfer?.files ?? [])]);
  });
}
