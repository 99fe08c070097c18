/**
 * Talking to the engine: the token, requests, and the socket that tells what changes.
 *
 * @import { Advice, Event, Finding, Heard, History, Job, Preset, Source, State } from "./types.js"
 */

const KEY = "tweeze-token";
const FIRST_WAIT = 300; // milliseconds until the page looks for a lost engine again
const LONGEST_WAIT = 4000;

/** Something the engine refused, in its own words. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} sentence
   */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** The engine did not answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("The engine does not answer. The page goes on looking for it.");
  }
}

/** How often an answer that comes later is asked for again. */
const PATIENCE = 120;

export class Api {
  constructor() {
    this.token = sessionStorage.getItem(KEY) ?? "";
  }

  /**
   * Exchange the code of the address for a token; where there is none, an earlier token is used.
   *
   * @returns {Promise<string>} the id of the recording that the address names, or nothing
   */
  async open() {
    const named = new URLSearchParams(location.hash.slice(1));
    const code = named.get("code");
    if (code) {
      history.replaceState(null, "", location.pathname);
      const body = JSON.stringify({ code });
      const answer = await this.ask("/api/session", { method: "POST", body });
      this.token = /** @type {{token: string}} */ (await answer.json()).token;
      sessionStorage.setItem(KEY, this.token);
    }
    if (!this.token) throw new Refused(401, "This page needs the code that 'tweeze panel' gives it.");
    return named.get("source") ?? "";
  }

