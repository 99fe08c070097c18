"""What a musician does in REAPER, and what must be true then.

Each function takes a `Studio` (and the engine) and asserts; `test_scenarios` runs them all with
the scripts as they are, `test_faults` with faults put into the scripts.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.job import Job, new_id
from engine.status import JobState
from tests.hosts.reaper.fake import KEYS
from tests.hosts.reaper.project import Item, Semantics, Source, Track
from tests.hosts.reaper.studio import Engine, Studio, until

Scenario = Callable[[Studio, Engine], None]
ALL: dict[str, Scenario] = {}
KEEP = ("tab", "tab")  # keys from the query to the choice of what to keep


def scenario(function: Scenario) -> Scenario:
    ALL[function.__name__] = function
    return function


def new_items(studio: Studio, name: str) -> list[Item]:
    found = [track for track in studio.project.tracks if track.name == name]
    assert len(found) == 1, (name, studio.names())
    return found[0].items


def mixture_of(studio: Studio, *items: Item) -> np.ndarray:
    """Target plus residual: what the engine was given, to the last bits of float32."""
    total: Any = sum(studio.clip(item) for item in items)
    return total  # type: ignore[no-any-return]


def both(studio: Studio, title: str, query: str = "dog") -> tuple[Item, Item]:
    targets = new_items(studio, f"{title} - {query}")
    residuals = new_items(studio, f"{title} - without {query}")
    assert len(targets) == len(residuals) == 1
    return targets[0], residuals[0]


def separate_both(studio: Studio, query: str = "dog") -> None:
    """With the choice `keep: both`, from `target`."""
    studio.do(query, *KEEP, "right", "right")


def equal(got: np.ndarray, expected: np.ndarray, tolerance: float = 3e-7) -> None:
    assert got.shape == expected.shape, (got.shape, expected.shape)
    assert np.abs(got - expected).max() <= tolerance, np.abs(got - expected).max()


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]  # type: ignore[no-any-return]


def no_accessor_is_open(studio: Studio) -> None:
    assert not [accessor for accessor in studio.reaper.accessors if accessor.alive]


@scenario
def one_item_with_offset_and_trims(studio: Studio, engine: Engine) -> None:
    path = studio.wav(1.0, rate=44100)
    item = studio.item(path, 1.25, 0.5, take={"D_STARTOFFS": 11025 / 44100})
    item.track.strings["P_NAME"] = "Gtr"
    studio.project.add_track("Bass")
    separate_both(studio)
    assert studio.names() == ["Gtr", "Gtr - dog", "Gtr - without dog", "Bass"]
    target, residual = both(studio, "Gtr")
    assert item.values["B_MUTE"] == 0.0
    for new in (target, residual):
        assert (new.start, new.length) == (1.25, 0.5)
        assert new.values["B_LOOPSRC"] == 0
        assert new.take.strings["P_NAME"] == new.track.name
        assert new.take.source is not None
        assert new.take.source.rate == 44100
    equal(mixture_of(studio, target, residual), read(path)[11025 : 11025 + 22050])


@scenario
def clips_are_the_engines(studio: Studio, engine: Engine) -> None:
    """The clips in the project are sample for sample what `tweeze separate` would make."""
    path = studio.wav(0.5)
    studio.item(path)
    studio.do("dog; rain")
    job = Job(new_id(), path, ("dog", "rain"), title="Take 1")
    engine_clips = _done(studio, job)
    for number, clip in enumerate(engine_clips):
        (item,) = studio.project.tracks[1 + number].items
        assert item.track.name == clip.name
        np.testing.assert_array_equal(studio.clip(item), read(clip.path))


def _done(studio: Studio, job: Job) -> Any:
    from bridge.client import Client

    client = Client(studio.folders)
    client.submit(job)
    status = client.follow(job.id)
    assert status.state is JobState.DONE, status
    return status.clips


@scenario
def reversed_and_section_and_looped(studio: Studio, engine: Engine) -> None:
    path = studio.wav(0.5, rate=48000)
    x = read(path)
    track = studio.project.add_track("Fx")
    studio.item(Source.section(path, reverse=True), 0.0, track=track)
    studio.item(Source.section(path, 0.125, 0.25), 1.0, track=track)
    studio.item(path, 2.0, 1.25, track=track, take={"D_STARTOFFS": 0.25})
    separate_both(studio)
    targets = new_items(studio, "Fx - dog")
    residuals = new_items(studio, "Fx - without dog")
    expected = [x[::-1], x[6000:18000], np.roll(np.tile(x, (4, 1)), -12000, axis=0)[:60000]]
    for target, residual, wanted in zip(targets, residuals, expected, strict=True):
        equal(mixture_of(studio, target, residual), wanted)


@scenario
def fractional_positions(studio: Studio, engine: Engine) -> None:
    path = studio.wav(0.5, rate=44100)
    item = studio.item(path, 1.0000071, 0.3000033, take={"D_STARTOFFS": 0.1000049})
    separate_both(studio)
    target, residual = both(studio, "Take 1")
    assert (target.start, target.length) == (1.0000071, 0.3000033)
    frames = int(np.ceil(0.3000033 * 44100))
    wanted = item.take.read(studio.reaper.semantics, 44100, np.arange(frames) / 44100)
    equal(mixture_of(studio, target, residual)[:-1], wanted[:-1])


@scenario
def gain_and_fades_null(studio: Studio, engine: Engine) -> None:
    """Target and residual, played as items, cancel the original as an item."""
    item = studio.item(
        studio.wav(1.0),
        0.5,
        0.75,
        take={"D_STARTOFFS": 0.125, "D_VOL": -0.7, "D_PAN": 0.3, "D_PANLAW": 0.5},
        D_VOL=0.5,
        D_FADEINLEN=0.1,
        D_FADEOUTLEN=0.2,
        D_FADEOUTLEN_AUTO=0.25,
        C_FADEINSHAPE=2.0,
        C_FADEOUTSHAPE=3.0,
        D_FADEINDIR=0.4,
        D_FADEOUTDIR=-0.3,
        C_BEATATTACHMODE=1.0,
    )
    separate_both(studio)
    target, residual = both(studio, "Take 1")
    difference = studio.heard(target) + studio.heard(residual) - studio.heard(item)
    assert np.abs(studio.heard(item)).max() > 0.05
    assert np.abs(difference).max() < 1e-6
    for new in (target, residual):
        assert new.values["C_BEATATTACHMODE"] == 1.0
        assert new.take.values["D_PANLAW"] == 0.5


@scenario
def fades_within_the_time_selection(studio: Studio, engine: Engine) -> None:
    """Of a selected item the part in the time selection; only fades at its own edges come along."""
    path = studio.wav(1.0)
    studio.item(path, 1.0, 1.0, D_FADEINLEN=0.1, D_FADEOUTLEN=0.2)
    studio.project.time_selection = (0.5, 1.5)
    separate_both(studio)
    target, residual = both(studio, "Take 1")
    assert (target.start, target.length) == (1.0, 0.5)
    assert (target.values["D_FADEINLEN"], target.values["D_FADEOUTLEN"]) == (0.1, 0.0)
    equal(mixture_of(studio, target, residual), read(path)[:16000])


@scenario
def a_cut_fade_is_said(studio: Studio, engine: Engine) -> None:
    studio.item(studio.wav(1.0), 1.0, 1.0, D_FADEOUTLEN=0.6)
    studio.project.time_selection = (1.2, 1.5)
    script = studio.separate()
    studio.wait(script)
    assert any("is cut by the time" in line for line in script.shown), script.shown
    (item,) = new_items(studio, "Take 1 - dog")
    assert abs(item.start - 1.2) < 1e-9
    assert item.values["D_FADEOUTLEN"] == 0.0


@scenario
def several_items_over_two_tracks(studio: Studio, engine: Engine) -> None:
    a, b = studio.wav(0.4), studio.wav(0.3, name="b.wav", rate=48000, channels=1)
    one = studio.project.add_track("One")
    two = studio.project.add_track("Two", selected=True)
    studio.item(a, 0.0, track=one)
    studio.item(b, 2.0, track=one)
    studio.item(a, 1.0, 0.2, track=two)
    studio.item(b, 9.0, track=two, selected=False)
    studio.do("dog; rain")
    assert studio.names() == [
        "One",
        "One - dog",
        "One - rain",
        "Two",
        "Two - dog",
        "Two - rain",
    ]
    for name in ("One - dog", "One - rain"):
        assert [(i.start, i.length) for i in new_items(studio, name)] == [(0.0, 0.4), (2.0, 0.3)]
    assert [i.start for i in new_items(studio, "Two - rain")] == [1.0]
    paths = {item.take.source.path for item in studio.project.items if item.take.source}
    assert len(paths) == 2 + 6, "two clips share a file"


@scenario
def a_time_selection_over_gaps(studio: Studio, engine: Engine) -> None:
    studio.project.rate = 32000.0
    a, b = studio.wav(0.5), studio.wav(0.5, name="b.wav", channels=1)
    track = studio.project.add_track("Vox", selected=True)
    other = studio.project.add_track("Silent", selected=True)
    studio.project.add_track("Not selected").add(a, 0.5)
    track.add(a, 0.25, D_VOL=0.5, D_FADEINLEN=0.125)
    track.add(b, 1.25)
    studio.project.time_selection = (0.5, 1.5)
    separate_both(studio)
    assert studio.names() == ["Vox", "Vox - dog", "Vox - without dog", "Silent", "Not selected"]
    assert not other.items
    target, residual = both(studio, "Vox")
    assert (target.start, target.length, target.values["D_VOL"]) == (0.5, 1.0, 1.0)
    wanted = np.zeros((32000, 2))
    wanted[:8000] = read(a)[8000:] * 0.5
    wanted[24000:] = read(b)[:8000]
    equal(mixture_of(studio, target, residual), wanted)


@scenario
def mono_stays_mono(studio: Studio, engine: Engine) -> None:
    path = studio.wav(0.5, channels=1)
    studio.item(path)
    separate_both(studio)
    target, residual = both(studio, "Take 1")
    equal(mixture_of(studio, target, residual), read(path))


@scenario
def a_mono_track_stays_mono(studio: Studio, engine: Engine) -> None:
    studio.project.rate = 32000.0
    path = studio.wav(0.5, channels=1)
    studio.project.add_track("Vox", selected=True).add(path)
    studio.project.time_selection = (0.0, 0.75)
    separate_both(studio)
    target, residual = both(studio, "Vox")
    equal(mixture_of(studio, target, residual), np.pad(read(path), ((0, 8000), (0, 0))))


@scenario
def channel_modes(studio: Studio, engine: Engine) -> None:
    path = studio.wav(0.25)
    x = read(path)
    track = studio.project.add_track("Fx")
    expected = [x, x[:, ::-1], x.mean(axis=1, keepdims=True), x[:, :1], x[:, 1:]]
    for mode in range(5):
        studio.item(path, float(mode), track=track, take={"I_CHANMODE": float(mode)})
    separate_both(studio)
    pairs = zip(
        new_items(studio, "Fx - dog"), new_items(studio, "Fx - without dog"), expected, strict=True
    )
    for target, residual, wanted in pairs:
        equal(mixture_of(studio, target, residual), wanted)


@scenario
def a_96k_project_with_a_44k_source(studio: Studio, engine: Engine) -> None:
    studio.project.rate = 96000.0
    path = studio.wav(0.5, rate=44100, subtype="PCM_24")
    item = studio.item(path, 0.125, track=studio.project.add_track("Gtr", selected=True))
    separate_both(studio)
    target, residual = both(studio, "Gtr")
    equal(mixture_of(studio, target, residual), read(path))
    item.values["B_UISEL"] = 0.0
    studio.project.time_selection = (0.125, 0.375)
    studio.project.undo.clear()
    studio.do("rain")  # still both
    target, residual = both(studio, "Gtr", "rain")
    assert target.take.source is not None
    assert target.take.source.rate == 96000
    wanted = item.take.read(studio.reaper.semantics, 96000, np.arange(24000) / 96000)
    equal(mixture_of(studio, target, residual), wanted)


@scenario
def another_speed_is_read_at_the_projects_rate(studio: Studio, engine: Engine) -> None:
    studio.project.rate_used = False
    studio.reaper.device_rate = 44100
    item = studio.item(studio.wav(0.5), 0.0, 0.25, take={"D_PLAYRATE": 2.0})
    separate_both(studio)
    target, residual = both(studio, "Take 1")
    assert target.take.values["D_PLAYRATE"] == 1.0
    wanted = item.take.read(studio.reaper.semantics, 44100, np.arange(11025) / 44100)
    equal(mixture_of(studio, target, residual), wanted)


@scenario
def mute_the_original(studio: Studio, engine: Engine) -> None:
    track = studio.project.add_track("Vox")
    whole = studio.item(studio.wav(0.25), 1.0, track=track)
    part = studio.item(studio.wav(0.5, name="b.wav"), 1.5, track=track)
    other = studio.item(studio.wav(0.25, name="c.wav"), 5.0, track=track, selected=False)
    studio.project.time_selection = (0.5, 1.75)
    studio.do("dog", *KEEP, "tab", " ")
    assert [item.values["B_MUTE"] for item in (whole, part, other)] == [1.0, 0.0, 0.0]


@scenario
def inside_a_folder(studio: Studio, engine: Engine) -> None:
    """The last track of a folder: the new tracks are in the folder, and it ends after them."""
    parent, last = studio.project.add_track("Folder"), studio.project.add_track("Vox")
    parent.values["I_FOLDERDEPTH"], last.values["I_FOLDERDEPTH"] = 1.0, -1.0
    studio.project.add_track("Outside")
    studio.item(studio.wav(0.25), track=last)
    studio.do("dog; rain")
    depths = [track.values["I_FOLDERDEPTH"] for track in studio.project.tracks]
    assert studio.names() == ["Folder", "Vox", "Vox - dog", "Vox - rain", "Outside"]
    assert depths == [1.0, 0.0, 0.0, -1.0, 0.0]


@scenario
def what_is_refused(studio: Studio, engine: Engine) -> None:
    """Each refusal is a sentence; nothing is sent and nothing changes."""
    studio.wait(studio.separate())
    assert "Nothing is selected" in studio.box()
    wide = studio.wav(0.25, channels=4, name="wide.wav")
    item = studio.item(wide)
    studio.wait(studio.separate())
    assert "4 channels" in studio.box()
    item.take.midi = True
    studio.wait(studio.separate())
    assert "MIDI" in studio.box()
    item.takes.clear()
    studio.wait(studio.separate())
    assert "empty" in studio.box()
    studio.project.tracks.clear()
    studio.item(studio.wav(0.25), 1.0)
    studio.project.time_selection = (3.0, 4.0)
    studio.wait(studio.separate())
    assert "do not meet" in studio.box()
    studio.project.items[0].values["B_UISEL"] = 0.0
    studio.project.tracks[0].values["I_SELECTED"] = 1.0
    studio.wait(studio.separate())
    assert "no audio in the time selection" in studio.box()
    studio.project.tracks[0].add(wide, 3.0)
    studio.wait(studio.separate())
    assert "4 channels" in studio.box()
    assert not studio.project.undo
    assert not list(studio.folders.mixtures.iterdir())


@scenario
def warnings_are_shown(studio: Studio, engine: Engine) -> None:
    item = studio.item(studio.wav(0.25))
    item.take.effects = item.take.envelopes = item.track.effects = item.track.envelopes = 1
    shown: list[str] = []
    script = studio.begin(
        "separate selection", "d", lambda: shown.extend(script.shown), *"og", "enter"
    )
    studio.wait(script)
    said = " ".join(shown)
    for words in ("effects of 'street.wav'", "envelopes of 'street.wav'", "effects of track"):
        assert words in said, (words, said)
    assert "envelopes of track" in " ".join(script.shown) + said


def _window_says(studio: Studio) -> str:
    """Separate, and return what stood in the window while it was typed."""
    shown: list[str] = []
    script = studio.begin(
        "separate selection", *"do", lambda: shown.extend(script.shown), "g", "enter"
    )
    studio.wait(script)
    return " ".join(shown)


@scenario
def regions_say_where(studio: Studio, engine: Engine) -> None:
    """Regions with a sign that overlap an item, as far as they do; a marker is told and ignored."""
    item = studio.item(studio.wav(1.0), 1.0)
    studio.item(studio.wav(0.25, name="later.wav"), 7.0, track=item.track)
    studio.project.markers = [
        (1.9, 3.0, "+"),
        (1.6, 1.9, "-"),
        (0.5, 1.25, "+ dog here"),
        (1.5, 1.75, "- rain"),
        (1.3, None, "+ now"),
        (1.0, 2.0, "Verse"),
        (1.0, 2.0, "-12 dB"),
        (0.0, 1.0, "+ before"),
    ]
    for semantics in [Semantics(), *_others("markers_in_order")]:
        studio.reaper.semantics = semantics
        studio.forget_statuses()
        said = _window_says(studio)
        assert studio.reaper.boxes == []
        assert "'Take 1': only at 2 marked spans, not at 1 marked span." in said
        assert "The marker '+ now' has no length, so it was ignored" in said
        first, second = (job.options for job in studio.jobs())
        assert [span.text for span in first.at] == ["0-0.25", "0.9-"]
        assert [span.text for span in first.never] == ["0.5-0.9"]
        assert (second.at, second.never) == ((), ())
        made = [track for track in studio.project.tracks if track.name == "Take 1 - dog"]
        clip = studio.clip(made[0].items[0])
        assert not clip[8000:28800].any()
        assert clip[:8000].any()
        assert clip[28800:].any()
    # Without the window the console says it.
    studio.wait(studio.begin("again"))
    assert "only at 2 marked spans" in " ".join(studio.reaper.console)
    # Nothing is left: refused before the window is there.
    studio.project.markers = [(0.5, 1.25, "+ dog"), (1.0, 1.3, "- rain"), (7.0, 7.1, "-")]
    script = studio.begin("separate selection")
    assert script.ended
    assert studio.box().startswith("The regions with + and - leave no time of 'Take 1'")
    studio.project.markers = []
    studio.reaper.console.clear()
    studio.wait(studio.begin("again"))
    assert studio.reaper.console == []
    studio.nothing_is_left()


@scenario
def the_window(studio: Studio, engine: Engine) -> None:
    """Typing, correcting, picking from the last queries, several choices; Esc closes."""
    studio.item(studio.wav(0.25))
    # Typing replaces what was typed last; ä needs more than one byte.
    script = studio.begin("separate selection", *"bär", "backspace", "left", "delete", "escape")
    studio.wait(script)
    assert not script.window
    assert not studio.project.undo
    script = studio.begin(
        "separate selection", *"xrain", "home", "delete", "end", "backspace", "n", "enter"
    )
    studio.wait(script)
    assert studio.names()[1] == "Take 1 - rain"
    studio.wait(studio.separate("bärlauch; 鳥"))
    assert {"Take 1 - bärlauch", "Take 1 - 鳥"} <= set(studio.names())
    # The list: the last ones, the latest first; Enter picks, Enter again runs.
    shown: list[str] = []
    script = studio.begin(
        "separate selection", "down", "down", lambda: shown.extend(script.shown), "enter", "enter"
    )
    studio.wait(script)
    assert shown.index("bärlauch; 鳥") < shown.index("rain")
    assert studio.names().count("Take 1 - rain") == 2
    for number in range(12):
        studio.wait(studio.separate(f"query {number}"))
    kept = [key for (_, key), (value, lasts) in studio.reaper.settings.items() if lasts]
    assert len([key for key in kept if key.startswith("query")]) == 10
    assert studio.reaper.settings["Tweeze", "query1"][0] == "query 11"
    assert studio.reaper.settings["Tweeze", "query10"][0] == "query 2"


@scenario
def suggestions(studio: Studio, engine: Engine) -> None:
    offer = studio.folders.spool / "reaper" / "offer"
    until(offer.exists)  # the engine writes it once, when it starts
    kept = offer.read_text()
    offer.write_text(
        "tweeze=1\nmodel=compact\nmodel=other\nsound=dog\nsound=bulldog\nsound=rain\nend\n"
    )
    studio.item(studio.wav(0.25))
    shown: list[str] = []
    script = studio.begin(
        "separate selection",
        *"rain; dO",
        lambda: shown.extend(script.shown),
        "down",
        "down",
        "enter",
        "enter",
    )
    studio.wait(script)
    offer.write_text(kept)
    assert shown.index("dog") < shown.index("bulldog"), shown
    assert "rain" not in shown
    assert studio.names()[1:] == ["Take 1 - rain", "Take 1 - bulldog"]
    assert [job.options.model for job in studio.jobs()] == ["compact"]  # an engine without 'auto'


@scenario
def what_is_not_wanted(studio: Studio, engine: Engine) -> None:
    """In a row of its own, and behind a minus; kept for the next time, and asked for again."""
    until((studio.folders.spool / "reaper" / "offer").exists)
    studio.item(studio.wav(0.25))
    first: list[str] = []
    script = studio.begin(
        "separate selection",
        *"hi-hat; dog - wind",
        "down",  # what is picked belongs to the row
        "tab",
        *"rain; xylophon",
        lambda: first.extend(script.shown),
        "down",
        "enter",
        "enter",
    )
    studio.wait(script)
    assert {"but not:", "rain; xylophon", "auto", "xylophone"} <= set(first), first
    assert studio.names()[1:] == ["Take 1 - hi-hat", "Take 1 - dog"]
    studio.wait(studio.begin("again"))
    # The last ones stand there; the query's row takes up what is picked, behind the minus as well.
    shown: list[str] = []
    script = studio.begin(
        "separate selection",
        lambda: None,  # until it is drawn
        lambda: shown.extend(script.shown),
        *"thunder - traff",
        "down",
        "enter",
        "enter",
    )
    studio.wait(script)
    assert {"hi-hat; dog - wind", "rain; xylophone"} <= set(shown), shown
    # Backspace takes out what was typed last.
    empty: list[str] = []
    script = studio.begin(
        "separate selection",
        *"dog",
        *("tab", "backspace", "tab", lambda: empty.extend(script.shown), "tab", "tab", "right"),
        "enter",
    )
    studio.wait(script)
    assert "nothing" in empty, empty
    # What is picked in one row is not picked in the next.
    keys = ("tab", *"rain; DOG", *["tab"] * 4, "down", "down", "tab", "enter")
    studio.wait(studio.separate("dog", *keys))
    assert studio.box() == "'dog' is both wanted and not wanted: leave one of them out."
    asked = [(job.queries, job.nots, job.options.model) for job in studio.jobs()]
    assert asked == [
        *[(("hi-hat", "dog"), ("rain", "xylophone", "wind"), "auto")] * 2,
        (("thunder",), ("rain", "xylophone", "traffic"), "auto"),
        (("dog",), (), "compact"),
    ]
    studio.nothing_is_left()


@scenario
def suggestions_of_the_engine(studio: Studio, engine: Engine) -> None:
    """Whoever pauses at a word gets terms that are not like it in letters."""
    studio.item(studio.wav(0.25))
    answers = [studio.folders.status, studio.folders.request_status]
    known = {path for folder in answers for path in folder.glob("[!.]*")}
    script = studio.begin("separate selection", *"dog; pheasant")
    studio.cycle_until(lambda: "bird" in script.shown, "a suggestion")
    first = script.shown.index("bird")
    assert script.shown.index("wild animal") > first
    # A question leaves nothing behind.
    assert {path for folder in answers for path in folder.glob("[!.]*")} == known
    script.keys.append(KEYS["backspace"])
    studio.cycle_until(lambda: "dog; pheasan" in script.shown, "the shorter word")
    assert "bird" not in script.shown  # that was for another word
    script.keys.append("t")
    studio.cycle_until(lambda: "bird" in script.shown, "the suggestion again")
    script.keys.extend(KEYS[key] for key in ("down", "enter", "enter"))
    studio.wait(script)
    assert studio.names()[1:] == ["Take 1 - dog", "Take 1 - bird"]
    studio.nothing_is_left()


@scenario
def advice_is_on_the_console(studio: Studio, engine: Engine) -> None:
    studio.item(studio.wav(0.25))
    studio.wait(studio.separate("drums"))
    assert studio.reaper.boxes == []
    assert len(studio.reaper.console) == 1
    (said,) = studio.reaper.console
    assert said.startswith("Tweeze: For 'drums' out of a finished song"), said


@scenario
def again(studio: Studio, engine: Engine) -> None:
    item = studio.item(studio.wav(0.25))
    studio.wait(studio.begin("again"))
    assert "nothing to repeat" in studio.box()
    item.track.effects = 1
    studio.wait(studio.separate("dog; rain", *KEEP, "right"))
    script = studio.begin("again")
    assert not script.window
    studio.wait(script)
    assert studio.names() == ["Take 1", *["Take 1 - without dog, rain"] * 2]
    assert len(studio.project.undo) == 2
    assert "effects of track 'Take 1'" in studio.reaper.console[0]
    studio.nothing_is_left()


@scenario
def clips_keep_their_names_apart(studio: Studio, engine: Engine) -> None:
    """A file that is there is never written over."""
    studio.project.folder.mkdir(parents=True)
    taken = studio.project.folder / "Take 1 - dog.wav"
    taken.write_bytes(b"mine")
    studio.item(studio.wav(0.25))
    studio.do()
    assert taken.read_bytes() == b"mine"
    assert (studio.project.folder / "Take 1 - dog (2).wav").exists()


@scenario
def the_project_on_another_disk(studio: Studio, engine: Engine) -> None:
    """Clips are copied where they cannot be renamed, without holding REAPER up."""
    other = Path("/dev/shm") / f"tweeze-{studio.folder.name}-{id(studio)}"
    other.mkdir()
    try:
        studio.project.folder = other
        path = studio.wav(5.0)
        studio.item(path)
        separate_both(studio)
        target, residual = both(studio, "Take 1")
        equal(mixture_of(studio, target, residual), read(path))
        mine = [s for s in studio.recent() if s.clips and not s.clips[0].path.exists()]
        assert mine, "the engine's own copies are left"
    finally:
        shutil.rmtree(other)


@scenario
def reading_is_gradual(studio: Studio, engine: Engine) -> None:
    """A slow source holds REAPER up no longer than 20 ms at a time; the fake measures it."""
    studio.reaper.accessor_cost = 0.006
    path = studio.wav(3.0)
    studio.item(path)
    cycles: list[float] = []
    script = studio.separate()
    studio.cycle_until(lambda: bool(cycles.append(script.work)) or script.ended)
    assert studio.reaper.boxes == []
    assert sum(work > 0 for work in cycles) > 5
    assert 0.006 <= script.longest <= 0.020
    (item,) = new_items(studio, "Take 1 - dog")
    assert len(studio.clip(item)) == 96000


@scenario
def an_edit_while_it_reads(studio: Studio, engine: Engine) -> None:
    studio.reaper.accessor_cost = 0.014
    item = studio.item(studio.wav(3.0))
    script = studio.separate()
    studio.cycle_until(lambda: studio.reaper.accessors)
    studio.reaper.accessors[0].changed = True
    studio.wait(script)
    assert "was edited" in studio.box()
    script = studio.separate()
    studio.cycle_until(lambda: len(studio.reaper.accessors) == 2)
    item.take.alive = item.alive = False
    studio.wait(script)
    assert "went away" in studio.box()
    _nothing_came_of_it(studio)


@scenario
def reaper_cannot_read(studio: Studio, engine: Engine) -> None:
    studio.item(Source.section(studio.wav(0.25)), take={"D_PLAYRATE": 1.5})
    studio.reaper.accessor_fails = True
    studio.wait(studio.separate())
    assert "could not read" in studio.box()
    _nothing_came_of_it(studio)


def _nothing_came_of_it(studio: Studio) -> None:
    assert not studio.project.undo
    no_accessor_is_open(studio)
    until(lambda: not list(studio.folders.mixtures.glob("[!.]*")), "the removal of mixtures")
    assert not list((studio.reaper.resource / "Data/Tweeze/pending").glob("*"))


@scenario
def cancel_while_it_reads(studio: Studio, engine: Engine) -> None:
    studio.reaper.accessor_cost = 0.014
    studio.item(studio.wav(0.25))
    studio.item(studio.wav(3.0, name="b.wav"))
    script = studio.separate()
    studio.cycle_until(lambda: len(studio.reaper.accessors) == 2)
    script.keys.append(27)
    studio.wait(script)
    assert not script.window
    _nothing_came_of_it(studio)


@scenario
def cancel_while_it_separates(studio: Studio, engine: Engine) -> None:
    """Esc, and the action `cancel`: both stop the engine."""
    for how in ("escape", "action"):
        (studio.folders.root / "hold").touch()
        studio.item(studio.wav(2.0 if engine.model == "stand-in" else 30.0))
        script = studio.separate("hold it")
        studio.cycle_until(
            lambda: any(status.state is JobState.RUNNING for status in studio.recent())
        )
        if how == "escape":
            script.keys.append(27)
        else:
            studio.wait(studio.begin("cancel"))
        studio.wait(script)
        (studio.folders.root / "hold").unlink()
        until(
            lambda: all(s.state is JobState.CANCELLED for s in studio.recent()),
            "the engine's stop",
        )
        _nothing_came_of_it(studio)
        studio.forget_statuses()
        studio.project.tracks.clear()
    assert studio.reaper.boxes == []


@scenario
def a_failed_job(studio: Studio, engine: Engine) -> None:
    """A model that is not there: the engine's sentence is told, nothing goes in."""
    studio.item(studio.wav(0.25))
    studio.wait(studio.separate())
    studio.reaper.settings["Tweeze", "model"] = ("nonesuch", True)
    studio.wait(studio.begin("again"))
    assert "There is no model named 'nonesuch'" in studio.box()
    assert len(studio.project.undo) == 1
    studio.nothing_is_left()


