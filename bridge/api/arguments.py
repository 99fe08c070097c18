"""What callers pass, checked: errors name the value and what would do."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.advice.examples import Example, Sample, Shown
from engine.errors import BadAudio, BadInput, BadQuery
from engine.job import QUERIES_LIMIT, check_nots, clean_query
from engine.options import Bandwidth, Options, Stereo
from engine.sound.audio import CHANNELS, LOUDEST, RATES

__all__ = [
    "Like",
    "checked_example",
    "checked_nots",
    "checked_options",
    "checked_queries",
    "checked_rate",
    "checked_samples",
]

Like: TypeAlias = str | os.PathLike[str] | tuple[npt.ArrayLike, SupportsIndex]
"""A sound that is shown: a file, with a stretch of it or not, or samples and their rate."""


def checked_samples(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return samples as float32 of shape `(channels, frames)`; BadAudio if they are unfit."""
    samples = np.asarray(array)
    if not np.issubdtype(samples.dtype, np.floating):
        raise BadAudio(
            f"The samples are of type {samples.dtype}, and Tweeze takes floating-point ones, with "
            "full scale at 1.0 (16-bit integers: divide by 32768)."
        )
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or 0 in samples.shape:
        raise BadAudio(
            f"The samples have the shape {np.shape(array)}, and Tweeze takes (frames,) or "
            "(channels, frames), at least one frame."
        )
    if len(samples) > CHANNELS:
        turned = " (transpose it: array.T)" if samples.shape[1] <= CHANNELS else ""
        raise BadAudio(
            f"The samples have the shape {samples.shape}, which is {len(samples)} channels; "
            f"Tweeze takes 1 or 2{turned}."
        )
    with np.errstate(invalid="ignore", over="ignore"):
        made = np.ascontiguousarray(samples, np.float32)
        sane = np.abs(made) <= LOUDEST
    if not sane.all():
        channel, frame = (int(index) for index in np.argwhere(~sane)[0])
        raise BadAudio(
            f"The sample at frame {frame} of channel {channel} is {samples[channel, frame]}: "
            "samples must be finite, with full scale at 1.0."
        )
    return made


def checked_rate(rate: SupportsIndex) -> int:
    """Return a sample rate in Hz; BadAudio if it is out of range or not a whole number."""
    try:
        hertz = operator.index(rate)
    except TypeError:
        raise BadAudio(f"The sample rate is {rate!r}: give a whole number of Hz.") from None
    if not RATES[0] <= hertz <= RATES[1]:
        raise BadAudio(
            f"The sample rate is {hertz:,} Hz, and Tweeze takes {RATES[0]:,} to {RATES[1]:,} Hz."
        )
    return hertz


def checked_queries(queries: str | Sequence[str]) -> tuple[str, ...]:
    """Return the queries in their clean form; BadQuery if there are none, too many, or unfit."""
    given = (queries,) if isinstance(queries, str) else tuple(queries)
    for query in given:
        if not isinstance(query, str):
            raise BadQuery(f"The query {query!r} is not a text: describe a sound in a few words.")
    if not 1 <= len(given) <= QUERIES_LIMIT:
        raise BadQuery(f"There are {len(given)} queries: give 1 to {QUERIES_LIMIT}.")
    return tuple(clean_query(query) for query in given)


def checked_nots(nots: str | Sequence[str], queries: Sequence[str]) -> tuple[str, ...]:
    """Return what is not wanted in its clean form; BadQuery if it is unfit, or wanted, too."""
    given = (nots,) if isinstance(nots, str) else tuple(nots)
    found = checked_queries(given) if given else ()
    if len(found) + len(queries) > QUERIES_LIMIT:
        raise BadQuery(
            f"There are {len(found) + len(queries)} sounds: give {QUERIES_LIMIT} at most."
        )
    check_nots(queries, found)
    return found


def checked_example(like: Like) -> Shown:
    """Return what is shown; BadInput (BadAudio of samples) if it cannot be that."""
    if isinstance(like, tuple) and len(like) == 2:
        samples, rate = like
        return Sample(checked_samples(samples), checked_rate(rate))
    if not isinstance(like, str | os.PathLike) or not isinstance(os.fspath(like), str):
        kind = type(like).__name__
        raise BadInput(
            f"like is of type {kind}: give a file ('dog.wav', or 'dog.wav@1.5-3' for a stretch of "
            "it, in seconds), or samples with their rate: (samples, rate)."
        )
    example = Example.from_text(like) if isinstance(like, str) else Example(Path(like))
    try:
        return replace(example, path=example.path.resolve(strict=True))
    except (OSError, RuntimeError, ValueError):
        raise BadInput(
            f"There is no file {example.path}: name an example as 'FILE' or 'FILE@START-END'."
        ) from None


def checked_options(stereo: str, sharpness: float, bandwidth: str) -> Options:
    """Return the options; BadInput names the one whose value is not allowed."""
    for name, value, known in (
        ("stereo", stereo, [choice.value for choice in Stereo]),
        ("bandwidth", bandwidth, [choice.value for choice in Bandwidth]),
    ):
        if value not in known:
            raise BadInput(f"{name} is {value!r}: take {' or '.join(map(repr, known))}.")
    if not isinstance(sharpness, Real):
        raise BadInput(f"sharpness is {sharpness!r}: take a number from 0.1 to 10.")
    power = round(float(sharpness), 6)  # the 1.3 of a float32 array is 1.2999999523
    return Options(stereo=Stereo(stereo), sharpness=power, bandwidth=Bandwidth(bandwidth))
