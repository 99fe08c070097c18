"""Takes the sound files out of the archives in which some packages keep them.

Zip under several names (``.zip``, ``.wz``, ``.pk3``) and Qt's resource files (``.rcc``); the
layout of the latter is that of Qt's ``QResource`` (header, tree, data, names; big endian).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ARCHIVES", "ArchiveError", "extract", "resource_files"]

ZIP_ARCHIVES = frozenset({".zip", ".wz", ".pk3"})
ARCHIVES = ZIP_ARCHIVES | {".rcc"}
"""Suffixes of the archives that can be opened."""

_MAGIC = b"qres"
_COMPRESSED, _DIRECTORY, _ZSTANDARD = 1, 2, 4


class ArchiveError(ValueError):
    """The file is not an archive of its kind."""


@dataclass(frozen=True)
class _Resource:
    """Where the parts of a resource file begin, and how long a node of its tree is."""

    data: bytes
    tree: int
    contents: int
    names: int
    node: int

    def name(self, offset: int) -> str:
        start = self.names + offset
        (length,) = struct.unpack_from(">H", self.data, start)
        return self.data[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def content(self, offset: int, flags: int) -> bytes | None:
        start = self.contents + offset
        (size,) = struct.unpack_from(">I", self.data, start)
        raw = self.data[start + 4 : start + 4 + size]
        if flags & _ZSTANDARD:
            return None
        return zlib.decompress(raw[4:]) if flags & _COMPRESSED else raw

    def walk(self, index: int, path: str) -> Iterator[tuple[str, bytes]]:
        name, flags = struct.unpack_from(">IH", self.data, self.tree + index * self.node)
        here = f"{path}/{self.name(name)}" if index else ""
        rest = self.tree + index * self.node + 6
        if flags & _DIRECTORY:
            count, first = struct.unpack_from(">II", self.data, rest)
            if count and first <= index:
                raise ArchiveError("damaged Qt resource file: its tree turns back on itself")
            for child in range(first, first + count):
                yield from self.walk(child, here)
            return
        (offset,) = struct.unpack_from(">I", self.data, rest + 4)
        content = self.content(offset, flags)
        if content is not None:
            yield here.lstrip("/"), content


def resource_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file in a Qt resource file (not those in Zstandard).

    Raises
    ------
    ArchiveError
        The bytes are not a resource file.
    """
    if data[:4] != _MAGIC:
        raise ArchiveError("no Qt resource file")
    try:
        version, tree, contents, names = struct.unpack_from(">IIII", data, 4)
        node = 14 if version == 1 else 22
        yield from _Resource(data, tree, contents, names, node).walk(0, "")
    except (struct.error, zlib.error, UnicodeDecodeError) as problem:
        raise ArchiveError(f"damaged Qt resource file: {problem}") from problem


def extract(archive: Path, suffixes: frozenset[str]) -> int:
    """Write the files with one of ``suffixes`` into a folder beside the archive named like it.

    Returns how many. Paths stay below that folder whatever the archive says.

    Raises
    ------
    ArchiveError
        The file is not an archive of its kind.
    """
    folder = archive.with_suffix("")
    if archive.suffix in ZIP_ARCHIVES:
        try:
            with zipfile.ZipFile(archive) as inside:
                wanted = [n for n in inside.namelist() if Path(n).suffix.lower() in suffixes]
                inside.extractall(folder, wanted)
        except zipfile.BadZipFile as problem:
            raise ArchiveError(f"{archive}: {problem}") from problem
        return len(wanted)
    count = 0
    for name, content in resource_files(archive.read_bytes()):
        path = PurePosixPath(name)
        if path.suffix.lower() in suffixes and ".." not in path.parts:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            count += 1
    return count
