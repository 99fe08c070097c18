"""What happens at a musician's desk with Audacity 4, and what must come of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from listeners import tone

from engine.job import Task
from engine.options import Keep
from engine.status import JobState
from tests.hosts.audacity4.desk import Desk, Engine, until
from tests.hosts.audacity4.fake import Run
from tests.hosts.audacity4.project import Audio, AudioTrack

CHUNK = 65536
# Some scenarios have many turns, of which a usual test takes the first few.
MANY = bool(os.environ.get("TWEEZE_MANY") or os.environ.get("TWEEZE_ALL_FAULTS"))
Make = Callable[..., Desk]
Scenario = Callable[[Make, Engine], None]
ALL: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    ALL[function.__name__] = function
    return function


@contextlib.contextmanager
def holding(desk: Desk, query: str) -> Iterator[Run]:
    """Begin a separation that stays in its middle for as long as the block lasts."""
    root = desk.folders.root
    (root / "held").unlink(missing_ok=True)
    (root / "hold").touch()
    try:
        run = desk.begin(query=f"hold {query}")
        desk.step_until((root / "held").exists, "the separation", run)
        yield run
    finally:
        (root / "hold").unlink()


def simple(desk: Desk, **given: Any) -> None:
    """Separate a second of a track, and compare with what the engine made."""
    before, count = desk.project.state(), len(desk.project.tracks)
    outcome = desk.do(**{"query": "dog barking", **given})
    desk.check_clips(outcome, desk.project.start)
    assert desk.project.undo == ["Tweeze"], "one undo step"
    desk.project.undo.clear()
    added, desk.project.tracks = desk.project.tracks[count:], desk.project.tracks[:count]
    assert desk.project.state() == before, "the original was touched"
    desk.project.tracks += added
    desk.nothing_is_left()


# What comes back.


@scenario
def mono(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(2.5)
    desk.select(0.25, 1.75)
    simple(desk)
    (job,) = desk.jobs()
    assert (job.queries, job.nots, job.title) == (("dog barking",), (), "yard")
    assert (job.client, job.placement) == ("audacity4", None)
    assert (job.options.model, job.options.keep, job.options.sharpness) == ("auto", Keep.TARGET, 1)


@scenario
def stereo(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(2.5, channels=2)
    desk.select(0.25, 1.75)
    simple(desk)


@scenario
def rates(desks: Make, engine: Engine) -> None:
    for rate in (44100, 96000):
        for channels in (1, 2):
            desk = desks()
            desk.track(1.5, rate=rate, channels=channels)
            desk.select(0.1, 1.3)
            simple(desk)


@scenario
def two_tracks(desks: Make, engine: Engine) -> None:
    """One result per track, never mixed; one undo step for both."""
    desk = desks()
    desk.track(1.5, rate=44100, channels=2, name="left")
    desk.track(1.5, name="not selected", selected=False)
    desk.track(1.5, rate=96000, name="right")
    desk.select(0.5, 1.25)
    simple(desk)
    assert [track.name for track in desk.project.tracks[3:]] == [
        "left - dog barking",
        "right - dog barking",
    ]
    assert [track.channels for track in desk.project.tracks[3:]] == [2, 1]


@scenario
def long_selections_go_in_chunks(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(9.0, channels=2)
    desk.select(0.0, (3 * CHUNK + 1) / 48000)
    calls: list[str] = []
    desk.host.watchers.append(calls.append)
    simple(desk)
    assert calls.count("put") == calls.count("fetch") == 4

    desk = desks()
    desk.track(4.0)
    desk.select(0.0, 2 * CHUNK / 48000)
    calls.clear()
    desk.host.watchers.append(calls.append)
    simple(desk)
    assert calls.count("put") == calls.count("fetch") == 2


@scenario
def beyond_the_audio_and_over_gaps(desks: Make, engine: Engine) -> None:
    desk = desks()
    track = desk.track(0.5, at=0.25)
    desk.clip(track, 0.5, at=1.25)
    desk.select(0.0, 3.0)
    simple(desk)
    (clip,) = desk.project.audio[-1].clips
    assert clip.stop == track.stop, "it ends where the audio does"
    (job,) = desk.jobs()
    assert job.mixture.parent == desk.folders.mixtures


@scenario
def times_between_frames(desks: Make, engine: Engine) -> None:
    for start, end in ((0.1000149, 0.9000001), (1 / 3, 2 / 3), (0.123456789, 1.23456789)):
        desk = desks()
        desk.track(2.0, rate=44100)
        desk.select(start, end)
        simple(desk)
        (clip,) = desk.project.audio[-1].clips
        assert clip.stop == round(end * 44100)
        first = desk.project.audio[-1].start * 44100
        assert abs(first - round(first)) < 1e-6, "a track begins between two frames"


@scenario
def times_that_lead_nowhere(desks: Make, engine: Engine) -> None:
    """Of some frames no time leads back but by rounding; up or down, they are found, too."""
    rate = 44100
    off = {k: k / rate * rate - k for k in range(4000, 9000)}
    above, below = ([k for k in off if off[k] * sign > 0] for sign in (1, -1))
    for rounding, frames in (
        *(("round", above), ("round", below), ("floor", below)),
        *(("ceil", above), ("outward", above), ("outward", below)),
    ):
        desk = desks(rounding=rounding)
        track = desk.track(1.0, rate=rate)
        first, last = frames[0], frames[-1]
        desk.select(first / rate, last / rate)
        simple(desk, keep="both")
        made = [one.clips[0] for one in desk.project.audio[-2:]]
        assert {clip.start for clip in made} == {first}
        mixture = track.read(first, last)
        assert {clip.samples.shape for clip in made} == {mixture.shape}
        assert np.abs(sum(clip.samples for clip in made) - mixture).max() < 1e-6


@scenario
def mixtures_are_the_selection(desks: Make, engine: Engine) -> None:
    """What the engine gets is what is stored, also above full scale: sum it up again."""
    desk = desks()
    track = desk.track(3.5, channels=2)
    track.clips[0].samples[:] *= 5
    desk.select(0.25, 3.0)
    simple(desk, keep="both")
    made = [one.clips[0].samples for one in desk.project.audio[-2:]]
    mixture = track.read(round(0.25 * 48000), 3 * 48000)
    assert np.abs(sum(made) - mixture).max() < 1e-5


@scenario
def queries_and_options(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.5)
    desk.select(0.25, 1.0)
    simple(
        desk,
        query=" dog ;; hi-hat - wind -low  hum;dog ",
        unwanted="traffic; rain",
        keep="both",
        model=" compact ",
        sharpness=1.5,
    )
    (job,) = desk.jobs()
    assert job.queries == ("dog", "hi-hat")
    assert job.nots == ("traffic", "rain", "wind", "low hum")
    assert job.options.model == "compact"
    assert job.options.sharpness == 1.5
    assert job.options.keep is Keep.BOTH
    assert len(desk.project.audio) == 4


@scenario
def removing(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.5)
    desk.select(0.25, 1.0)
    outcome = desk.do("remove", query="dog barking")
    desk.check_clips(outcome, 0.25)
    (job,) = desk.jobs()
    assert job.options.keep is Keep.RESIDUAL
    assert desk.project.undo == ["Tweeze: remove"]


@scenario
def any_writing(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.0, name="Hof \N{DOG} \u202eöß\x07\n")
    desk.select(0.0, 0.75)
    queries = ["\N{DOG} barking", "犬の鳴き声", "größe", "a=b", "-\N{CAT}", "🏳️‍🌈 flag"]
    outcome = desk.do(query="; ".join(queries))
    desk.check_clips(outcome, 0.0)
    (job,) = desk.jobs()
    assert job.queries == tuple(queries)
    assert job.title == "Hof \N{DOG} \u202eöß  "

    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 0.75)
    outcome = desk.do(query="gro\u0308\u00dfe\t\x01 \u2028gong")
    desk.check_clips(outcome, 0.0)
    assert desk.jobs()[0].queries == ("gr\u00f6\u00dfe gong",)


@scenario
def the_same_once_more(desks: Make, engine: Engine) -> None:
    """Ctrl+R: no dialog, and perhaps no validation."""
    desk = desks(validates_again=False)
    desk.track(1.5)
    desk.select(0.25, 1.0)
    desk.do(query="dog barking")
    desk.do(query="dog barking", again=True)
    assert len(desk.project.audio) == 3
    refused = desk.do(query=" ", again=True)
    assert not refused.went
    assert refused.text.startswith("The description is empty")


@scenario
def progress_is_shown(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(6.0)
    desk.select(0.0, 6.0)
    with holding(desk, "progress") as run:
        desk.step_until(
            lambda: run.task.reports and run.task.reports[-1][1] == "Separating", "progress", run
        )
    assert desk.finish(run).went
    shares = [share for share, _ in run.task.reports]
    assert shares == sorted(shares)
    share, said = run.task.reports[0]
    assert said == "Reading"
    assert 0 <= share <= 0.1  # reading may be on its way before Audacity asks


# Listening.


@scenario
def what_is_here(desks: Make, engine: Engine) -> None:
    desk = desks()
    track = AudioTrack("yard", 16000, 1, selected=True)
    sound = tone("Bark", 16000, 8.0, (2.0, 4.0)) + tone("Rain", 16000, 8.0, (5.0, 7.0))
    track.clips.append(Audio(0, sound[np.newaxis]))
    desk.project.tracks.append(track)
    desk.select(1.0, 8.0)
    outcome = desk.do("listen")
    assert outcome.went, outcome.text
    (labels,) = outcome.added
    assert labels.name == "yard - heard"
    (status,) = desk.recent()
    (job,) = desk.jobs()
    assert job.task is Task.LISTEN
    heard = sorted(
        (1.0 + event.start, 1.0 + event.stop, heard.name)
        for heard in status.heard
        for event in heard.events
    )
    assert len(heard) >= 2
    assert sorted(labels.labels) == heard
    assert labels.labels == sorted(labels.labels, key=lambda label: label[:2])
    assert desk.project.undo == ["Tweeze: what is here"]


@scenario
def nothing_is_here(desks: Make, engine: Engine) -> None:
    desk = desks()
    track = AudioTrack("yard", 16000, 1, [Audio(0, np.zeros((1, 32000), np.float32))], True)
    desk.project.tracks.append(track)
    desk.select(0.0, 2.0)
    outcome = desk.do("listen")
    assert outcome.text.startswith("No sound stands out in the selection")
    assert desk.project.undo == []


@scenario
def labels_are_barred(desks: Make, engine: Engine) -> None:
    desk = desks(labels=False)
    track = AudioTrack("yard", 16000, 1, selected=True)
    track.clips.append(Audio(0, tone("Bark", 16000, 4.0, (0.0, 3.0))[np.newaxis]))
    desk.project.tracks.append(track)
    desk.select(0.0, 4.0)
    assert desk.do("listen").text == "This effect may not add label tracks"


# What is refused.


def refused(desk: Desk, words: str, effect: str = "separate", **given: Any) -> None:
    before = desk.project.state()
    outcome = desk.do(effect, **{"query": "dog", **given})
    assert not outcome.went
    assert words in outcome.text, outcome.text
    assert not outcome.text.startswith("Error"), "the user reads a sentence, and no program's word"
    assert desk.project.state() == before
    assert outcome.added == []


@scenario
def what_is_no_request(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 0.5)
    for query in ("", " ", ";;", "- rain", "\n"):
        refused(desk, "The description is empty", query=query)
    refused(desk, "too long", query="dog " * 3000)
    refused(desk, "from 0.1 to 10; 1 is as trained", sharpness=0.0)
    refused(desk, "from 0.1 to 10; 1 is as trained", sharpness=11.0)
    assert desk.recent() == []


@scenario
def what_is_no_selection(desks: Make, engine: Engine) -> None:
    desk = desks(nothing="nothing")
    track = desk.track(1.0)
    desk.select(0.5, 0.5)
    refused(desk, "Nothing is selected")
    desk.select(2.0, 3.0)
    refused(desk, "There is no audio in the selection")
    desk.select(0.0, 0.5)
    track.selected = False
    refused(desk, "Nothing is selected")
    track.selected = True
    track.rate = 48000.5
    refused(desk, "whole number")
    assert desk.recent() == []


@scenario
def very_long_selections(desks: Make, engine: Engine) -> None:
    """With nothing selected, Audacity may select all there is."""
    desk = desks()
    track = desk.track(1.0, rate=1000, selected=False)
    desk.clip(track, 1.0, at=7300)
    refused(desk, "more than two hours")


@scenario
def all_is_selected_where_nothing_is(desks: Make, engine: Engine) -> None:
    desk = desks(nothing="all")
    desk.track(1.0, selected=False)
    desk.track(0.5, selected=False)
    outcome = desk.do(query="dog")
    desk.check_clips(outcome, 0.0)
    assert [track.clips[0].stop for track in outcome.added] == [48000, 24000]


@scenario
def the_engine_refuses(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 0.5)
    refused(desk, "elephant", model="elephant")
    refused(desk, "300 is the most", query="d" * 301)
    refused(desk, "wanted and not wanted", unwanted="dog")
    assert all(status.state is JobState.FAILED for status in desk.recent())
    desk.nothing_is_left()


@scenario
def a_failed_job(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(6.0)
    desk.select(0.0, 6.0)
    refused(desk, "memory", query="allocate")
    (status,) = desk.recent()
    assert status.state is JobState.FAILED
    desk.nothing_is_left()


@scenario
def one_of_two_jobs_fails(desks: Make, engine: Engine) -> None:
    """All or nothing, since it would be one undo step; and the other one is cancelled."""
    desk = desks()
    desk.track(0.25, name="short")  # over before its model misbehaves
    desk.track(6.0, name="long")
    desk.track(6.0, name="last")
    desk.select(0.0, 6.0)
    before = desk.project.state()
    outcome = desk.do(query="allocate")
    assert not outcome.went
    assert outcome.text
    assert desk.project.state() == before
    until(lambda: all(one.state.final for one in desk.recent()), "the end of the jobs")
    states = [one.state for one in desk.recent()]
    assert states[0] is JobState.DONE
    assert states[1] is JobState.FAILED
    assert states[2] is not JobState.DONE
    desk.nothing_is_left()


@scenario
def the_library_is_missing(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 0.5)
    path = desk.host.library("tweeze")
    assert path is not None
    path.unlink()
    for effect in ("separate", "remove"):
        refused(desk, "run 'tweeze install audacity'", effect)
    outcome = desk.do("listen")
    assert "run 'tweeze install audacity'" in outcome.text
    outcome = desk.do("selftest")
    assert "FAIL the library is there" in outcome.text


@scenario
def another_librarys_calls(desks: Make, engine: Engine) -> None:
    desk = desks()
    script = desk.extension / "library.js"
    script.write_text(script.read_text().replace('var CALLS = "1"', 'var CALLS = "2"'))
    desk.track(1.0)
    desk.select(0.0, 0.5)
    refused(desk, "of different versions")


@scenario
def it_is_being_recorded(desks: Make, engine: Engine) -> None:
    desk = desks(recording="barred")
    desk.track(1.0)
    desk.select(0.0, 0.5)
    desk.project.recording = True
    refused(desk, "recorded")
    desk = desks(recording="allowed")
    desk.track(1.0)
    desk.select(0.0, 0.5)
    desk.project.recording = True
    simple(desk)


# What nobody knows of Audacity 4.


TOGETHER: list[dict[str, Any]] = [
    {"capacity": "whole", "reuse": False, "short_reads": True, "shown": "message"},
    {"rounding": "floor", "native": "Audacity.Native", "numbers": "string", "workers": 1},
    {"rounding": "ceil", "past_end": "stops", "destroys": False, "lists": "list"},
]
ALONE: list[dict[str, Any]] = [
    *[{name: value} for switches in TOGETHER for name, value in switches.items()],
    {"capacity": "whole"},
    {"scheme": "musescore"},
    {"capacity": "whole", "short_reads": True},
]


@scenario
def whatever_audacity_does(desks: Make, engine: Engine) -> None:
    for switches in TOGETHER + ALONE if MANY else TOGETHER:
        desk = desks(**switches)
        desk.track(2.5, rate=44100, channels=2)
        desk.select(0.3, 1.9)
        desk.project.end = 3.0 if "past_end" in switches else 1.9
        simple(desk)
        refused(desk, "elephant", model="elephant")


@scenario
def clips_one_by_one(desks: Make, engine: Engine) -> None:
    desk = desks(by_clip=True)
    track = desk.track(0.5, at=0.25)
    desk.clip(track, 0.75, at=1.25)
    desk.select(0.0, 3.0)
    outcome = desk.do(query="dog")
    assert outcome.went, outcome.text
    assert [(one.clips[0].start, one.clips[0].stop) for one in outcome.added] == [
        (12000, 36000),
        (60000, 96000),
    ]
    for one, (_, samples, _) in zip(outcome.added, desk.clips(), strict=True):
        np.testing.assert_array_equal(one.clips[0].samples, samples)
    assert desk.project.undo == ["Tweeze"]


@scenario
def clips_one_by_one_are_heard(desks: Make, engine: Engine) -> None:
    """A clip in which nothing stands out does not take away what was heard in the one before."""
    desk = desks(by_clip=True)
    track = AudioTrack("yard", 16000, 1, selected=True)
    track.clips.append(Audio(0, tone("Bark", 16000, 4.0, (0.0, 3.0))[np.newaxis]))
    track.clips.append(Audio(80000, np.zeros((1, 32000), np.float32)))
    desk.project.tracks.append(track)
    desk.select(0.0, 7.0)
    outcome = desk.do("listen")
    assert outcome.went, outcome.text
    assert [labels.name for labels in outcome.added] == ["yard - heard"]


@scenario
def a_preview_beside_it(desks: Make, engine: Engine) -> None:
    """A second instance, whatever becomes of it, does not disturb the first."""
    for preview in ("fails", "runs"):
        desk = desks(preview=preview)
        desk.track(2.0)
        desk.select(0.0, 2.0)
        first = desk.begin(query="dog")
        instance = desk.host.open("separate")
        settings = instance.settings(query="cat")
        second = Run(instance, settings, desk.host.ranges()[0], preview=True)
        desk.step_until(lambda: first.over and second.over, "both ends", first, second.step)  # noqa: B023
        instance.close()
        outcome = desk.finish(first)
        assert outcome.went
        assert second.went is (preview == "runs"), second.text
        assert [track.name for track in outcome.added] == ["yard - dog"]
        (wanted,) = (clip for clip in desk.clips() if clip[0] == "yard - dog")
        np.testing.assert_array_equal(outcome.added[0].clips[0].samples, wanted[1])


@scenario
def one_at_a_time(desks: Make, engine: Engine) -> None:
    desk = desks()
    desk.track(2.0)
    desk.select(0.0, 2.0)
    run = desk.begin(query="dog")
    other = Run(run.instance, run.instance.settings(query="cat"), desk.host.ranges()[0])
    desk.step_until(lambda: other.over, "the refusal", other)
    assert other.text == "Tweeze is at work already: wait for it, or cancel it."
    run.instance.run = run
    assert desk.finish(run).went


# The selftest.


def _failures(desk: Desk) -> list[str]:
    desk.track(4.5, channels=2)
    desk.select(0.25, 4.25)
    before = desk.project.state()
    outcome = desk.do("selftest")
    assert not outcome.went, "it ends as a failure, so that nothing is changed"
    assert "Nothing was changed." in outcome.text
    assert desk.project.state() == before
    report = desk.folders.root / "audacity4-selftest.txt"
    assert str(report) in outcome.text
    assert report.stat().st_mode & 0o777 == 0o600
    lines = report.read_text().splitlines()
    passed = [line for line in lines if line.startswith("PASS")]
    failed = [line for line in lines if line.startswith("FAIL")]
    assert len(passed) + len(failed) == len(lines) - 2  # a title and a note
    assert f"{len(passed)} passed, {len(failed)} failed" in outcome.text
    assert [line for line in desk.host.log if line.startswith("Tweeze: PASS")]
    return [line[5:].split(" (")[0] for line in failed]


@scenario
def the_selftest(desks: Make, engine: Engine) -> None:
    for switches in ({}, {"capacity": "whole", "short_reads": True, "shown": "message"}):
        assert _failures(desks(**switches)) == []
    desk = desks()
    desk.track(1.0)
    desk.select(0.0, 1.0)
    outcome = desk.do("selftest", leave=True)
    assert outcome.went, outcome.text
    assert len(outcome.added) == 3
    assert desk.project.undo == ["Tweeze: selftest"]
    desk = desks(nothing="nothing")
    assert "FAIL the selection has audio tracks" in desk.do("selftest").text


@scenario
def the_selftest_notices(desks: Make, engine: Engine) -> None:
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"labels": False}, "a label track can be added"),
        ({"gain": True}, "two readers give the same samples at the same place"),
        ({"lossy": True}, "texts reach the library and come back"),
        ({"copies": True}, "a buffer is filled where it lies"),
        ({"nan": True}, "a sample that is no number is refused"),
        ({"most": 131072}, "a chunk has at most 65,536 samples"),
        ({"cuts": True}, "a reader gives as many samples as were asked for"),
    )
    for switch, line in wrong if MANY else wrong[:2]:
        assert line in _failures(desks(**switch)), switch
