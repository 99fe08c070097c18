"""What was heard as a file for an editor: a label track for Audacity, regions for REAPER."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import BadInput, Failure
from engine.files import replace_text
from engine.status import Event, Heard
from engine.text_form import one_line

__all__ = ["check", "text", "write"]


def check(path: Path) -> None:
    """Raise BadInput unless a new file can be written at `path`."""
    if path.exists() or path.is_symlink():
        raise BadInput(f"{path} is there already: name a new file with --labels, or remove it.")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"There is no folder {path.absolute().parent}: make it, or name another.")


def write(path: Path, heard: Sequence[Heard]) -> None:
    """Write what was heard: as REAPER's regions if the file's name ends in `.csv`, else as labels.

    Raises
    ------
    Failure
        The disk refuses.

    """
    try:
        replace_text(path, text(heard, regions=path.suffix.lower() == ".csv"))
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error


def text(heard: Sequence[Heard], *, regions: bool) -> str:
    r"""Return the text of a label track, or of a table of regions, with a row for each event.

    A label track (Audacity: File > Import > Labels) has start and end in seconds and the name,
    with tabs between them. A table of regions (REAPER: Region/Marker Manager > Import) is CSV with
    the columns that REAPER exports; times are hours, minutes and seconds.

    >>> text([Heard("dog", 0.9, (Event(0.5, 2.0, 0.9),))], regions=False)
    '0.500000\t2.000000\tdog\n'
    """
    events = list(_events(heard))
    if not regions:
        return "".join(f"{e.start:.6f}\t{e.stop:.6f}\t{name}\n" for name, e in events)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("#", "Name", "Start", "End", "Length"))
    for number, (name, event) in enumerate(events, start=1):
        times = (event.start, event.stop, event.stop - event.start)
        table.writerow((f"R{number}", name, *map(_clock, times)))
    return out.getvalue()


def _events(heard: Sequence[Heard]) -> Iterator[tuple[str, Event]]:
    """Yield names and their events, from the first to the last."""
    found = ((one_line(one.name), event) for one in heard for event in one.events)
    yield from sorted(found, key=lambda pair: (pair[1].start, pair[1].stop, pair[0]))


def _clock(seconds: float) -> str:
    """Return hours, minutes and seconds, to the millisecond."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}.{thousandths:03d}"
