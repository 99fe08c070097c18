// What Tweeze's effects have in common: the dialog's texts, the checks before the start, and what
// Audacity calls while one runs.

var project = require("Audacity.Project")
var text = require("text")
var library = require("library")
var regions = require("regions")
var run = require("run")

var EMPTY = "The description is empty: describe the sound in a few words, like 'dog barking'."
var LONG = "The description is too long: describe the sound in a few words."
var SHARPNESS = "The sharpness is a number from 0.1 to 10; 1 is as trained."
var NOTHING = "There is nothing of that in the selection: try other words."
var BUSY = "Tweeze is at work already: wait for it, or cancel it."

var QUERY = {
    id: "query", name: "The sound (several: a; b)", type: "string", defaultValue: "",
    description: "What you hear, in a few words, like 'dog barking'."
}
var UNWANTED = {
    id: "unwanted", name: "But not (several: a; b)", type: "string", defaultValue: "",
    description: "What is there, too, and not wanted."
}
var RESULT = {
    id: "keep", name: "Result", type: "enum", defaultValue: "target",
    description: "The sounds, the rest, or both.",
    choices: [
        { token: "target", name: "the sound" },
        { token: "residual", name: "everything else" },
        { token: "both", name: "both" }
    ]
}
var MODEL = {
    id: "model", name: "Model", type: "string", defaultValue: "auto",
    description: "One of those that 'tweeze models' lists; 'auto' takes the best for each sound."
}
var SHARP = {
    id: "sharpness", name: "Sharpness", type: "double", defaultValue: 1, min: 0.1, max: 10, step: 0.1,
    description: "Above 1: less of what only resembles the sound."
}

// Return why settings will not do, or "".
function against(settings) {
    var typed = String(settings.query || "") + String(settings.unwanted || "")
    if (typed.length > 8000) { return LONG }
    if (!text.sounds(settings.query || "", "").queries.length) { return EMPTY }
    var sharpness = Number(settings.sharpness)
    return sharpness >= 0.1 && sharpness <= 10 ? "" : SHARPNESS
}

// Return a job's lines for settings that will do.
function fields(settings, keep) {
    var sounds = text.sounds(settings.query, settings.unwanted || "")
    var rows = sounds.queries.map(function(query) { return ["query", query] })
    rows = rows.concat(sounds.nots.map(function(sound) { return ["not", sound] }))
    rows.push(["model", text.clean(settings.model || "").trim() || "auto"])
    rows.push(["keep", keep || settings.keep])
    rows.push(["sharpness", String(Number(Number(settings.sharpness).toFixed(6)))])
    return rows
}

// Return an effect. `about` has the dialog's `parameters`, `against(settings)`, `fields(settings)`,
// `take(edit, calls, job, run)` and, if it has something to say against success, `complete(edit)`.
function make(about) {
    var calls = null, broken = "", current = null
    try {
        calls = library.open()
    } catch (error) {
        broken = text.sentence(error)
    }

    function begin(settings, session) {
        if (current && !current.over) { throw new Error(BUSY) }
        // Audacity lets an edit begin in this very call only.
        var edit = project.beginEdit("Tweeze", session)
        var refused = broken || about.against(settings)
        if (refused) { throw new Error(refused) }
        var found = regions.find(edit.selection)
        current = run.start(found, about.fields(settings), calls, function(job, started) {
            return about.take(edit, calls, job, started)
        }, function() {
            if (about.complete) { about.complete(edit) }
            edit.commit()
        })
        return current.promise
    }

    return {
        parameters: function() { return about.parameters },
        validate: function(settings) { return broken || about.against(settings) || true },
        process: function(settings, session) {
            try {
                return begin(settings, session)
            } catch (error) {
                return Promise.reject(text.failure(text.sentence(error)))
            }
        },
        poll: function(task) { if (current) { current.poll(task) } },
        destroy: function() { if (current) { current.fail("Cancelled.") } }
    }
}

// Return an effect that adds a track for each clip; `keep` says which, where the dialog does not.
function separator(parameters, keep) {
    var inserted = 0
    return make({
        parameters: parameters,
        against: against,
        fields: function(settings) { return fields(settings, keep) },
        complete: function() { if (!inserted) { throw new Error(NOTHING) } },
        take: function(edit, calls, job, started) {
            inserted += job.status.clips.length
            return job.status.clips.reduce(function(before, clip, number) {
                return before.then(function() {
                    return run.insert(edit, calls, job, number, started)
                })
            }, Promise.resolve())
        }
    })
}

module.exports = {
    MODEL: MODEL,
    QUERY: QUERY,
    RESULT: RESULT,
    SHARP: SHARP,
    UNWANTED: UNWANTED,
    make: make,
    separator: separator
}
