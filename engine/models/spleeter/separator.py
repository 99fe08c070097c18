"""Spleeter as a separator: chunks of the frames that its network takes, words for stems.

A chunk is transformed on frames of 4096 samples every 1024. The network sees the bins below 11 kHz
of both channels; above them each stem's share goes on as it is in the highest of those bins.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from engine.errors import BadQuery
from engine.models.base import ChunkGrid, FloatArray, FrameGrid
from engine.models.device import device
from engine.models.spleeter.network import BINS, FRAMES, UNet, shares
from engine.models.torch_threads import torch_threads
from engine.taxonomy.stems import stem_of

__all__ = ["SOURCES", "Spleeter"]

SOURCES = ("vocals", "accompaniment")
_RATE, _N_FFT, _HOP = 44_100, 4096, 1024
_CONTEXT = 15 * _HOP  # samples at either end of a chunk that do not count
_STEP = 448 * _HOP  # samples from one chunk to the next; so 33 frames are crossfaded
_SAMPLES = (FRAMES - 1) * _HOP  # of a chunk: its frames are centred from its start to its end
_USUAL = 0.14  # RMS of a finished song, -17 dBFS: the network knows no other levels
_CARRIED = slice(int(0.80 * BINS), int(0.97 * BINS))  # the bins whose shares go on above


def _chunks() -> ChunkGrid:
    length = _SAMPLES - 2 * _CONTEXT
    fade = length - _STEP
    ramp = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade) ** 2
    window = np.concatenate([ramp, np.ones(length - 2 * fade), ramp[::-1]])
    return ChunkGrid(window.astype(np.float32), _STEP, _CONTEXT)


class Spleeter:
    """A `WaveformSeparator` of two sources: vocals and accompaniment.

    Parameters
    ----------
    name
        Name in the catalogue.
    weights
        By source: the weights of its `UNet`.

    """

    sources = SOURCES
    channels = 2
    frame_grid = FrameGrid(_RATE, _N_FFT, _HOP, block=1, context=64, core=448)
    chunk_grid = _chunks()

    def __init__(self, name: str, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.name = name
        self._device = device()
        self._window = torch.hann_window(_N_FFT, device=self._device)
        self._nets = [_network(weights[source]).to(self._device) for source in SOURCES]

    def embed(self, query: str) -> FloatArray:
        """Return `(2,)`: which of the sources the query asks for; BadQuery if it asks for neither.

        >>> Spleeter.embed(None, "the singer"), Spleeter.embed(None, "music without vocals")
        (array([1., 0.], dtype=float32), array([0., 1.], dtype=float32))
        """
        stem = stem_of(query)
        if stem not in SOURCES:
            raise BadQuery(
                f"This model separates 'vocals' from 'accompaniment', and {query[:60]!r} is "
                "neither: ask for one of them, or choose another model with --model."
            )
        return np.array([source == stem for source in SOURCES], np.float32)

    @torch.inference_mode()
    @torch_threads()
    def sources_of(self, samples: FloatArray, rms: float) -> FloatArray:
        """Separate a chunk; see `engine.models.base.WaveformSeparator`.

        The network hears the clip as loud as a finished song, whatever its level.
        """
        spectrum = torch.stft(
            torch.from_numpy(samples).to(self._device),
            _N_FFT,
            _HOP,
            window=self._window,
            pad_mode="constant",
            return_complex=True,
        )
        low = spectrum[:, :BINS].abs().transpose(1, 2)[None] * (_USUAL / rms if rms > 0 else 1)
        low = low.contiguous(memory_format=torch.channels_last)
        share = shares(torch.stack([net(low)[0] for net in self._nets])).transpose(2, 3)
        above = share[:, :, _CARRIED].mean(dim=2, keepdim=True)
        share = torch.cat([share, above.expand(-1, -1, _N_FFT // 2 + 1 - BINS, -1)], dim=2)
        found = torch.istft(
            (share * spectrum).flatten(0, 1),
            _N_FFT,
            _HOP,
            window=self._window,
            length=samples.shape[-1],
        )
        answer: FloatArray = found.reshape(len(SOURCES), *samples.shape).cpu().numpy()
        return answer


def _network(weights: Mapping[str, Tensor]) -> UNet:
    net = UNet()
    net.load_state_dict(dict(weights))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval()
