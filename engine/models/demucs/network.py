"""The network of htdemucs: a U-Net over the spectrum beside one over the waveform.

Either has four levels that shrink by 4, the spectrum's over frequency, the waveform's over time;
between them a transformer lets both look at each other (`transformer.py`). Their answers are added
up. Module names are those of the published checkpoint, so that a state fits as it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.demucs.transformer import WIDTH, CrossTransformer, Scale

__all__ = ["SAMPLES", "SOURCES", "HTDemucs"]

SAMPLES = 343_980
"""Samples that the network takes at a time: 7.8 s at 44.1 kHz."""
SOURCES = ("drums", "bass", "other", "vocals")
"""What it separates, in the order of its answer."""
_CHANNELS = 2
_N_FFT, _HOP = 4096, 1024
_MARGIN = 3 * _HOP // 2  # samples before the first frame's first whole hop
_WIDTHS = (48, 96, 192, 384)
_KERNEL, _STRIDE, _PAD = 8, 4, 2
_BANDS = _N_FFT // 2 // _STRIDE  # after the first level
_EMBEDDED = 0.2 * 10  # how much of the bands' embedding is added, times its own scale
_NOTHING = 1e-5


class _Branches(nn.Module):
    """Two dilated residual branches over time, narrow in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 8
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, narrow, 3, dilation=dilation, padding=dilation),
                nn.GroupNorm(1, narrow),
                nn.GELU(),
                nn.Conv1d(narrow, 2 * channels, 1),
                nn.GroupNorm(1, 2 * channels),
                nn.GLU(1),
                Scale(channels),
            )
            for dilation in (1, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        bands = x.shape[2] if x.dim() == 4 else 0
        if bands:  # each band is a sequence of its own
            x = x.transpose(1, 2).flatten(0, 1)
        for layer in self.layers:
            x = x + layer(x)
        return torch.unflatten(x, 0, (-1, bands)).transpose(1, 2) if bands else x


class _Encoder(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, bins: bool) -> None:
        super().__init__()
        if bins:
            self.conv: nn.Module = nn.Conv2d(inputs, outputs, (_KERNEL, 1), (_STRIDE, 1), (_PAD, 0))
            self.rewrite: nn.Module = nn.Conv2d(outputs, 2 * outputs, 1)
        else:
            self.conv = nn.Conv1d(inputs, outputs, _KERNEL, _STRIDE, _PAD)
            self.rewrite = nn.Conv1d(outputs, 2 * outputs, 1)
        self.dconv = _Branches(outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            x = functional.pad(x, (0, -x.shape[-1] % _STRIDE))
        return functional.glu(self.rewrite(self.dconv(functional.gelu(self.conv(x)))), dim=1)


class _Decoder(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, bins: bool, last: bool) -> None:
        super().__init__()
        if bins:
            self.rewrite: nn.Module = nn.Conv2d(inputs, 2 * inputs, 3, padding=1)
            self.conv_tr: nn.Module = nn.ConvTranspose2d(
                inputs, outputs, (_KERNEL, 1), (_STRIDE, 1)
            )
        else:
            self.rewrite = nn.Conv1d(inputs, 2 * inputs, 3, padding=1)
            self.conv_tr = nn.ConvTranspose1d(inputs, outputs, _KERNEL, _STRIDE)
        self.dconv = _Branches(inputs)
        self._last = last

    def forward(self, x: Tensor, across: Tensor, length: int) -> Tensor:
        """Return the next level's input; `length` is that of bins or samples there."""
        x = self.conv_tr(self.dconv(functional.glu(self.rewrite(x + across), dim=1)))
        x = x.narrow(2, _PAD, length)
        return x if self._last else functional.gelu(x)


class _Bands(nn.Module):
    """An embedding of where in frequency a band lies."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_BANDS, _WIDTHS[0])

    def forward(self) -> Tensor:
        return _EMBEDDED * self.embedding.weight.t()[None, :, :, None]


class HTDemucs(nn.Module):
    """Separates `(batch, 2, SAMPLES)` into `(batch, 4, 2, SAMPLES)`."""

    def __init__(self) -> None:
        super().__init__()
        first = (_CHANNELS, *_WIDTHS[:-1])
        complex_first = (2 * _CHANNELS, *_WIDTHS[:-1])
        levels = range(len(_WIDTHS))
        self.encoder = nn.ModuleList(
            _Encoder(complex_first[n], _WIDTHS[n], bins=True) for n in levels
        )
        self.tencoder = nn.ModuleList(_Encoder(first[n], _WIDTHS[n], bins=False) for n in levels)
        answers = len(SOURCES) * _CHANNELS
        self.decoder = nn.ModuleList(
            _Decoder(_WIDTHS[n], _WIDTHS[n - 1] if n else 2 * answers, bins=True, last=not n)
            for n in reversed(levels)
        )
        self.tdecoder = nn.ModuleList(
            _Decoder(_WIDTHS[n], _WIDTHS[n - 1] if n else answers, bins=False, last=not n)
            for n in reversed(levels)
        )
        self.freq_emb = _Bands()
        self.channel_upsampler = nn.Conv1d(_WIDTHS[-1], WIDTH, 1)
        self.channel_downsampler = nn.Conv1d(WIDTH, _WIDTHS[-1], 1)
        self.channel_upsampler_t = nn.Conv1d(_WIDTHS[-1], WIDTH, 1)
        self.channel_downsampler_t = nn.Conv1d(WIDTH, _WIDTHS[-1], 1)
        self.crosstransformer = CrossTransformer()

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the sources of `mixture`; shapes as above, or with other numbers of samples."""
        x, spread, centre = _normalised(_spectrum(mixture))
        y, spread_t, centre_t = _normalised(mixture)
        across, across_t = [], []
        bins, lengths = [], []
        for level, (encode, encode_t) in enumerate(zip(self.encoder, self.tencoder, strict=True)):
            bins.append(x.shape[2])
            lengths.append(y.shape[2])
            x, y = encode(x), encode_t(y)
            if level == 0:
                x = x + self.freq_emb()
            across.append(x)
            across_t.append(y)
        x, y = self._middle(x, y)
        for decode, decode_t in zip(self.decoder, self.tdecoder, strict=True):
            x = decode(x, across.pop(), bins.pop())
            y = decode_t(y, across_t.pop(), lengths.pop())
        x = torch.unflatten(x, 1, (len(SOURCES), -1)) * spread[:, None] + centre[:, None]
        y = torch.unflatten(y, 1, (len(SOURCES), -1)) * spread_t[:, None] + centre_t[:, None]
        return y + _waveform(x, mixture.shape[-1])

    def _middle(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        bands = x.shape[2:]
        x = torch.unflatten(self.channel_upsampler(x.flatten(2)), 2, bands)
        x, y = self.crosstransformer(x, self.channel_upsampler_t(y))
        x = torch.unflatten(self.channel_downsampler(x.flatten(2)), 2, bands)
        return x, self.channel_downsampler_t(y)


def _normalised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return `x` with mean 0 and deviation 1, its deviation, and its mean."""
    over = tuple(range(1, x.dim()))
    centre = x.mean(dim=over, keepdim=True)
    spread = x.std(dim=over, keepdim=True)
    return (x - centre) / (_NOTHING + spread), spread, centre


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(_N_FFT, device=like.device)


def _spectrum(mixture: Tensor) -> Tensor:
    """Return `(batch, channels * 2, 2048, frames)`: real and imaginary parts of each channel.

    One frame for each hop, without the highest bin.
    """
    frames = math.ceil(mixture.shape[-1] / _HOP)
    more = frames * _HOP - mixture.shape[-1]
    padded = functional.pad(mixture, (_MARGIN, _MARGIN + more), mode="reflect")
    found = torch.stft(
        padded.flatten(0, 1),
        _N_FFT,
        _HOP,
        window=_window(mixture),
        normalized=True,
        return_complex=True,
    )[:, :-1, 2 : 2 + frames]
    parts = torch.view_as_real(found).permute(0, 3, 1, 2)
    return torch.unflatten(parts, 0, mixture.shape[:2]).flatten(1, 2)


def _waveform(parts: Tensor, samples: int) -> Tensor:
    """Turn `(batch, sources, channels * 2, 2048, frames)` back into samples."""
    pairs = torch.unflatten(parts, 2, (-1, 2)).permute(0, 1, 2, 4, 5, 3).contiguous()
    spectrum = functional.pad(torch.view_as_complex(pairs), (2, 2, 0, 1))
    found = torch.istft(
        spectrum.flatten(0, 2),
        _N_FFT,
        _HOP,
        window=_window(parts),
        normalized=True,
        length=_HOP * parts.shape[-1] + 2 * _MARGIN,
    )
    return torch.unflatten(found[:, _MARGIN : _MARGIN + samples], 0, spectrum.shape[:3])
