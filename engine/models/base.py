"""What every model declares and does: a mask for each query from a magnitude spectrogram.

Reading, resampling, the transforms, segments and mixing back belong to `engine.sound.separate`; a
model sees magnitudes only, so that what is true of one (exactness, streaming) is true of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from engine.options import Options

__all__ = [
    "ComplexArray",
    "FloatArray",
    "FrameGrid",
    "Listener",
    "PresenceSeparator",
    "Separator",
    "Tunable",
]

FloatArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class FrameGrid:
    """The frame grid of a model and what it needs to see around a frame.

    Attributes
    ----------
    sample_rate
        Hz; the rate at which the model hears.
    n_fft
        Samples; length of the periodic Hann window and of the transform. Frames are centred:
        frame `t` has its centre on sample `t * hop`; the clip's ends are reflected.
    hop
        Samples between the centres of neighbouring frames.
    block
        Frames; segments may only be cut at multiples of this many frames from the clip's start.
    context
        Frames (a multiple of `block`) on either side of a segment which make its mask exactly
        that of the whole clip.
    core
        Frames (a multiple of `block`) between the cuts: the length of a segment without its
        context. Longer ones cost memory, shorter ones cost time.

    """

    sample_rate: int
    n_fft: int
    hop: int
    block: int
    context: int
    core: int = 1024

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.n_fft, self.hop, self.block) < 1 or self.context < 0:
            raise ValueError(f"not a frame grid: {self}")
        if self.context % self.block or self.core % self.block or self.core < 1:
            raise ValueError(f"core and context are not multiples of the block: {self}")
        if self.n_fft % 2 or self.hop * 2 > self.n_fft:
            raise ValueError(f"window {self.n_fft} does not overlap enough at hop {self.hop}")

    @property
    def bins(self) -> int:
        """Number of frequency bins, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1


class Separator(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """Name under which the catalogue knows it."""

    @property
    def frame_grid(self) -> FrameGrid:
        """Frame grid and context."""

    def embed(self, query: str) -> FloatArray:
        """Turn a query into the vector that steers the network.

        Returns shape `(dimensions,)`.
        """

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray | ComplexArray:
        """Estimate what share of each bin belongs to each query.

        Parameters
        ----------
        magnitude
            `(channels, frames, bins)`: magnitudes of a segment with its context. It starts on a
            multiple of `block`; where it is shorter than the context asks, the clip ends there.
        vectors
            `(queries, dimensions)` from `embed`.
        rms
            RMS of the whole clip over all channels, at the model's rate; the only statistic of
            the whole clip that a model may use.
        keep
            The frames whose mask is wanted; the others are context, and their mask may hold any
            finite numbers.

        Returns
        -------
        mask
            `(queries, channels, frames, bins)`; real, or complex where the model turns phases.

        """


@runtime_checkable
class Tunable(Protocol):
    """A separator that has a choice of precision, context or memory."""

    def tuned(self, options: Options) -> Separator:
        """Return the same model, set up as `options` ask."""


@runtime_checkable
class PresenceSeparator(Separator, Protocol):
    """A separator that also says, from the same pass, whether a sound is there at all."""

    def mask_with_presence(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> tuple[FloatArray | ComplexArray, FloatArray]:
        """Do what `mask` does, and estimate whether each query's sound is there.

        Parameters are those of `mask`.

        Returns
        -------
        mask
            As `mask` returns it.
        presence
            `(queries,)`: probabilities, 0 to 1, that the sound is heard anywhere in the frames
            that are kept, in any channel. Not of the context: the segment that it belongs to
            says that.

        """


@runtime_checkable
class Listener(Protocol):
    """A model that can say what is in a recording without being asked for anything."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the sounds it knows, most of them fit to be a query."""

    def hear(self, magnitude: FloatArray, rms: float) -> FloatArray:
        """Estimate which sounds are in a segment.

        Parameters
        ----------
        magnitude
            `(channels, frames, bins)` on the frame grid of the model's `frame_grid`; any number of
            frames.
        rms
            RMS of the whole clip over all channels, at the model's rate, as for `mask`.

        Returns
        -------
        probabilities
            `(labels,)`, each from 0 to 1, of its own: several sounds can be there at once.

        """
