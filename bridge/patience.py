"""What a terminal shows while a command waits, so that nobody wonders whether it hangs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["counting", "waiting"]


@contextlib.contextmanager
def waiting(doing: str) -> Iterator[None]:
    """Show what the command does meanwhile, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{doing}…")):
        yield


@contextlib.contextmanager
def counting(doing: str) -> Iterator[Callable[[int], None]]:
    """Show how many bytes were done, if standard error is a terminal; yields what adds to them."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), FileSizeColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda count: bar.update(task, advance=count)
