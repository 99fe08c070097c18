"""Files that appear whole or not at all, and small ones that are read without surprises."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
import time
from functools import partial
from pathlib import Path

from engine.errors import BadJob

__all__ = [
    "SMALL",
    "make_usual",
    "name_anew",
    "read_small",
    "read_small_bytes",
    "replace_text",
    "sync",
    "sync_folder",
]

SMALL = 1 << 20  # bytes; nothing that programs tell each other here is longer
_MOMENT = 1.0  # seconds that a reader may have a file open where that keeps it in its place


def replace_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Until it is whole it has a name that begins with a dot, which readers of folders pass over.
    `mode` says who may read it, less what the process's umask takes away.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(text.encode())
        _take_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _take_place(file: Path, path: Path) -> None:
    """Rename a file to a name that there may be already.

    Windows refuses that as long as any program has the other one open, an editor's script that
    reads it, say, or a virus scanner: for a moment, so it is tried again.
    """
    deadline = time.monotonic() + _MOMENT
    while True:
        try:
            file.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def read_small(path: Path) -> str:
    """Return the text of a small regular file; see `read_small_bytes`.

    Raises
    ------
    BadJob
        It is not a regular file, too large, or not UTF-8.

    """
    try:
        return read_small_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJob(f"{path.name} is not UTF-8 text (byte {error.start}).") from None


def read_small_bytes(path: Path) -> bytes:
    """Return the bytes of a small regular file.

    Neither waits on a FIFO nor follows a symbolic link.

    Raises
    ------
    BadJob
        It is not a regular file, or too large.

    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    if path.is_symlink():
        raise BadJob(f"{path.name} is a symbolic link, not a file.")
    handle = os.open(path, flags)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise BadJob(f"{path.name} is not a regular file.")
        if about.st_size > SMALL:
            raise BadJob(f"{path.name} has {about.st_size:,} bytes; {SMALL:,} is the most.")
        data = b""
        while len(data) <= SMALL and (part := os.read(handle, SMALL)):
            data += part
    finally:
        os.close(handle)
    return data


def sync_folder(path: Path) -> None:
    """Have the disk keep the names in a folder, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_usual(path: Path) -> None:
    """Let others read a file as the user's umask says; Tweeze's own are for its user alone.

    Without an error where that fails: not every share can have it otherwise.
    """
    umask = os.umask(0o077)  # there is no way to ask for it without setting it
    os.umask(umask)
    with contextlib.suppress(OSError):
        path.chmod(0o666 & ~umask)


def name_anew(file: Path, path: Path) -> None:
    """Give a file a further name, or another one, but never that of another: FileExistsError then.

    A hard link does both at once. Not every disk or share has them: there the name is taken with
    an empty file first, which the real one then replaces.
    """
    try:
        os.link(file, path)
        return
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.EXDEV):
            raise
    path.touch(exist_ok=False)
    try:
        file.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def sync(handle: int) -> None:
    """Have the disk keep an open file, where it can be told to."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise
