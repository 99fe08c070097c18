"""The fake REAPER is strict: what the real one would refuse, or suffer from, is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lupa.lua54 import LuaError

from tests.hosts.reaper.api import signatures
from tests.hosts.reaper.fake import FakeReaper, ReaperError, UnmodelledError
from tests.hosts.reaper.studio import Studio


def run(reaper: FakeReaper, folder: Path, code: str) -> Any:
    path = folder / "script.lua"
    path.write_text(code)
    return reaper.run(path)


def test_the_api_is_whole() -> None:
    known = signatures()
    assert len(known) == 723 + 6
    loop = known["GetSet_LoopTimeRange2"]
    assert [p.type for p in loop.parameters] == [
        *("ReaProject", "boolean", "boolean"),
        *("number", "number", "boolean"),
    ]
    assert [p.type for p in loop.returns] == ["number", "number"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("reaper.GetSelectedMediaItm(0, 0)", "no such function"),
        ("reaper.BR_GetMediaItemGUID(0)", "no such function"),
        ("reaper.CSurf_FlushUndo(true)", "does not model"),
        ("reaper.CountTracks()", "0 arguments"),
        ("reaper.CountTracks(0, 1)", "2 arguments"),
        ("reaper.genGuid()", "0 arguments"),
        ("reaper.GetTrack(0, 'x')", "integer expected"),
        ("reaper.GetTrack(0, 0.5)", "integer expected"),
        ("reaper.GetTrack('0', 0)", "ReaProject expected"),
        ("reaper.GetActiveTake(nil)", "MediaItem expected"),
        ("reaper.GetMediaItemInfo_Value(reaper.GetTrack(0, 0), 'D_VOL')", "MediaItem expected"),
        ("reaper.GetMediaItemInfo_Value(reaper.GetMediaItem(0, 0), 'D_VOLUME')", "no attribute"),
        ("reaper.SetExtState('a', 'b', 1, true)", "string expected"),
        ("reaper.SetExtState('a', 'b', 'c', 1)", "boolean expected"),
        ("reaper.InsertTrackAtIndex(0, false)", "outside an undo block"),
        ("reaper.SetMediaItemInfo_Value(reaper.GetMediaItem(0, 0), 'D_VOL', 1)", "outside an undo"),
        ("reaper.SetTrackSelected(reaper.GetTrack(0, 0), true)", "outside an undo block"),
        ("reaper.Undo_BeginBlock2(0)", "undo block was left open"),
        ("reaper.Undo_EndBlock2(0, '', -1)", "did not begin"),
        ("reaper.PreventUIRefresh(1)", "not balanced"),
        ("reaper.CreateTrackAudioAccessor(reaper.GetTrack(0, 0))", "accessors open"),
        ("reaper.ExecProcess('true', 0)", "would wait"),
        ("reaper.Main_OnCommand(40001, 0)", "does not model the action"),
        ("reaper.defer(print) reaper.defer(print)", "more than one function"),
        ("reaper.new_array(0)", "bad size"),
        ("local a = reaper.new_array(2) a[3] = 1", "array index"),
        ("local a = reaper.new_array(2) a.table(1, 3)", "out of range"),
        ("gfx.rect(0, 0, 1, 1, 1)", "without a window"),
        ("gfx.drawstring('x')", "no such function"),
        ("gfx.colour = 1", "gfx.colour"),
        ("reaper.mine = 1", "writes to reaper"),
        ("local x = reaper.GetTrack(0, 0).name", "looks into a pointer"),
        (
            "local t = reaper.GetTrack(0, 0) local a = reaper.CreateTrackAudioAccessor(t) "
            "reaper.DestroyAudioAccessor(a) reaper.DestroyAudioAccessor(a)",
            "dangling AudioAccessor",
        ),
        (
            "local a = reaper.CreateTrackAudioAccessor(reaper.GetTrack(0, 0)) "
            "reaper.GetAudioAccessorSamples(a, 48000, 2, 0, 100, reaper.new_array(100))",
            "buffer is too small",
        ),
    ],
)
def test_refused(studio: Studio, code: str, words: str) -> None:
    studio.item(studio.wav(0.1))
    with pytest.raises((ReaperError, UnmodelledError, LuaError, AttributeError), match=words):
        run(studio.reaper, studio.folder, code)


def test_a_pointer_is_one_value(studio: Studio) -> None:
    """As in REAPER: equal to itself, a key of a table; dangling once its project is closed."""
    studio.item(studio.wav(0.1))
    same = "assert(reaper.GetTrack(0, 0) == reaper.GetTrack(0, 0)) "
    key = "local t = {[reaper.GetTrack(0, 0)] = 1} assert(t[reaper.GetTrack(0, 0)] == 1) "
    kind = "assert(type(reaper.GetTrack(0, 0)) == 'userdata') "
    later = "local t = reaper.GetTrack(0, 0) reaper.defer(function() reaper.GetTrackGUID(t) end)"
    run(studio.reaper, studio.folder, same + key + kind + later)
    studio.reaper.close(studio.project)
    with pytest.raises((ReaperError, LuaError), match="dangling MediaTrack"):
        studio.reaper.cycle()


def test_work_in_a_cycle_is_measured(studio: Studio) -> None:
    studio.item(studio.wav(1.0))
    code = (
        "local a = reaper.CreateTrackAudioAccessor(reaper.GetTrack(0, 0)) "
        "reaper.GetAudioAccessorSamples(a, 48000, 2, 0, 90000, reaper.new_array(180000)) "
        "reaper.DestroyAudioAccessor(a)"
    )
    with pytest.raises(ReaperError, match="in one cycle"):
        run(studio.reaper, studio.folder, code)
