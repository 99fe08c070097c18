"""Events of the file system: they tell a door at once that something lies in one of its folders.

No door may need them. A system has few to give (Linux counts a user's inotify instances), a share
sends none, and who sends them may die; then whoever listens here looks on the clock instead.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from engine.errors import Failure

__all__ = ["Events"]

# What Linux counts, by the error that says that there are no more.
_LIMITS = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}


class Events:
    """Calls `wake`, in a thread of its own, when a file in one of `folders` is made or changed.

    Raises
    ------
    Failure
        The system gives no events; the sentence says why, and what to do about it.

    """

    def __init__(self, folders: Sequence[Path], wake: Callable[[], None]) -> None:
        self._observer: BaseObserver | None = None
        try:
            self._observer = Observer()
            for folder in folders:
                self._observer.schedule(_Waker(wake), str(folder))
            self._observer.start()
        # OSError on Linux, whatever FSEvents and threads raise elsewhere.
        except Exception as error:
            self.stop()
            raise Failure(_reason(error)) from error

    @property
    def alive(self) -> bool:
        """Whether everything that hands events on is still at work."""
        observer = self._observer
        return (
            observer is not None
            and observer.is_alive()
            and all(emitter.is_alive() for emitter in list(observer.emitters))
        )

    def stop(self) -> None:
        """Ask for the end, without waiting for it."""
        if self._observer is not None:
            with contextlib.suppress(Exception):  # of something that has not begun, or has died
                self._observer.stop()

    def join(self) -> None:
        """Wait until the threads have ended; after `stop`."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.join()


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("created", "modified", "moved", "closed"):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._wake()


def _reason(error: Exception) -> str:
    limit = _LIMITS.get(getattr(error, "errno", None) or 0)
    if limit is None:
        return f"The file system sends no events ({type(error).__name__}: {error})."
    return (
        "The file system sends no events, because other programs have used up all of yours: raise "
        f"fs.inotify.{limit} ('sudo sysctl fs.inotify.{limit}=N', with twice what "
        f"'sysctl fs.inotify.{limit}' says), then run 'tweeze stop'."
    )
