"""Short-time Fourier transforms on the grid of ``compact``, for training and evaluation."""

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
