"""Sounds come out of the archives that hold them, and nothing lands outside."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from engine.training.archives import ArchiveError, extract, resource_files

if TYPE_CHECKING:
    from pathlib import Path

SOUNDS = frozenset({".ogg", ".wav"})


def qt_resource(files: dict[str, bytes], *, compress: bool = False) -> bytes:
    """Return a version-2 resource file with one folder ``sounds`` that holds ``files``."""
    names = b""
    contents = b""
    nodes = []

    def named(name: str) -> int:
        nonlocal names
        offset = len(names)
        encoded = name.encode("utf-16-be")
        names += struct.pack(">HI", len(encoded) // 2, 0) + encoded
        return offset

    nodes.append(struct.pack(">IHIIQ", 0, 2, 1, 1, 0))
    nodes.append(struct.pack(">IHIIQ", named("sounds"), 2, len(files), 2, 0))
    for name, content in files.items():
        data = struct.pack(">I", len(content)) + zlib.compress(content) if compress else content
        nodes.append(
            struct.pack(">IHHHIQ", named(name), 1 if compress else 0, 0, 0, len(contents), 0)
        )
        contents += struct.pack(">I", len(data)) + data
    tree = b"".join(nodes)
    start = 20
    header = struct.pack(">4sIIII", b"qres", 2, start, start + len(tree), 0)
    whole = header + tree + contents
    return whole[:16] + struct.pack(">I", len(whole)) + whole[20:] + names


@pytest.mark.parametrize("compress", [False, True])
def test_a_qt_resource_file_is_read(tmp_path: Path, compress: bool) -> None:
    archive = tmp_path / "farm.rcc"
    archive.write_bytes(
        qt_resource({"cow.ogg": b"moo" * 99, "cow.png": b"picture"}, compress=compress)
    )
    assert extract(archive, SOUNDS) == 1
    assert (tmp_path / "farm" / "sounds" / "cow.ogg").read_bytes() == b"moo" * 99


def test_a_zip_under_another_name_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "base.wz"
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("audio/rain.ogg", b"rain")
        inside.writestr("audio/notes.txt", b"text")
    assert extract(archive, SOUNDS) == 1
    assert (tmp_path / "base" / "audio" / "rain.ogg").read_bytes() == b"rain"


def test_nothing_lands_outside(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "bad.rcc"
    archive.parent.mkdir()
    archive.write_bytes(qt_resource({"../../../out.ogg": b"x", "fine.ogg": b"y"}))
    assert extract(archive, SOUNDS) == 1
    assert sorted(p.name for p in tmp_path.rglob("*.ogg")) == ["fine.ogg"]


@pytest.mark.parametrize("name", ["broken.rcc", "broken.zip"])
def test_what_is_no_archive_is_said(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(b"this is a poem")
    with pytest.raises(ArchiveError):
        extract(archive, SOUNDS)


def test_a_damaged_tree_is_said() -> None:
    whole = qt_resource({"cow.ogg": b"moo"})
    with pytest.raises(ArchiveError, match="damaged"):
        list(resource_files(whole[:40]))
    looping = bytearray(whole)
    struct.pack_into(">II", looping, 20 + 22 + 6, 1, 0)
    with pytest.raises(ArchiveError, match="turns back"):
        list(resource_files(bytes(looping)))
