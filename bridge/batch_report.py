"""What a terminal, or a log, shows of a batch while it goes on."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.display import shown
from engine.library.batch import Told
from engine.library.estimate import Estimate
from engine.library.finding import JOURNAL, LeftOut
from engine.library.items import Item
from engine.library.manifest import Row, State

__all__ = ["Report", "length", "lost", "reporting", "sentence"]

_NAMED = 10  # files that cannot be opened of which it is said why


class Report:
    """A bar on a terminal; a line for each recording elsewhere, and for each that failed."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self._task = None
        self._began: float | None = None  # when the model was there
        self._estimate = Estimate()
        self._shares: dict[str, float] = {}
        self._now = ""
        self._noted: set[str] = set()
        self._lock = threading.Lock()

    def begun(self, estimate: Estimate) -> None:
        """Say how much there is to do."""
        self._estimate = estimate
        if self._bar is not None:
            self._task = self._bar.add_task("", total=max(1, estimate.files))
            self._show()

    def say(self, sentence: str) -> None:
        """Say something about the batch as a whole."""
        if self._bar is None:
            print(shown(sentence), file=sys.stderr, flush=True)
        else:
            self._bar.console.print(shown(sentence), markup=False, highlight=False)

    def faults(self, left: Sequence[LeftOut]) -> None:
        """Say what cannot even be tried: the first of many, since the manifest has them all."""
        for one in left[:_NAMED]:
            self.say(one.sentence)
        if len(left) > _NAMED:
            self.say(f"{len(left) - _NAMED:,} more cannot be opened: the manifest says which.")

    def share(self, item: Item, share: float) -> None:
        """Take note of how far an item is; may be called from any thread."""
        with self._lock:
            self._shares[item.key] = share
            if share:
                self._now = item.found.path.name
                self._began = self._began or time.monotonic()
        self._show()

    def told(self, told: Told) -> None:
        """Say what became of an item."""
        with self._lock:
            self._shares.pop(told.item.key, None)
            if told.estimate.seconds:
                self._began = self._began or time.monotonic()
        estimate = told.estimate
        new = [note for note in told.notes if note not in self._noted]
        self._noted.update(new)  # each once: the manifest says how likely each sound is there
        lines = [f"{told.item.found.path.name}: {note}" for note in new]
        failures = [row for row in told.rows if row.state == State.FAILED.value]
        lines += [
            row.error if row.error.startswith(row.file) else f"{row.file}: {row.error}"
            for row in failures[:1]
        ]
        if self._bar is None:
            count = f"{estimate.done} of {estimate.files}"
            if not failures:
                lines.append(f"{told.item.found.path}: {_found(told.rows)}")
            lines = [f"[{count}{self._rest(estimate)}] {line}" for line in lines]
            for line in lines:
                print(shown(line), file=sys.stderr, flush=True)
            return
        for line in lines:
            self._bar.console.print(shown(line), markup=False, highlight=False)
        self._show()

    def _show(self) -> None:
        if self._bar is None or self._task is None:
            return
        with self._lock:
            estimate = self._estimate
            done = estimate.done + sum(self._shares.values())
            words = f"{estimate.done} of {estimate.files}, {length(estimate.seconds)} of audio"
            words += self._rest(estimate)
            now = f" - {shown(self._now)}" if self._now else ""
        self._bar.update(self._task, completed=done, description=words + now)

    def _rest(self, estimate: Estimate) -> str:
        if self._began is None or estimate.done == estimate.files:
            return ""
        left = estimate.remaining(time.monotonic() - self._began)
        return "" if left is None else f", about {length(left)} left"


@contextlib.contextmanager
def reporting(*, quiet: bool = False) -> Iterator[Report]:
    """Yield what shows a batch on standard error."""
    if quiet or not sys.stderr.isatty():
        yield Report()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    with Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        yield Report(bar)


def length(seconds: float) -> str:
    """Return a length of time as one says it: `42 s`, `3 min`, `2.5 h`.

    >>> [length(seconds) for seconds in (41.6, 200, 9000)]
    ['42 s', '3 min', '2.5 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def sentence(counts: dict[State, int], already: int) -> str:
    """Return what became of a batch: `12 recordings were separated, 1 failed.`"""
    done = counts[State.DONE]
    parts = [f"{done} {'recording was' if done == 1 else 'recordings were'} separated"]
    if counts[State.NOT_HEARD]:
        parts.append(f"in {counts[State.NOT_HEARD]} the sound is not likely enough")
    if counts[State.FAILED]:
        parts.append(f"{counts[State.FAILED]} failed")
    if counts[State.LEFT_OUT]:
        parts.append(f"{counts[State.LEFT_OUT]} left out")
    if already:
        parts.append(f"{already} {'was' if already == 1 else 'were'} done before")
    return ", ".join(parts) + "."


def lost(count: int, folder: Path) -> str:
    """Return what to say where clips of earlier runs are gone."""
    were = "clip of what was done before is" if count == 1 else "clips of what was done before are"
    return (
        f"{count:,} {were} no longer in {folder}: to have all made once more, remove the file "
        f"{JOURNAL} there (it is hidden), or name another folder with --out."
    )


def _found(rows: tuple[Row, ...]) -> str:
    said = []
    for row in rows:
        sure = "" if row.certainty is None else f" ({row.certainty:.0%} sure)"
        what = row.query or "everything else"
        said.append(f"{what}: not heard{sure}" if row.state != State.DONE.value else what + sure)
    return ", ".join(said) or "nothing"
