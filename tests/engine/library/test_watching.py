"""Which files in a watched folder are whole."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from batches import write_tone

from engine.library.finding import Found, find
from engine.library.watching import Settling, is_being_written


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def whole(settling: Settling, folder: Path) -> list[str]:
    return [one.path.name for one in settling.whole(find([folder]))]


def test_a_file_is_whole_once_it_rests(tmp_path: Path) -> None:
    clock = Clock()
    settling = Settling(5.0, clock=clock, written=lambda path: False)
    write_tone(tmp_path / "a.wav")
    assert whole(settling, tmp_path) == []
    clock.now = 4.9
    write_tone(tmp_path / "a.wav", 0.2)
    assert whole(settling, tmp_path) == []
    clock.now = 9.8
    assert whole(settling, tmp_path) == [], "it grew meanwhile"
    clock.now = 9.9
    assert whole(settling, tmp_path) == ["a.wav"]
    clock.now = 20
    assert whole(settling, tmp_path) == [], "once"
    settling.again(tmp_path / "a.wav")
    assert whole(settling, tmp_path) == ["a.wav"]
    os.utime(tmp_path / "a.wav", (1, 1))
    assert whole(settling, tmp_path) == []
    clock.now = 25
    assert whole(settling, tmp_path) == ["a.wav"], "it changed"


def test_what_is_open_for_writing_is_not_whole(tmp_path: Path) -> None:
    clock = Clock()
    settling = Settling(5.0, clock=clock)
    write_tone(tmp_path / "a.wav")
    (tmp_path / "empty.wav").touch()
    whole(settling, tmp_path)
    clock.now = 100
    with (tmp_path / "a.wav").open("ab"):
        assert is_being_written(tmp_path / "a.wav")
        assert whole(settling, tmp_path) == []
    with (tmp_path / "a.wav").open("rb"):
        assert not is_being_written(tmp_path / "a.wav"), "who reads it does no harm"
        assert whole(settling, tmp_path) == ["a.wav"]


def test_a_recorder_that_pauses_is_waited_for_and_one_that_crashed_not_for_ever(
    tmp_path: Path,
) -> None:
    heads = {
        "zero.wav": struct.pack("<4sI4s", b"RIFF", 0, b"WAVE"),
        "endless.wav": struct.pack("<4sI4s4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"data", 0xFFFFFFFF),
        "short.wav": struct.pack("<4sI4s4sI", b"RIFF", 30, b"WAVE", b"data", 4000),
        "open.aiff": struct.pack(">4sI4s4sI", b"FORM", 46, b"AIFF", b"SSND", 0),
    }
    for name, head in heads.items():
        (tmp_path / name).write_bytes(head + bytes(54 - len(head)))
    write_tone(tmp_path / "whole.wav")
    (tmp_path / "text.wav").write_text("no audio at all")
    clock = Clock()
    settling = Settling(5.0, clock=clock, written=lambda path: False)
    whole(settling, tmp_path)
    clock.now = 6
    assert whole(settling, tmp_path) == ["text.wav", "whole.wav"]
    clock.now = 31
    assert whole(settling, tmp_path) == sorted(heads)


def test_what_is_left_out_is_told_once(tmp_path: Path) -> None:
    clock = Clock()
    settling = Settling(1.0, clock=clock, written=lambda path: False)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    whole(settling, tmp_path)
    clock.now = 2
    found = list(settling.whole(find([tmp_path])))
    assert [isinstance(one, Found) for one in found] == [False]
    assert whole(settling, tmp_path) == []