@scenario
def one_of_two_jobs_fails(studio: Studio, engine: Engine) -> None:
    """The reason is told; what did work goes in."""
    (studio.folders.root / "hold").touch()
    studio.item(studio.wav(2.0))
    other = studio.item(studio.wav(0.5, name="b.wav"))
    script = studio.separate("hold", *KEEP, "tab", " ")
    studio.cycle_until(lambda: any(s.id.endswith("-2") for s in studio.recent()))
    (second,) = studio.folders.mixtures.glob("*-2.wav")
    second.write_bytes(b"no audio")
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert len(studio.reaper.boxes) == 1, studio.reaper.boxes
    assert studio.names() == ["Take 1", "Take 1 - hold", "Take 2"]
    assert other.values["B_MUTE"] == 0.0, "muted, and nothing in its place"
    assert len(studio.project.undo) == 1
    studio.nothing_is_left()


@scenario
def no_engine(studio: Studio, engine: Engine) -> None:
    """Absent at the beginning: it is started, and the job is done."""
    engine.stop()
    studio.reaper.speed = 1.0
    studio.item(studio.wav(0.25))
    studio.do()
    assert studio.names() == ["Take 1", "Take 1 - dog"]
    assert len(studio.reaper.started) >= 1


@scenario
def the_engine_is_killed(studio: Studio, engine: Engine) -> None:
    """In the middle of a job: it is started again, and goes on."""
    studio.reaper.speed = 1.0
    (studio.folders.root / "hold").touch()
    path = studio.wav(2.0 if engine.model == "stand-in" else 15.0)
    studio.item(path)
    script = studio.separate("hold; rain", *KEEP, "right", "right")
    studio.cycle_until(lambda: any(status.state is JobState.RUNNING for status in studio.recent()))
    engine.kill()
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert studio.reaper.boxes == []
    assert len(studio.project.tracks) == 4
    items = [track.items[0] for track in studio.project.tracks[1:]]
    equal(mixture_of(studio, *items), read(path))
    assert 1 <= len(studio.reaper.started) <= 3, "started once, and tried again at most"
    studio.nothing_is_left()


