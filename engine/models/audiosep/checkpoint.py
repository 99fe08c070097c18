"""Reads published AudioSep checkpoints, strictly and without running code from them.

Known layouts, told apart by the names in the file:

* Lightning `.ckpt` (the official release, AudioSep-hive): `state_dict` with `ss_model.*` and
  `query_encoder.model.*`;
* the same tensors flat, as Hugging Face's hub mixin saves them: `.safetensors` or `.bin`;
* the separate CLAP `.pt`: `text_branch.*` and others, with or without a leading `module.`.

Of all these only the separation network and the text branch are read.
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from engine.errors import ModelBroken
from engine.models.audiosep import network, text

__all__ = ["Checkpoint", "check", "read"]

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


Tensors = Mapping[str, Tensor]


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
        check(path, separator, network.shapes(), _SEPARATOR)
    if words:
        check(path, words, text.shapes(), _CLAP if separator else "")
    return Checkpoint(separator, words)


def check(
    path: Path, tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], prefix: str = ""
) -> None:
    """Raise ModelBroken unless `tensors` are exactly those that `shapes` lists, and finite."""
    missing = sorted(shapes.keys() - tensors.keys())
    if missing:
        raise ModelBroken(
            f"{path} lacks the tensor '{prefix}{missing[0]}' ({len(missing)} in all)."
        )
    unexpected = sorted(tensors.keys() - shapes.keys())
    if unexpected:
        raise ModelBroken(
            f"{path} holds the unexpected tensor '{prefix}{unexpected[0]}' "
            f"({len(unexpected)} in all)."
        )
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise ModelBroken(
                f"{path}: the tensor '{prefix}{name}' has the shape {tuple(tensor.shape)}, "
                f"but {shape} is expected."
            )
        if shape and not tensor.is_floating_point():
            raise ModelBroken(f"{path}: the tensor '{prefix}{name}' holds {tensor.dtype}.")
        # In double precision the sum of finite float32 numbers is finite, and that of others not.
        if tensor.is_floating_point() and not tensor.sum(dtype=torch.float64).isfinite():
            raise ModelBroken(f"{path}: the tensor '{prefix}{name}' holds no finite numbers.")


def _tensors(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors by name, mapped from disk where the format allows."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelBroken(f"Cannot read {path}: {error.strerror}.") from error
    # A safetensors file opens with the length of its header (8 bytes) and the header's brace.
    found = _safetensors(path) if start[8:9] == b"{" else _pickled(path)
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


def _pickled(path: Path) -> dict[str, Any]:
    with _only_data():
        try:
            found = _load(path)
        except pickle.UnpicklingError as error:
            match = re.search(r"GLOBAL ([\w.]+)", str(error))
            if match is None:
                raise ModelBroken(
                    f"{path} is damaged or not a checkpoint: {_first(error)}"
                ) from error
            raise ModelBroken(
                f"{path} was not loaded, since it holds more than data: it asks to run "
                f"'{match.group(1)}'. Get the checkpoint from its publisher."
            ) from error
        except Exception as error:  # of a damaged file the unpickler raises anything
            raise ModelBroken(f"{path} is damaged or not a checkpoint: {_first(error)}") from error
    if not isinstance(found, dict):
        raise ModelBroken(f"{path} is not a checkpoint: it holds one {type(found).__name__}.")
    return found


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
    # The format before torch 1.6 cannot be mapped.
    return torch.load(path, map_location="cpu", weights_only=True)


@contextlib.contextmanager
def _only_data() -> Iterator[None]:
    """Let a checkpoint hold NumPy numbers, as the CLAP release does (its metrics), and no more."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, bool)]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    with torch.serialization.safe_globals(
        [*((scalar, name) for name in names), (np.dtype, "numpy.dtype"), *kinds]
    ):
        yield


def _first(error: BaseException) -> str:
    """Return the first sentence of a foreign error."""
    line = str(error).strip().partition("\n")[0]
    return f"{line.partition('. ')[0].rstrip('.')[:200]}."
