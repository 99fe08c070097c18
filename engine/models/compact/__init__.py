"""``compact``, the bundled model: small, quick, trained on freely licensed sounds.

See ``MODEL_CARD.md`` beside this file for how good it is and what it learned from.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.models.base import FloatArray, Geometry
from engine.models.compact.network import HOP, N_FFT, SAMPLE_RATE, CompactNet
from engine.models.compact.text import TextTable, load_text_table
from engine.models.compact.weights import network_from

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Compact", "load", "load_network"]

CORE = 1024
"""Frames of a segment without its context: 20 s."""


class Compact:
    """A :class:`engine.models.base.Separator`."""

    name = "compact"

    def __init__(self, net: CompactNet, table: TextTable) -> None:
        self.net = net.eval()
        self.table = table
        block = net.config.net.time_block
        context = -(-net.config.net.reach() // block) * block
        self.geometry = Geometry(SAMPLE_RATE, N_FFT, HOP, block, context, CORE)

    def embed(self, query: str) -> FloatArray:
        """Return the query's vector, ``(dim,)``; see :meth:`TextTable.embed`."""
        return self.table.embed(query)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, loudness: float, keep: slice
    ) -> FloatArray:
        """Return masks between 0 and 1, ``(queries, channels, frames, bins)``.

        ``magnitude`` is ``(channels, frames, bins)``, ``vectors`` ``(queries, dim)``, ``loudness``
        the RMS of the whole clip over all channels. ``keep`` is not used: all frames get theirs.
        """
        queries, channels = len(vectors), len(magnitude)
        out = np.empty((queries, *magnitude.shape), np.float32)
        with torch.inference_mode():
            heard = torch.from_numpy(np.ascontiguousarray(magnitude, np.float32))
            level = torch.full((channels,), loudness, dtype=torch.float32)
            for query, vector in enumerate(vectors):
                asked = torch.from_numpy(np.asarray(vector, np.float32)).expand(channels, -1)
                out[query] = self.net(heard, asked, level).numpy()
        return out


def load() -> Compact:
    """Load the bundled weights and text table.

    Raises
    ------
    ModelBroken
        The weights are damaged or do not fit the network; the message names the first that does
        not.
    """
    weights = files(__package__) / "weights.safetensors"
    return Compact(network_from(weights.read_bytes(), "compact's weight file"), load_text_table())


def load_network(path: Path) -> CompactNet:
    """Load other weights of the same network, from a training run."""
    return network_from(path.read_bytes(), str(path))
