"""Labels and regions as files: what was heard goes to an editor, and what is ticked comes back."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.advice.noticed import noticed
from engine.errors import BadInput, BadJob, Failure
from engine.files import read_small_bytes, replace_text
from engine.options import Options
from engine.places import Span
from engine.status import Certainty, Event, Heard
from engine.text_form import one_line

__all__ = ["ONLY", "Marked", "check", "check_folder", "noticed_in", "read", "text", "write"]

ONLY, NEVER = "+ ", "- "
"""What a label begins with that says where a sound may be, or may not be."""
_SIGN = re.compile(r"([+\-\N{MINUS SIGN}])(?:\s|$)")
_LOOSE = re.compile(r"[+\-\N{MINUS SIGN}][^\W\d_]")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d*)?)")
_DIGITS = 6  # of a time in seconds, as options hold it
_LATEST = 1e9  # seconds; options hold no later time


@dataclass(frozen=True)
class Marked:
    """Spans that labels mark.

    Attributes
    ----------
    at, never
        Where the sounds may be, and where not.
    others
        What labels name that were left out, since others name the sounds; in lower case.
    shared
        Whether labels name several of the sounds, so that they mark spans for each other.

    """

    at: tuple[Span, ...]
    never: tuple[Span, ...]
    others: tuple[str, ...] = ()
    shared: bool = False


def noticed_in(
    queries: Sequence[str], certainty: Sequence[Certainty], options: Options
) -> tuple[Heard, ...]:
    """Return when each query is likely, as labels that `read` takes for spans to keep."""
    found = []
    for query, one in zip(queries, certainty, strict=True):
        events = []
        for span in noticed(one, options):
            inside = slice(round(span.start / one.step), round(span.stop / one.step))
            events.append(Event(span.start, span.stop, max(one.values[inside])))
        best = max(one.values, default=0.0)
        found.append(Heard(f"{ONLY}{query}", best, tuple(events)))
    return tuple(found)


def read(path: Path, sounds: Collection[str] = ()) -> Marked:
    """Read spans from a label track or a table of regions, as `write` makes them.

    Labels that begin with a plus say where sounds may be, those with a minus where not; others are
    left out. Where no label is marked, all count as if they began with a plus.

    Parameters
    ----------
    path
        The file; UTF-8, or UTF-16 with a byte order mark.
    sounds
        The queries. Where a label names one of them, sounds that others say to be somewhere are
        none of them: all labels with their names are left out.

    Raises
    ------
    BadInput
        The file is none of these, or has no label that lasts.

    """
    text = _text(path)
    rows = _regions(text) if text.startswith("#,") else _labels(text)
    found: list[tuple[Span, str, str]] = []
    for number, (start, stop, name) in rows:
        if not 0 <= start <= stop or start >= _LATEST:
            raise BadInput(
                f"{path}, line {number}: no label of this kind: {name[:40]!r}. It needs a start "
                "and a later end: in seconds with tabs between them, as Audacity exports labels, "
                "or as REAPER exports regions while its ruler shows minutes and seconds."
            )
        start, stop = round(start, _DIGITS), round(stop, _DIGITS)
        if start < stop:
            sign = _SIGN.match(name)
            kind = "" if not sign else "+" if sign[1] == "+" else "-"
            span = Span(start, stop if stop < _LATEST else math.inf)
            found.append((span, kind, name[sign.end() :] if sign else name))
    if not found:
        raise BadInput(f"{path} holds no label that lasts: mark stretches, and export them anew.")
    marked = [one for one in found if one[1]]
    if not marked and (loose := [name for _, _, name in found if _LOOSE.match(name)]):
        raise BadInput(
            f"{path}: {loose[0][:40]!r} marks nothing, since its sign has no blank behind it: "
            f"write '{loose[0][0]} {loose[0][1:40]}'."
        )
    if not marked:
        marked = [(span, "+", name) for span, _, name in found]
    marked = [(span, kind, name.strip().casefold()) for span, kind, name in marked]
    sought = {sound.casefold() for sound in sounds} & {name for _, _, name in marked}
    wanted = {name for _, kind, name in marked if kind == "+"}
    others = wanted - sought - {""} if sought else set()
    at = tuple(span for span, kind, name in marked if kind == "+" and name not in others)
    never = tuple(span for span, kind, name in marked if kind == "-" and name not in others)
    return Marked(at, never, tuple(sorted(others)), shared=len(sought) > 1)


def _text(path: Path) -> str:
    """Return the text of a file that a user names, without a byte order mark."""
    try:
        data = read_small_bytes(path.resolve())
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        reason = "it is no text in UTF-8 or UTF-16"
    except BadJob as error:  # it names the file alone, not where that lies
        reason = str(error).rstrip(".")
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise BadInput(f"{path} cannot be read ({reason}): name a file of labels.")


def _labels(text: str) -> Iterator[tuple[int, tuple[float, float, str]]]:
    """Yield the rows of a label track with their numbers; times of what is none are NaN."""
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split("\t")
        if not line.strip() or cells[0] == "\\":  # the frequencies of the label above
            continue
        start, stop = (_seconds(cell) for cell in (*cells, "", "")[:2])
        yield number, (start, stop, cells[2] if len(cells) > 2 else line)


def _regions(text: str) -> Iterator[tuple[int, tuple[float, float, str]]]:
    """Yield the rows of a table of regions with their numbers, but for markers."""
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        if (row.get("#") or "").startswith("M"):
            continue
        start, stop = _seconds(row.get("Start") or ""), _seconds(row.get("End") or "")
        yield number, (start, stop, row.get("Name") or "")


def _seconds(text: str) -> float:
    """Return seconds, from a number or hours, minutes and seconds; NaN if it is neither."""
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return math.nan
    hours, minutes, seconds = found.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def check(path: Path) -> None:
    """Raise BadInput unless a new file can be written at `path`."""
    if path.exists() or path.is_symlink():
        raise BadInput(f"{path} is there already: name a new file with --labels, or remove it.")
    check_folder(path, "--labels")


def check_folder(path: Path, flag: str) -> None:
    """Raise BadInput unless the folder of a file that `flag` names is there, and takes files."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}: make it, or name another.")
    if not os.access(folder, os.W_OK):
        raise BadInput(f"Nothing can be written to {folder}: name a file elsewhere with {flag}.")


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
