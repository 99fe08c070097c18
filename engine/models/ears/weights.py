"""Reads and writes the weights of ``ears``: float16 on disk, float32 in use, strict."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from engine.errors import ModelBroken
from engine.models.ears.network import EarsNet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["load_labels", "network_from", "new_network", "save_weights"]

_NOT_KEPT = "num_batches_tracked"
"""Only of use to training."""


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
    kept = {
        key: value.detach().half().contiguous()
        for key, value in state.items()
        if not key.endswith(_NOT_KEPT)
    }
    save_file(kept, path)


def network_from(data: bytes, origin: str) -> EarsNet:
    """Build the network from the bytes of a safetensors file.

    Raises
    ------
    ModelBroken
        The file is damaged, or a weight is missing, unexpected or of another shape; names it.
    """
    try:
        found = load(data)
    except SafetensorError as error:
        raise ModelBroken(f"{origin} is not a whole safetensors file: {error}") from error
    net = new_network()
    expected = {key: value for key, value in net.state_dict().items() if _NOT_KEPT not in key}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            raise ModelBroken(f"{origin} lacks the weight {key}")
        if key not in expected:
            raise ModelBroken(f"{origin} holds a weight that ears does not have: {key}")
        if found[key].shape != expected[key].shape:
            raise ModelBroken(
                f"{origin}: the weight {key} has shape {tuple(found[key].shape)}, "
                f"not {tuple(expected[key].shape)}"
            )
        if not bool(torch.isfinite(found[key]).all()):
            raise ModelBroken(f"{origin}: the weight {key} is not finite")
    net.load_state_dict({key: value.float() for key, value in found.items()}, strict=False)
    return net.eval()
