"""Faults made by hand in the extension: what a slip of the pen would be. Tests must notice each.

A fault is a file, a piece of it that comes once, what is there instead, and what notices it: a
scenario, or for the library's source a test of `test_library`.
"""

# ruff: noqa: E501
from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """One slip: `before` becomes `after` in the file; `noticed` names what notices.

    `hangs` says that it is noticed by what never happens; all others must be noticed by something
    that is wrong.
    """

    file: str
    before: str
    after: str
    noticed: str
    hangs: bool = False


# fmt: off
SCRIPTS = [
    # Reading.
    Fault(
        "run.js",
        "            chunk.release()\n            job.frames",
        "            job.frames",
        "mixtures_are_the_selection",
    ),
    Fault("run.js", "            job.frames += count\n            run", "            run", "mono"),
    Fault("run.js", "[job.handle, count], chunk", "[job.handle, CHUNK], chunk", "mono"),
    Fault("run.js", "if (!lives) { throw new Error(AWAY) }", "", "no_engine", hangs=True),
    Fault(
        "run.js", "if (!job.frames) { throw new Error(SHORT) }", "throw new Error(SHORT)", "mono"
    ),
    Fault("run.js", '["client", "audacity4"]', "", "mono"),
    Fault("run.js", '[["title", job.region.name]', '[["title", ""]', "mono"),
    Fault(
        "run.js",
        "if (run.over) { drop(job); return null }",
        "if (run.over) { return null }",
        "cancel_at_the_start",
        hangs=True,
    ),
    Fault("run.js", "given.concat(Array.from(chunk.channels))", "given.concat(chunk.channels)", "mono"),
    Fault("regions.js", "Array.from(track.clips)", "[].concat(track.clips)", "mono"),
    # Waiting.
    Fault("run.js", 'if (status.state === "failed") {', "if (false) {", "a_failed_job", hangs=True),
    Fault(
        "run.js",
        'if (status.state === "cancelled") {',
        "if (false) {",
        "the_job_is_cancelled_elsewhere",
        hangs=True,
    ),
    Fault(
        "run.js",
        "job.done || known && status.engine ||",
        "job.done || known ||",
        "the_engine_is_killed",
        hangs=True,
    ),
    Fault("run.js", "!status.engine ? LEFT", "status.engine ? LEFT", "an_engine_that_says_nothing"),
    Fault(
        "run.js",
        'known || status.state === "unknown" ? LOST',
        "known ? LOST",
        "an_engine_that_says_nothing",
    ),
    Fault(
        "run.js",
        "if (jobs.every(function(one) { return one.done }))",
        "if (jobs.some(function(one) { return one.done }))",
        "two_tracks",
    ),
    Fault("run.js", "0.1 + 0.8 * sum / jobs.length", "0.1 + 1.8 * sum / jobs.length", "what_the_engine_says_is_shown", hangs=True),
    Fault("run.js", "task.report(run.progress, run.message)", "", "progress_is_shown", hangs=True),
    # Cancel.
    Fault(
        "run.js",
        'if (task.cancelled) { run.fail("Cancelled."); return }',
        "",
        "cancel_while_it_separates",
    ),
    Fault(
        "run.js",
        "        jobs.forEach(drop)\n        settle.reject",
        "        settle.reject",
        "cancel_while_it_separates",
    ),
    Fault(
        "run.js",
        "job.done ? calls.finish : calls.cancel",
        "calls.finish",
        "cancel_while_it_reads",
        hangs=True,
    ),
    Fault(
        "run.js",
        "settle.reject(text.failure(text.sentence(reason)))",
        "settle.reject(new Error(text.sentence(reason)))",
        "the_engine_refuses",
    ),
    Fault(
        "run.js",
        "settle.reject(text.failure(text.sentence(reason)))",
        "settle.resolve(false)",
        "the_engine_refuses",
    ),
    # Taking.
    Fault("run.js", "            complete()\n", "", "mono"),
    Fault(
        "run.js", "region.start)\n            return null", "0)\n            return null", "mono"
    ),
    Fault(
        "run.js",
        "var count = Math.min(CHUNK, job.frames - at), chunk",
        "var count = CHUNK, chunk",
        "mono",
    ),
    Fault(
        "run.js",
        "[job.handle, number, at, count]",
        "[job.handle, 0, at, count]",
        "queries_and_options",
    ),
    Fault(
        "run.js",
        "[job.handle, number, at, count]",
        "[job.handle, number, 0, count]",
        "mixtures_are_the_selection",
    ),
    Fault("run.js", "            writer.write(chunk)\n", "", "mono"),
    Fault(
        "run.js",
        "text.clean(job.status.clips[number].name)",
        "text.clean(job.status.clips[0].name)",
        "queries_and_options",
    ),
    Fault(
        "run.js",
        "{ channelCount: region.channels, sampleRate: region.rate }",
        "{ channelCount: 1, sampleRate: region.rate }",
        "stereo",
    ),
    Fault(
        "run.js",
        "{ channelCount: region.channels, sampleRate: region.rate }",
        "{ channelCount: region.channels, sampleRate: 48000 }",
        "rates",
    ),
    # The selection.
    Fault(
        "regions.js", "Math.round(start * rate)", "Math.floor(start * rate)", "times_between_frames"
    ),
    Fault(
        "regions.js",
        "endOfAudio(track, start, selection.end)",
        "selection.end",
        "beyond_the_audio_and_over_gaps",
    ),
    Fault("regions.js", "seconds += frames / rate", "", "very_long_selections", hangs=True),
    Fault(
        "regions.js", "if (!tracks.length) { throw new Error(NOTHING) }", "", "what_is_no_selection"
    ),
    Fault(
        "regions.js", "if (!found.length) { throw new Error(SILENCE) }", "", "what_is_no_selection", hangs=True),
    Fault("regions.js", "rate !== Math.floor(rate) || ", "", "what_is_no_selection"),
    Fault("regions.js", "? 0.25 : low", "? 0 : low", "times_that_lead_nowhere"),
    Fault("regions.js", "? 0.25 : early", "? 0 : early", "times_that_lead_nowhere"),
    Fault("regions.js", "late === 2 ? -0.25 : 0", "late === 2 ? 0 : 0", "times_that_lead_nowhere"),
    Fault("regions.js", "time(first, region.shifts.first)", "time(first, region.shifts.last)", "times_that_lead_nowhere"),
    Fault("regions.js", "high === 3 ? -0.25 : 0", "high === 3 ? 0 : 0", "times_that_lead_nowhere"),
    Fault("regions.js", "start: first / rate,", "start: start,", "times_between_frames"),
    # Texts.
    Fault(
        "text.js",
        '.replace(/[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]/g, " ")',
        "",
        "any_writing",
    ),
    Fault("text.js", "folded && list.indexOf(folded) < 0", "folded", "queries_and_options"),
    Fault(
        "text.js",
        "if (at > 0 && !/\\s/.test(text[at - 1])) { return false }",
        "",
        "queries_and_options",
    ),
    Fault("text.js", 'rest !== "" && isWord(rest.codePointAt(0))', 'rest !== ""', "any_writing"),
    Fault("text.js", "index ? minus : found.queries", "found.queries", "queries_and_options"),
    Fault(
        "text.js",
        'clean(unwanted).split(";").forEach(function(text) { add(found.nots, text) })',
        "",
        "queries_and_options",
    ),
    Fault("text.js", 'error.name = ""', "", "what_is_no_selection"),
    Fault("text.js", "Number(times[1])", "Number(times[0])", "what_is_here"),
    # The effects.
    Fault(
        "effect.js", 'project.beginEdit("Tweeze", session)', 'project.beginEdit("Tweeze")', "mono"
    ),
    Fault("effect.js", "            edit.commit()\n", "", "mono"),
    Fault(
        "effect.js", "if (current && !current.over) { throw new Error(BUSY) }", "", "one_at_a_time"
    ),
    Fault(
        "effect.js",
        'destroy: function() { if (current) { current.fail("Cancelled.") } }',
        "destroy: function() {}",
        "audacity_gives_up",
        hangs=True,
    ),
    Fault("effect.js", "keep || settings.keep", "settings.keep", "removing"),
    Fault("effect.js", "keep || settings.keep", 'keep || "target"', "queries_and_options"),
    Fault("effect.js", 'rows.push(["sharpness",', '[].push(["sharpness",', "queries_and_options"),
    Fault(
        "effect.js",
        "var refused = broken || about.against(settings)",
        "var refused = broken",
        "the_same_once_more",
    ),
    Fault("effect.js", "broken = text.sentence(error)", 'broken = ""', "the_library_is_missing"),
    Fault(
        "effect.js", "sharpness >= 0.1 && sharpness <= 10", "sharpness <= 10", "what_is_no_request"
    ),
    Fault("effect.js", "if (typed.length > 8000) { return LONG }", "", "what_is_no_request"),
    Fault(
        "effect.js",
        "return Promise.reject(text.failure(text.sentence(error)))",
        "throw error",
        "what_is_no_selection",
    ),
    Fault("effect.js", "if (!inserted) { throw new Error(NOTHING) }", "", "an_engine_that_has_no_clips"),
    Fault("listen.js", "start + event.start", "event.start", "what_is_here"),
    Fault("listen.js", "throw new Error(NOTHING", "new Error(NOTHING", "nothing_is_here"),
    Fault("listen.js", '[["task", "listen"]]', '[["query", "dog"]]', "what_is_here"),
    # The library, as the scripts know it.
    Fault("library.js", ' || require("Audacity.Native")', "", "whatever_audacity_does"),
    Fault("library.js", 'found.bind("version")() !== CALLS', "false", "another_librarys_calls"),
    Fault("library.js", "return alive(home)", 'return alive("/nowhere")', "mono"),
    Fault("library.js", 'state: found.bindWorker("state")', 'state: found.bind("state")', "mono"),
    Fault(
        "library.js",
        "1000 * (where && where.patience || 30)",
        "1e9",
        "an_engine_that_says_nothing",
        hangs=True,
    ),
    # The selftest.
    Fault("selftest.js", "if (!leave) { throw", "if (leave) { throw", "the_selftest"),
    Fault(
        "selftest.js",
        "return check(what, false, text.clean",
        "return check(what, true, text.clean",
        "the_selftest_notices",
    ),
    Fault(
        "selftest.js",
        "same(rest.samples, whole.samples.subarray(half))",
        "true",
        "the_selftest_notices",
    ),
    Fault("selftest.js", "said === ODD", "true", "the_selftest_notices"),
    # The manifest.
    Fault("manifest.json", '"script": "remove.js"', '"script": "separate.js"', "removing"),
    Fault(
        "manifest.json", '"vendor": "Tweeze",\n  "version"', '"vendor": "",\n  "version"', "mono"
    ),
    Fault("manifest.json", '"actions": []', '"actions": {}', "mono"),
]

