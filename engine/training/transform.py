"""What training and evaluation of ``compact`` compute with: its transforms, and how precisely."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.compact.network import HOP, N_FFT


def stft(audio: Tensor) -> Tensor:
    """Transform ``(batch, samples)`` to complex ``(batch, frames, bins)``."""
    window = torch.hann_window(N_FFT, dtype=audio.dtype)
    spectrum = torch.stft(audio, N_FFT, HOP, window=window, return_complex=True)
    return spectrum.transpose(1, 2)


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Transform complex ``(batch, frames, bins)`` back to ``(batch, samples)``."""
    window = torch.hann_window(N_FFT)
    return torch.istft(spectrum.transpose(1, 2), N_FFT, HOP, window=window, length=samples)


def precision() -> torch.autocast:
    """Return a context that computes in bfloat16 where the processor does that itself.

    Elsewhere it is imitated, and takes seven times as long as float32.
    """
    native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast("cpu", torch.bfloat16, enabled=native)
