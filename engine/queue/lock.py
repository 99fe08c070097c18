"""A lock file that one process holds until it ends, and that names its holder.

The system releases the lock whenever the holder ends, so a stale file never blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from pathlib import Path

from engine.errors import Failure

__all__ = ["ProcessLock", "holder"]

_ATTEMPTS = 10  # at taking a lock, and seconds between two
_PAUSE = 0.01

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 20  # Windows locks bytes against reading too: lock one behind the text

    def _seize(handle: int, *, shared: bool = False) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # there is no shared one
        finally:
            os.lseek(handle, 0, os.SEEK_SET)  # where the text is, whoever holds the lock

else:
    import fcntl

    def _seize(handle: int, *, shared: bool = False) -> None:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class ProcessLock:
    """Taken with `take`, and held until `drop` or the end of the process.

    If somebody removes a locked file, or moves or replaces its folder, another process can lock a
    new file at that path. A process that must be the only one checks `holds` regularly.

    Raises
    ------
    Failure
        The file cannot be opened (which does not mean that another process holds it).

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self._folder: int | None = None  # kept open, so that no other one gets its number

    def take(self) -> bool:
        """Take the lock and write this process's id into the file; False if another holds it.

        The lock holds even where the disk has no room for the id, or is read-only.
        """
        if self._handle is not None:
            return True
        handle = _open(self.path, create=True)
        assert handle is not None
        for attempt in range(_ATTEMPTS):
            try:
                _seize(handle)
                break
            except OSError:
                if attempt == _ATTEMPTS - 1:
                    os.close(handle)
                    return False
                time.sleep(_PAUSE)  # perhaps somebody only asks who holds it, which ends at once
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        if self._folder is None and sys.platform != "win32":
            with contextlib.suppress(OSError):
                self._folder = os.open(self.path.parent, os.O_RDONLY)
        return True

    def holds(self) -> bool:
        """Return whether this process holds the lock on the file that lies at the path now."""
        if self._handle is None:
            return False
        if sys.platform == "win32":
            return True  # an open file, and what lies above it, can be neither removed nor moved
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._handle), self.path.stat()):
                return True
            # Some shares give a file another number each time that they are asked.
            return holder(self.path) == os.getpid()
        return False

    def renew(self) -> bool:
        """Take the lock again if the file was removed, but not its folder; False if that fails.

        It fails if another process was quicker, or if the folder is gone.
        """
        if self._folder is None or self._handle is None:
            return False
        with contextlib.suppress(OSError, Failure):
            if os.path.samestat(os.fstat(self._folder), self.path.parent.stat()):
                old, self._handle = self._handle, None
                if self.take():
                    os.close(old)
                    return True
                self._handle = old
        return False

    def drop(self) -> None:
        """Release the lock."""
        for handle in (self._handle, self._folder):
            if handle is not None:
                os.close(handle)
        self._handle = self._folder = None


def holder(path: Path) -> int | None:
    """Return the id of the process that holds the lock, or None if nobody does.

    0 stands for a holder that has not yet written its id.

    Raises
    ------
    Failure
        The file cannot be opened: it is another user's, say.

    """
    handle = _open(path, create=False)
    if handle is None:
        return None
    try:
        try:
            # Shared, so that several who ask at once do not take each other for the holder.
            _seize(handle, shared=True)
        except OSError:
            text = os.read(handle, 32).decode("ascii", "replace").strip()
            return int(text) if text.isdigit() else 0
        return None
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)


def _open(path: Path, *, create: bool) -> int | None:
    """Return a handle of the file; None if it does not exist and `create` is False."""
    flags = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | flags | (os.O_CREAT if create else 0), 0o600)
    except OSError as error:
        if error.errno == errno.EROFS:
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | flags)  # a lock needs no more
        if isinstance(error, FileNotFoundError) and not create:
            return None
        raise Failure(
            f"The file {path} cannot be used ({error.strerror}): check the permissions of its "
            "folder, or name another folder with TWEEZE_HOME."
        ) from error
