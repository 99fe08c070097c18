"""Weight files of the bundled models: float16 on disk, float32 in use, read strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from engine.errors import ModelBroken
from engine.tensors import unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["fill", "save"]

_NOT_KEPT = "num_batches_tracked"
"""Only of use to training."""


def save(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a network's state to a safetensors file."""
    kept = {
        key: value.detach().half().contiguous()
        for key, value in state.items()
        if not key.endswith(_NOT_KEPT)
    }
    save_file(kept, path)


def fill(
    net: nn.Module, data: bytes, origin: str, model: str, later: frozenset[str] = frozenset()
) -> None:
    """Give a network the weights in the bytes of a safetensors file.

    Parameters
    ----------
    net
        The network; weights that the file may lack keep their values.
    data
        The file's bytes.
    origin, model
        What errors call the file and the model.
    later
        Weights that older files lack.

    Raises
    ------
    ModelBroken
        The file is damaged, or a weight is missing, unexpected or of another shape; names it.
    """
    try:
        found = unpacked(load, data)
    except SafetensorError as error:
        raise ModelBroken(f"{origin} is not a whole safetensors file: {error}") from error
    expected = {key: value for key, value in net.state_dict().items() if _NOT_KEPT not in key}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found and key in later:
            continue
        if key not in found:
            raise ModelBroken(f"{origin} lacks the weight {key}")
        if key not in expected:
            raise ModelBroken(f"{origin} holds a weight that {model} does not have: {key}")
        if found[key].shape != expected[key].shape:
            raise ModelBroken(
                f"{origin}: the weight {key} has shape {tuple(found[key].shape)}, "
                f"not {tuple(expected[key].shape)}"
            )
        if not bool(torch.isfinite(found[key]).all()):
            raise ModelBroken(f"{origin}: the weight {key} is not finite")
    net.load_state_dict({key: value.float() for key, value in found.items()}, strict=False)
