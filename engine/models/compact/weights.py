"""Reads and writes the weights of ``compact``: float16 on disk, float32 in use, strict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models import half
from engine.models.compact.network import CompactNet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_LATER = frozenset({"against.weight"})
"""Weights that older files lack; without them the network is what it was."""


def new_network() -> CompactNet:
    """Return an untrained network, laid out in memory as convolutions like it best."""
    net = CompactNet()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state of :class:`CompactNet` to a safetensors file."""
    half.save(state, path)


def network_from(data: bytes, origin: str) -> CompactNet:
    """Build the network from the bytes of a safetensors file.

    Raises
    ------
    ModelBroken
        The file is damaged, or a weight is missing, unexpected or of another shape; names it.
    """
    net = new_network()
    half.fill(net, data, origin, "compact", _LATER)
    return net.eval()