@scenario
def project_closed_in_the_middle(studio: Studio, engine: Engine) -> None:
    """The job finishes, and goes in when the project is open again; once."""
    project = studio.project
    project.file = str(studio.folder / "song.rpp")
    studio.item(studio.wav(0.25))
    script = studio.separate()
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    studio.reaper.close(project)
    studio.wait(script)
    assert studio.reaper.boxes == []
    studio.wait(studio.begin("collect"))
    assert "Nothing waits for this project. 1 for other projects." in studio.box()
    for saved in (True, False):
        again = project.reopened(saved=saved)
        studio.reaper.open(again)
        if saved:
            # Not saved since: its file alone tells.
            continue
        studio.wait(studio.begin("collect"))
        assert studio.names() == ["Take 1", "Take 1 - dog"]
        assert len(again.undo) == 1
        studio.wait(studio.begin("collect"))
        assert "Nothing waits" in studio.box()
        assert len(again.undo) == 1
    studio.nothing_is_left()


@scenario
def reaper_quits_in_the_middle(studio: Studio, engine: Engine) -> None:
    project = studio.project
    project.file = str(studio.folder / "song.rpp")
    studio.item(studio.wav(0.25), 1.5, D_VOL=0.5)
    (studio.folders.root / "hold").touch()
    studio.separate("hold")
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    studio.reaper.quit()
    no_accessor_is_open(studio)
    (studio.folders.root / "hold").unlink()
    again = project.reopened()
    studio.reaper.open(again)
    again.items[0].values["B_UISEL"] = 1.0
    shown: list[str] = []
    script = studio.begin("separate selection", "d", lambda: shown.extend(script.shown), "escape")
    studio.wait(script)
    assert "Results that wait for this project: 1." in " ".join(shown)
    studio.wait(studio.begin("collect"))
    assert studio.reaper.boxes == []
    assert studio.names() == ["Take 1", "Take 1 - hold"]
    (item,) = again.tracks[1].items
    assert (item.start, item.values["D_VOL"]) == (1.5, 0.5)
    assert len(again.undo) == 1
    studio.nothing_is_left()


