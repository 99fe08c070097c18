"""Models of both kinds whose answers are known, for tests of exactness."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace

import numpy as np

from engine.models.base import ChunkGrid, FrameGrid

GRID = FrameGrid(32_000, 2048, 640, block=16, context=32, core=48)
WAVE_GRID = FrameGrid(24_000, 1536, 384, block=1, context=32, core=64)


def triangle(samples):
    return (1 - np.abs(np.linspace(-1, 1, samples + 2)[1:-1])).astype(np.float32)


CHUNKS = ChunkGrid(triangle(5_001), hop=1_700, context=800, latency=311)


@dataclass(frozen=True)
class Constant:
    """A model whose mask has one value everywhere."""

    value: float = 1.0
    frame_grid: FrameGrid = GRID
    name: str = "constant"

    def embed(self, query):
        return np.zeros(1, np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        return np.full((len(vectors), *magnitude.shape), self.value, np.float32)


@dataclass(frozen=True)
class Blur:
    """A model whose mask depends on `context` frames on either side, and on the query."""

    frame_grid: FrameGrid = GRID
    name: str = "blur"
    turning: bool = False
    calls: list = field(default_factory=list, compare=False)

    def embed(self, query):
        return np.array([len(query)], np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        self.calls.append(1)
        reach = self.frame_grid.context
        around = np.pad(np.log1p(magnitude / max(rms, 1e-9)), ((0, 0), (reach, reach), (0, 0)))
        total = np.cumsum(around, axis=1, dtype=np.float64)
        total = np.pad(total, ((0, 0), (1, 0), (0, 0)))
        mean = (total[:, 2 * reach + 1 :] - total[:, : -2 * reach - 1]) / (2 * reach + 1)
        mask = np.stack([np.cos(mean * v[0]) ** 2 for v in vectors]).astype(np.float32)
        return mask * np.exp(1j * mask).astype(np.complex64) if self.turning else mask


@dataclass(frozen=True)
class SharedBlur(Blur):
    """A `Blur` that several threads may ask at once."""

    name: str = "shared"
    shares: list = field(default_factory=list, compare=False)

    def computing(self, threads):
        self.shares.append(threads)
        return contextlib.nullcontext()


@dataclass(frozen=True)
class Greedy:
    """Gives each query the share that it names, turned by its phase if there is one."""

    turned: bool = False
    frame_grid: FrameGrid = GRID
    name: str = "greedy"

    def embed(self, query):
        return np.array([float(query)], np.float32)

    def mask(self, magnitude, vectors, rms, keep):
        masks = np.stack([np.full(magnitude.shape, vector[0], np.float32) for vector in vectors])
        turns = np.exp(1j * vectors[:, 0])[:, None, None, None].astype(np.complex64)
        return masks * turns if self.turned else masks


@dataclass(frozen=True)
class _Waveform:
    """Hears a delay, and answers with noise where nobody should listen."""

    channels: int = 2
    frame_grid: FrameGrid = WAVE_GRID
    chunk_grid: ChunkGrid = CHUNKS
    name: str = "waveform"
    sources: tuple[str, ...] = ("all",)
    calls: list = field(default_factory=list, compare=False)

    def embed(self, query):
        return np.eye(len(self.sources), dtype=np.float32)[self.source_of(query)]

    def source_of(self, query):
        return 0

    def sources_of(self, samples, rms):
        chunks = self.chunk_grid
        assert samples.shape == (self.channels, chunks.length)
        assert samples.dtype == np.float32
        self.calls.append(1)
        found = self.separated(samples)
        assert len(found) == len(self.sources)
        out = np.random.default_rng(len(self.calls)).normal(0, 99, found.shape).astype(np.float32)
        ends = slice(chunks.context, chunks.length - chunks.context - chunks.latency)
        late = slice(ends.start + chunks.latency, ends.stop + chunks.latency)
        out[..., late] = found[..., ends]
        return out


@dataclass(frozen=True)
class WaveConstant(_Waveform):
    """A waveform model that answers with the mixture, times one value."""

    value: float = 1.0
    name: str = "constant"

    def separated(self, samples):
        with np.errstate(invalid="ignore"):
            return np.float32(self.value) * samples[None]


@dataclass(frozen=True)
class WaveBlur(_Waveform):
    """Has two sources; both depend on the whole context, and on the place in the chunk."""

    sources: tuple[str, ...] = ("near", "far")
    reach: int = CHUNKS.context

    def source_of(self, query):
        return len(query) % 2

    def separated(self, samples):
        wide = np.pad(samples, ((0, 0), (self.reach, self.reach)))
        echoes = wide[:, : -2 * self.reach] + wide[:, 2 * self.reach :]
        place = np.linspace(-1, 1, samples.shape[1], dtype=np.float32) ** 2
        return np.stack([0.5 * samples + 0.2 * echoes, 0.4 * samples - 0.2 * place * echoes])


@dataclass(frozen=True)
class WaveGreedy(_Waveform):
    """Has a source for each of three shares of the mixture."""

    sources: tuple[str, ...] = ("1.0", "0.5", "0.25")

    def source_of(self, query):
        return self.sources.index(query)

    def separated(self, samples):
        return np.stack([np.float32(share) * samples for share in self.sources])


def with_core(model, core):
    """Return the model with segments of `core` frames."""
    return replace(model, frame_grid=replace(model.frame_grid, core=core), calls=[])


CONSTANT = {
    "mask": Constant,
    "mono waveform": lambda value: WaveConstant(value=value, channels=1),
    "stereo waveform": lambda value: WaveConstant(value=value),
}
BLUR = {
    "mask": Blur,
    "shared mask": SharedBlur,
    "turning mask": lambda: Blur(turning=True),
    "mono waveform": lambda: WaveBlur(channels=1),
    "stereo waveform": WaveBlur,
}
GREEDY = {
    "mask": Greedy,
    "mono waveform": lambda: WaveGreedy(channels=1),
    "stereo waveform": WaveGreedy,
}