  /**
   * @param {string} path
   * @param {RequestInit} [more]
   */
  async ask(path, more = {}) {
    /** @type {Record<string, string>} */
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    if (typeof more.body === "string") headers["Content-Type"] = "application/json";
    for (let tries = 0; ; tries += 1) {
      let answer;
      try {
        answer = await fetch(path, { credentials: "omit", ...more, headers });
      } catch (error) {
        if (error instanceof DOMException && error.name === "AbortError") throw error;
        throw new Unreachable();
      }
      if (answer.ok) return answer;
      const later = answer.status === 503 && answer.headers.get("Retry-After");
      if (!later || tries >= PATIENCE) throw new Refused(answer.status, await sentence(answer));
      // What is asked for is still being read or measured.
      await new Promise((done) => setTimeout(done, 1000 * Number(later)));
      more.signal?.throwIfAborted();
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} [more]
   */
  async json(path, more) {
    return (await this.ask(path, more)).json();
  }

  /** @returns {Promise<State>} */
  state() {
    return this.json("/api/state");
  }

  /**
   * @param {string} source
   * @returns {Promise<Heard>}
   */
  heard(source) {
    return this.json(`/api/sources/${encodeURIComponent(source)}/heard`);
  }

  /**
   * @param {string} source
   * @returns {Promise<{integrated: number | null}>}
   */
  loudness(source) {
    return this.json(`/api/sources/${encodeURIComponent(source)}/loudness`);
  }

  /**
   * @param {string} text
   * @param {AbortSignal} signal
   * @returns {Promise<Advice>}
   */
  suggest(text, signal) {
    return this.json(`/api/suggest?q=${encodeURIComponent(text)}`, { signal });
  }

  /**
   * @param {string} source
   * @param {{queries: string[], nots: string[], options: Record<string, string>, base: string,
   *   instead?: string}} wanted  `instead` is a job that goes when this one is done
   * @returns {Promise<Job>}
   */
  separate(source, wanted) {
    const body = JSON.stringify(wanted);
    return this.json(`/api/sources/${encodeURIComponent(source)}/jobs`, { method: "POST", body });
  }

  /**
   * An adjusted answer in stretches, before there is a job for it.
   *
   * @param {string} job
   * @param {Record<string, string>} options
   * @returns {Promise<{preview: string}>}
   */
  preview(job, options) {
    const body = JSON.stringify({ options });
    return this.json(`/api/jobs/${encodeURIComponent(job)}/previews`, { method: "POST", body });
  }

  /** @param {string} job */
  cancel(job) {
    return this.ask(`/api/jobs/${encodeURIComponent(job)}`, { method: "DELETE" });
  }

  /**
   * @param {string} words
   * @param {string} before  the id of the job behind which to go on, or nothing
   * @returns {Promise<History>}
   */
  history(words, before) {
    const query = new URLSearchParams({ q: words, ...(before ? { before } : {}) });
    return this.json(`/api/history?${query}`);
  }

  /**
   * @param {string} job
   * @returns {Promise<Source>}
   */
  openPast(job) {
    return this.json(`/api/history/${encodeURIComponent(job)}/open`, { method: "POST" });
  }

  /** @param {string} job */
  forget(job) {
    return this.ask(`/api/history/${encodeURIComponent(job)}`, { method: "DELETE" });
  }

  /**
   * @param {string} words
   * @param {number} sure  0 to 1
   * @returns {Promise<Finding>}
   */
  library(words, sure) {
    return this.json(`/api/library?${new URLSearchParams({ q: words, sure: String(sure) })}`);
  }

  /**
   * @param {number} file  its number in the index
   * @returns {Promise<Source>}
   */
  openMoment(file) {
    return this.json(`/api/library/${file}/open`, { method: "POST" });
  }

  /** @returns {Promise<{presets: Preset[]}>} */
  presets() {
    return this.json("/api/presets");
  }

  /** @param {Preset} preset */
  savePreset({ name, queries, nots, options }) {
    const body = JSON.stringify({ queries, nots, options });
    return this.ask(`/api/presets/${encodeURIComponent(name)}`, { method: "PUT", body });
  }

  /** @param {string} name */
  removePreset(name) {
    return this.ask(`/api/presets/${encodeURIComponent(name)}`, { method: "DELETE" });
  }

  /**
   * @param {string} job
   * @param {string} name
   * @param {number[][]} events  start and end of each, in seconds
   * @returns {Promise<{said: string}>}
   */
  sendEvents(job, name, events) {
    const body = JSON.stringify({ name, events });
    return this.json(`/api/jobs/${encodeURIComponent(job)}/events`, { method: "POST", body });
  }

  /** @param {string} source */
  close(source) {
    return this.ask(`/api/sources/${encodeURIComponent(source)}`, { method: "DELETE" });
  }

  /**
   * @param {string} job
   * @param {string} editor
   * @param {boolean} again
   * @returns {Promise<{said: string}>}
   */
  send(job, editor, again) {
    const body = JSON.stringify(again ? { editor, again } : { editor });
    return this.json(`/api/jobs/${encodeURIComponent(job)}/send`, { method: "POST", body });
  }

  /**
   * Send a file to the engine; `progress` is told the share that went, 0 to 1.
   *
   * @param {File} file
   * @param {(share: number) => void} progress
   * @returns {Promise<Source>}
   */
  upload(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch tells nothing of how far a body went
      request.open("POST", `/api/sources?name=${encodeURIComponent(file.name)}`);
      request.setRequestHeader("Authorization", `Bearer ${this.token}`);
      request.upload.onprogress = (event) => {
        if (event.lengthComputable) progress(event.loaded / event.total);
      };
      request.onerror = () => reject(new Unreachable());
      request.onload = () => {
        /** @type {unknown} */
        let body = null;
        try {
          body = JSON.parse(request.responseText);
        } catch {
          body = null;
        }
        if (request.status < 300) resolve(/** @type {Source} */ (body));
        else reject(new Refused(request.status, errorOf(body, request.status)));
      };
      request.send(file);
    });
  }

  /**
   * Raw bytes: a tile, peaks, or audio.
   *
   * @param {string} path
   * @param {AbortSignal} [signal]
   */
  async bytes(path, signal) {
    const answer = await this.ask(path, { signal: signal ?? null });
    try {
      return await answer.arrayBuffer();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new Refused(0, "The audio broke off on its way. The page asks for it again.");
    }
  }

  /**
   * Listen to what changes, for good: a connection that breaks off is made again.
   *
   * @param {{event: (event: Event) => void, open: () => void, lost: () => void,
   *   locked: () => void}} told
   */
  listen(told) {
    let wait = FIRST_WAIT;
    const connect = () => {
      const socket = new WebSocket(`ws://${location.host}/api/events`);
      socket.onopen = () => {
        socket.send(JSON.stringify({ token: this.token }));
        wait = FIRST_WAIT;
        told.open();
      };
      socket.onmessage = (message) => told.event(JSON.parse(message.data));
      socket.onclose = (event) => {
        if (event.code === 4401) {
          told.locked();
          return;
        }
        told.lost();
        setTimeout(connect, wait);
        wait = Math.min(LONGEST_WAIT, wait * 1.6);
      };
    };
    connect();
  }
}

/** @param {Response} answer */
async function sentence(answer) {
  try {
    return errorOf(await answer.json(), answer.status);
  } catch {
    return errorOf(null, answer.status);
  }
}

/**
 * @param {unknown} body
 * @param {number} status
 */
function errorOf(body, status) {
  if (body && typeof body === "object" && "error" in body) return String(body.error);
  return `The engine refused this (${status}).`;
}
