"""Where a sound may be, as the user marked it in Audacity: labels, and a range of frequencies.

A label whose text begins with a plus, or a minus, and a blank says that the sound may be only
there, or not there. A spectral selection says which frequencies it may have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.errors import BadInput
from engine.option_types import PLACES_LIMIT
from engine.options import Options
from engine.places import Band, Rectangle, Span, merged, subtracted

__all__ = ["SPANS", "Label", "Marks", "limits", "marked", "points_ignored"]

SPANS = frozenset({"at", "never", "rect"})
"""Options in which a request says itself when a sound may be: labels do not count then."""
_BANDS = frozenset({"band", "rect"})
_SIGN = re.compile(r"([+\-\N{MINUS SIGN}])(?:\s|$)")
_DIGITS = 6  # of a label's time, as Audacity tells it
_NEAR = 1e-3  # seconds; nearer edges of labels and selection count as the same
_QUOTED = 60  # characters of a label that are repeated in a sentence


@dataclass(frozen=True)
class Label:
    """A label: seconds from the project's start, and its text."""

    start: float
    stop: float
    text: str


@dataclass(frozen=True)
class Marks:
    """What is marked of the selected part of one track.

    Attributes
    ----------
    at, never
        Time in which the sound may be alone, and in which it may not be, from the selection's
        start; each span as long as it goes on to the end is open.
    band
        The frequencies that are selected; None if none are.
    points
        The texts of labels with a sign that have no length, and so mark nothing.

    """

    at: tuple[Span, ...] = ()
    never: tuple[Span, ...] = ()
    band: Band | None = None
    points: tuple[str, ...] = ()

    def beside(self, named: Collection[str]) -> Marks:
        """Return what counts beside the options that a request names: those come first."""
        kept = self
        if not SPANS.isdisjoint(named):
            kept = replace(kept, at=(), never=(), points=())
        return kept if _BANDS.isdisjoint(named) else replace(kept, band=None)

    def limited(self, options: Options) -> Options:
        """Return options with what is marked added."""
        if self.at or self.never:
            options = replace(options, at=self.at, never=self.never)
        return replace(options, band=(self.band,)) if self.band else options

    @property
    def said(self) -> str:
        """What is marked, as a part of a sentence; empty if nothing is."""
        band = (self.band,) if self.band else ()
        return limits(self.at, self.never, band, kind="labelled span")


def marked(labels: Iterable[Label], start: float, end: float, heard: float, track: str) -> Marks:
    """Return what labels say of the selected part of a track.

    Parameters
    ----------
    labels
        All labels of the project.
    start, end
        The selection, in seconds from the project's start.
    heard
        Seconds of the track's audio in it, which may end before the selection does.
    track
        Its name.

    Raises
    ------
    BadInput
        The labels leave nothing of it, or there are too many.

    """
    slack = max(_NEAR, 10.0 ** (math.floor(math.log10(max(end, 1.0))) + 1 - _DIGITS))
    found: dict[str, list[Span]] = {"+": [], "-": []}
    points: list[str] = []
    wanted = False
    for label in labels:
        sign = _SIGN.match(label.text.strip())
        if not sign or label.start > end or label.stop < start:
            continue
        if label.stop <= label.start:
            points.append(label.text.strip())
            continue
        plus = sign[1] == "+"
        if _part(label, start, end - start, slack) is None:
            continue
        wanted = wanted or plus
        part = _part(label, start, heard, slack)
        if part is not None:
            found["+" if plus else "-"].append(part)
    at, never = merged(found["+"]), merged(found["-"])
    left = subtracted(at if wanted else (Span(0.0),), never)
    if not any(span.start < heard for span in left):
        raise BadInput(
            f"The labels with + and - leave no time of {track!r} in which the sound may be: move "
            "or remove one of them."
        )
    if max(len(at), len(never)) > PLACES_LIMIT:
        raise BadInput(
            f"More than {PLACES_LIMIT:,} labels with + or - lie in the selection: select less."
        )
    return Marks(at, never, points=tuple(points))


def _part(label: Label, start: float, seconds: float, slack: float) -> Span | None:
    """Return the part of a label in a stretch of time, from its start; None if it only touches."""
    first, last = label.start - start, label.stop - start
    if (first < 0 and last <= slack) or (last > seconds and first >= seconds - slack):
        return None
    first = 0.0 if first <= slack else round(first, 6)
    last = math.inf if last >= seconds - slack else round(last, 6)
    return Span(first, last) if first < last else None


def limits(
    at: Sequence[Span],
    never: Sequence[Span],
    band: Sequence[Band],
    rect: Sequence[Rectangle] = (),
    *,
    kind: str = "span",
) -> str:
    """Return as a part of a sentence to what targets are limited; empty if they are not.

    >>> limits([Span(1), Span(3)], [Span(2)], [Band(500, 4000)])
    'only at 2 spans, not at 1 span, only from 500 to 4000 Hz'
    """
    parts = []
    if at:
        parts.append(f"only at {_count(len(at), kind)}")
    if never:
        parts.append(f"not at {_count(len(never), kind)}")
    if rect:
        parts.append(f"only in {_count(len(rect), 'rectangle')}")
    if len(band) > 1:
        parts.append(f"only in {len(band)} bands")
    for one in band if len(band) == 1 else ():
        upper = f"from {one.low:g} to {one.high:g} Hz" if math.isfinite(one.high) else ""
        parts.append(f"only {upper or f'from {one.low:g} Hz up'}")
    return ", ".join(parts)


def points_ignored(points: Sequence[str]) -> str:
    """Return the sentence about labels that mark no span of time; empty if there are none."""
    if not points:
        return ""
    first = points[0] if len(points[0]) <= _QUOTED else f"{points[0][: _QUOTED - 1]}…"
    if len(points) == 1:
        return f"The label {first!r} has no length, so it was ignored."
    return f"{len(points)} labels have no length, {first!r} for one, so they were ignored."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
