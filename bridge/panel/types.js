/**
 * What the engine sends and what the page keeps, as types. Nothing here runs.
 *
 * @typedef {{index: number, kind: "target" | "residual", query: string, name: string,
 *   loudness: number | null}} Clip
 * @typedef {{step: number, values: number[]}} Certainty
 * @typedef {"queued" | "running" | "done" | "failed" | "cancelled"} JobState
 * @typedef {{id: string, source: string, state: JobState, progress: number, message: string,
 *   notes: string[], queries: string[], nots: string[], answers: string[], clips: Clip[],
 *   draft: Clip[], presence: number[], certainty: Certainty[], seconds: number, base: string,
 *   options: Record<string, string>, command: string}} Job  `options` that are not as usual
 * @typedef {{id: string, title: string, rate: number, channels: number, frames: number,
 *   host: "" | "audacity" | "reaper", jobs: Job[]}} Source
 * @typedef {{state: string, running: number, queue: number}} Engine
 * @typedef {{name: string, title: string, general: boolean}} Model
 * @typedef {{name: string, label: string, help: string,
 *   kind: "choice" | "flag" | "number" | "text" | "places", default: string | number | boolean,
 *   words?: Record<string, string> | null, least?: number | null, most?: number | null}} Option
 * @typedef {{version: string, engine: Engine, models: Model[], options: Option[],
 *   sources: Source[], library?: boolean}} State
 * @typedef {{name: string, probability: number, events: [number, number, number][]}} HeardSound
 * @typedef {{state: "running" | "done" | "failed", progress: number, heard: HeardSound[],
 *   error: string}} Heard
 * @typedef {{term: string, relation: string, gain: number | null}} Term
 * @typedef {{terms: Term[], note: string}} Advice
 * @typedef {{job?: Job, source?: Source, gone?: string, forgotten?: string, engine?: Engine,
 *   presets?: Preset[]}} Event
 *
 * @typedef {{name: string, queries: string[], nots: string[],
 *   options: Record<string, string>}} Preset
 * @typedef {{id: string, title: string, file: string, queries: string[], nots: string[],
 *   options: Record<string, string>, when: string, seconds: number | null, clips: number,
 *   bytes: number, host: "" | "audacity" | "reaper", open: string, inserted: boolean,
 *   recording: boolean}} Past
 * @typedef {{jobs: Past[], more: boolean, bytes: number, masks: number, limit_days: number}} History
 * @typedef {{file: number, number: number, name: string, place: string, sound: string,
 *   start: number, end: number, certainty: number, open: string}} FoundMoment  times in seconds
 * @typedef {{moments: FoundMoment[], more?: boolean, understood?: string, suggestions?: string[],
 *   files?: number, hours?: number}} Finding
 * @typedef {{id: string, label: string, pinned: boolean}} Candidate
 *
 * @typedef {"mix" | "left" | "right"} Channel
 * @typedef {"mixture" | "lanes" | "rest"} Listen  what is heard: the recording, the lanes chosen,
 *   or what the lanes chosen leave of the recording
 * @typedef {{start: number, scale: number}} View  the first frame seen; frames in a CSS pixel
 * @typedef {{start: number, stop: number, on: boolean}} Loop  in frames
 * @typedef {{text: string, wanted: boolean}} Word
 * @typedef {"range" | "at" | "never" | "rect"} Tool  what a drag of the mouse makes
 * @typedef {{tool: "at" | "never" | "rect", start: number, stop: number, low: number,
 *   high: number}} Drawing  in frames and hertz
 * @typedef {{shown: string, values: Record<string, string> | null}} Snapshot  the job that is shown,
 *   and how it is adjusted
 * @typedef {{label: string, name: string, source: string, before: Snapshot, after: Snapshot}} Step
 * @typedef {{map: string, floor: number, ceiling: number}} Look  levels in dBFS
 * @typedef {{id: string, title: string, path: string, kind: "mixture" | "target" | "residual",
 *   clip: Clip | null, loudness: number | null, certainty: Certainty | null,
 *   presence: number | null, draft: boolean, colour: number, audio: string}} Lane  `path` is where
 *   the API has its tiles and peaks, `audio` where what is heard
 * @typedef {{solo: boolean, mute: boolean}} Switches
 * @typedef {{id: number, text: string, good: boolean}} Note
 * @typedef {"opening" | "open" | "lost" | "locked"} Link
 *
 * @typedef {Object} Panel  All that the page knows.
 * @property {Link} link
 * @property {Engine | null} engine
 * @property {Model[]} models
 * @property {Option[]} options
 * @property {Source[]} sources
 * @property {boolean} library  whether there is an index to search
 * @property {string} chosen  the id of the recording that is shown
 * @property {Record<string, string>} shown  for each recording, the id of the job that is shown
 * @property {{id: number, name: string, share: number}[]} uploads
 * @property {Note[]} notes
 * @property {View} view
 * @property {number} width  of the field in CSS pixels
 * @property {Channel} channel
 * @property {Look} look
 * @property {Word[]} words
 * @property {Record<string, Record<string, string>>} steer  how jobs are to be adjusted
 * @property {Record<string, string>} previews  the previews that are heard of jobs
 * @property {Step[]} steps
 * @property {number} done  how many of the steps are done; those behind were undone
 * @property {Tool} tool
 * @property {Drawing | null} drawing
 * @property {Candidate[]} candidates  the answer that was there first, then the others
 * @property {string} compared  the recording that they are of
 * @property {Preset[]} presets
 * @property {string} typed
 * @property {Term[]} terms
 * @property {string} advice
 * @property {Record<string, string>} settings
 * @property {Record<string, Heard>} heard
 * @property {Record<string, number | null>} loudness
 * @property {HeardSound | null} pointed  whose events are marked on the timeline
 * @property {boolean} playing
 * @property {boolean} waiting  whether playing waits for audio
 * @property {number} position  in frames
 * @property {Loop | null} loop
 * @property {Listen} listen
 * @property {"lanes" | "rest"} against  what the recording is matched with
 * @property {boolean} matched
 * @property {number} volume  in dB
 * @property {Record<string, Switches>} switches  by the lane's id
 * @property {string} lane  the id of the lane that the keys M and S act on
 * @property {"" | "light" | "dark"} theme
 * @property {Map<string, number>} peaks  of each lane at the playhead, 1 is full scale
 * @property {boolean} letters  whether single letters are commands
 */
export {};
