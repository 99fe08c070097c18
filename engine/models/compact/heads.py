"""What ``compact`` says beside its mask: when the sound is there.

The head reads the coarsest activations of the network, block by block (a block is 8 frames,
0.16 s), so it sees as far as these do and no further. A second one, which tags what is heard
without a query, serves training alone; files may hold it or not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from engine.errors import ModelBroken
from engine.models.compact.network import VECTOR
from engine.tensors import unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Heads", "evidence", "heads_from", "save_heads", "summarised"]

SQUEEZE = 20.0
_FLOOR = 1e-6
_NOT_KEPT = "num_batches_tracked"
"""Only of use to training."""


def summarised(heard: Tensor) -> Tensor:
    """Reduce activations ``(batch, channels, blocks, bands)`` to ``(batch, blocks, 2 channels)``.

    Mean and maximum over the bands, squeezed: what adds up over the layers grows into thousands.
    """
    both = torch.cat([heard.mean(3), heard.amax(3)], dim=1).transpose(1, 2).float()
    return torch.asinh(both / SQUEEZE)


def evidence(mask: Tensor, magnitude: Tensor, block: int) -> Tensor:
    """Return how much of each block a mask lets through, ``(batch, blocks, 2)``.

    The first is the share of the energy (decibels over 10), the second the mean of the mask; both
    of them ``(batch, frames, bins)``. A last block that is not whole counts like the others.
    """
    frames = mask.shape[1]
    pad = -frames % block
    power = magnitude.square()
    sums = torch.stack([(mask.square() * power).sum(2), power.sum(2), mask.sum(2)], dim=1)
    count = torch.full((frames,), float(mask.shape[2]), device=mask.device)
    sums = nn.functional.pad(sums, (0, pad)).view(len(sums), 3, -1, block).sum(3)
    count = nn.functional.pad(count, (0, pad)).view(-1, block).sum(1)
    share = torch.log10((sums[:, 0] + _FLOOR * _FLOOR) / (sums[:, 1] + _FLOOR))
    return torch.stack([share.clamp(-6, 0), sums[:, 2] / count], dim=2)


class Heads(nn.Module):
    """Presence of what a query asks for, and in training tags of everything; logits a block.

    Parameters
    ----------
    channels
        Of the network's coarsest activations.
    vector
        Length of a query's vector.
    labels
        Names of the sounds that are tagged; without any, there is no such head.
    width
        Hidden units of each head.
    """

    def __init__(
        self, channels: int, vector: int, labels: Sequence[str] = (), width: int = 96
    ) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.width = width
        self.presence = _perceptron(2 * channels + vector + 2, width, 1)
        if self.labels:
            self.tags = _perceptron(2 * channels, width, len(self.labels))

    def present(self, heard: Tensor, passed: Tensor, vectors: Tensor) -> Tensor:
        """Return logits ``(batch, blocks)``: is the sound of the query in the block?

        ``heard`` comes from :func:`summarised`, ``passed`` from :func:`evidence`; ``vectors`` is
        ``(batch, vector)``.
        """
        asked = vectors[:, None].expand(-1, heard.shape[1], -1) * vectors.shape[1] ** 0.5
        return _each_block(self.presence, torch.cat([heard, passed, asked], dim=2))[..., 0]

    def tagged(self, heard: Tensor) -> Tensor:
        """Return logits ``(batch, blocks, labels)`` from activations of a pass without query."""
        return _each_block(self.tags, heard)


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(inputs, affine=False),
        nn.Dropout(0.1),
        nn.Linear(inputs, width),
        nn.SiLU(),
        nn.Dropout(0.1),
        nn.Linear(width, outputs),
    )


def _each_block(layers: nn.Module, x: Tensor) -> Tensor:
    """Apply layers to each block of ``(batch, blocks, features)``."""
    out: Tensor = layers(x.flatten(0, 1))
    return out.view(*x.shape[:2], -1)


def save_heads(heads: Heads, path: Path) -> None:
    """Write heads and their labels to a safetensors file, float16."""
    state = {
        key: value.detach().half().contiguous()
        for key, value in heads.state_dict().items()
        if not key.endswith(_NOT_KEPT)
    }
    save_file(state, path, {"labels": json.dumps(heads.labels), "width": str(heads.width)})


def heads_from(data: bytes, origin: str, channels: int) -> Heads:
    """Build the heads from the bytes of a safetensors file.

    Raises
    ------
    ModelBroken
        The file is damaged, or does not fit a network with that many ``channels``.
    """
    try:
        found = unpacked(load, data)
        # the length of the header, then the header (safetensors, "Format")
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        notes = header["__metadata__"]
        heads = Heads(channels, VECTOR, json.loads(notes.get("labels", "[]")), int(notes["width"]))
        counts = {k: v for k, v in heads.state_dict().items() if k.endswith(_NOT_KEPT)}
        heads.load_state_dict({key: value.float() for key, value in found.items()} | counts)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelBroken(f"{origin} does not fit compact: {error}") from error
    return heads.eval()
