"""The same hostile names, given to a real Audacity: it shows them, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audacity.pipe import command, plain
from audacity.timeline import Place, capture
from engine.job import Placement
from engine.status import Clip, ClipKind
from tests.hosts.audacity.editor import Editor
from tests.security.conftest import ROOT
from tests.security.test_text import NASTY


@pytest.mark.fault(
    "queries and track names are written to command Audacity (a real one)",
    promise="they are names of tracks; nothing is run, closed or exported",
    group="security",
)
def test_a_real_audacity_shows_them_as_names(
    editor: Editor, sound: Callable[..., Path], tmp_path: Path, tries: Callable[[int], None]
) -> None:
    mixtures = tmp_path / "mixtures"
    mixtures.mkdir()
    editor.do(
        command("Import2", Filename=sound("source", seconds=1.0)),
        command("SetTrackStatus", Name=plain(NASTY["quote"])),
        command("SelectTime", Start=0, End=1),
        command("SelectTracks", Track=0, TrackCount=1, Mode="Set"),
    )
    with editor.pipe() as pipe:
        (captured,) = capture(pipe, mixtures, keepsake=tmp_path / "keepsake")
    assert captured.track == NASTY["quote"]
    place = Placement("audacity", captured.project, captured.track, 0, captured.rate)
    names = [f"{captured.track} - {text}" for text in NASTY.values()]
    with editor.pipe() as pipe, Place(pipe, place) as here:
        for name in names:
            here.insert(Clip(captured.path, ClipKind.TARGET, name, name))
    shown = [track["name"] for track in editor.tracks()]
    assert shown[0] == NASTY["quote"]
    assert [name.strip() for name in shown[1:]] == [plain(name).strip() for name in names]
    assert editor.running()
    assert not [p for p in (ROOT / "canary", Path("canary"), tmp_path / "canary") if p.exists()]
    assert not (editor.home / "canary").exists()
    tries(len(names))
