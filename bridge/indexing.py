"""`tweeze index`: folders, from the command line through listening processes into the index."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from bridge.interruption import Interruption
from bridge.patience import waiting
from bridge.tables import sound_length
from engine.display import shown
from engine.library.finding import Found, find
from engine.library.hearers import Hearers
from engine.library.hearing import listener_mark
from engine.library.index import Index
from engine.library.indexing import Pool, Progress, Summary, update

__all__ = ["bring_up_to_date"]

_LINES = 10.0  # seconds between two lines where standard error is no terminal
_LOOKED_AT = 1000  # recordings of which each machine must see some
_NAMED = 10  # files that could not be heard of which it is said why


def bring_up_to_date(
    path: Path,
    folders: Sequence[Path],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    again: bool,
    prune: bool,
    count: int | None,
    cluster: str = "",
) -> tuple[dict[str, object], str]:
    """Have what is new in folders heard; returns what became of it, as facts and as a sentence.

    `cluster` is the address of machines that listen; without one, `count` processes do here.

    Raises
    ------
    BadInput, Failure
        See `engine.library.indexing.update` and `engine.library.index.Index`.
    Interrupted
        A signal came; what was heard until then is kept.

    """
    summary, pruned = Summary(), 0
    began = time.monotonic()
    with (
        Interruption(),
        Index(path, listener_mark()) as index,
        _listening(cluster, folders, include, exclude, count) as pool,
    ):
        if folders:
            with waiting("Looking for recordings") as show:
                news = _News(show)
                update(
                    index,
                    folders,
                    pool,
                    include=include,
                    exclude=exclude,
                    again=again,
                    on_progress=news.tell,
                    summary=summary,
                )
        if prune:
            pruned = index.prune()
    for said in summary.left_out + summary.refused[:_NAMED]:
        print(shown(said), file=sys.stderr)
    if len(summary.refused) > _NAMED:
        more = len(summary.refused) - _NAMED
        print(f"{more:,} more could not be heard: 'tweeze index' lists them.", file=sys.stderr)
    facts = {**asdict(summary), "pruned": pruned, "whole": round(time.monotonic() - began, 3)}
    return facts, _sentence(summary, pruned)


@contextlib.contextmanager
def _listening(
    cluster: str,
    folders: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    count: int | None,
) -> Iterator[Pool]:
    """Yield who listens, once all machines see the recordings."""
    if not cluster:
        with Hearers(count) as pool:
            yield pool
        return
    from engine.library.cluster import check, connected
    from engine.library.cluster_hearing import ClusterHearers

    def note(sentence: str) -> None:
        print(shown(sentence), file=sys.stderr, flush=True)

    with connected(cluster) as ray:
        found = find(folders, include=include, exclude=exclude) if folders else ()
        some = islice((one.path for one in found if isinstance(one, Found)), _LOOKED_AT)
        names = check(ray, None, list(some))
        note(f"The cluster's machines: {', '.join(sorted(names))}.")
        yield ClusterHearers(ray, on_note=note)


class _News:
    """What is shown while it goes on."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._said = time.monotonic()

    def tell(self, progress: Progress) -> None:
        line = _line(progress)
        if sys.stderr.isatty():
            self._show(line)
        elif time.monotonic() - self._said >= _LINES:
            self._said = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def _line(progress: Progress) -> str:
    if progress.looking:
        return f"Looking for recordings: {progress.files:,} files"
    line = (
        f"Listening: {progress.files:,} of {progress.of_files:,} files, "
        f"{sound_length(progress.seconds, progress.of_seconds)} of about "
        f"{sound_length(progress.of_seconds)}"
    )
    if progress.took > 1 and progress.seconds > 1:
        line += f", {progress.seconds / progress.took:.0f}x real time"
    return line + (f", about {_duration(progress.left)} left" if progress.left is not None else "")


def _sentence(summary: Summary, pruned: int) -> str:
    parts = []
    if summary.heard:
        speed = f", {summary.seconds / summary.took:.0f}x real time" if summary.took else ""
        parts.append(
            f"{summary.heard:,} heard ({sound_length(summary.seconds)}, "
            f"{summary.events:,} events{speed})"
        )
    for count, what in (
        (summary.known, "known by their content"),
        (summary.unchanged, "as they were"),
        (len(summary.refused) + len(summary.left_out) + summary.faults, "that cannot be heard"),
        (summary.gone, "gone"),
        (pruned, "forgotten"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return f"Files: {', '.join(parts)}." if parts else "There are no recordings."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
