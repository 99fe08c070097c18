"""Where networks run."""

from __future__ import annotations

import torch

__all__ = ["device"]


def device() -> torch.device:
    """Return the fastest device that torch has: CUDA, then Apple's GPU, then the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
