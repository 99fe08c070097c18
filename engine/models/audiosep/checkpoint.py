"""Reads published AudioSep checkpoints, strictly and without running code from them.

Known layouts, told apart by the names in the file:

* Lightning `.ckpt` (the official release, AudioSep-hive): `state_dict` with `ss_model.*` and
  `query_encoder.model.*`;
* the same tensors flat, as Hugging Face's hub mixin saves them (nielsr/audiosep-demo):
  `.safetensors` or `.bin`;
* the separate CLAP `.pt`: `text_branch.*` and others, with or without a leading `module.`.

Of all these only the separation network and the text branch are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from torch import Tensor

from engine.errors import ModelBroken
from engine.models.audiosep import network, text
from engine.models.weights import check, pickled

__all__ = ["Checkpoint", "read"]

_SEPARATOR = "ss_model."
_CLAP = "query_encoder.model."
_CLAP_PARTS = (
    "audio_branch.",
    "audio_projection.",
    "audio_transform.",
    "logit_scale_a",
    "logit_scale_t",
    "text_branch.",
    "text_projection.",
    "text_transform.",
)
_TEXT_PARTS = ("text_branch.", "text_projection.")
# Index tables that old releases of transformers saved with the weights; they hold 0, 1, 2, ...
_TEXT_TABLES = ("text_branch.embeddings.position_ids", "text_branch.embeddings.token_type_ids")


@dataclass(frozen=True)
class Checkpoint:
    """What was found in a file; either part may be empty."""

    separator: Mapping[str, Tensor]
    text: Mapping[str, Tensor]


def read(path: Path) -> Checkpoint:
    """Read the separation network and the text branch out of a checkpoint.

    Each part that is there is complete and of the published shapes.

    Raises
    ------
    ModelBroken
        The file cannot be read, holds more than data, or a tensor is missing, unexpected or
        misshapen (named in the message).

    """
    separator: dict[str, Tensor] = {}
    words: dict[str, Tensor] = {}
    stray = []
    for name, tensor in _tensors(path).items():
        if name.startswith(_SEPARATOR):
            separator[name.removeprefix(_SEPARATOR)] = tensor
        elif name.startswith(("base.", "film.")):
            separator[name] = tensor
        else:
            bare = name.removeprefix(_CLAP).removeprefix("module.")
            if not bare.startswith(_CLAP_PARTS):
                stray.append(name)
            elif bare.startswith(_TEXT_PARTS) and bare not in _TEXT_TABLES:
                words[bare] = tensor
    if not separator and not words:
        raise ModelBroken(
            f"{path} is not an AudioSep checkpoint: it holds neither 'ss_model.*' nor "
            "'text_branch.*'."
        )
    if stray:
        raise ModelBroken(f"{path} holds the unexpected tensor '{stray[0]}' ({len(stray)} in all).")
    if separator:
        _refuse_another_window(path, separator)
        check(path, separator, network.shapes(), _SEPARATOR)
    if words:
        check(path, words, text.shapes(), _CLAP if separator else "")
    return Checkpoint(separator, words)


def _refuse_another_window(path: Path, separator: Mapping[str, Tensor]) -> None:
    """Say of a network for another sample rate that it is one, and not which tensor is odd."""
    norm = separator.get("base.bn0.weight")  # one number for each bin
    if norm is None or norm.dim() != 1 or len(norm) == network.N_FFT // 2 + 1:
        return
    window = 2 * (len(norm) - 1)
    of_what = ", as AudioSep's for 16 kHz have it (the baseline of DCASE 2024)," * (window == 1024)
    raise ModelBroken(
        f"{path} holds a network of AudioSep's family for windows of {window} samples{of_what} and "
        f"not of {network.N_FFT}: Tweeze takes those for 32 kHz, like that of 'tweeze models pull "
        "audiosep'."
    )


def _tensors(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors by name, mapped from disk where the format allows."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelBroken(f"Cannot read {path}: {error.strerror}.") from error
    # A safetensors file opens with the length of its header (8 bytes) and the header's brace.
    found = _safetensors(path) if start[8:9] == b"{" else pickled(path, _numbers())
    inner = found.get("state_dict")
    if isinstance(inner, Mapping):
        found = dict(inner)
    tensors: dict[str, Tensor] = {}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelBroken(
                f"{path} is not a checkpoint: {str(name)[:80]!r} in it is not a tensor."
            )
        tensors[name] = value
    return tensors


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelBroken(f"{path} is damaged: {error}.") from error


def _numbers() -> list[Any]:
    """Return what a checkpoint may hold beside tensors: NumPy numbers, as the CLAP release does."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, bool)]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), (np.dtype, "numpy.dtype"), *kinds]
