/**
 * The strip of candidates.
 *
 * @import { Desk } from "./desk.js"
 */

import { byId, find, keep, make, mark, say } from "./dom.js";
import { job } from "./lanes.js";
import { changed } from "./store.js";

/** @param {Desk} desk */
export function compareView(desk) {
  const { store, comparing } = desk;
  const begin = /** @type {HTMLButtonElement} */ (byId("compare"));
  begin.onclick = async () => {
    begin.disabled = true;
    await comparing.begin();
    begin.disabled = false;
  };
  byId("compare-end").onclick = () => void comparing.leave();
  store.watch((state, before) => {
    if (!changed(state, before, "candidates", "sources", "shown", "chosen", "loudness", "compared")) return;
    const here = state.candidates.length > 0 && state.compared === state.chosen;
    byId("candidates-row").hidden = !here;
    begin.hidden = here || job(state)?.state !== "done";
    if (!here) return;
    const shown = job(state)?.id;
    keep(
      byId("candidates"),
      state.candidates,
      ({ id }) => id,
      ({ id }) =>
        make(
          "li",
          { className: "candidate" },
          make("button", { type: "button", className: "hear", onclick: () => comparing.audition(id) }, make("strong", {}), make("span", { className: "hint" })),
          make("button", { type: "button", className: "ghost pin", onclick: () => comparing.pin(id) }, "Pin"),
          make("button", { type: "button", className: "ghost keep", onclick: () => void comparing.keep(id) }, "Keep"),
        ),
      (element, { id, label, pinned }) => {
        const one = comparing.one(id);
        const place = state.candidates.findIndex((each) => each.id === id) + 1;
        say(element.querySelector("strong"), `${place}  ${label}`);
        say(element.querySelector(".hint"), about(one, one ? comparing.share(one) : null));
        const hear = find(element, ".hear", HTMLButtonElement);
        hear.disabled = !one?.clips.length;
        mark(hear, "aria-pressed", id === shown);
        mark(hear, "title", `Hear it (Shift+${place})`);
        const pin = find(element, ".pin", HTMLButtonElement);
        mark(pin, "aria-pressed", pinned);
        mark(pin, "aria-label", `Pin ${label}`);
        pin.disabled = hear.disabled;
        const keeping = find(element, ".keep", HTMLButtonElement);
        mark(keeping, "aria-label", `Keep ${label}`);
        keeping.disabled = hear.disabled;
      },
    );
  });
}

/**
 * @param {import("./types.js").Job | null} one
 * @param {number | null} share
 */
function about(one, share) {
  if (!one) return "waiting";
  if (one.state === "failed") return one.message || "failed";
  if (one.state !== "done") return one.state === "queued" ? "waiting" : `${Math.round(one.progress * 100)} %`;
  const sure = one.presence[0] === undefined ? "" : `${Math.round(one.presence[0] * 100)} % sure`;
  const part = share === null ? "" : `${share < 0.1 ? (100 * share).toPrecision(1) : Math.round(100 * share)} % of the sound`;
  return [sure, part].filter(Boolean).join(", ");
}
