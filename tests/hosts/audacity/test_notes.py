"""What Tweeze Status and the desktop say of a finished job; needs no Audacity."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audacity.insertion import Inserter
from audacity.resident import AudacityResident
from engine.folders import Folders
from engine.job import Job, Placement
from engine.options import Options
from engine.places import Band, Span
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.status import JobState, Status


def test_limits_and_advice_are_shown_with_the_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    place = Placement("audacity", "abc", "Take 1", 0, 44_100)
    options = Options(at=(Span(1, 2), Span(3)), band=(Band(300, 3400),))
    path = tmp_path / "a.wav"
    job = Job("job-1", path, ("pheasant",), options, title="Take 1", placement=place)
    note = "'pheasant' was barely detected in this recording: try 'bird' instead."
    status = Status("job-1", JobState.DONE, progress=1.0, notes=(note,), presence=(0.1,))
    told: list[str] = []

    async def notify(sentence: str) -> None:
        told.append(sentence)

    monkeypatch.setattr(Inserter, "_insert", lambda self, job, status, abandoned: 1)

    async def scenario() -> None:
        journal = Journal(folders.journal)
        host = AudacityResident(Service(folders, journal), notify)
        await host._inserter._finish(job, status)
        await asyncio.sleep(0)  # the desktop is told in a task of its own
        host._tell()
        journal.close()

    asyncio.run(scenario())
    (shown,) = (folders.spool / "audacity.txt").read_text().splitlines()
    assert shown.endswith(f"'pheasant'. Only at 2 spans, only from 300 to 3400 Hz. {note}")
    assert told == [shown.split("  ", 1)[1]]
