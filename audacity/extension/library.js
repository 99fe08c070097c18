// Tweeze's library (tweeze.c), whose calls reach the engine's folder. All but `version` touch files,
// and so run on one of Audacity's worker threads, each in a moment: the window never waits for them.

var native = require("MuseApi.Native") || require("Audacity.Native")
var where = require("where")

var CALLS = "1" // the form of the calls: tweeze.c knows the same
var MISSING = "Tweeze's library for this computer is missing: run 'tweeze install audacity' in a "
    + "terminal, and start Audacity again."
var OTHER = "Tweeze's scripts and its library are of different versions: run 'tweeze install "
    + "audacity' in a terminal, and start Audacity again."

// Return the library's calls; each returns a Promise, and rejects with a sentence. Throws one, too.
function open() {
    var found = native ? native.open("tweeze") : null
    if (!found) { throw new Error(MISSING) }
    if (found.bind("version")() !== CALLS) { throw new Error(OTHER) }
    var home = where && where.home || ""
    var alive = found.bindWorker("alive")
    var begin = found.bindWorker("begin")
    var report = found.bindWorker("report")
    return {
        alive: function() { return alive(home) },
        begin: function(rate, channels) { return begin(home, rate, channels) },
        put: found.bindWorker("put"),
        submit: found.bindWorker("submit"),
        state: found.bindWorker("state"),
        fetch: found.bindWorker("fetch"),
        cancel: found.bindWorker("cancel"),
        finish: found.bindWorker("finish"),
        probe: found.bindWorker("probe"),
        nonsense: found.bindWorker("nonsense"),
        report: function(text) { return report(home, text) }
    }
}

// Return a buffer of so many bytes.
function buffer(bytes) { return native.createBuffer(bytes) }

module.exports = {
    open: open,
    buffer: buffer,
    patience: 1000 * (where && where.patience || 30) // ms that a silent engine is waited for
}
