"""The selftest that users run in a real REAPER: it passes, and each wrong assumption fails it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hosts.reaper.project import Semantics
from tests.hosts.reaper.studio import Studio

Make = Callable[[Semantics], Studio]


def failures(studio: Studio) -> set[str]:
    studio.reaper.accessor_cost = 0.0  # it is no work on a song
    script = studio.begin("selftest")
    assert script.ended
    lines = "".join(studio.reaper.console).splitlines()
    assert lines[0].startswith("Tweeze selftest, REAPER 7.77")
    assert len([line for line in lines if line.startswith(("PASS", "FAIL"))]) > 18
    assert not [accessor for accessor in studio.reaper.accessors if accessor.alive]
    return {line.split(" (")[0] for line in lines if line.startswith("FAIL")}


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "sinc"])
def test_it_passes(studios: Make, interpolation: str) -> None:
    studio = studios(Semantics(interpolation=interpolation))
    project = studio.project
    assert failures(studio) == set()
    assert not project.tracks, "the user's own project was touched"


@pytest.mark.parametrize(
    ("semantics", "words"),
    [
        (Semantics(take_time="source"), "time 0 is the start"),
        (Semantics(take_time="project"), "time 0 is the start"),
        (Semantics(take_gain=True), "volume are not in it"),
        (Semantics(take_gain=True), "fades are not in it"),
        (Semantics(track_gain=False), "volume are in it"),
        (Semantics(track_time="first item"), "time is that of the project"),
        (Semantics(loop=False), "looped sources"),
        (Semantics(channel_mode=False), "channel mode 1"),
        (Semantics(channel_mode=False), "channel mode 4"),
        (Semantics(pan_law=0.1), "a mono item"),
    ],
)
def test_a_wrong_assumption_fails_it(studios: Make, semantics: Semantics, words: str) -> None:
    assert any(words in line for line in failures(studios(semantics)))


def test_an_engine_that_is_away_is_said(studios: Make) -> None:
    studio = studios(Semantics())
    (studio.scripts / "tweeze" / "where.txt").write_text(f"home={studio.folder}\nend\n")
    assert failures(studio) == {"FAIL the engine does not answer"}
