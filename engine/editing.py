"""Changes text files that belong to others, an editor's settings above all.

What is not changed stays byte for byte: line endings of every kind, bytes that are no UTF-8, a byte
order mark, a missing last newline. A symbolic link stays one, and what it leads to is changed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from pathlib import Path

from engine.errors import HostError

__all__ = ["BOM", "read", "remove", "rewrite", "rows", "write"]

BOM = "\ufeff"
"""The byte order mark, as `read` leaves it at the head of a text."""

_ROW = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")


def read(path: Path) -> str:
    """Return a file's text, or '' where there is none; bytes that are no UTF-8 are escaped.

    Raises
    ------
    HostError
        It is in UTF-16, which cannot be changed byte for byte in this way.
    OSError
        It cannot be read.

    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise HostError(f"{path} is written in UTF-16: save it as UTF-8 and try again.")
    return data.decode("utf-8", "surrogateescape")


def rows(text: str) -> list[tuple[str, str]]:
    r"""Return the lines of a text, each with its ending; only the last one's can be ''.

    Nothing but a newline, a carriage return or both ends a line: `str.splitlines` would cut a value
    at a form feed or at Unicode's own separators.

    >>> rows("a\r\nb\x0cc\n")
    [('a', '\r\n'), ('b\x0cc', '\n')]
    """
    return [(row[1], row[2]) for row in _ROW.finditer(text) if row[0]]


def rewrite(path: Path, text: str) -> None:
    """Write a text that `read` returned, changed or not, as `write` does."""
    write(path, text.encode("utf-8", "surrogateescape"))


def write(path: Path, data: bytes) -> None:
    """Write a file where `path` leads to: whole or not at all, with the mode and owner it has.

    It is put in place under another name and renamed. Where that would give the file another mode,
    owner or identity (it has several hard links), or its folder is closed, it is overwritten.

    Raises
    ------
    OSError
        It cannot be written; it is as it was then.

    """
    target = _lies(path)
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    draft = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.tweeze")
    try:
        _write_new(draft, data, 0o666 if before is None else 0o600)
        if before is not None:
            _take_after(draft, target, before)
        if before is None or (before.st_nlink == 1 and _is_alike(draft.stat(), before)):
            draft.replace(target)
            return
    except OSError:
        if before is None:
            raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    _overwrite(target, data)


def remove(path: Path) -> None:
    """Remove the file that `path` leads to; a link stays, and leads nowhere then."""
    _lies(path).unlink(missing_ok=True)


def _lies(path: Path) -> Path:
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _write_new(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _take_after(draft: Path, target: Path, before: os.stat_result) -> None:
    """Give a file the owner, mode and extended attributes of another, as far as that can be."""
    with contextlib.suppress(OSError):
        if hasattr(os, "chown"):
            os.chown(draft, before.st_uid, before.st_gid)
    with contextlib.suppress(OSError):
        shutil.copystat(target, draft)
    os.utime(draft)


def _is_alike(a: os.stat_result, b: os.stat_result) -> bool:
    return (a.st_mode, a.st_uid, a.st_gid) == (b.st_mode, b.st_uid, b.st_gid)


def _overwrite(target: Path, data: bytes) -> None:
    before = target.read_bytes()
    try:
        _fill(target, data)
    except OSError:
        with contextlib.suppress(OSError):
            _fill(target, before)
        raise


def _fill(target: Path, data: bytes) -> None:
    with target.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