@scenario
def another_tab(studio: Studio, engine: Engine) -> None:
    """While another project is in front nothing goes in; back in the first one it does."""
    project = studio.project
    studio.item(studio.wav(0.25))
    (studio.folders.root / "hold").touch()
    script = studio.separate("hold")
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    studio.reaper.open(type(project)(studio.folder / "other"))
    (studio.folders.root / "hold").unlink()
    studio.cycle_until(lambda: any(s.state is JobState.DONE for s in studio.recent()))
    waited = studio.reaper.now() + 0.5
    studio.cycle_until(lambda: studio.reaper.now() > waited)
    assert not script.ended
    assert not studio.project.tracks
    assert len(project.tracks) == 1
    studio.reaper.current = 0
    studio.wait(script)
    assert studio.names() == ["Take 1", "Take 1 - hold"]
    assert len(project.undo) == 1


@scenario
def it_may_be_in_already(studio: Studio, engine: Engine) -> None:
    """After a crash in the moment of insertion only the user's word puts it in."""
    project = studio.project
    project.file = str(studio.folder / "song.rpp")
    studio.item(studio.wav(0.25))
    studio.separate()
    pending = studio.reaper.resource / "Data/Tweeze/pending"
    studio.cycle_until(lambda: list(pending.glob("*")))
    studio.reaper.quit()
    (note,) = pending.glob("*")
    note.rename(note.with_name(note.name + ".claimed"))
    studio.reaper.open(project.reopened())
    studio.reaper.answers = [7]
    studio.wait(studio.begin("collect"))
    assert "may be in the project already" in studio.reaper.boxes[0]
    assert len(studio.project.tracks) == 1
    studio.reaper.answers = [6]
    studio.wait(studio.begin("collect"))
    assert studio.names() == ["Take 1", "Take 1 - dog"]
    studio.nothing_is_left()


