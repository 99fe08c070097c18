"""Reading weights that others published: data alone, never code, and every tensor a known one."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelBroken

__all__ = ["check", "pickled"]


def check(
    path: Path,
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    prefix: str = "",
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


def pickled(path: Path, allowed: Sequence[Any] = ()) -> dict[str, Any]:
    """Return the dict in a file that torch wrote, without running code from it.

    Parameters
    ----------
    path
        The file; its tensors are mapped from disk where its form allows.
    allowed
        What it may hold beside plain data and tensors, as `torch.serialization.safe_globals` takes
        it: functions and classes, or each with the name by which the file calls it.

    Raises
    ------
    ModelBroken
        The file is damaged, holds something else than a dict, or asks to run something that is not
        `allowed`, which the message names.

    """
    with torch.serialization.safe_globals(list(allowed)):
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


def _first(error: BaseException) -> str:
    """Return the first sentence of a foreign error."""
    line = str(error).strip().partition("\n")[0]
    return f"{line.partition('. ')[0].rstrip('.')[:200]}."
