"""Labels where a sound is likely, in a real Audacity."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audacity.timeline import OtherProject, Place, capture
from engine.job import Placement
from engine.places import Span
from tests.hosts.audacity.editor import Editor


def begun(editor: Editor, file: Path, tmp_path: Path) -> Placement:
    """Select from 1.25 s to 4 s of an imported track, and return the place of that."""
    editor.do(
        f'Import2: Filename="{file}"',
        "SelectTracks: Track=0 TrackCount=1 Mode=Set",
        "SelectTime: Start=1.25 End=4",
    )
    with editor.pipe() as pipe:
        (one,) = capture(pipe, tmp_path, keepsake=tmp_path / "keepsake")
    return Placement("audacity", one.project, one.track, one.start, one.rate)


def labels(editor: Editor) -> list[Any]:
    found: list[Any] = json.loads(editor.do("GetInfo: Type=Labels Format=JSON").split("\n\n")[0])
    return found


def put(editor: Editor, place_at: Placement, spans: list[Span], name: str) -> None:
    with editor.pipe() as pipe, Place(pipe, place_at) as place:
        place.label(spans, name)


@pytest.mark.parametrize("name", ["dog barking", 'the "big" dög ☃ (loud)', "a\\b %s $(x) ; ~a"])
def test_labels_lie_where_the_events_are(
    editor: Editor, sound: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    place_at = begun(editor, sound("street"), tmp_path)
    before = editor.tracks()
    put(editor, place_at, [Span(0.0, 0.5), Span(1.123456, 2.75)], name)
    shown = name.replace("\\", "/")
    (track,) = labels(editor)
    assert track[0] == 1
    assert [text for _, _, text in track[1]] == [shown, shown]
    times = [time for start, stop, _ in track[1] for time in (start, stop)]
    assert times == pytest.approx([1.25, 1.75, 2.373456, 4.0], abs=1e-4)
    tracks = editor.tracks()
    assert tracks[:1] == before, "selection and all else of the track are as they were"
    assert (tracks[1]["kind"], tracks[1]["name"], bool(tracks[1]["selected"])) == (
        "label",
        shown,
        False,
    )


def test_it_is_one_step_to_undo(editor: Editor, sound: Callable[..., Path], tmp_path: Path) -> None:
    place_at = begun(editor, sound("street"), tmp_path)
    put(editor, place_at, [Span(0.0, 0.5)], "dog")
    put(editor, place_at, [Span(0.5, 1.0), Span(1.5, 2.0)], "rain")
    assert [len(track[1]) for track in labels(editor)] == [1, 2]
    editor.do("Undo:")
    assert [len(track[1]) for track in labels(editor)] == [1]
    editor.do("Redo:")
    (_, second) = labels(editor)
    assert [text for _, _, text in second[1]] == ["rain", "rain"]
    assert editor.tracks()[2]["name"] == "rain"
    editor.do("Undo:", "Undo:")
    assert [track["kind"] for track in editor.tracks()] == ["wave"]


def test_a_thousand_labels_go_in_at_once(
    editor: Editor, sound: Callable[..., Path], tmp_path: Path
) -> None:
    place_at = begun(editor, sound("street"), tmp_path)
    put(editor, place_at, [Span(n / 1000, (n + 0.5) / 1000) for n in range(1000)], "tick" * 20)
    (track,) = labels(editor)
    assert len(track[1]) == 1000


@pytest.mark.parametrize("locked", [False, True], ids=["free", "sync-locked"])
def test_the_users_own_labels_stay_as_they_are(
    editor: Editor, sound: Callable[..., Path], tmp_path: Path, locked: bool
) -> None:
    place_at = begun(editor, sound("street"), tmp_path)
    editor.do(
        "NewLabelTrack:",
        'SetTrackStatus: Name="Mine"',
        "SelectTime: Start=2 End=3",
        "AddLabel:",
        'SetLabel: Label=0 Text="verse"',
        "SelectTracks: Track=0 TrackCount=2 Mode=Set",
    )
    own = labels(editor)[0]
    if locked:
        editor.do("SyncLock:")
    try:
        put(editor, place_at, [Span(0.0, 0.5)], "dog")
        if locked:
            assert editor.do('GetPreference: Name="/GUI/SyncLockTracks"').startswith("1")
    finally:
        if locked:
            editor.do("SyncLock:")
    mine, added = labels(editor)
    assert mine == own
    assert [text for _, _, text in added[1]] == ["dog"]
    assert [bool(track["selected"]) for track in editor.tracks()] == [True, True, False]


def test_another_project_gets_no_labels(
    editor: Editor, sound: Callable[..., Path], tmp_path: Path
) -> None:
    place_at = begun(editor, sound("street"), tmp_path)
    editor.do("SelectAll:", "RemoveTracks:", f'Import2: Filename="{sound("other", channels=1)}"')
    with pytest.raises(OtherProject):
        put(editor, place_at, [Span(0.0, 0.5)], "dog")
    assert not labels(editor)
