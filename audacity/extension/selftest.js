// Tweeze: selftest. Checks in a real Audacity 4 what Tweeze takes for granted and nobody has seen
// yet; a line each, PASS or FAIL, in a file to send back. It ends as a failure on purpose, so that
// Audacity changes nothing, unless its tracks are to stay.

var project = require("Audacity.Project")
var log = require("MuseApi.Log")
var text = require("text")
var library = require("library")
var regions = require("regions")
var run = require("run")

var CHUNK = 65536
var MOST = 3 * CHUNK // frames that are read, and sent to the engine
var ODD = "dog \ud83d\udc15 gr\u00fc\u00dfe \u72ac" // a text outside of every old code page

function floats(buffer, count) {
    return new Float32Array(buffer.copyToArrayBuffer()).subarray(0, count)
}

function same(one, other) {
    if (one.length !== other.length) { return false }
    for (var i = 0; i < one.length; i++) { if (one[i] !== other[i]) { return false } }
    return true
}

function finite(samples) {
    for (var i = 0; i < samples.length; i++) { if (!isFinite(samples[i])) { return false } }
    return true
}

function createEffect() {
    var lines = [], polls = 0, reported = null, cancelled = null, current = null

    function check(what, right, remark) {
        lines.push((right ? "PASS " : "FAIL ") + what + (remark ? " (" + remark + ")" : ""))
        return right
    }

    // Do something that may throw; what it throws fails the check.
    function attempt(what, work) {
        try {
            return check(what, work() !== false)
        } catch (error) {
            return check(what, false, text.clean(text.sentence(error)))
        }
    }

    function refuses(what, work) {
        try {
            work()
        } catch (error) {
            return check(what, true)
        }
        return check(what, false)
    }

    function checkProject(edit) {
        var selection = edit.selection
        check("the selection has a start and an end", selection.end > selection.start,
            selection.start + " to " + selection.end)
        var tracks = Array.from(selection.audioTracks)
        check("the selection has audio tracks", tracks.length > 0, String(tracks.length))
        tracks.forEach(function(track) {
            var clips = Array.from(track.clips)
            check("a track has a name, channels, a rate and clips", typeof track.name === "string"
                && (track.channelCount === 1 || track.channelCount === 2)
                && track.sampleRate >= 1000
                && clips.every(function(clip) { return clip.end > clip.start }))
        })
    }

    // Read a region; return its first channel's chunks.
    function readAll(region, first, frames) {
        var reader = regions.open(region, first, frames)
        var parts = [], total = 0, longest = 0, roomy = true, chunk
        while ((chunk = reader.read(CHUNK))) {
            var count = Number(chunk.sampleCount)
            var buffers = Array.from(chunk.channels)
            roomy = roomy && buffers.length === region.channels
                && buffers.every(function(one) { return one.byteLength >= 4 * count })
            parts.push(floats(buffers[0], count))
            longest = Math.max(longest, count)
            total += count
            chunk.release()
        }
        var flat = new Float32Array(total), at = 0
        parts.forEach(function(part) { flat.set(part, at); at += part.length })
        return { samples: flat, longest: longest, roomy: roomy }
    }

    function checkReading(region) {
        var whole = readAll(region, region.first, region.frames)
        check("a reader gives as many samples as were asked for",
            whole.samples.length === region.frames, whole.samples.length + " of " + region.frames)
        check("a chunk has at most 65,536 samples", whole.longest <= CHUNK, String(whole.longest))
        check("a chunk's buffers hold its samples", whole.roomy)
        check("samples are numbers", finite(whole.samples))
        lines.push("NOTE first and last frames are found with shifts of "
            + region.shifts.first + " and " + region.shifts.last)
        var half = Math.floor(region.frames / 2)
        var rest = readAll(region, region.first + half, region.frames - half)
        check("two readers give the same samples at the same place",
            same(rest.samples, whole.samples.subarray(half)))
    }

    function checkWriting(edit, region, leave) {
        attempt("a writer takes samples, and its track a name", function() {
            var format = { channelCount: 1, sampleRate: region.rate }
            var writer = edit.createAudioWriter(format), chunk = writer.createChunk(CHUNK)
            var bytes = chunk.channels[0].byteLength
            var samples = new Float32Array(bytes / 4)
            samples.fill(1.5)
            chunk.channels[0].copyFromArrayBuffer(samples.buffer)
            check("what is written into a buffer is in it",
                same(floats(chunk.channels[0], bytes / 4), samples))
            writer.write(chunk)
            if (!leave) {
                var odd = writer.createChunk(1)
                samples = new Float32Array(odd.channels[0].byteLength / 4)
                samples.fill(NaN)
                odd.channels[0].copyFromArrayBuffer(samples.buffer)
                refuses("a sample that is no number is refused", function() { writer.write(odd) })
            }
            return writer.addTrack("Tweeze selftest " + ODD, region.start)
        })
        attempt("a label track can be added", function() {
            var track = edit.createLabelTrack("Tweeze selftest")
            return track.addLabel(region.start, region.start + 0.1, ODD)
        })
    }

    // Calls of the library; a Promise.
    function checkLibrary(calls) {
        var buffer = library.buffer(8), late = false
        buffer.copyFromArrayBuffer(new Float32Array([0.25, -1.5]).buffer)
        var answer = calls.probe(ODD, buffer).then(function(said) {
            check("a Promise is settled later", late)
            check("texts reach the library and come back", said === ODD)
            check("a buffer is filled where it lies",
                same(floats(buffer, 2), new Float32Array([0.5, -3])))
            return calls.nonsense()
        }).then(function() {
            check("an unknown call is refused", false)
        }, function(why) {
            check("an unknown call is refused", true, text.clean(text.sentence(why)))
            return calls.put(-1, 1, buffer).then(null, function(sentence) {
                check("a refusal is the library's sentence",
                    sentence === "This separation is not known any more: start it again.",
                    typeof sentence)
            })
        })
        late = true
        return answer
    }

    function checkSeparation(edit, calls, region) {
        var rows = [["query", "dog"], ["model", "auto"], ["keep", "target"]]
        current = run.start([region], rows, calls, function(job, started) {
            check("as many samples were read as before", job.frames === region.frames)
            return run.insert(edit, calls, job, 0, started)
        }, function() {})
        return current.promise.then(function() {
            check("the engine separates, and its clip is in a track", true)
        }, function(why) {
            check("the engine separates, and its clip is in a track", false, text.sentence(why))
        })
    }

    function end(edit, calls, leave) {
        check("poll is called", polls > 0, String(polls))
        check("progress is taken", reported === true)
        check("whether it was cancelled is said", cancelled === false)
        var failed = lines.filter(function(line) { return line.slice(0, 4) === "FAIL" })
        var all = ["Tweeze selftest in Audacity 4"].concat(lines, "")
        all.forEach(function(line) { if (line && log) { log.info("Tweeze: " + line) } })
        var passed = lines.filter(function(line) { return line.slice(0, 4) === "PASS" })
        var said = "Tweeze selftest: " + passed.length + " passed, "
            + failed.length + " failed. " + failed.slice(0, 5).map(function(line) {
                return line + ". "
            }).join("")
        var written = calls ? calls.report(all.join("\n")) : Promise.reject("There is no library.")
        return written.then(function(path) {
            return said + "The lines are in " + path + "."
        }, function(why) {
            return said + "The lines cannot be written: " + text.sentence(why)
        }).then(function(sentence) {
            if (!leave) { throw text.failure(sentence + " Nothing was changed.") }
            if (log) { log.info(sentence) }
            edit.commit()
            return true
        })
    }

    function begin(settings, session) {
        var edit = project.beginEdit("Tweeze selftest", session)
        var leave = settings.leave === true || settings.leave === "true", calls = null, found = null
        checkProject(edit)
        attempt("the library is there, of the same version", function() { calls = library.open() })
        attempt("the selection is found", function() {
            found = regions.find(edit.selection)[0]
            found.frames = Math.min(found.frames, MOST)
        })
        if (found) {
            attempt("reading goes well", function() { checkReading(found) })
            checkWriting(edit, found, leave)
        }
        var checked = Promise.resolve()
        if (calls) {
            checked = checkLibrary(calls).then(function() {
                return calls.alive()
            }).then(function(lives) {
                var there = check("the engine is running", lives)
                return there && found ? checkSeparation(edit, calls, found) : null
            })
        }
        return checked.then(null, function(why) {
            check("nothing unexpected happens", false, text.sentence(why))
        }).then(function() { return end(edit, calls, leave) })
    }

    return {
        parameters: function() {
            return [{
                id: "leave", name: "Leave the test's tracks", type: "bool", defaultValue: false,
                description: "Else nothing is changed, and what was found is told as a failure."
            }]
        },
        validate: function() { return true },
        process: function(settings, session) {
            try {
                return begin(settings, session)
            } catch (error) {
                return Promise.reject(text.failure(text.sentence(error)))
            }
        },
        poll: function(task) {
            polls += 1
            cancelled = task.cancelled
            reported = task.report(Math.min(0.9, polls / 100), "Testing")
            if (current) { current.poll(task) }
        },
        destroy: function() { if (current) { current.fail("Cancelled.") } }
    }
}

module.exports = { createEffect: createEffect }
