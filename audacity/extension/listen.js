// Tweeze: what is here. The sounds that the listener notices, as labels on a new label track for
// each audio track.

var effect = require("effect")
var text = require("text")

var NOTHING = "No sound stands out in the selection"

function createEffect() {
    var written = 0, likeliest = [] // of all clips, where Audacity asks for one after the other

    function label(edit, job) {
        var start = job.region.start, found = []
        job.status.heard.forEach(function(sound) {
            if (!sound.events.length) { likeliest.push(sound.name) }
            sound.events.forEach(function(event) {
                found.push([start + event.start, start + event.end, text.clean(sound.name)])
            })
        })
        if (!found.length) { return }
        found.sort(function(one, other) { return one[0] - other[0] || one[1] - other[1] })
        var track = edit.createLabelTrack(job.region.name + " - heard")
        found.forEach(function(row) { track.addLabel(row[0], row[1], row[2]) })
        written += found.length
    }

    return effect.make({
        parameters: [],
        against: function() { return "" },
        fields: function() { return [["task", "listen"]] },
        take: function(edit, calls, job) { return Promise.resolve(label(edit, job)) },
        complete: function() {
            if (written) { return }
            var names = likeliest.slice(0, 3).join(", ")
            throw new Error(NOTHING + (names ? "; the likeliest are: " + names + "." : "."))
        }
    })
}

module.exports = { createEffect: createEffect }
