"""The file of presets: what it keeps, and what it refuses without losing anything."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.presets import Preset
from engine.queue import preset_file
from engine.queue.preset_file import PRESETS_LIMIT, PresetFile

DOG = Preset("Dog", ("dog barking",), ("rain",), (("sharpness", "2.00"),))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "home")


def write(folders: Folders, said: Any) -> str:
    folders.make()
    text = said if isinstance(said, str) else json.dumps(said)
    folders.presets.write_text(text, "utf-8")
    return text


def test_what_is_saved_is_there_and_can_be_removed(folders: Folders) -> None:
    file = PresetFile(folders)
    assert file.all() == []
    assert file.mark == ()
    assert file.save(DOG) == (DOG, False)
    first = file.mark
    assert file.save(Preset("birds", ("bird",))) == (Preset("birds", ("bird",)), False)
    assert file.mark != first
    assert [one.name for one in file.all()] == ["birds", "Dog"]
    assert file.get(" dOG ") == DOG
    other = Preset("DOG", ("hound",))
    assert file.save(other) == (other, True)
    assert file.all() == [Preset("birds", ("bird",)), other]
    assert file.remove("dog") == other
    assert PresetFile(folders).all() == [Preset("birds", ("bird",))]
    for act in (file.get, file.remove):
        with pytest.raises(BadInput, match=r"There is no preset 'dog'; there are: 'birds'\."):
            act("dog")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps folders private, not files")
def test_it_is_for_the_user_alone_and_nothing_is_left_beside_it(folders: Folders) -> None:
    before = os.umask(0)
    try:
        PresetFile(folders).save(DOG)
    finally:
        os.umask(before)
    assert folders.presets.stat().st_mode & 0o777 == 0o600
    assert not list(folders.root.glob(".presets*"))


def test_what_a_newer_tweeze_wrote_stays(folders: Folders) -> None:
    odd = {"name": "new", "queries": ["x"], "options": {"shimmer": "3"}, "colour": "red"}
    write(folders, {"tweeze": 1, "presets": [odd], "sorted": True})
    file = PresetFile(folders)
    file.save(DOG)
    said = json.loads(folders.presets.read_text("utf-8"))
    assert said["sorted"] is True
    assert {**odd, "nots": []} in said["presets"]
    assert "shimmer=3 (unknown to this Tweeze)" in file.get("new").words
    with pytest.raises(BadInput, match="has the option 'shimmer', which this Tweeze does not know"):
        file.get("new").checked()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ([], "there is no list of presets in it"),
        ({"tweeze": 1, "presets": {}}, "there is no list of presets in it"),
        ({"tweeze": 2, "presets": []}, "is written in form '2', this Tweeze reads form 1"),
        ({"tweeze": 1, "presets": [1]}, "preset 1 in it is not as Tweeze writes one"),
        ({"tweeze": 1, "presets": [{"queries": ["a"]}]}, "preset 1 in it is not as Tweeze"),
        ({"tweeze": 1, "presets": [{"name": "a", "queries": "b"}]}, "preset 1 in it is not as"),
        ({"tweeze": 1, "presets": [{"name": "a", "options": {"b": 1}}]}, "preset 1 in it is"),
        ({"tweeze": 1, "presets": [{"name": "a"}, {"name": "A "}]}, "'A ' is in it twice"),
    ],
)
def test_a_broken_file_is_said_and_stays(folders: Folders, said: Any, why: str) -> None:
    text = write(folders, said)
    file = PresetFile(folders)
    for act in (file.all, lambda: file.get("a"), lambda: file.save(DOG), lambda: file.remove("a")):
        with pytest.raises(BadInput) as refused:
            act()
        assert why in str(refused.value)
        assert str(folders.presets) in str(refused.value)
    assert folders.presets.read_text("utf-8") == text


@pytest.mark.parametrize("name", ["folder", "link", "bytes", "huge"])
def test_what_is_no_text_is_said_and_stays(folders: Folders, name: str, tmp_path: Path) -> None:
    folders.make()
    if name == "folder":
        folders.presets.mkdir()
    elif name == "link":
        (tmp_path / "elsewhere").write_text('{"tweeze": 1, "presets": []}')
        try:
            folders.presets.symlink_to(tmp_path / "elsewhere")
        except OSError:
            pytest.skip("no links here")
    else:
        folders.presets.write_bytes(b"\xff\xfe" if name == "bytes" else b" " * (1 << 21))
    with pytest.raises(BadInput):
        PresetFile(folders).save(DOG)
    assert folders.presets.is_symlink() == (name == "link")
    assert folders.presets.exists()


def test_there_is_a_most(folders: Folders) -> None:
    many = [{"name": f"p{n}", "queries": ["dog"]} for n in range(PRESETS_LIMIT)]
    write(folders, {"tweeze": 1, "presets": many})
    file = PresetFile(folders)
    with pytest.raises(BadInput, match="There are 200 presets, the most there can be"):
        file.save(DOG)
    assert file.save(Preset("P7", ("cat",)))[1]
    file.remove("p8")
    file.save(DOG)
    long = [f"{n}" + "ü" * 290 for n in range(16)]
    write(folders, {"tweeze": 1, "presets": [{**one, "queries": long} for one in many[:120]]})
    with pytest.raises(BadInput):
        file.save(DOG)


def save_some(root: Path, who: int) -> None:
    for number in range(10):
        PresetFile(Folders(root)).save(Preset(f"{who}-{number}", ("dog",)))


def test_several_processes_lose_nothing(folders: Folders) -> None:
    folders.make()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=save_some, args=(folders.root, who)) for who in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    assert len(PresetFile(folders).all()) == 30


def test_a_program_that_keeps_the_lock_is_said(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preset_file, "_PATIENCE", 0.1)
    with PresetFile(folders)._alone(), pytest.raises(Failure, match="Another program has held"):
        PresetFile(folders).save(DOG)
    PresetFile(folders).save(DOG)