@scenario
def collect_beside_a_running_script(studio: Studio, engine: Engine) -> None:
    """What another script looks after is left to it."""
    (studio.folders.root / "hold").touch()
    studio.item(studio.wav(0.25))
    script = studio.separate("hold")
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    studio.wait(studio.begin("collect"))
    assert "Nothing waits" in studio.box()
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert len(studio.project.undo) == 1
    assert len(studio.project.tracks) == 2


@scenario
def the_window_is_closed_at_work(studio: Studio, engine: Engine) -> None:
    """Closing the window (not Esc) leaves the job at work."""
    (studio.folders.root / "hold").touch()
    studio.item(studio.wav(0.25))
    script = studio.separate("hold")
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    script.window = False
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert studio.names() == ["Take 1", "Take 1 - hold"]


@scenario
def odd_names(studio: Studio, engine: Engine) -> None:
    """Track names and queries that would break a text form, a path or a format string."""
    track = studio.project.add_track('50% "Gtr"\n=end\nAC/DC\x07')
    studio.item(studio.wav(0.25), track=track)
    studio.wait(studio.separate('../../x="y" 100%s'))
    assert studio.reaper.boxes == []
    (item,) = studio.project.tracks[1].items
    studio.clip(item)
    assert studio.project.tracks[1].name == '50% "Gtr" =end AC/DC  - ../../x="y" 100%s'
    assert len(list(studio.project.folder.iterdir())) == 1


