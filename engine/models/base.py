"""The protocols of models: masks from magnitudes, or sources from a waveform.

Reading, resampling, transforms, segments and mixing back belong to `engine.sound`. A model of
either kind only answers for the piece that it is given, so that what holds for one (exactness,
bounded memory, going on after a crash) holds for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from engine.options import Options

__all__ = [
    "ChunkGrid",
    "Competing",
    "ComplexArray",
    "FloatArray",
    "FrameGrid",
    "HearingGrid",
    "Listener",
    "MaskSeparator",
    "Model",
    "Movable",
    "Opposed",
    "PresenceSeparator",
    "RememberingSeparator",
    "Separator",
    "Shareable",
    "SoundSteered",
    "TriesDrafts",
    "Tunable",
    "Vocabulary",
    "WaveformSeparator",
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


@dataclass(frozen=True, eq=False)
class ChunkGrid:
    """How a waveform model takes a clip: in chunks of one length, which are crossfaded.

    Chunk `k` answers for the samples `[k * hop, k * hop + len(window))` of the clip. It holds them
    with `context` samples on either side and `latency` more at its end; beyond the clip's ends
    there is silence. All counts are samples at the model's rate.

    Attributes
    ----------
    window
        `(samples,)`, all above 0: the weight of each sample in the crossfade with neighbouring
        chunks. The sum is divided by the weights, so any scale will do.
    hop
        Samples from one chunk to the next; at most as many as the window has.
    context
        Samples that the model hears on either side of those that count.
    latency
        Samples by which its answer lags behind what it was given.

    """

    window: FloatArray
    hop: int
    context: int = 0
    latency: int = 0

    def __post_init__(self) -> None:
        if self.window.ndim != 1 or not (self.window > 0).all():
            raise ValueError(f"the window is not a row of weights above 0: {self.window!r}")
        if not 1 <= self.hop <= len(self.window):
            raise ValueError(f"hop {self.hop} leaves gaps between windows of {len(self.window)}")
        if min(self.context, self.latency) < 0:
            raise ValueError(f"context {self.context} or latency {self.latency} is negative")

    @property
    def length(self) -> int:
        """Samples of a chunk as the model is given it."""
        return len(self.window) + 2 * self.context + self.latency


@dataclass(frozen=True)
class HearingGrid:
    """How a listener takes a clip: in windows of one length, with what it hears around them.

    Window `w` is about the samples `[w * hop, w * hop + window)` of what is asked for.

    Attributes
    ----------
    sample_rate
        Hz; the rate at which the listener hears.
    window
        Samples that one score is about.
    hop
        Samples from one window to the next; at most half a second, and no more than a window.
    context
        Samples on either side of what is asked for on which scores may depend as well; beyond the
        clip's ends they are zeros.

    """

    sample_rate: int
    window: int
    hop: int
    context: int

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.window, self.hop) < 1 or self.context < 0:
            raise ValueError(f"not a hearing grid: {self}")
        if self.hop > self.window or 2 * self.hop > self.sample_rate:
            raise ValueError(f"the windows lie too far apart: {self}")

    def windows(self, samples: int) -> int:
        """Return how many whole windows lie in so many samples."""
        return max(0, 1 + (samples - self.window) // self.hop)


class MaskSeparator(Protocol):
    """A loaded model that estimates masks from magnitudes."""

    @property
    def name(self) -> str:
        """Name in the catalogue."""

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
class WaveformSeparator(Protocol):
    """A loaded model that turns a waveform into a fixed set of named sources.

    Its answer becomes a complex mask on the mixture's spectrogram, of magnitude 1 at most, so that
    everything that works on masks works for it too.
    """

    @property
    def name(self) -> str:
        """Name in the catalogue."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of what it separates, in the order of its answer."""

    @property
    def channels(self) -> int:
        """Channels that it takes at a time, 1 or 2.

        With 1 it is given the channels of a mixture one by one. With 2 it is given both, and a
        mono mixture as two equal channels.
        """

    @property
    def frame_grid(self) -> FrameGrid:
        """The grid on which its answer becomes a mask, at the rate at which it hears.

        `core` is the length of a segment; `context`, of which a mask needs none, is the length
        below which a segment does not shrink where memory runs out.
        """

    @property
    def chunk_grid(self) -> ChunkGrid:
        """How a clip is cut into chunks."""

    def embed(self, query: str) -> FloatArray:
        """Return how much of each source belongs to the query's sound.

        Returns shape `(sources,)`: 1 for each source that is part of it, else 0. "music without
        the singer" may be several sources.

        Raises
        ------
        BadQuery
            The query describes none of them; the message names what there is.

        """

    def sources_of(self, samples: FloatArray, rms: float) -> FloatArray:
        """Separate a chunk.

        Parameters
        ----------
        samples
            `(channels, chunk_grid.length)`, at the rate of `frame_grid`.
        rms
            RMS of the whole clip over all channels, at the model's rate; the only statistic of
            the whole clip that a model may use.

        Returns
        -------
        sources
            `(sources, channels, chunk_grid.length)`. Sample `t` belongs to sample
            `t - chunk_grid.latency` of the chunk; those of the context may hold any finite
            numbers.

        """


