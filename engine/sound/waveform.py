"""Masks from a model that answers with waveforms: its sources, divided by the mixture.

The model hears the clip chunk by chunk; its answers are crossfaded with its own window, and each
query's part of them is transformed on the model's frame grid. Divided by the mixture's spectrum
there, it is a complex mask like any other. The chunks lie on a grid of their own, from the clip's
start, so that the masks are the same wherever a segment ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from engine.errors import Failure
from engine.models.base import (
    ComplexArray,
    FloatArray,
    RememberingSeparator,
    WaveformSeparator,
)
from engine.sound.frames import GROUP, MixtureGrid, spectrum, window
from engine.sound.mixture import Mixture, frames_around
from engine.sound.segments import Segment

__all__ = ["WaveformMasks"]

_ROUNDING = 1e-12  # of a frame's mean power: what float32 leaves in an empty bin is below that


class WaveformMasks:
    """The masks of a waveform model, segment by segment from the clip's start to its end.

    `grid` holds the frames of the job at the rate of `mixture`, at which the model hears.
    """

    def __init__(
        self,
        separator: WaveformSeparator,
        mixture: Mixture,
        vectors: FloatArray,
        grid: MixtureGrid,
        *,
        linked: bool,
    ) -> None:
        self._grid = grid
        self._window = window(grid.width)
        self._mixture = mixture
        self._queries = len(vectors)
        self._answer = _Answer(separator, mixture, vectors)
        channels = range(mixture.info.channels)
        self._together = [slice(None)] if linked else [slice(c, c + 1) for c in channels]

    def of(
        self, segment: Segment, on_progress: Callable[[float], None]
    ) -> Iterator[tuple[ComplexArray, FloatArray]]:
        """Yield masks `(queries, frames, bins)`, one a channel or one for all, with presence."""
        grid = self._grid
        shape = (self._queries, segment.stop - segment.start, grid.bins)
        masks = [np.empty(shape, np.complex64) for _ in self._together]
        group = max(1, GROUP // grid.width)
        for first in range(segment.start, segment.stop, group):
            last = min(first + group, segment.stop)

            def step(fraction: float, first: int = first, last: int = last) -> None:
                on_progress((first - segment.start + fraction * (last - first)) / shape[1])

            answers = self._spectra(first, last, step)
            mixture = self._spectrum(self._mixture.resampled, first, last)
            part = slice(first - segment.start, last - segment.start)
            for mask, channels in zip(masks, self._together, strict=True):
                for query, answer in enumerate(answers):
                    mask[query, part] = _ratio(answer[channels], mixture[channels])
        for mask in masks:
            yield mask, np.zeros((0, 0), np.float32)

    def _spectra(
        self, first: int, last: int, on_progress: Callable[[float], None]
    ) -> list[ComplexArray]:
        """Return each query's answer to frames `[first, last)`: `(channels, frames, bins)`."""

        def read(start: int, stop: int) -> FloatArray:
            return self._answer.read(start, stop, on_progress).reshape(-1, stop - start)

        answers = self._spectrum(read, first, last)
        return list(answers.reshape(self._queries, -1, *answers.shape[1:]))

    def _spectrum(
        self, read: Callable[[int, int], FloatArray], first: int, last: int
    ) -> ComplexArray:
        """Return the spectrogram of frames `[first, last)` of what `read` returns."""
        centres = self._grid.centres(first, last)
        count, width = self._mixture.model_samples, self._grid.width
        return spectrum(frames_around(read, count, centres, width), self._window)


def _ratio(answer: ComplexArray, mixture: ComplexArray) -> ComplexArray:
    """Return the one mask `(frames, bins)` that makes most of `mixture` into `answer`.

    Both are `(channels, frames, bins)`; the mask is that of least squares over the channels, with
    magnitudes up to 1. Bins in which the mixture holds only what rounding left there take the mask
    of the whole frame. An answer that is the mixture gives 1 in every bin, exactly.
    """
    x_real, x_imag = mixture.real.astype(np.float64), mixture.imag.astype(np.float64)
    y_real, y_imag = answer.real.astype(np.float64), answer.imag.astype(np.float64)
    power = (x_real * x_real + x_imag * x_imag).sum(axis=0)
    real = (y_real * x_real + y_imag * x_imag).sum(axis=0)
    imag = (y_imag * x_real - y_real * x_imag).sum(axis=0)
    real, imag, power = (
        part + _ROUNDING * part.mean(axis=-1, keepdims=True) for part in (real, imag, power)
    )
    scale = np.maximum(power, np.hypot(real, imag))
    mask = np.zeros(power.shape, np.complex64)
    np.divide(real, scale, out=mask.real, where=scale > 0, casting="same_kind")
    np.divide(imag, scale, out=mask.imag, where=scale > 0, casting="same_kind")
    return mask