@scenario
def an_unsaved_project(studio: Studio, engine: Engine) -> None:
    """It has no file; the mark that it bears tells it from other unsaved ones."""
    project = studio.project
    studio.item(studio.wav(0.25))
    script = studio.separate()
    studio.cycle_until(lambda: list(studio.reaper.resource.glob("Data/Tweeze/pending/*")))
    script.end()  # the user ends the script in REAPER's own dialogue
    no_accessor_is_open(studio)
    studio.reaper.open(type(project)(studio.folder / "other"))
    studio.item(studio.wav(0.25))
    studio.wait(studio.separate("rain"))
    studio.wait(studio.begin("collect"))
    assert "Nothing waits for this project. 1" in studio.box()
    studio.reaper.current = 0
    studio.wait(studio.begin("collect"))
    assert studio.reaper.boxes == []
    assert studio.names() == ["Take 1", "Take 1 - dog"]


@scenario
def another_script_was_first(studio: Studio, engine: Engine) -> None:
    (studio.folders.root / "hold").touch()
    studio.item(studio.wav(0.25))
    script = studio.separate("hold")
    pending = studio.reaper.resource / "Data/Tweeze/pending"
    studio.cycle_until(lambda: list(pending.glob("*")))
    (note,) = pending.glob("*")
    note.rename(note.with_name(note.name + ".claimed"))
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert not studio.project.undo
    assert studio.reaper.boxes == []


