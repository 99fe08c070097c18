"""Ctrl-C and SIGTERM as an exception, which waits where a step must not be torn in two."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType

__all__ = ["Interrupted", "Interruption"]


class Interrupted(BaseException):
    """The user asked the program to end; `exit_code` is what shells expect then."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Interruption:
    """While entered, signals raise Interrupted, the first one; a second ends the program."""

    def __init__(self) -> None:
        self._shielded = False
        self._pending: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Hold signals back until the block has ended."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self._pending is not None:
            raise Interrupted(self._pending)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._shielded:
            self._pending = number
            return
        signal.signal(number, signal.SIG_DFL)
        raise Interrupted(number)
