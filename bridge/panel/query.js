/**
 * Asking: the box with its suggestions, the sounds that were heard, options, and the jobs.
 *
 * @import { Desk } from "./desk.js"
 * @import { HeardSound, Job, Option, Panel, Term, Word } from "./types.js"
 */

import { byId, find, icon, keep, make, mark, say } from "./dom.js";
import { plain } from "./desk.js";
import { head, job, lanes, roots, source } from "./lanes.js";
import { EDITORS, changed } from "./store.js";
import { clock } from "./time.js";

const WELL = 3; // dB from which a sound counts as one that the model separates well
const CROSS = "M4.5 4.5l7 7M11.5 4.5l-7 7";
const ELSEWHERE = ["keep", "at", "never", "band", "rect", "like", "masks"]; // not in the sheet

/** @param {Desk} desk */
export function queryBox(desk) {
  const { store } = desk;
  const typed = /** @type {HTMLInputElement} */ (byId("typed"));
  let active = -1;
  // The box is emptied at once, not with the next frame: who types fast goes on at once.
  const take = (/** @type {string} */ text, /** @type {boolean | undefined} */ wanted) => {
    typed.value = "";
    active = -1;
    desk.add(text, wanted);
  };
  byId("query").addEventListener("submit", (event) => {
    event.preventDefault();
    typed.value = "";
    void desk.separate();
  });
  typed.addEventListener("input", () => {
    active = -1;
    if (/[;,]$/.test(typed.value)) take(typed.value, undefined);
    else desk.type(typed.value);
  });
  typed.addEventListener("keydown", (event) => {
    const { terms, words } = store.state;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move && terms.length) {
      event.preventDefault();
      active = (active + move + terms.length + (active < 0 && move < 0 ? 1 : 0)) % terms.length;
      store.refresh();
    } else if (event.key === "Enter" && terms[active]) {
      event.preventDefault();
      const unwanted = /^\s*(-|not:?\s)/i.test(typed.value);
      take(terms[active]?.term ?? "", !unwanted);
    } else if (event.key === "Escape" && terms.length) {
      event.stopPropagation();
      store.set({ terms: [] });
      active = -1;
    } else if (event.key === "Backspace" && !typed.value && words.length) {
      desk.remove(words.at(-1)?.text ?? "");
    }
  });
  typed.addEventListener("blur", () => setTimeout(() => store.set({ terms: [] }), 150));
  typed.addEventListener("focus", () => desk.type(typed.value));
  store.watch((state, before) => {
    if (typed.value !== state.typed) typed.value = state.typed;
    drawTerms(state, active, desk);
    if (changed(state, before, "words")) drawWords(state, desk);
    if (changed(state, before, "advice")) say(byId("advice"), state.advice);
    if (changed(state, before, "heard", "chosen", "words")) drawHeard(state, desk);
    if (changed(state, before, "options", "models", "settings")) drawOptions(state, desk);
    if (changed(state, before, "sources", "chosen", "shown")) drawJobs(state, desk);
  });
}

/**
 * How well the model does on a term, in words and as 0 to 3 bars.
 *
 * @param {number | null} gain  in dB
 * @returns {[number, string]}
 */
function quality(gain) {
  if (gain === null) return [0, "not measured"];
  if (gain >= 2 * WELL) return [3, "separates very well"];
  if (gain >= WELL) return [2, "separates well"];
  return [1, gain > 0 ? "separates poorly" : "hardly separates"];
}

/**
 * @param {Panel} state
 * @param {number} active
 * @param {Desk} desk
 */
function drawTerms(state, active, desk) {
  const typed = byId("typed");
  const open = state.terms.length > 0 && document.activeElement === typed;
  const list = byId("terms");
  list.hidden = !open;
  mark(typed, "aria-expanded", open);
  mark(typed, "aria-activedescendant", open && active >= 0 ? `term-${active}` : null);
  keep(
    list,
    open ? state.terms : [],
    (term) => `${term.term} ${term.gain}`,
    (term) => buildTerm(term, desk),
    (element, term) => {
      const place = state.terms.indexOf(term);
      element.id = `term-${place}`;
      mark(element, "aria-selected", place === active);
      if (place === active) element.scrollIntoView({ block: "nearest" });
    },
  );
}

/**
 * @param {Term} term
 * @param {Desk} desk
 */
