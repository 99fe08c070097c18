// What is selected, as whole frames of each track.

var text = require("text")

var NOTHING = "Nothing is selected: mark a range of time on an audio track, and try again."
var SILENCE = "There is no audio in the selection: mark a range of time with audio, and try again."
var MOST = 2 * 3600 // seconds of all tracks together
var LONG = "The selection holds more than two hours of audio (all tracks together): mark less, or "
    + "export it and run 'tweeze separate' in a terminal."
var RATES = "The rate of a selected track is no whole number from 1,000 to 384,000 Hz: resample it."

// Return how many frames a track gives from one time to another, in frames, that lie between two.
function count(track, from, to) {
    var rate = track.sampleRate, total = 0, chunk
    var reader = track.openReader({
        start: from / rate, end: to / rate, channelCount: track.channelCount, sampleRate: rate
    })
    while ((chunk = reader.read(8))) {
        total += Number(chunk.sampleCount)
        chunk.release()
    }
    return total
}

// Return what to add to the first frame and to the last, so that their times lead to them whether
// Audacity rounds a time to the nearest frame, as it seems to, or down or up. (Of one frame in six
// no time leads back to it but by rounding.) The first frames of a track tell.
function shifts(track) {
    var low = count(track, 0, 2.25), high = count(track, 0, 2.75)
    var last = low === 2 && high === 2 ? 0.25 : low === 3 && high === 3 ? -0.25 : 0
    var early = count(track, 0.25, 3 + last), late = count(track, 0.75, 3 + last)
    var first = early === 3 && late === 3 ? 0.25 : early === 2 && late === 2 ? -0.25 : 0
    return { first: first, last: last }
}

function endOfAudio(track, start, end) {
    var last = 0
    Array.from(track.clips).forEach(function(clip) {
        if (clip.start < end && clip.end > start) { last = Math.max(last, clip.end) }
    })
    return Math.min(last, end)
}

// Return `{track, name, rate, channels, first, frames, start}` for each selected track that holds
// audio in the selection, which ends where the track's audio does. Throws a sentence.
function find(selection) {
    if (!selection || !(selection.end > selection.start)) { throw new Error(NOTHING) }
    var tracks = Array.from(selection.audioTracks) // a list of Qt's is no array of JavaScript's
    if (!tracks.length) { throw new Error(NOTHING) }
    var start = Math.max(selection.start, 0), seconds = 0, found = []
    tracks.forEach(function(track) {
        var rate = track.sampleRate
        var end = endOfAudio(track, start, selection.end)
        var first = Math.round(start * rate), frames = Math.round(end * rate) - first
        if (frames < 1) { return }
        if (rate !== Math.floor(rate) || rate < 1000 || rate > 384000) { throw new Error(RATES) }
        seconds += frames / rate
        found.push({
            track: track,
            name: text.first(text.clean(track.name), 200),
            rate: rate,
            channels: track.channelCount,
            first: first,
            frames: frames,
            start: first / rate,
            shifts: shifts(track)
        })
    })
    if (!found.length) { throw new Error(SILENCE) }
    if (seconds > MOST) { throw new Error(LONG) }
    return found
}

// Return a reader of a region's own samples, or of some of them.
function open(region, first, frames) {
    function time(frame, shift) { return Math.max(0, frame + shift) / region.rate }
    return region.track.openReader({
        start: time(first, region.shifts.first),
        end: time(first + frames, region.shifts.last),
        channelCount: region.channels,
        sampleRate: region.rate
    })
}

module.exports = { find: find, open: open }
