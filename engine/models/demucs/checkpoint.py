"""Reads the published checkpoint of htdemucs, strictly and without running code from it.

It holds a dict: the network's class (`klass`), what to call it with (`args`, `kwargs`), and its
weights in half precision (`state`). Of these the weights are taken; the class is never looked up,
and what it would be called with has to be what the network here was written for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelBroken
from engine.models.demucs.network import SOURCES, HTDemucs
from engine.models.weights import check, pickled

__all__ = ["read", "shapes"]

_SETTINGS: Mapping[str, Any] = {
    "audio_channels": 2,
    "bottom_channels": 512,
    "cac": True,
    "channels": 48,
    "context": 1,
    "context_enc": 0,
    "dconv_comp": 8,
    "dconv_depth": 2,
    "dconv_mode": 3,
    "depth": 4,
    "emb_scale": 10,
    "freq_emb": 0.2,
    "growth": 2,
    "kernel_size": 8,
    "nfft": 4096,
    "norm_starts": 4,
    "rewrite": True,
    "samplerate": 44_100,
    "segment": Fraction(39, 5),
    "sources": list(SOURCES),
    "stride": 4,
    "t_cross_first": False,
    "t_emb": "sin",
    "t_gelu": True,
    "t_heads": 8,
    "t_hidden_scale": 4.0,
    "t_layer_scale": True,
    "t_layers": 5,
    "t_max_period": 10_000.0,
    "t_norm_first": True,
    "t_norm_in": True,
    "t_norm_out": True,
    "t_sparse_cross_attn": False,
    "t_sparse_self_attn": False,
    "t_weight_pos_embed": 1.0,
}
"""What the network here was written for, by the names of the published one's settings."""
_NOT_USUAL = ("bottom_channels", "dconv_mode", "segment")
"""Settings that a checkpoint must name, since the published network else takes others."""


class _Klass:
    """Stands for the class that the file names, and can do nothing."""


def read(path: Path) -> dict[str, Tensor]:
    """Return the weights by the names that `HTDemucs` has for them, in the file's precision.

    Raises
    ------
    ModelBroken
        The file is damaged, holds more than data, is another Demucs, or a tensor is missing,
        unexpected, misshapen or not finite; the message names it.

    """
    allowed = [(_Klass, "demucs.htdemucs.HTDemucs"), (Fraction, "fractions.Fraction")]
    found = pickled(path, allowed)
    state, settings = found.get("state"), found.get("kwargs")
    if found.get("klass") is not _Klass or not isinstance(settings, dict):
        raise ModelBroken(f"{path} is no checkpoint of htdemucs: it names no such network.")
    _check_settings(path, settings, found.get("args"))
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise ModelBroken(f"{path} is no checkpoint of htdemucs: it holds no weights.")
    check(path, state, shapes())
    return dict(state)


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of the network."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in HTDemucs().state_dict().items()}


def _check_settings(path: Path, settings: Mapping[Any, Any], args: Any) -> None:
    given = dict(settings)
    if isinstance(args, (list, tuple)) and args:
        given["sources"] = args[0]
    for name, wanted in _SETTINGS.items():
        value = given.get(name, None if name in (*_NOT_USUAL, "sources") else wanted)
        if isinstance(value, tuple):
            value = list(value)
        if value != wanted and not (name == "segment" and value == float(wanted)):
            raise ModelBroken(
                f"{path} is another Demucs than htdemucs: its '{name}' is {value!r:.60}, "
                f"not {wanted!r}."
            )
