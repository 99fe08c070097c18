"""Reads and writes the weights of ``ears``: float16 on disk, float32 in use, strict."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import torch

from engine.models import half
from engine.models.ears.network import EarsNet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["load_labels", "network_from", "new_network", "save_weights"]


def load_labels() -> tuple[str, ...]:
    """Return the names of what is tagged, in the order of the network's answer."""
    text = (files(__package__) / "labels.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def new_network() -> EarsNet:
    """Return an untrained network, laid out in memory as convolutions like it best."""
    net = EarsNet(len(load_labels()))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state of :class:`EarsNet` to a safetensors file."""
    half.save(state, path)


def network_from(data: bytes, origin: str) -> EarsNet:
    """Build the network from the bytes of a safetensors file.

    Raises
    ------
    ModelBroken
        The file is damaged, or a weight is missing, unexpected or of another shape; names it.
    """
    net = new_network()
    half.fill(net, data, origin, "ears")
    return net.eval()