@scenario
def a_flac_cannot_be_compared(studio: Studio, engine: Engine) -> None:
    """It is separated all the same, and said once that REAPER was trusted."""
    path = studio.wav(0.5)
    flac = path.with_suffix(".flac")
    soundfile.write(flac, read(path), 32000, subtype="PCM_24")
    studio.item(flac)
    separate_both(studio)
    equal(mixture_of(studio, *both(studio, "Take 1")), read(flac))
    assert "could not be compared" in studio.reaper.console.pop()
    studio.wait(studio.begin("again"))
    assert not studio.reaper.console
    for status in studio.recent():
        assert not (studio.folders.clips / status.id).exists(), "the engine's folder is left"


# What no document says of REAPER: right under each reading, or refused with a sentence.


def _played(studio: Studio, items: list[Item], semantics: Semantics, *, whole: bool) -> np.ndarray:
    """What is truly heard of items from 0 s to 4 s; nothing of how accessors differ is in it."""
    truth = Semantics(interpolation=semantics.interpolation, pan_law=semantics.pan_law)
    plain = Semantics(interpolation=semantics.interpolation)
    total: Any = sum(item.play(truth if whole else plain, 32000, 0.0, 128000) for item in items)
    return total  # type: ignore[no-any-return]


def _right_or_refused(studio: Studio, semantics: Semantics, track: Track, *, whole: bool) -> bool:
    """Separate a track's items, or the time selection on it; True if it was refused."""
    studio.reaper.semantics = semantics
    originals = list(track.items)
    tracks = len(studio.project.tracks)
    studio.wait(studio.separate("dog"))  # keep is `both`, see _keep_both
    if studio.reaper.boxes:
        assert "glue the item" in studio.box()
        assert len(studio.project.tracks) == tracks
        _nothing_came_of_it(studio)
        return True
    made = [item for new in studio.project.tracks if "dog" in new.name for item in new.items]
    got = _played(studio, made, semantics, whole=False)
    wanted = _played(studio, originals, semantics, whole=whole)
    first, last = studio.project.time_selection
    if last > first:
        wanted[: round(first * 32000)] = 0
        wanted[round(last * 32000) :] = 0
    assert np.abs(wanted).max() > 0.05
    assert np.abs(got - wanted).max() < 1e-6
    studio.project.tracks = [track for track in studio.project.tracks if "dog" not in track.name]
    studio.project.undo.clear()
    return False