class _Answer:
    """A model's answer to the whole clip, computed chunk by chunk where it is read.

    The chunks' answers are added up in float64, from the first to the last. A model that remembers
    hears every chunk of the clip, also those before the first that is read.
    """

    def __init__(self, separator: WaveformSeparator, mixture: Mixture, vectors: FloatArray) -> None:
        self._separator = separator
        self._mixture = mixture
        self._vectors = vectors
        self._chunks = separator.chunk_grid
        self._window = self._chunks.window.astype(np.float64)
        self._memories: dict[int, object] = {}  # by the first of the channels
        self._remembered = 0  # chunks
        self._restart(0)

    def _restart(self, start: int) -> None:
        """Let go of all sums; the next are those of the first chunk that reaches `start`."""
        self._next = max(0, (start - len(self._window)) // self._chunks.hop + 1)
        self._base = self._next * self._chunks.hop
        self._sums = np.zeros((len(self._vectors), self._mixture.info.channels, 0))
        self._weights = np.zeros(0)

    def read(self, start: int, stop: int, on_progress: Callable[[float], None]) -> FloatArray:
        """Return each query's part of samples `[start, stop)`: `(queries, channels, samples)`.

        Quick where `start` does not go back, and not far ahead.
        """
        hop = self._chunks.hop
        if start < self._base or start >= (self._next + 1) * hop + len(self._window):
            self._restart(start)
        end = -(-stop // hop)
        first = self._next
        self._catch_up(first, on_progress)
        for chunk in range(first, end):
            on_progress((chunk - first) / (end - first))
            self._add(chunk * hop, self._heard(chunk * hop))
        self._next = max(first, end)
        self._sums = self._sums[..., start - self._base :]
        self._weights = self._weights[start - self._base :]
        self._base = start
        span = slice(0, stop - start)
        return (self._sums[..., span] / self._weights[span]).astype(np.float32)

    def _catch_up(self, chunk: int, on_progress: Callable[[float], None]) -> None:
        """Have a model that remembers hear all chunks before one."""
        if not isinstance(self._separator, RememberingSeparator):
            return
        if chunk < self._remembered:
            self._memories.clear()
            self._remembered = 0
        while self._remembered < chunk:
            on_progress(0.0)
            self._heard(self._remembered * self._chunks.hop)

    def _add(self, start: int, answer: npt.NDArray[np.float64]) -> None:
        place = start - self._base
        missing = place + len(self._window) - len(self._weights)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, missing)))
            self._weights = np.pad(self._weights, (0, missing))
        span = slice(place, place + len(self._window))
        self._sums[..., span] += answer * self._window
        self._weights[span] += self._window

    def _heard(self, start: int) -> npt.NDArray[np.float64]:
        """Return the answer to the chunk that counts from `start` on, for each query.

        Shape `(queries, channels, len(window))`.
        """
        chunks, separator = self._chunks, self._separator
        samples = self._samples(start - chunks.context, chunks.length)
        channels = len(samples)
        takes = separator.channels
        if takes > channels:
            samples = np.repeat(samples, takes, axis=0)
        begin = chunks.context + chunks.latency
        keep = slice(begin, begin + len(chunks.window))
        parts = []
        for answer in self._answers(samples):
            wanted = (len(separator.sources), takes, chunks.length)
            if answer.shape != wanted or not np.isfinite(answer[..., keep]).all():
                raise Failure(
                    f"The model {separator.name} returned sources of the wrong shape or with "
                    f"numbers that are not finite (shape {answer.shape}): its weights are damaged, "
                    "see 'tweeze models'."
                )
            parts.append(answer[..., keep].astype(np.float64))
        self._remembered += 1
        sources = np.concatenate(parts, axis=1)
        if takes > channels:
            sources = sources.mean(axis=1, keepdims=True)
        out = np.zeros((len(self._vectors), *sources.shape[1:]))
        for query, gains in enumerate(self._vectors):
            # One by one: a product of matrices rounds differently with their place in memory.
            for gain, source in zip(gains.tolist(), sources, strict=True):
                if gain:
                    out[query] += gain * source
        return out

    def _answers(self, samples: FloatArray) -> list[FloatArray]:
        """Return the model's answers to as many channels at a time as it takes, side by side."""
        takes = self._separator.channels
        places = range(0, len(samples), takes)
        if len(places) == 1:
            return [self._sources(samples, 0)]
        with ThreadPoolExecutor(len(places)) as pool:
            return list(
                pool.map(
                    lambda channel: self._sources(samples[channel : channel + takes], channel),
                    places,
                )
            )

    def _sources(self, samples: FloatArray, channel: int) -> FloatArray:
        separator, rms = self._separator, self._mixture.rms
        if not isinstance(separator, RememberingSeparator):
            return separator.sources_of(samples, rms)
        answer, memory = separator.sources_after(samples, rms, self._memories.get(channel))
        self._memories[channel] = memory
        return answer

    def _samples(self, start: int, count: int) -> FloatArray:
        """Return `count` samples from `start` on, with silence beyond the clip's ends."""
        first = min(max(start, 0), self._mixture.model_samples)
        last = min(max(start + count, first), self._mixture.model_samples)
        inside = self._mixture.resampled(first, last)
        return np.pad(inside, ((0, 0), (first - start, start + count - last)))
