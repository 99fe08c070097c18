"""Small text files between processes: written whole or not at all, read without surprises."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

from engine.errors import BadJob

__all__ = ["SMALL", "read_small", "replace_text", "sync_folder"]

SMALL = 1 << 20  # bytes; nothing that programs tell each other here is longer


def replace_text(path: Path, text: str) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Until it is whole it has a name that begins with a dot, which readers of folders pass over.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_small(path: Path) -> str:
    """Return the text of a small regular file.

    Neither waits on a FIFO nor follows a symbolic link.

    Raises
    ------
    BadJob
        It is not a regular file, too large, or not UTF-8.

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
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJob(f"{path.name} is not UTF-8 text (byte {error.start}).") from None


def sync_folder(path: Path) -> None:
    """Have the disk keep the names in a folder, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