def _keep_both(studio: Studio) -> None:
    studio.reaper.settings["Tweeze", "keep"] = ("both", True)
    studio.project.rate = 32000.0


def _others(*names: str) -> list[Semantics]:
    """Return other readings: one field at a time has another value than usual."""
    other: dict[str, tuple[Any, ...]] = {
        "take_time": ("source", "project"),
        "take_gain": (True,),
        "track_gain": (False,),
        "track_time": ("first item",),
        "past_end": ("zeros",),
        "interpolation": ("nearest", "sinc"),
        "reverse": (False,),
        "section": (False,),
        "loop": (False,),
        "channel_mode": (False,),
        "pan_law": (0.7071067811865476,),
        "dirty_arrays": (False,),
        "selects_new": (False,),
        "default_fade": (0.0,),
        "unicode_keys": ("packed",),
        "markers_in_order": (False,),
        "lists_hidden": (False,),
    }
    assert set(other) == {field.name for field in dataclasses.fields(Semantics)}
    return [
        dataclasses.replace(Semantics(), **{name: value})
        for name in names or other
        for value in other[name]
    ]


@scenario
def take_accessors_that_count_otherwise(studio: Studio, engine: Engine) -> None:
    _keep_both(studio)
    path = studio.wav(1.0)
    for start, offset in ((1.25, 0.25), (1.25, 0.1000007)):
        studio.project.tracks.clear()
        item = studio.item(path, start, 0.5, take={"D_STARTOFFS": offset})
        for semantics in _others("take_time"):
            assert _right_or_refused(studio, semantics, item.track, whole=False), semantics


@scenario
def take_accessors_that_hold_gain(studio: Studio, engine: Engine) -> None:
    _keep_both(studio)
    for values in ({"D_VOL": 0.5}, {"D_FADEOUTLEN": 0.5}):
        studio.project.tracks.clear()
        item = studio.item(studio.wav(1.0), 0.0, **values)
        (semantics,) = _others("take_gain")
        assert _right_or_refused(studio, semantics, item.track, whole=False)


@scenario
def track_accessors_that_differ(studio: Studio, engine: Engine) -> None:
    _keep_both(studio)
    for channels in (1, 2):
        studio.project.tracks.clear()
        track = studio.project.add_track("Vox", selected=True)
        track.add(studio.wav(1.0, channels=channels), 0.5, D_VOL=0.25)
        studio.project.time_selection = (0.25, 1.25)
        for semantics in _others("track_time", "track_gain"):
            assert _right_or_refused(studio, semantics, track, whole=True), semantics


@scenario
def whatever_reaper_means(studio: Studio, engine: Engine) -> None:
    """Every reading of every behaviour, on every kind of item and on a track."""
    _keep_both(studio)
    path, mono = studio.wav(0.75), studio.wav(0.5, channels=1, name="mono.wav")
    refused = set()
    for semantics in [Semantics(), *_others()]:
        name = next((n for n, v in vars(semantics).items() if v != vars(Semantics())[n]), "")
        studio.project.tracks.clear()
        studio.project.time_selection = (0.0, 0.0)
        track = studio.project.add_track("Fx")
        studio.item(path, 0.0, 0.5, track=track, take={"D_STARTOFFS": 0.125, "I_CHANMODE": 1.0})
        studio.item(Source.section(path, 0.125, reverse=True), 0.75, track=track, D_VOL=0.5)
        studio.item(mono, 1.5, 1.0, track=track)
        fraction = {"D_STARTOFFS": 0.1000093}
        studio.item(path, 2.75, 0.5, track=track, take=fraction, D_FADEINLEN=0.1)
        if _right_or_refused(studio, semantics, track, whole=False):
            refused.add(name)
        for item in track.items:
            item.values["B_UISEL"] = 0.0
        track.values["I_SELECTED"] = 1.0
        studio.project.time_selection = (0.25, 2.25)
        if _right_or_refused(studio, semantics, track, whole=True):
            refused.add(name)
    assert refused == {
        *("take_time", "take_gain", "track_gain"),
        *("reverse", "section", "loop", "channel_mode"),
    }


@scenario
def a_mono_track_that_is_panned(studio: Studio, engine: Engine) -> None:
    """Only mono items, but not in the middle: stereo, and nothing is lost."""
    studio.project.rate = 32000.0
    path = studio.wav(0.5, channels=1)
    track = studio.project.add_track("Vox", selected=True)
    track.add(path, take={"D_PAN": 0.5})
    studio.project.time_selection = (0.0, 0.5)
    separate_both(studio)
    equal(mixture_of(studio, *both(studio, "Vox")), read(path) * np.array([[0.5, 1.0]]))
