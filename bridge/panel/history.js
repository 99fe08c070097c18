/**
 * The history: all answers whose clips are kept, to search, open again, send again, or delete.
 *
 * @import { Desk } from "./desk.js"
 * @import { History, Past } from "./types.js"
 */

import { byId, keep, make, say } from "./dom.js";
import { EDITORS } from "./store.js";

const AFTER = 200; // milliseconds without a key until it is searched

/** @param {Desk} desk */
export function historyView(desk) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("history"));
  const search = /** @type {HTMLInputElement} */ (byId("history-search"));
  const more = /** @type {HTMLButtonElement} */ (byId("history-more"));
  /** @type {Past[]} */
  let all = [];
  let timer = 0;
  let asked = 0;
  const load = async (/** @type {boolean} */ further) => {
    const number = (asked += 1);
    try {
      const found = await desk.api.history(search.value, further ? (all.at(-1)?.id ?? "") : "");
      if (number !== asked) return;
      all = further ? [...all, ...found.jobs] : found.jobs;
      more.hidden = !found.more;
      draw(found);
    } catch (error) {
      if (number === asked) say(byId("history-said"), error instanceof Error ? error.message : String(error));
    }
  };
  const draw = (/** @type {History} */ found) => {
    const kept = `${size(found.bytes)} of clips and ${size(found.masks)} of masks are kept, for ${found.limit_days} days at most.`;
    say(byId("history-said"), all.length ? kept : `Nothing is found. ${kept}`);
    keep(byId("history-list"), all, ({ id }) => id, (one) => row(one, desk, dialog, () => void load(false)));
  };
  byId("history-open").onclick = () => {
    search.value = "";
    dialog.showModal();
    void load(false);
  };
  search.oninput = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void load(false), AFTER);
  };
  more.onclick = () => void load(true);
}

/**
 * @param {Past} one
 * @param {Desk} desk
 * @param {HTMLDialogElement} dialog
 * @param {() => void} again
 */
function row(one, desk, dialog, again) {
  const asked = [...one.queries, ...one.nots.map((each) => `not ${each}`)].join(", ");
  const changes = Object.entries(one.options).filter(([name]) => name !== "keep" && name !== "draft").map(([name, text]) => `${name} ${text}`);
  const when = new Date(one.when).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const about = [when, one.file || one.title, ...changes, size(one.bytes), one.inserted ? "in the project" : ""];
  const said = byId("history-said");
  const act = (/** @type {() => Promise<unknown>} */ work) => async () => {
    try {
      await work();
    } catch (error) {
      say(said, error instanceof Error ? error.message : String(error));
    }
  };
  const open = act(async () => {
    const from = await desk.api.openPast(one.id);
    desk.takeSource(from);
    desk.choose(from.id);
    desk.show(one.id);
    dialog.close();
  });
  const remove = make("button", { type: "button", className: "ghost" }, "Delete");
  remove.onclick = act(async () => {
    if (remove.textContent === "Delete") {
      say(remove, "Delete for good?");
      return;
    }
    await desk.api.forget(one.id);
    desk.dropJob(one.id);
    again();
  });
  const send = make("button", { type: "button", className: "ghost", hidden: one.host === "" });
  if (one.host) {
    say(send, `Send to ${EDITORS[one.host]}${one.inserted ? " again" : ""}`);
    send.onclick = act(async () => say(said, (await desk.api.send(one.id, one.host, one.inserted)).said));
  }
  return make(
    "li",
    { className: "past" },
    make("div", {}, make("strong", {}, asked), make("p", { className: "hint" }, about.filter(Boolean).join(" · "))),
    make("button", { type: "button", disabled: !one.recording && !one.open, "aria-label": `Open ${asked}`, title: one.recording || one.open ? "Open it with its settings" : "Its recording is gone", onclick: open }, "Open"),
    send,
    remove,
  );
}

/** @param {number} bytes */
function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}
