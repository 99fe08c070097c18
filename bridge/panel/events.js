/**
 * Where a sound is likely, as a list: play one, keep only those that are ticked, or give them to the
 * editor as labels or regions.
 *
 * @import { Desk } from "./desk.js"
 * @import { Certainty, Job, Panel } from "./types.js"
 */

import { byId, keep, make, mark, say } from "./dom.js";
import { head, job, lanes, source } from "./lanes.js";
import { EDITORS, changed } from "./store.js";
import { clock } from "./time.js";

const SHORTEST = 0.1; // seconds of an event
const GAP = 0.3; // seconds below which two are one
const MOST = 500; // rows
const PLACES = 100; // that an answer can be limited to

/** @typedef {{start: number, stop: number, sure: number}} Found  seconds, and the highest certainty */

/**
 * The stretches in which a certainty reaches a threshold.
 *
 * @param {Certainty | null} curve
 * @param {number} threshold
 * @returns {Found[]}
 */
export function eventsOf(curve, threshold) {
  /** @type {Found[]} */
  const all = [];
  if (!curve) return all;
  curve.values.forEach((value, place) => {
    if (value < threshold) return;
    const start = place * curve.step;
    const last = all.at(-1);
    if (last && start - last.stop <= GAP) {
      last.stop = start + curve.step;
      last.sure = Math.max(last.sure, value);
    } else all.push({ start, stop: start + curve.step, sure: value });
  });
  return all.filter(({ start, stop }) => stop - start >= SHORTEST).slice(0, MOST);
}

/** @param {number} seconds */
const exact = (seconds) => String(Math.round(seconds * 1000) / 1000);

/** @param {Desk} desk */
export function eventList(desk) {
  const { store } = desk;
  const menu = /** @type {HTMLDetailsElement} */ (byId("events-menu"));
  const limit = /** @type {HTMLInputElement} */ (byId("events-sure"));
  /** @type {Set<string>} the starts of those that are not ticked */
  const off = new Set();
  const found = () => {
    const lane = shownLane(store.state);
    return eventsOf(lane?.certainty ?? null, Number(limit.value) / 100);
  };
  const ticked = () => found().filter(({ start }) => !off.has(exact(start)));
  limit.oninput = () => store.refresh();
  byId("events-only").onclick = () => {
    const spans = ticked().map(({ start, stop }) => `${exact(start)}-${exact(stop)}`);
    if (spans.length > PLACES) desk.note(`Of ${spans.length} events the first ${PLACES} are kept: ask for a higher certainty.`, false);
    if (spans.length) desk.steering.set("at", spans.slice(0, PLACES).join(","));
    else desk.note("Tick at least one event.", false);
  };
  byId("events-send").onclick = () => void send(desk, ticked());
  byId("events-save").onclick = () => save(desk, ticked());
  let was = "";
  store.watch((state, before) => {
    const lane = shownLane(state);
    menu.hidden = !lane?.certainty;
    const now = `${lane?.id} ${limit.value}`;
    if (!changed(state, before, "sources", "chosen", "shown", "lane") && now === was) return;
    if (lane && !was.startsWith(`${lane.id} `)) off.clear();
    was = now;
    const all = found();
    mark(limit, "aria-valuetext", `${limit.value} % sure`);
    say(byId("events-limit"), `${limit.value} %`);
    say(menu.querySelector("summary"), `Events (${all.length})`);
    say(byId("events-of"), lane ? `Where ${lane.title} is at least so sure:` : "");
    const editor = source(state)?.host ?? "";
    byId("events-send").hidden = editor === "";
    if (editor) say(byId("events-send"), `Send to ${EDITORS[editor]} as ${editor === "reaper" ? "regions" : "labels"}`);
    keep(
      byId("event-list"),
      all,
      ({ start }) => `${lane?.id} ${exact(start)}`,
      (one) => row(one, off, desk),
      (element, { stop, start, sure }) => {
        say(element.querySelector(".text"), `${clock(start, 2)}, ${(stop - start).toFixed(2)} s, ${Math.round(sure * 100)} %`);
      },
    );
  });
}

/**
 * @param {Found} one
 * @param {Set<string>} off
 * @param {Desk} desk
 */
function row(one, off, desk) {
  const name = exact(one.start);
  const box = make("input", {
    type: "checkbox",
    checked: !off.has(name),
    onchange: () => {
      if (box.checked) off.delete(name);
      else off.add(name);
    },
  });
  const play = () => {
    const rate = source(desk.state)?.rate ?? 1;
    desk.mark(one.start * rate, one.stop * rate);
    desk.seek(one.start * rate);
    void desk.play();
  };
  return make(
    "li",
    { className: "event-row" },
    make("label", { className: "check" }, box, make("span", { className: "text" })),
    make("button", { type: "button", className: "ghost", "aria-label": `Play the event at ${clock(one.start, 2)}`, onclick: play }, "Play"),
  );
}

/**
 * The lane whose events are listed: the picked one, or the first sound.
 *
 * @param {Panel} state
 */
function shownLane(state) {
  const all = lanes(state).filter((lane) => lane.kind === "target");
  return all.find((lane) => lane.id === state.lane) ?? all[0] ?? null;
}

/**
 * @param {Desk} desk
 * @param {Found[]} events
 */
async function send(desk, events) {
  const lane = shownLane(desk.state);
  const shown = job(desk.state);
  if (!lane || !shown || !events.length) {
    desk.note("Tick at least one event.", false);
    return;
  }
  try {
    const { said } = await desk.api.sendEvents(current(desk, shown).id, lane.title, events.map(({ start, stop }) => [start, stop]));
    desk.note(said, true);
  } catch (error) {
    desk.fail(error);
  }
}

/**
 * @param {Desk} desk
 * @param {Job} shown
 */
const current = (desk, shown) => head(desk.state, shown);

/**
 * As a label track of Audacity: start, end, and name, with tabs between them.
 *
 * @param {Desk} desk
 * @param {Found[]} events
 */
function save(desk, events) {
  const lane = shownLane(desk.state);
  if (!lane || !events.length) {
    desk.note("Tick at least one event.", false);
    return;
  }
  const rows = events.map(({ start, stop }) => `${start.toFixed(6)}\t${stop.toFixed(6)}\t${lane.title}\n`);
  desk.keepFile(`${lane.title}.txt`, new Blob(rows, { type: "text/plain" }));
}