function buildTerm(term, desk) {
  const [bars, text] = quality(term.gain);
  const gain = term.gain === null ? "" : ` (${term.gain > 0 ? "+" : ""}${term.gain.toFixed(1)} dB)`;
  return make(
    "li",
    {
      role: "option",
      onpointerdown: (/** @type {PointerEvent} */ event) => {
        event.preventDefault(); // or the box loses the focus first
        desk.add(term.term);
      },
    },
    make("span", { className: "term" }, term.term),
    make("span", { className: "hint" }, term.relation),
    make(
      "span",
      { className: "quality" },
      make("span", { className: `bars bars-${bars}`, "aria-hidden": "true" }, make("i"), make("i"), make("i")),
      `${text}${gain}`,
    ),
  );
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawWords(state, desk) {
  keep(
    byId("words"),
    state.words,
    (word) => word.text,
    (word) => buildWord(word, desk),
    (element, word) => {
      element.classList.toggle("unwanted", !word.wanted);
      const flip = find(element, "button", HTMLButtonElement);
      say(flip, word.wanted ? word.text : `not ${word.text}`);
      const now = word.wanted ? "wanted; make it not wanted" : "not wanted; make it wanted";
      mark(flip, "aria-label", `${word.text}: ${now}`);
    },
  );
  mark(byId("typed"), "placeholder", state.words.length ? "and…" : "Which sound? Like: dog barking");
}

/**
 * @param {Word} word
 * @param {Desk} desk
 */
function buildWord(word, desk) {
  const away = () => {
    desk.remove(word.text);
    byId("typed").focus();
  };
  return make(
    "li",
    { className: "word" },
    make("button", { type: "button", title: "Wanted, or not wanted", onclick: () => desk.flip(word.text) }),
    make(
      "button",
      { type: "button", className: "away", "aria-label": `Take ${word.text} away`, onclick: away },
      icon(CROSS),
    ),
  );
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawHeard(state, desk) {
  const place = byId("heard");
  const heard = state.heard[state.chosen];
  /** @type {{key: string, text?: string, sound?: HeardSound}[]} */
  const parts = [];
  if (!heard || heard.state === "running") parts.push({ key: "wait", text: "Listening to what is in this recording…" });
  else if (heard.state === "failed") parts.push({ key: "failed", text: heard.error });
  else if (!heard.heard.length) parts.push({ key: "none", text: "Nothing that Tweeze knows by name was heard. Type what you hear yourself." });
  else parts.push({ key: "lead", text: "Heard here:" });
  for (const sound of heard?.heard ?? []) parts.push({ key: `${state.chosen} ${sound.name}`, sound });
  keep(
    place,
    parts,
    (part) => part.key,
    (part) => (part.sound ? buildHeard(part.sound, desk) : make("span", { className: "hint" }, part.text ?? "")),
    (element, { sound }) => {
      if (!sound) return;
      const word = state.words.find((each) => each.text === sound.name);
      const [want, not] = element.querySelectorAll("button");
      if (want) mark(want, "aria-pressed", word?.wanted === true);
      if (not) mark(not, "aria-pressed", word?.wanted === false);
    },
  );
}

/**
 * @param {HeardSound} sound
 * @param {Desk} desk
 */
function buildHeard(sound, desk) {
  const take = (/** @type {boolean} */ wanted) => () => {
    const word = desk.state.words.find((each) => each.text === sound.name);
    if (word?.wanted === wanted) desk.remove(sound.name);
    else desk.add(sound.name, wanted);
  };
  const share = `${Math.round(sound.probability * 100)} %`;
  const times = sound.events.slice(0, 2).map(([start, stop]) => `${clock(start, 1)}–${clock(stop, 1)}`);
  const more = sound.events.length > 2 ? ` +${sound.events.length - 2}` : "";
  return make(
    "span",
    {
      className: `chip${sound.probability < 0.5 ? " faint" : ""}`,
      onpointerenter: () => desk.point(sound),
      onpointerleave: () => desk.point(null),
      onfocusin: () => desk.point(sound),
      onfocusout: () => desk.point(null),
    },
    make(
      "button",
      { type: "button", onclick: take(true), title: `Ask for ${sound.name}` },
      make("b", {}, sound.name),
      ` ${share} `,
      make("span", { className: "times" }, times.join(", ") + more),
    ),
    make("button", { type: "button", className: "not", onclick: take(false), "aria-label": `not ${sound.name}`, title: `${sound.name} is there, and not wanted` }, "not"),
  );
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawOptions(state, desk) {
  const list = state.options.filter((option) => !ELSEWHERE.includes(option.name));
  keep(
    byId("option-list"),
    list,
    (option) => option.name,
    (option) => buildOption(option, state, desk),
    (element, option) => {
      const value = state.settings[option.name] ?? standard(option);
      const input = element.querySelector("input, select");
      if (input === document.activeElement) return;
      if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === "yes";
      else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) input.value = value;
    },
  );
  const changes = Object.keys(state.settings).length;
  say(find(byId("options"), "summary", HTMLElement), changes ? `Options (${changes} changed)` : "Options");
}

/** @param {Option} option */
const standard = (option) => (option.name === "draft" ? "yes" : plain(option.default));

/**
 * @param {Option} option
 * @param {Panel} state
 * @param {Desk} desk
 */
function buildOption(option, state, desk) {
  const id = `option-${option.name}`;
  const set = (/** @type {string} */ text) => desk.setting(option.name, text);
  /** @type {[string, string][]} */
  let choices = Object.entries(option.words ?? {});
  if (option.name === "model") {
    choices = state.models.map((model) => [model.name, `${model.name}: ${model.title}`]);
    if (!state.models.some((model) => model.name === "auto")) choices.unshift(["auto", "auto: the best for each sound"]);
  }
  /** @type {HTMLInputElement | HTMLSelectElement} */
  let input;
  if (option.kind === "flag") {
    const box = make("input", { type: "checkbox", onchange: () => set(box.checked ? "yes" : "no") });
    input = box;
  } else if (choices.length) {
    const pick = make("select", { onchange: () => set(pick.value) });
    for (const [value, text] of choices) pick.append(make("option", { value, textContent: text }));
    input = pick;
  } else {
    const line = make("input", { type: option.kind === "number" ? "number" : "text", onchange: () => set(line.value) });
    if (option.least != null) line.min = String(option.least);
    if (option.most != null) line.max = String(option.most);
    if (option.kind === "number") line.step = "any";
    input = line;
  }
  input.id = id;
  mark(input, "aria-describedby", `${id}-help`);
  const help = option.help.replaceAll("--", "");
  return make(
    "div",
    { className: "option" },
    make("label", { htmlFor: id }, option.label),
    input,
    make("p", { className: "hint", id: `${id}-help` }, help),
  );
}

/**
 * @param {Panel} state
 * @param {Desk} desk
 */
function drawJobs(state, desk) {
  const shown = job(state);
  const others = new Set(state.candidates.slice(1).map((each) => each.id));
  const jobs = roots(source(state)).filter((each) => !others.has(each.id));
  keep(
    byId("jobs"),
    jobs,
    (each) => each.id,
    (each) => make("button", { type: "button", className: "tab", onclick: () => desk.show(each.id) }, make("span", { className: "dot", "aria-hidden": "true" }), make("span", { className: "text" })),
    (element, each) => {
      const said = { queued: "waiting", running: "at work", done: "", failed: "failed", cancelled: "cancelled" };
      mark(element, "aria-pressed", each === shown);
      mark(element, "data-state", each.state);
      const nots = each.nots.map((word) => `not ${word}`);
      const tail = said[each.state] ? ` (${said[each.state]})` : "";
      say(element.querySelector(".text"), [...each.queries, ...nots].join(", ") + tail);
    },
  );
  drawProgress(state, shown, desk);
}

/**
 * @param {Panel} state
 * @param {Job | null} shown
 * @param {Desk} desk
 */
function drawProgress(state, shown, desk) {
  const place = byId("progress");
  const invite = byId("invite");
  invite.hidden = shown !== null;
  say(invite, "Type a sound above, or click one that was heard. It gets a lane here, and so does the rest of the recording.");
  place.hidden = shown === null;
  keep(
    place,
    shown ? [shown] : [],
    (each) => `${each.id} ${each.state === "queued" ? "running" : each.state}`,
    (each) => buildProgress(each, desk),
    (element, each) => {
      const bar = element.querySelector("progress");
      if (!bar) return;
      if (each.state === "queued") bar.removeAttribute("value");
      else bar.value = each.progress;
      const draft = lanes(state).some((lane) => lane.draft);
      const share = `${Math.round(each.progress * 100)} %`;
      const text = each.state === "queued" ? "Waiting for its turn" : `Separating ${each.queries.join(", ")}: ${share}`;
      say(element.querySelector(".text"), draft ? `${text}. You hear a draft until then.` : text);
    },
  );
}

/**
 * @param {Job} shown
 * @param {Desk} desk
 */
function buildProgress(shown, desk) {
  const line = make("div", { className: "job-line" });
  if (shown.state === "queued" || shown.state === "running") {
    line.append(
      make("progress", { max: 1, "aria-label": "Progress" }),
      make("span", { className: "text" }),
      make("button", { type: "button", onclick: () => desk.cancel(shown.id) }, "Cancel"),
    );
    return line;
  }
  if (shown.state === "failed" || shown.state === "cancelled") {
    const again = () => {
      for (const query of shown.queries) desk.add(query, true);
      for (const query of shown.nots) desk.add(query, false);
      byId("typed").focus();
    };
    const text = shown.state === "failed" ? shown.message : "This was cancelled.";
    line.append(
      make("span", { className: "text" }, text),
      make("button", { type: "button", onclick: again }, "Ask again"),
    );
    return line;
  }
  for (const note of shown.notes) line.append(make("p", { className: "hint" }, note));
  line.append(sending(shown, desk));
  return line;
}

/**
 * @param {Job} shown
 * @param {Desk} desk
 */
function sending(shown, desk) {
  const buttons = make("div", { className: "buttons" });
  const from = source(desk.state);
  const editor = from?.host ?? "";
  if (editor !== "") {
    const name = `Send to ${EDITORS[editor]}`;
    let again = false;
    const send = make("button", {
      type: "button",
      className: "main",
      onclick: async () => {
        send.disabled = true;
        const answer = await desk.send(shown, editor, again);
        send.disabled = false;
        if (typeof answer === "string") desk.note(`${answer} Press the button once more to send them again.`, false);
        if (answer) {
          again = true;
          say(send, `${name} again`);
        }
      },
    });
    send.textContent = name;
    buttons.append(send);
  }
  buttons.append(
    make("button", { type: "button", title: "The same for a terminal", onclick: () => desk.copy(head(desk.state, shown).command) }, "Copy the command line"),
  );
  return buttons;
}
