"""`deliver.lua` where the disk that a clip is copied from fails in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest
from lupa import lua54

DELIVER = Path(__file__).parents[3] / "reaper" / "tweeze" / "deliver.lua"


@pytest.mark.fault(
    "the engine's disk goes away while a clip is copied from it",
    promise="no part of a clip gets its name, the clip stays where it lay, and it is said where",
)
def test_a_clip_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    clip, out = tmp_path / "engine" / "clip.wav", tmp_path / "media"
    clip.parent.mkdir()
    out.mkdir()
    clip.write_bytes(bytes(3 << 20))
    lua = lua54.LuaRuntime()
    lua.globals()["exists"] = lambda path: Path(path).exists()
    # Only a failing disk lets a read fail, so Lua's own functions are made to say it; renaming
    # fails as it does between two disks.
    lua.execute("""
        reaper = { RecursiveCreateDirectory = function() end, file_exists = exists }
        local open = io.open
        function io.open(path, mode)
          local file = open(path, mode)
          if mode ~= 'rb' then return file end
          local reads = 0
          return {
            read = function(_, size)
              reads = reads + 1
              if reads == 2 then return nil, 'Input/output error', 5 end
              return file:read(size)
            end,
            close = function() return file:close() end,
          }
        end
        local rename = os.rename
        function os.rename(from, to)
          if from:match('engine/clip.wav$') then return nil, 'Invalid cross-device link', 18 end
          return rename(from, to)
        end
    """)
    deliver = lua.execute(DELIVER.read_text("utf-8"))
    clips = lua.table_from([lua.table_from({"path": str(clip)})])
    state = deliver.begin(clips, str(out), lambda: True)
    answer = False
    while answer is False:
        answer = deliver.step(state)
    assert answer[0] is None
    assert f"They lie in {clip.parent}." in answer[1]
    assert clip.stat().st_size == 3 << 20
    assert list(out.iterdir()) == []
