"""What only Nyquist scripts see of a project: the selection's times and frequencies, rate, name.

A script of its own is by far the longest of all commands, so nothing is asked that is known: a menu
command, itself a script, writes into its request what it saw (`Seen`).
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audacity.pipe import Blocked, Pipe, command
from engine.places import Band

__all__ = ["SEEN", "Seen", "View", "ask", "scratch"]

SEEN = "seen"
"""The field of a request that holds what the menu command saw."""

_NARROW = 2 ** (1 / 3)  # ratio of its ends from which a range counts: a third of an octave
_PLACES = 6  # digits of a track's number
_FRESH = 2.0  # seconds; what was seen earlier may be another selection than the present one


@dataclass(frozen=True)
class View:
    """What a Nyquist script sees of a track.

    The selection in seconds, the project's rate in Hz, its name ('' if it has none), and the
    frequencies that are selected, None unless the track shows them.
    """

    start: float
    end: float
    rate: int
    name: str
    band: Band | None = None


@dataclass(frozen=True)
class Seen:
    """What a menu command saw in the moment of the command.

    Attributes
    ----------
    time
        When that was, in seconds since 1970.
    tracks
        The indices of the audio tracks that were selected.
    view
        The rest; no frequencies were selected.

    """

    time: float
    tracks: tuple[int, ...]
    view: View

    @classmethod
    def from_text(cls, text: str) -> Seen | None:
        """Read a request's field; None where it says nothing that is of use.

        The form: time, start, end, rate, lower and upper frequency, the tracks, counted from 1 and
        in parentheses, and the project's name, with blanks between them.
        """
        found = re.fullmatch(r"((?:[^ ()]+ ){6})\(([0-9 ]*)\) (.*)", text)
        if not found:
            return None
        *numbers, low, high = found[1].split()
        values = [_float(number) for number in numbers]
        if (low, high) != ("NIL", "NIL"):
            return None  # whether selected frequencies count depends on what each track shows
        moment, start, end, rate = (value if value is not None else math.nan for value in values)
        counted = found[2].split()
        if math.isnan(moment + start + end + rate) or max(map(len, counted), default=0) > _PLACES:
            return None
        tracks = tuple(int(number) - 1 for number in counted)
        return cls(moment, tracks, View(start, end, round(rate), _name(found[3])))

    def counts(self, tracks: list[int]) -> bool:
        """Return whether it was just now, and the same audio tracks are selected."""
        return self.tracks == tuple(tracks) and 0 <= time.time() - self.time < _FRESH


def ask(pipe: Pipe, tracks: int = 1) -> list[View]:
    """Ask a Nyquist script, which runs once for each of the selected audio tracks, in their order.

    A track and a range of time must be selected, else a dialog opens.
    """
    with scratch() as folder:
        file = Path(folder) / "view"
        asked = [
            *(("selection", name) for name in ("start", "end", "low-hz", "high-hz")),
            *(("track", name) for name in ("view", "spectral-edit-enabled")),
            *(("project", name) for name in ("rate", "name")),
        ]
        script = (
            f'(let ((fp (open (strcat "{file.as_posix()}" (format nil "~a" (get (quote *track*)'
            " (quote index)))) :direction :output)))"
            ' (setf *float-format* "%.9f") (dolist (q (quote ('
            + " ".join(f"(*{of}* {name})" for of, name in asked)
            + '))) (format fp "~a~%" (get (car q) (cadr q)))) (close fp) "")'
        )
        pipe.do(command("NyquistPrompt", Version=4, Command=script), timeout=60)
        return [_view(file.with_name(f"view{number}")) for number in range(1, tracks + 1)]


def _view(file: Path) -> View:
    """Read what the script wrote of one track."""
    lines = [""] * 8
    with contextlib.suppress(FileNotFoundError):
        lines[:0] = file.read_text("utf-8", "replace").split("\n")
    start, end, rate = _float(lines[0]), _float(lines[1]), _float(lines[6])
    if start is None or end is None or rate is None:
        raise Blocked(
            "Audacity did not run Tweeze's question: close the effect that is open, and try again."
        )
    low, high = _float(lines[2]), _float(lines[3])
    band = None
    # A range that was selected in a spectrogram stays, unseen, where a waveform is shown now.
    if "Spectrogram" in lines[4] and lines[5] == "T" and low is not None and high is not None:
        band = _band(low, high, rate / 2)
    return View(start, end, round(rate), _name("".join(lines[7:])), band)


def _name(text: str) -> str:
    return "" if text == "NIL" else text


def _band(low: float, high: float, highest: float) -> Band | None:
    """Return the frequencies that are selected; None if they are none, or all.

    A range of less than `_NARROW` is what a level drag of the mouse leaves: time was meant.
    """
    low, high = round(low, 1), round(high, 1)
    if high >= highest:
        return Band(low) if 0 < low < highest else None
    if 0 < low <= high < low * _NARROW:
        return None
    return Band(low, high) if 0 <= low < high else None


def _float(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]*)?", text) else None


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Make a folder for what passes between Audacity and Tweeze, and remove it."""
    with tempfile.TemporaryDirectory(prefix="tweeze-", ignore_cleanup_errors=True) as folder:
        yield folder
