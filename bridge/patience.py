"""What a terminal shows while a command waits, so that nobody wonders whether it hangs."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator

__all__ = ["counting", "waiting"]


@contextlib.contextmanager
def waiting(doing: str = "") -> Iterator[Callable[[str], None]]:
    """Show what the command does meanwhile, if standard error is a terminal.

    Yields a function that shows something else instead, or nothing for `""`: before anything is
    printed, say.
    """
    length = 0

    def show(what: str) -> None:
        nonlocal length
        room = shutil.get_terminal_size().columns - 2
        line = f"{what[:room]}…" if what else ""
        # Blanks instead of an escape sequence, which not every terminal understands.
        print(f"\r{' ' * length}\r{line}", end="", file=sys.stderr, flush=True)
        length = len(line)

    if not sys.stderr.isatty():
        yield lambda what: None
        return
    show(doing)
    try:
        yield show
    finally:
        show("")


@contextlib.contextmanager
def counting(doing: str) -> Iterator[Callable[[int], None]]:
    """Show how many bytes were done, if standard error is a terminal; yields what adds to them."""
    total = 0
    with waiting(doing) as show:

        def count(more: int) -> None:
            nonlocal total
            total += more
            show(f"{doing}: {total / 1e6:.1f} MB")

        yield count
