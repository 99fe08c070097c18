"""Where targets may be: the gains of spans, bands and rectangles, and of an amount.

Spans act on the samples of a target, so that outside them it is silent to the last bit; bands and
rectangles act on its mask, and a target is silent outside the rectangles' times as well. What is
taken from a target stays in the residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.errors import BadInput
from engine.models.base import FloatArray
from engine.options import Options
from engine.places import Band, Rectangle, Span, merged, subtracted
from engine.sound.frames import Mask, MixtureGrid

__all__ = ["FADE", "Region", "check_inside"]

FADE = 0.030
"""Seconds of the fade inside each end of a span; at most half of a short one."""
_SLOPE = 1 / 6
"""Octaves of the fade inside each end of a band, but never less than two bins."""
_WHOLE = (Span(0.0),)


@dataclass(frozen=True)
class Region:
    """Where the targets of a job may be, and how much of them.

    Attributes
    ----------
    spans
        For each query the time in which its target may be, merged; empty where it may nowhere.
    bands
        Frequencies in which masks may act; empty for all.
    rectangles
        Places in which masks may act; empty for all.
    amount
        Factor on what is taken out, 0 to 1.

    """

    spans: tuple[tuple[Span, ...], ...]
    bands: tuple[Band, ...] = ()
    rectangles: tuple[Rectangle, ...] = ()
    amount: float = 1.0

    @classmethod
    def everywhere(cls, queries: int) -> Region:
        """Return the region of a job that does not say where."""
        return cls((_WHOLE,) * queries)

    @classmethod
    def of_options(
        cls, options: Options, queries: int, found: Sequence[Sequence[Span] | None] = ()
    ) -> Region:
        """Return the region that options describe.

        `found` are spans of each query in which its sound was noticed; None where that is not
        known, and the query is not limited by it.
        """
        spans = merged(options.at) or _WHOLE
        if options.rect:
            times = merged(rectangle.span for rectangle in options.rect)
            spans = _common(spans, times)
        spans = subtracted(spans, options.never)
        own = [
            spans if noticed is None else _common(spans, merged(noticed))
            for noticed in (found or [None] * queries)
        ]
        return cls(tuple(own), options.band, options.rect, options.amount / 100)

    @property
    def shapes_masks(self) -> bool:
        """Whether `shaped` changes anything."""
        return bool(self.bands or self.rectangles)

    @property
    def shapes_samples(self) -> bool:
        """Whether `faded` changes anything."""
        return self.amount != 1 or any(spans != _WHOLE for spans in self.spans)

    def silent(self, start: int, stop: int, rate: int) -> bool:
        """Return whether no target may hold anything from one frame of the mixture to another."""
        return not any(
            span.start * rate < stop and span.stop * rate > start
            for spans in self.spans
            for span in spans
        )

    def shaped(self, masks: Mask, grid: MixtureGrid, first: int) -> Mask:
        """Limit masks to the bands and rectangles.

        Parameters
        ----------
        masks
            `(queries, frames, bins)` on the mixture's grid.
        grid
            That grid.
        first
            Number of the first of the frames.

        """
        if not self.shapes_masks:
            return masks
        step = grid.rate / grid.width
        frequencies = np.arange(masks.shape[-1], dtype=np.float64) * step
        gain: FloatArray = np.ones(masks.shape[-2:], np.float32)
        if self.bands:
            gain *= np.max([_slopes(frequencies, band, step) for band in self.bands], axis=0)
        if self.rectangles:
            centres = grid.centres(first, first + masks.shape[-2])
            inside = np.zeros_like(gain)
            for one in self.rectangles:
                rows = _ramps(centres, (one.span,), grid.rate, margin=grid.width / 2 / grid.rate)
                np.maximum(inside, np.outer(rows, _slopes(frequencies, one.band, step)), out=inside)
            gain *= inside
        out = np.empty_like(masks)
        if not np.iscomplexobj(masks):
            np.multiply(masks, gain, out=out)
            return out
        # as in `engine.sound.frames.masked`: no product of complex numbers, whose bits vary
        out.real, out.imag = masks.real * gain, masks.imag * gain
        return out

    def faded(self, targets: FloatArray, start: int, frames: int, rate: int) -> FloatArray:
        """Limit samples to the spans, and scale them by the amount.

        Parameters
        ----------
        targets
            `(queries, channels, samples)`.
        start
            Frame of the mixture at which they begin.
        frames
            Frames of the whole mixture: where a span reaches its start or end, nothing fades.
        rate
            Hz.

        """
        if not self.shapes_samples:
            return targets
        out = np.empty_like(targets)
        places = np.arange(start, start + targets.shape[-1])
        gains: dict[tuple[Span, ...], FloatArray] = {}
        for query, spans in enumerate(self.spans):
            if spans not in gains:
                gains[spans] = _ramps(places, spans, rate, frames=frames) * np.float32(self.amount)
            out[query] = targets[query] * gains[spans] + np.float32(0)  # no negative zeros
        return out


def check_inside(options: Options, seconds: float, rate: int) -> None:
    """Raise BadInput where options name a place that the recording does not have.

    A span that reaches beyond the end is cut off there.

    Parameters
    ----------
    options
        Of the job.
    seconds, rate
        Length of the recording, and its sample rate in Hz.

    """
    named = [("--at", span) for span in options.at]
    named += [("--never", span) for span in options.never]
    named += [("--rect", rectangle.span) for rectangle in options.rect]
    for flag, span in named:
        if span.start >= seconds:
            raise BadInput(
                f"{flag} {span.text} lies behind the end: the recording lasts {seconds:.3f} s."
            )
    bands = [("--band", band) for band in options.band]
    bands += [("--rect", rectangle.band) for rectangle in options.rect]
    for flag, band in bands:
        if band.low >= rate / 2:
            raise BadInput(
                f"{flag} {band.text} Hz lies above all that the recording holds: its sample rate "
                f"of {rate:,} Hz reaches up to {rate / 2:,.0f} Hz."
            )
    region = Region.of_options(options, 1)
    if not any(span.start < seconds for span in region.spans[0]):
        raise BadInput(
            "--at, --rect and --never leave no time in which the sound may be: let some of it be."
        )


def _common(first: Sequence[Span], second: Sequence[Span]) -> tuple[Span, ...]:
    """Return the time that is in both."""
    return tuple(
        Span(max(a.start, b.start), min(a.stop, b.stop))
        for a in first
        for b in second
        if max(a.start, b.start) < min(a.stop, b.stop)
    )


def _ramps(
    places: npt.NDArray[np.int64],
    spans: Sequence[Span],
    rate: int,
    *,
    frames: int | None = None,
    margin: float = 0.0,
) -> FloatArray:
    """Return the gain of spans at frames: 1 inside, 0 outside, a raised cosine at the ends.

    `margin` seconds are added on either side. At the start of the recording, and at its end if
    `frames` says where that is, nothing fades.
    """
    gain: FloatArray = np.zeros(len(places), np.float32)
    last = math.inf if frames is None else frames / rate
    for span in spans:
        start, stop = span.start - margin, span.stop + margin
        fade = min(FADE, (min(stop, last) - max(start, 0.0)) / 2)
        begun = start if start <= 0 else start + fade
        ending = stop if stop >= last else stop - fade
        edges = [start * rate, begun * rate, ending * rate, min(stop, 1e9) * rate]
        a, b, c, d = np.searchsorted(places, edges)
        gain[b:c] = 1.0
        # the last frame inside is silent already, as the first one is
        for part, rise in ((slice(a, b), start), (slice(c, d), stop)):
            distance = np.abs(places[part] / rate - rise) / fade
            level = np.sin(np.pi / 2 * np.minimum(distance, 1)) ** 2
            gain[part] = np.maximum(gain[part], level.astype(np.float32))
    return gain


def _slopes(frequencies: npt.NDArray[np.float64], band: Band, step: float) -> FloatArray:
    """Return the gain of a band at frequencies: 1 inside, 0 outside, a raised cosine at the ends.

    `step` is the width of a bin in Hz. An end at or below 0 Hz, or above all frequencies, has no
    slope.
    """
    middle = math.sqrt(max(band.low, step) * min(band.high, frequencies[-1]))
    rise = max(band.low * (2**_SLOPE - 1), 2 * step)
    fall = max(band.high * (1 - 2**-_SLOPE), 2 * step) if math.isfinite(band.high) else 1.0
    risen = np.ones(len(frequencies))
    if band.low > 0:
        rise = max(min(rise, middle - band.low), step)
        risen = np.clip((frequencies - band.low) / rise, 0, 1)
    fallen = np.ones(len(frequencies))
    if band.high < frequencies[-1]:
        fall = max(min(fall, band.high - middle), step)
        fallen = np.clip((band.high - frequencies) / fall, 0, 1)
    gain: FloatArray = (np.sin(np.pi / 2 * np.minimum(risen, fallen)) ** 2).astype(np.float32)
    return gain
