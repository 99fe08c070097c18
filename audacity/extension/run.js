// One run: regions go to the engine, a job each, and what it made of them comes back. A step is a
// call on a worker thread and what follows from it; between two steps the window is free. Nothing
// is in the project before all of it is there.

var text = require("text")
var library = require("library")
var regions = require("regions")

var CHUNK = 65536 // frames; the longest chunk of Audacity's API
var LOOK = 100 // ms between two looks at a job
var AWAY = "The Tweeze engine is not running: run 'tweeze start' in a terminal, and try again."
var LEFT = "The Tweeze engine has ended in the middle, and has not come back: run 'tweeze start' in "
    + "a terminal, and try again."
var LOST = "The Tweeze engine does not know of this separation any more: try again."
var NO_SENSE = "Tweeze cannot read what its engine says: run 'tweeze doctor' in a terminal."
var STOPPED = "The separation was cancelled outside Audacity."
var SHORT = "Audacity gave no samples of the selection: try again."
var GARBLED = "The Tweeze engine returned something else than it was asked for: run 'tweeze doctor'."

// Make a call with a chunk's buffers, a list of Qt's, as its last arguments.
function withChannels(call, given, chunk) {
    return call.apply(null, given.concat(Array.from(chunk.channels)))
}

// Begin a run. `fields` are a job's lines but for the title, `calls` the library's; `take(job, run)`
// is asked for each job that is done, in their order, and returns a Promise; `complete()` when all
// are taken.
function start(found, fields, calls, take, complete) {
    var jobs = found.map(function(region) { return { region: region, status: null, handle: 0 } })
    var run = { over: false, message: "Reading", progress: 0 }
    var looking = false, looked = 0, next = 0, silent = 0, reading = true
    var settle

    run.promise = new Promise(function(resolve, reject) {
        settle = { resolve: resolve, reject: reject }
    })

    // End without success: the engine stops, and nothing is changed.
    run.fail = function(reason) {
        if (run.over) { return }
        run.over = true
        jobs.forEach(drop)
        settle.reject(text.failure(text.sentence(reason)))
    }

    function drop(job) {
        if (!job.handle) { return }
        var end = job.done ? calls.finish : calls.cancel
        end(job.handle).then(null, function() {})
        job.handle = 0
    }

    function share(index, part) { return (index + part) / jobs.length }

    // Reading: chunk by chunk into the mixture's file.

    function send(job, index) {
        var region = job.region
        return calls.begin(region.rate, region.channels).then(function(handle) {
            job.handle = handle
            if (run.over) { drop(job); return null }
            job.reader = regions.open(region, region.first, region.frames)
            job.frames = 0
            return read(job, index)
        })
    }

    function read(job, index) {
        if (run.over) { return null }
        var chunk = job.reader.read(CHUNK)
        if (!chunk) { return submit(job) }
        var count = Number(chunk.sampleCount)
        return withChannels(calls.put, [job.handle, count], chunk).then(function() {
            chunk.release()
            job.frames += count
            run.progress = 0.1 * share(index, Math.min(1, job.frames / job.region.frames))
            return read(job, index)
        })
    }

    function submit(job) {
        job.reader = null
        if (!job.frames) { throw new Error(SHORT) }
        var rows = fields.concat([["title", job.region.name], ["client", "audacity4"]])
        return calls.submit(job.handle, text.lines(rows))
    }

    // Waiting: a look at one job at a time.

    function look() {
        var open = jobs.filter(function(job) { return !job.done })
        if (looking || reading || !open.length || Date.now() - looked < LOOK) { return }
        looking = true
        var job = open[next++ % open.length]
        calls.state(job.handle).then(function(said) {
            looking = false
            looked = Date.now()
            if (!run.over) { hear(job, text.status(said)) }
        }).then(null, run.fail)
    }

    function hear(job, status) {
        job.status = status
        if (status.state === "failed") { return run.fail(status.message) }
        if (status.state === "cancelled") { return run.fail(STOPPED) }
        job.done = status.state === "done"
        var known = status.state === "queued" || status.state === "running"
        if (job.done || known && status.engine || status.waits && status.engine) {
            silent = 0
        } else if (!silent) {
            silent = Date.now()
        } else if (Date.now() - silent > library.patience) {
            var silence = known || status.state === "unknown" ? LOST : NO_SENSE
            return run.fail(!status.engine ? LEFT : silence)
        }
        run.message = status.engine ? status.message || "Separating" : "Waiting for the Tweeze engine"
        var shares = jobs.map(function(one) {
            return one.done ? 1 : one.status ? one.status.progress : 0
        })
        var sum = shares.reduce(function(total, one) { return total + one }, 0)
        run.progress = 0.1 + 0.8 * sum / jobs.length
        if (jobs.every(function(one) { return one.done })) { collect() }
        return null
    }

    // Taking: what the engine made, in the order of the tracks.

    function collect() {
        run.message = "Inserting"
        jobs.reduce(function(before, job, index) {
            return before.then(function() {
                if (run.over) { return null }
                run.progress = 0.9 + 0.1 * share(index, 0)
                return take(job, run)
            })
        }, Promise.resolve()).then(function() {
            if (run.over) { return }
            complete()
            run.over = true
            jobs.forEach(function(job) {
                calls.finish(job.handle).then(null, function() {})
            })
            settle.resolve(true)
        }).then(null, run.fail)
    }

    // Called by Audacity every 50 ms.
    run.poll = function(task) {
        if (run.over) { return }
        if (task.cancelled) { run.fail("Cancelled."); return }
        task.report(run.progress, run.message)
        look()
    }

    calls.alive().then(function(lives) {
        if (!lives) { throw new Error(AWAY) }
        return jobs.reduce(function(before, job, index) {
            return before.then(function() { return run.over ? null : send(job, index) })
        }, Promise.resolve())
    }).then(function() { reading = false }).then(null, run.fail)
    return run
}

// Write a clip of a job's into a new track.
function insert(edit, calls, job, number, run) {
    var region = job.region, at = 0
    var format = { channelCount: region.channels, sampleRate: region.rate }
    var writer = edit.createAudioWriter(format)

    function step() {
        if (run.over) { return null }
        if (at === job.frames) {
            writer.addTrack(text.clean(job.status.clips[number].name), region.start)
            return null
        }
        var count = Math.min(CHUNK, job.frames - at), chunk = writer.createChunk(count)
        return withChannels(calls.fetch, [job.handle, number, at, count], chunk).then(function(got) {
            if (run.over) { return null }
            if (got !== count) { throw new Error(GARBLED) }
            writer.write(chunk)
            chunk.release()
            at += count
            return step()
        })
    }
    return step()
}

module.exports = { insert: insert, start: start }
