/**
 * The library: moments that 'tweeze index' heard, to search, play, and open where they are.
 *
 * @import { Desk } from "./desk.js"
 * @import { Finding, FoundMoment } from "./types.js"
 */

import { announce, byId, keep, make, mark, say } from "./dom.js";
import { changed } from "./store.js";
import { clock } from "./time.js";

const AFTER = 200; // milliseconds without a key until it is searched
const AROUND = 0.4; // seconds before and after a moment that are played, too
const LONGEST = 20; // seconds that are played at most
const FRAMES = 60; // drawings of the page that a timeline may take to be there
const SEEN = 8; // seconds around a moment that are shown when it is opened

/** @param {Desk} desk */
export function libraryView(desk) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("library"));
  const search = /** @type {HTMLInputElement} */ (byId("library-search"));
  const sure = /** @type {HTMLInputElement} */ (byId("library-sure"));
  const player = new Player(desk);
  let timer = 0;
  let asked = 0;
  const load = async () => {
    const number = (asked += 1);
    say(byId("library-limit"), `${sure.value} % sure`);
    mark(sure, "aria-valuetext", `${sure.value} % sure or more`);
    try {
      const found = await desk.api.library(search.value, Number(sure.value) / 100);
      if (number === asked) draw(found);
    } catch (error) {
      if (number === asked) say(byId("library-said"), message(error));
    }
  };
  const draw = (/** @type {Finding} */ found) => {
    player.stop();
    say(byId("library-said"), sentence(found, search.value));
    const near = byId("library-near");
    near.hidden = !found.suggestions?.length;
    keep(near, found.suggestions ?? [], (term) => term, (term) =>
      make("button", { type: "button", onclick: () => look(term) }, term),
    );
    // Certainties and files may have changed: no row is worth keeping.
    byId("library-list").replaceChildren(...found.moments.map((one) => row(one, desk, dialog, player)));
  };
  const look = (/** @type {string} */ term) => {
    search.value = term;
    search.focus();
    void load();
  };
  byId("library-open").onclick = () => {
    dialog.showModal();
    search.select();
    void load();
  };
  dialog.addEventListener("close", () => player.stop());
  search.oninput = sure.oninput = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void load(), AFTER);
  };
  desk.store.watch((state, before) => {
    if (changed(state, before, "library", "link")) byId("library-open").hidden = !state.library || state.link === "locked";
  });
}

/**
 * @param {Finding} found
 * @param {string} words
 */
function sentence(found, words) {
  if (!words.trim()) return `${(found.files ?? 0).toLocaleString("en")} files, ${(found.hours ?? 0).toFixed(1)} hours. Name a sound: dog, rain, music.`;
  if (found.suggestions) return `No sound is called '${words.trim()}'.${found.suggestions.length ? " Did you mean:" : ""}`;
  const many = found.moments.length;
  if (!many) return `'${found.understood}' is heard nowhere as surely as that.`;
  return `${many}${found.more ? " or more" : ""} ${many === 1 ? "moment" : "moments"} of '${found.understood}', the surest first.`;
}

/**
 * @param {FoundMoment} one
 * @param {Desk} desk
 * @param {HTMLDialogElement} dialog
 * @param {Player} player
 */
function row(one, desk, dialog, player) {
  const what = `${one.sound} at ${clock(one.start, 1)} in ${one.name}`;
  const about = [`${Math.round(100 * one.certainty)} % sure`, `${clock(one.start, 1)} to ${clock(one.end, 1)}`, one.place];
  const play = make("button", { type: "button", className: "ghost hear", "aria-pressed": "false", "aria-label": `Play ${what}` }, "Play");
  play.onclick = () => void player.toggle(one, play);
  const open = make("button", { type: "button", "aria-label": `Open ${what}` }, "Open");
  open.onclick = async () => {
    open.disabled = true;
    say(byId("library-said"), `Opening ${one.name}…`);
    try {
      await show(desk, one);
      dialog.close();
    } catch (error) {
      say(byId("library-said"), message(error));
    }
    open.disabled = false;
  };
  return make(
    "li",
    { className: "past" },
    make("div", {}, make("strong", {}, one.sound), ` ${one.name}`, make("p", { className: "hint" }, about.filter(Boolean).join(" · "))),
    play,
    open,
  );
}

/**
 * Open the file of a moment, with the playhead there and the view around it.
 *
 * @param {Desk} desk
 * @param {FoundMoment} one
 */
async function show(desk, one) {
  const from = await desk.api.openMoment(one.file);
  desk.takeSource(from);
  desk.choose(from.id);
  const [start, end] = [one.start * from.rate, one.end * from.rate];
  // The timeline of the first recording has no width until it is drawn.
  for (let tries = 0; desk.state.width < 1 && tries < FRAMES; tries += 1) {
    await new Promise((done) => requestAnimationFrame(done));
  }
  const length = end - start + 2 * SEEN * from.rate;
  desk.all = false;
  desk.scrollTo(start - SEEN * from.rate, length / Math.max(1, desk.state.width));
  desk.seek(start);
  announce(`${one.name} is open at ${clock(one.start, 1)}.`);
}

/** Plays one moment at a time, beside whatever the page plays. */
class Player {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AudioBufferSourceNode | null} */
    this.node = null;
    /** @type {HTMLButtonElement | null} */
    this.button = null;
    this.coming = new AbortController();
  }

  /**
   * @param {FoundMoment} one
   * @param {HTMLButtonElement} button
   */
  async toggle(one, button) {
    const same = this.button === button;
    this.stop();
    if (same) return;
    if (this.desk.state.playing) this.desk.pause();
    this.button = button;
    mark(button, "aria-pressed", true);
    say(button, "Stop");
    const coming = (this.coming = new AbortController());
    try {
      const start = Math.max(0, one.start - AROUND);
      const end = Math.min(one.end + AROUND, start + LONGEST);
      const bytes = await this.desk.api.bytes(`/api/library/${one.file}/audio?start=${start}&end=${end}`, coming.signal);
      this.context ??= new AudioContext();
      const buffer = await this.context.decodeAudioData(bytes);
      if (coming.signal.aborted) return;
      await this.context.resume();
      const node = (this.node = this.context.createBufferSource());
      node.buffer = buffer;
      node.connect(this.context.destination);
      node.onended = () => {
        if (this.node === node) this.stop();
      };
      node.start();
    } catch (error) {
      if (coming.signal.aborted) return;
      this.stop();
      say(byId("library-said"), message(error));
    }
  }

  stop() {
    this.coming.abort();
    const { node, button } = this;
    this.node = null;
    this.button = null;
    node?.stop();
    if (button) {
      mark(button, "aria-pressed", false);
      say(button, "Play");
    }
  }
}

/** @param {unknown} error */
function message(error) {
  return error instanceof Error ? error.message : String(error);
}
