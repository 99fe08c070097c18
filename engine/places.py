"""Where in a recording something holds: spans of time, bands of frequency, rectangles of both.

Each is a frozen value with a text of its own, as users type it and job files hold it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.errors import BadJob

__all__ = ["Band", "Rectangle", "Span", "merged", "subtracted"]

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{0,6})?|\.[0-9]{1,6}"
_SPAN = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})?")


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of time, in seconds from the recording's start; `stop` may be infinite."""

    start: float
    stop: float = math.inf

    form: ClassVar[str] = "START-END"
    allowed: ClassVar[str] = "START-END in seconds, like 3.2-7.5 (or 3.2- for all that follows)"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise BadJob(
                f"The span {self.text} ends before it begins: write the earlier time first."
                if self.start > self.stop
                else f"The span {self.text} is empty: its end must come after its start."
            )

    @property
    def text(self) -> str:
        """The span as one types it."""
        return f"{_shown(self.start)}-{_shown(self.stop)}"

    @classmethod
    def from_text(cls, text: str) -> Span | None:
        """Read a span; None if the text is no span, BadJob if it is one that cannot be.

        >>> Span.from_text("3.2-7.5")
        Span(start=3.2, stop=7.5)
        >>> Span.from_text("3-")
        Span(start=3.0, stop=inf)
        """
        pair = _pair(text)
        return None if pair is None else cls(*pair)


@dataclass(frozen=True, order=True)
class Band:
    """A range of frequencies in Hz; `high` may be infinite."""

    low: float
    high: float = math.inf

    form: ClassVar[str] = "LOW-HIGH"
    allowed: ClassVar[str] = "LOW-HIGH in Hz, like 300-3400 (or 300- for all above)"

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise BadJob(
                f"The band {self.text} is upside down: write the lower frequency first."
                if self.low > self.high
                else f"The band {self.text} is empty: its upper end must lie above its lower one."
            )

    @property
    def text(self) -> str:
        """The band as one types it."""
        return f"{_shown(self.low)}-{_shown(self.high)}"

    @classmethod
    def from_text(cls, text: str) -> Band | None:
        """Read a band; None if the text is no band, BadJob if it is one that cannot be."""
        pair = _pair(text)
        return None if pair is None else cls(*pair)


@dataclass(frozen=True, order=True)
class Rectangle:
    """A band of frequencies during a span of time."""

    span: Span
    band: Band

    form: ClassVar[str] = "START-END:LOW-HIGH"
    allowed: ClassVar[str] = "START-END:LOW-HIGH in seconds and Hz, like 3.2-4.0:2000-8000"

    @property
    def text(self) -> str:
        """The rectangle as one types it."""
        return f"{self.span.text}:{self.band.text}"

    @classmethod
    def from_text(cls, text: str) -> Rectangle | None:
        """Read a rectangle; None if the text is none, BadJob if it is one that cannot be."""
        times, colon, frequencies = text.partition(":")
        span, band = Span.from_text(times), Band.from_text(frequencies)
        return None if not colon or span is None or band is None else cls(span, band)


def _pair(text: str) -> tuple[float, float] | None:
    found = _SPAN.fullmatch(text.strip())
    if not found:
        return None
    return float(found[1]), float(found[2]) if found[2] else math.inf


def _shown(number: float) -> str:
    if math.isinf(number):
        return ""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same time as spans in their order that neither overlap nor touch.

    >>> [span.text for span in merged([Span(2, 4), Span(0, 1), Span(3, 5), Span(5, 6)])]
    ['0-1', '2-6']
    """
    out: list[Span] = []
    for span in sorted(spans):
        if out and span.start <= out[-1].stop:
            out[-1] = Span(out[-1].start, max(out[-1].stop, span.stop))
        else:
            out.append(span)
    return tuple(out)


def subtracted(spans: Sequence[Span], without: Iterable[Span]) -> tuple[Span, ...]:
    """Return the time of merged spans that is in none of others.

    >>> [span.text for span in subtracted([Span(0, 10)], [Span(2, 3), Span(9, 12)])]
    ['0-2', '3-9']
    """
    left = list(spans)
    for hole in without:
        pieces: list[Span] = []
        for span in left:
            if hole.start > span.start:
                pieces.append(Span(span.start, min(span.stop, hole.start)))
            if hole.stop < span.stop:
                pieces.append(Span(max(span.start, hole.stop), span.stop))
        left = [piece for piece in pieces if piece.start < piece.stop]
    return tuple(left)
