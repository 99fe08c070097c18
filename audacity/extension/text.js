// Texts: what the user typed as the lines of a job, and what the engine wrote about one. The engine
// has the last word on both (engine/job.py, engine/status.py); a test compares.

// Return a text that fits into one line: without control characters and halves of characters.
function clean(text) {
    return String(text)
        .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ")
        .replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, function(found) {
            return found.length === 2 ? found : "\ufffd"
        })
}

// Return the first so many characters.
function first(text, count) { return Array.from(text).slice(0, count).join("") }

function fold(text) {
    var words = clean(text).split(/\s+/).filter(function(word) { return word !== "" })
    return words.join(" ").normalize("NFC")
}

// Whether a character can be part of a word; symbols, dashes and pictures cannot.
function isWord(code) {
    if (code < 128) { return /\w/.test(String.fromCharCode(code)) }
    return code >= 0xaa && code !== 0xd7 && code !== 0xf7
        && !(code < 0xc0 && code !== 0xaa && code !== 0xb5 && code !== 0xba)
        && !(code >= 0x2000 && code <= 0x2bff)
        && !(code >= 0x2e00 && code <= 0x3004) && !(code >= 0x3008 && code <= 0x3020)
        && !(code >= 0xd800 && code <= 0xf8ff) && !(code >= 0xfe00 && code <= 0xfe6f)
        && !(code >= 0xff00 && code <= 0xff0f) && !(code >= 0x1f000 && code <= 0x1faff)
        && code !== 0xfffd
}

function isMinus(text, at) {
    if (text[at] !== "-" && text[at] !== "\u2212") { return false }
    if (at > 0 && !/\s/.test(text[at - 1])) { return false }
    var rest = text.slice(at + 1).replace(/^\s+/, "")
    return rest !== "" && isWord(rest.codePointAt(0))
}

// Cut "dog - wind -low hum" into what is wanted and, after each minus, what is not.
function parts(text) {
    var found = [], from = 0
    for (var at = 0; at < text.length; at++) {
        if (isMinus(text, at)) {
            found.push(text.slice(from, at))
            from = at + 1
        }
    }
    return found.concat(text.slice(from))
}

function add(list, text) {
    var folded = fold(text)
    if (folded && list.indexOf(folded) < 0) { list.push(folded) }
}

// Return `{queries, nots}` of what the user typed.
function sounds(query, unwanted) {
    var found = { queries: [], nots: [] }, minus = []
    clean(query).split(";").forEach(function(text) {
        parts(text).forEach(function(part, index) { add(index ? minus : found.queries, part) })
    })
    clean(unwanted).split(";").forEach(function(text) { add(found.nots, text) })
    minus.forEach(function(text) { add(found.nots, text) })
    return found
}

// Return `key=value` lines for rows `[key, value]`.
function lines(rows) {
    return rows.map(function(row) { return row[0] + "=" + clean(row[1]) + "\n" }).join("")
}

function heardOf(value) {
    var match = /^(\d\.\d+) (\S*) (.*)$/.exec(value)
    if (!match) { return null }
    var events = match[2] ? match[2].split(",") : []
    return {
        name: match[3],
        events: events.map(function(event) {
            var times = event.split("@")[0].split("-")
            return { start: Number(times[0]), end: Number(times[1]) }
        })
    }
}

// Return what the library says of a job.
function status(said) {
    var found = {
        state: "unknown", engine: false, waits: false, progress: 0, message: "",
        notes: [], heard: [], clips: []
    }
    var kinds = [], names = []
    said.split("\n").forEach(function(line) {
        var equals = line.indexOf("=")
        var key = line.slice(0, equals), value = line.slice(equals + 1)
        if (key === "state" || key === "message") { found[key] = value }
        if (key === "engine" || key === "waits") { found[key] = value === "yes" }
        if (key === "progress") { found.progress = Math.max(0, Math.min(1, Number(value) || 0)) }
        if (key === "note") { found.notes.push(value) }
        if (key === "kind") { kinds.push(value) }
        if (key === "name") { names.push(value) }
        if (key === "heard") { found.heard.push(heardOf(value)) }
    })
    found.clips = names.map(function(name, index) { return { name: name, kind: kinds[index] } })
    found.heard = found.heard.filter(function(sound) { return sound !== null })
    return found
}

// Return an error that is its text and nothing more, however it is shown.
function failure(text) {
    var error = new Error(text)
    error.name = ""
    return error
}

// Return the sentence in what was thrown or rejected.
function sentence(reason) {
    return String(reason && reason.message || reason || "Something went wrong: try again.")
}

module.exports = {
    clean: clean,
    failure: failure,
    first: first,
    lines: lines,
    sentence: sentence,
    sounds: sounds,
    status: status
}
