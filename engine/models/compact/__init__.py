"""``compact``, the bundled model: small, quick, trained on freely licensed sounds.

See ``MODEL_CARD.md`` beside this file for how good it is and what it learned from.
"""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.models.base import FloatArray, FrameGrid
from engine.models.compact.heads import Heads, evidence, heads_from, summarised
from engine.models.compact.learned import CAPTIONS, LearnedCaptions, read_captions, scaled
from engine.models.compact.network import HOP, N_FFT, SAMPLE_RATE, VECTOR, CompactNet
from engine.models.compact.weights import network_from
from engine.models.torch_threads import torch_threads
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import TextTable, load_text_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = [
    "Compact",
    "HearingCompact",
    "from_files",
    "heads_from",
    "load",
    "load_network",
    "trunk_channels",
]

CORE = 1024
"""Frames of a segment without its context: 20 s."""


class Compact:
    """A :class:`engine.models.base.MaskSeparator`."""

    name = "compact"
    weight = 0.5
    """How much competing counts (`engine.sound.masks.Rule`). With 1 two sounds that are named gain
    a little more where there are no others, and 2 dB less where there is a third."""

    def __init__(
        self, net: CompactNet, table: TextTable, learned: Sequence[str] | None = None
    ) -> None:
        """Wrap a network.

        Queries are drawn towards the captions that it has ``learned`` from, where those are given.
        """
        self.net = net.eval()
        self.table = table
        self.learned = LearnedCaptions(learned, table) if learned is not None else None
        block = net.config.net.time_block
        context = -(-net.config.net.reach() // block) * block
        self.frame_grid = FrameGrid(SAMPLE_RATE, N_FFT, HOP, block, context, CORE)

    def embed(self, query: str) -> FloatArray:
        """Return the query's vector, ``(dim,)``: its place among the texts, or near that.

        See :meth:`TextTable.embed` and `engine.models.compact.learned`.
        """
        own = self.table.embed(query)
        return own if self.learned is None else self.learned.towards(own)

    def instead_of(self, query: str) -> tuple[str, ...]:
        """Return the captions that stand for a query; see `engine.models.base.Vocabulary`."""
        return () if self.learned is None else self.learned.instead_of(query)

    def beside(self, own: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
        """Return a sound's vector, and behind it what the others have in common, ``(2 dim,)``.

        The latter is zeros where there are no others.
        """
        rest = np.sum(others, axis=0) if len(others) else np.zeros(self.table.dim)
        return np.concatenate([own, rest / (np.linalg.norm(rest) + 1e-9)]).astype(np.float32)

    def embed_sound(self, place: FloatArray, query: str | None) -> FloatArray:
        """Return the vector of a sound, or the middle between it and its words', ``(dim,)``.

        The network knows vectors of words. So the sound's is the mean of the captions', the nearer
        ones weighing more. On 71 held-out sounds that were asked for by another recording, by which
        the width of that was chosen among three, this gained 3.7 dB where the sound's own place
        gained 2.8; see `engine.training.by_example`.
        """
        shown = self._texts.mean(place)
        return shown if query is None else scaled(shown + self.embed(query))

    @cached_property
    def _texts(self) -> LearnedCaptions:
        """All captions: a sound is placed among those of classes that were left out, too."""
        return LearnedCaptions(load_taxonomy().captions, self.table)

    def computing(self, threads: int) -> AbstractContextManager[None]:
        """Compute in so many threads; see :class:`engine.models.base.Shareable`."""
        return torch_threads(threads)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        """Return masks between 0 and 1, ``(queries, channels, frames, bins)``.

        ``magnitude`` is ``(channels, frames, bins)``, ``vectors`` ``(queries, dim)``, ``rms``
        the RMS of the whole clip over all channels. Frames beside ``keep`` get zeros.
        """
        out = np.zeros((len(vectors), *magnitude.shape), np.float32)
        start, stop, _ = keep.indices(magnitude.shape[1])
        with torch.inference_mode():
            for channel, one in enumerate(magnitude):
                heard, level = _tensors(one, rms)
                for query, vector in enumerate(vectors):
                    mask, _ = self.net.analyse(heard, _row(vector), level, (start, stop))
                    out[query, channel, start:stop] = mask[0].numpy()
        return out


class HearingCompact(Compact):
    """``compact`` with its head that estimates presence: it also says when a sound is there.

    A :class:`engine.models.base.PresenceSeparator`.
    """

    def __init__(
        self,
        net: CompactNet,
        table: TextTable,
        heads: Heads,
        learned: Sequence[str] | None = None,
    ) -> None:
        super().__init__(net, table, learned)
        self.heads = heads.eval()

    def mask_with_presence(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> tuple[FloatArray, FloatArray]:
        """Return what :meth:`mask` does, and presence in ``keep``: ``(queries, blocks)``."""
        out = np.zeros((len(vectors), *magnitude.shape), np.float32)
        block = self.frame_grid.block
        start, stop, _ = keep.indices(magnitude.shape[1])
        kept = slice(start // block, -(-stop // block))
        whole = slice(kept.start * block, min(kept.stop * block, magnitude.shape[1]))
        logits = np.full((len(vectors), kept.stop - kept.start), -np.inf, np.float32)
        with torch.inference_mode():
            for channel, one in enumerate(magnitude):
                heard, level = _tensors(one, rms)
                for query, vector in enumerate(vectors):
                    asked = _row(vector)
                    mask, inside = self.net.analyse(heard, asked, level, (whole.start, whole.stop))
                    passed = evidence(mask, heard[:, whole], block)
                    found = self.heads.present(
                        summarised(inside[:, :, kept]), passed, asked[:, :VECTOR]
                    )
                    out[query, channel, whole] = mask[0].numpy()
                    np.maximum(logits[query], found[0].numpy(), out=logits[query])
            return out, torch.sigmoid(torch.from_numpy(logits)).numpy()


def _row(vector: FloatArray) -> torch.Tensor:
    """Return a vector as a network takes it, ``(1, dim)``."""
    return torch.from_numpy(np.ascontiguousarray(vector, np.float32))[None]


def _tensors(magnitude: FloatArray, rms: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one channel's magnitudes, and the clip's rms, as a network takes them."""
    heard = torch.from_numpy(np.ascontiguousarray(magnitude, np.float32))[None]
    return heard, torch.tensor([rms], dtype=torch.float32)


def load() -> HearingCompact:
    """Load the bundled weights, heads, captions and text table.

    Raises
    ------
    ModelBroken
        The weights are damaged or do not fit the network; the message names the first that does
        not.
    """
    folder = files(__package__)
    net = network_from(
        (folder / "weights.safetensors").read_bytes(), "compact's file weights.safetensors"
    )
    heads = heads_from(
        (folder / "heads.safetensors").read_bytes(),
        "compact's file heads.safetensors",
        trunk_channels(net),
    )
    learned = read_captions((folder / CAPTIONS).read_bytes(), f"compact's file {CAPTIONS}")
    return HearingCompact(net, load_text_table(), heads, learned)


def trunk_channels(net: CompactNet) -> int:
    """Return the channels of the network's coarsest activations."""
    return net.config.net.bottom[-1].channels


def load_network(path: Path) -> CompactNet:
    """Load other weights of the same network, from a training run."""
    return network_from(path.read_bytes(), str(path))


def from_files(weights: Path, heads: Path | None = None, captions: Path | None = None) -> Compact:
    """Load other weights of the same network with the bundled text table.

    Parameters
    ----------
    weights
        The network's.
    heads
        What estimates presence, if anything does.
    captions
        What the network has learned from; without, queries stay where the text table puts them.

    Raises
    ------
    ModelBroken
        A file does not fit; the message names what does not.

    """
    net, table = load_network(weights), load_text_table()
    learned = None if captions is None else read_captions(captions.read_bytes(), captions)
    if heads is None:
        return Compact(net, table, learned)
    found = heads_from(heads.read_bytes(), str(heads), trunk_channels(net))
    return HearingCompact(net, table, found, learned)