_LIBRARY = [
    # Handing over.
    ("given[2 + c].buffer.data", "given[2].buffer.data", "mixtures_are_the_selection"),
    ("WAV_HEADER + run->frames * frame, true", "WAV_HEADER, true", "mixtures_are_the_selection"),
    ("at = little(at, run->channels, 2);", "at = little(at, 1, 2);", "stereo"),
    ("at = little(at, run->rate, 4);", "at = little(at, 48000, 4);", "rates"),
    ("at = little(at, 3, 2);", "at = little(at, 1, 2);", "mixtures_are_the_selection"),
    ("run->frames += frames;", "run->frames += 1;", "mono"),
    ("O_CLOEXEC, 0600)", "O_CLOEXEC, 0644)", "test_a_mixture_and_its_job"),
    (
        "    whole = shut(run->wav) && whole;\n    run->wav = NO_FILE;",
        "    run->wav = NO_FILE;",
        "test_ids_sort_and_never_come_again",
    ),
    (
        "    if (whole && !write_small(jobs, run->id, job)) {\n        remove_file(path);",
        "    if (whole && !write_small(jobs, run->id, job)) {",
        "test_a_full_disk_is_one_sentence",
    ),
    ("frames >= 1 && frames <= CHUNK &&", "frames >= 1 &&", "test_what_is_no_call"),
    ("|| given[c].buffer.size < frames * 4", "", "test_what_is_no_call"),
    (
        "if (given[0].type != IS_NUMBER || count != channels + 1",
        "if (given[0].type != IS_NUMBER",
        "test_what_is_no_call",
    ),
    ("if (run->sent || !frames)", "if (!frames)", "test_a_job_says_nothing_that_is_the_librarys"),
    ("if (has_key(&line, own[i]))", "if (false)", "test_a_job_says_nothing_that_is_the_librarys"),
    (
        "if (next_line(&at, stop, &line) != 1)\n            return false;",
        "if (next_line(&at, stop, &line) < 0)\n            return false;",
        "test_a_job_says_nothing_that_is_the_librarys",
    ),
    ("(channels == 1 || channels == 2)", "channels >= 1", "test_what_is_no_call"),
    # The engine's sign of life.
    ("off < FRESH && off > -FRESH", "off < FRESH", "test_alive"),
    ("return more == 0 && off", "return off", "test_alive"),
    ("length <= SMALL && (bytes", "(bytes", "test_alive"),
    (
        "O_RDONLY | O_NONBLOCK | O_NOFOLLOW",
        "O_RDONLY | O_NONBLOCK",
        "test_what_is_no_file_is_not_waited_for",
    ),
    (
        "O_RDONLY | O_NONBLOCK | O_NOFOLLOW",
        "O_RDONLY | O_NOFOLLOW",
        "test_what_is_no_file_is_not_waited_for",
    ),
    ("if (data && absolute(data))", "if (data)", "test_the_usual_home"),
    # Statuses.
    ("return *at == stop ? 0 : -1;", "return 0;", "test_what_is_no_status"),
    ("|| memcmp(line.value, run->id, length))", ")", "test_what_is_no_status"),
    ("kinds != run->clips ||", "", "test_what_is_no_status"),
    ("|| names != run->clips", "", "test_what_is_no_status"),
    ("more != 0 || !state ||", "more != 0 ||", "test_what_is_no_status"),
    ("run->clips < CLIPS && name < after", "name < after", "test_statuses_are_taken_apart"),
    ("run->clips < CLIPS && name < after", "run->clips < CLIPS", "test_what_is_no_status"),
    ("if (strchr(SEPARATORS, *c))", "if (false)", "test_a_name_is_no_path"),
    ("bad = code < least[length] ||", "bad =", "test_what_is_no_status"),
    ("|| code > 0x10ffff", "", "test_what_is_no_status"),
    ("|| length > left)", ")", "test_the_parser_survives_anything"),
    ("code >= 127 && code < 160", "code == 127", "test_what_is_no_status"),
    (
        "char *out = malloc(size + 1)",
        "char *out = malloc(size / 2)",
        "test_statuses_are_taken_apart",
    ),
    ('"state", "progress", "message", "note"', '"state", "progress", "message"', "test_states"),
    ('waits ? "yes" : "no",', '"no",', "test_states"),
    # Taking.
    ("|| frames > run->frames - (uint64_t)first)", ")", "test_clips_come_back"),
    ("clip >= 0 && clip < run->clips &&", "clip >= 0 &&", "test_clips_come_back"),
    ("if (run->clip != (int)clip) {", "if (run->wav == NO_FILE) {", "test_clips_come_back"),
    ("start + (uint64_t)first * frame", "start", "test_clips_come_back"),
    ("given[4 + c].buffer.data", "given[4].buffer.data", "stereo"),
    ("fits && length == run->frames * 4 * run->channels", "fits", "test_wavs"),
    ("fits = kind == 3 &&", "fits =", "clips_that_are_not_right"),
    ("&& read_little(head + 4, 4) == run->rate", "", "clips_that_are_not_right"),
    ("at += length + (length & 1);", "at += length;", "test_wavs"),
    # Ends.
    ("if (job && is_there(job) && !alive(run->home)) {", "if (false) {", "test_cancel"),
    ("            remove_mixture(run, true);\n", "", "test_cancel"),
    ("        remove_mixture(run, false);\n    } else {", "    } else {", "test_cancel"),
    (
        "        if (runs[i].handle && steady() - runs[i].touched > FORGOTTEN)\n            cancel(&runs[i]);\n",
        "",
        "test_what_was_abandoned_is_cancelled",
    ),
    ("    free(told);\n    told = owned;", "    told = owned;", "test_report_and_probe"),
    ("    free(run->home);\n", "", "test_cancel"),
]

# fmt: on
FAULTS = [*SCRIPTS, *(Fault("tweeze.c", *slip) for slip in _LIBRARY)]