@runtime_checkable
class RememberingSeparator(WaveformSeparator, Protocol):
    """A waveform model whose answer depends on all that the clip held before.

    It is given the chunks in their order, from the clip's first on; a separation that goes on from
    a checkpoint gives it those before once more. So a chunk's answer is always the same.
    """

    def sources_after(
        self, samples: FloatArray, rms: float, memory: object | None
    ) -> tuple[FloatArray, object]:
        """Do what `sources_of` does, and return what to remember.

        The other parameters are those of `sources_of`; `memory` is what was returned with the
        chunk before of the same channels, None for the first. It is never changed.
        """


Separator: TypeAlias = MaskSeparator | WaveformSeparator
"""A loaded model of either kind."""


@runtime_checkable
class SoundSteered(Protocol):
    """A separator that a sound can steer, too: its vectors lie where a listener's do."""

    def embed_sound(self, place: FloatArray, query: str | None) -> FloatArray:
        """Turn a sound into the vector that steers the network, as `embed` does with words.

        Parameters
        ----------
        place
            `(dimensions,)`, of unit length: what a listener's `example` returns.
        query
            Words that describe the sound, too; None where there are none.

        """


@runtime_checkable
class Vocabulary(Protocol):
    """A separator that knows some words, and goes by the nearest of them for others."""

    def instead_of(self, query: str) -> tuple[str, ...]:
        """Return the words that stand for a query, the nearest first; none where it knows it.

        None either where no word that it knows has to do with the query.
        """


@runtime_checkable
class Opposed(Protocol):
    """A separator that can be told what else is in the mixture."""

    def beside(self, own: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
        """Make one vector of a sound's and of those of sounds that are there and not asked for.

        Parameters
        ----------
        own, others
            Each `(dimensions,)`: what `embed` returned, or `SoundSteered.embed_sound`.

        Returns
        -------
        vector
            `(longer,)`, which may be more than `embed` returns, and as many for any number of
            `others`, none included.

        """


@runtime_checkable
class Competing(Protocol):
    """A separator of which it was measured how its masks compete best."""

    @property
    def weight(self) -> float:
        """How much competing counts; see `engine.sound.masks.Rule`."""


@runtime_checkable
class Tunable(Protocol):
    """A separator that has a choice of precision, context or memory."""

    def tuned(self, options: Options) -> Separator:
        """Return the same model, set up as `options` ask."""


@runtime_checkable
class Movable(Protocol):
    """A separator that can compute in more than one runtime, with slightly different results."""

    @property
    def runtime_name(self) -> str:
        """Name of the runtime that it computes in."""

    def on(self, runtime: str) -> Separator:
        """Return the same model in the runtime of that name; for '' in the one it would choose.

        Raises
        ------
        BadJob
            There is none of that name.
        Failure
            It is not installed.

        """


@runtime_checkable
class TriesDrafts(Protocol):
    """A separator whose drafts may gain from parts of it in 8 bits, which only a trial can tell."""

    def try_drafts(self) -> dict[str, object]:
        """Make the trial, which takes minutes, and remember what it found for later drafts.

        Returns
        -------
        facts
            `why` there are to be no 8 bits, if so; else, or before, `decibels` from the exact
            answers, and `seconds_with` and `seconds_without` for the same stretch.

        """


@runtime_checkable
class Shareable(Protocol):
    """A model that several threads may ask at once: each of its answers takes little memory.

    Two answers side by side, each on one processor, are there sooner than one after the other on
    both, whose threads wait for each other many times.
    """

    def computing(self, threads: int) -> AbstractContextManager[None]:
        """Have what the calling thread asks meanwhile computed in so many threads."""


@runtime_checkable
class PresenceSeparator(MaskSeparator, Protocol):
    """A mask model that also says, from the same pass, whether a sound is there at all."""

    def mask_with_presence(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> tuple[FloatArray | ComplexArray, FloatArray]:
        """Do what `mask` does, and estimate when each query's sound is there.

        Parameters are those of `mask`. `keep` starts on a multiple of `block`.

        Returns
        -------
        mask
            As `mask` returns it.
        presence
            `(queries, blocks)`: probabilities, 0 to 1, that the sound is heard in each block of
            the frames that are kept, in any channel; a last block that is not whole has its own.

        """


@runtime_checkable
class Listener(Protocol):
    """A model that can say what is in a recording without being asked for anything."""

    @property
    def name(self) -> str:
        """Name in the catalogue."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the sounds it knows, in AudioSet's words."""

    @property
    def hearing_grid(self) -> HearingGrid:
        """Rate, windows and context."""

    def hear(self, samples: FloatArray) -> FloatArray:
        """Estimate which sounds are in each window.

        Parameters
        ----------
        samples
            `(channels, context + n + context)`, at the rate of `hearing_grid`.

        Returns
        -------
        probabilities
            `(hearing_grid.windows(n), labels)`, each from 0 to 1, of its own: several sounds can
            be there at once.

        """

    def vectors(self, samples: FloatArray) -> FloatArray:
        """Place what is heard in each window among the texts.

        Parameters are those of `hear`.

        Returns
        -------
        vectors
            `(hearing_grid.windows(n), dimensions)`: of length 1, in the space of
            `engine.taxonomy.text.TextTable`, so that the product with a query's vector says how
            much the window sounds like the query.

        """

    def example(self, samples: FloatArray) -> FloatArray:
        """Place a few seconds of sound among the texts as one.

        `samples` is `(channels, n)`, without context. Returns `(dimensions,)`, of length 1; zeros
        for silence.
        """

    def both(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what `hear` and `vectors` do, from one pass."""


Model: TypeAlias = Separator | Listener
"""A loaded model, whatever it is for."""
