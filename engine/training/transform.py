"""What training and evaluation of ``compact`` compute with: its transforms, and how precisely."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.compact.network import HOP, N_FFT


def stft(audio: Tensor) -> Tensor:
    """Transform ``(batch, samples)`` to complex ``(batch, frames, bins)``."""
    window = torch.hann_window(N_FFT, dtype=audio.dtype, device=audio.device)
    spectrum = torch.stft(audio, N_FFT, HOP, window=window, return_complex=True)
    return spectrum.transpose(1, 2)


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Transform complex ``(batch, frames, bins)`` back to ``(batch, samples)``."""
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum.transpose(1, 2), N_FFT, HOP, window=window, length=samples)


def precision(device: str = "cpu") -> torch.autocast:
    """Return a context that computes in bfloat16 where the ``device`` does that itself.

    On other processors it is imitated, and takes seven times as long as float32. A graphics card
    is taken for one that does.
    """
    native = device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device, torch.bfloat16, enabled=native)
