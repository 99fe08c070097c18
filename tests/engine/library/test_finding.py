"""The recordings in folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library.finding import Found, LeftOut, find


def made(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def places(found: list[Found | LeftOut]) -> list[str]:
    return [one.place.as_posix() for one in found if isinstance(one, Found)]


def left(found: list[Found | LeftOut]) -> dict[str, str]:
    return {one.place.as_posix(): one.sentence for one in found if isinstance(one, LeftOut)}


def test_recordings_come_in_order_with_their_places(tmp_path: Path) -> None:
    made(tmp_path, "b.wav", "A.FLAC", "a/z.mp3", "a/.hidden.wav", ".git/x.wav", "notes.txt")
    found = list(find([tmp_path]))
    assert places(found) == ["A.FLAC", "b.wav", "a/z.mp3"]
    assert "no recording by its name" in left(found)["notes.txt"]
    assert all(one.size == 1 for one in found if isinstance(one, Found))


def test_folders_in_folders_only_where_wanted(tmp_path: Path) -> None:
    made(tmp_path, "b.wav", "a/z.mp3")
    found = list(find([tmp_path], recursive=False))
    assert places(found) == ["b.wav"]
    assert "--recursive" in left(found)["a"]


def test_several_folders_lie_behind_their_names(tmp_path: Path) -> None:
    made(tmp_path, "one/tapes/a.wav", "two/tapes/a.wav", "loose.xyz")
    found = list(find([tmp_path / "one/tapes", tmp_path / "two/tapes/", tmp_path / "loose.xyz"]))
    assert places(found) == ["tapes/a.wav", "tapes (2)/a.wav", "loose.xyz"]


def test_patterns_choose(tmp_path: Path) -> None:
    made(tmp_path, "Take 1.WAV", "take 2.wav", "sub/take 3.wav", "mix.wav")
    assert places(list(find([tmp_path], include=["take*.wav"]))) == [
        "Take 1.WAV",
        "take 2.wav",
        "sub/take 3.wav",
    ]
    assert places(list(find([tmp_path], exclude=["sub/*", "mix*"]))) == ["Take 1.WAV", "take 2.wav"]


def test_clips_of_a_batch_are_no_recordings(tmp_path: Path) -> None:
    made(tmp_path, "a.wav", "dogs/a - dog.wav", "dogs/sub/b - dog.wav", "dogs/.tweeze-batch.jsonl")
    found = list(find([tmp_path]))
    assert places(found) == ["a.wav"]
    assert "clips that 'tweeze batch' made" in left(found)["dogs"]
    assert not any(one.fault for one in found if isinstance(one, LeftOut))
    assert places(list(find([tmp_path / "dogs"]))) == ["a - dog.wav", "sub/b - dog.wav"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    made(tmp_path, "a/x.wav")
    (tmp_path / "a/back").symlink_to(tmp_path)
    (tmp_path / "self.wav").symlink_to(tmp_path / "self.wav")
    (tmp_path / "same.wav").symlink_to(tmp_path / "a/x.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    found = list(find([tmp_path]))
    assert places(found) == ["same.wav"], "the same file counts once"
    said = left(found)
    assert "once more" in said["a/back"]
    assert "cannot be opened" in said["self.wav"]
    assert "cannot be opened" in said["gone.wav"]


def test_where_the_results_go_is_not_searched(tmp_path: Path) -> None:
    made(tmp_path, "a.wav", "out/a - dog.wav")
    assert places(list(find([tmp_path], apart=[tmp_path / "out"]))) == ["a.wav"]
    assert left(list(find([tmp_path], recursive=False, apart=[tmp_path / "out"]))) == {}


def test_odd_files_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "two\nlines.wav").write_bytes(b"x")
    said = left(list(find([tmp_path])))
    assert "no regular file" in said["pipe.wav"]
    assert "rename" in said["two\nlines.wav"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no folder"):
        list(find([tmp_path / "nowhere"]))


def test_results_do_not_go_among_the_recordings(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--out"):
        list(find([tmp_path], apart=[tmp_path]))


def test_a_folder_that_cannot_be_searched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "a.wav", "closed/b.wav")
    scandir = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = list(find([tmp_path]))
    assert "permissions" in left(found)["closed"]
    assert places(found) == ["a.wav"]
