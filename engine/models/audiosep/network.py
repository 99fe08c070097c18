"""The separation network of AudioSep (ResUNet30), folded for inference.

The published network is a U-Net of pre-activation blocks, each of which a query steers by adding
a vector after the batch norm (FiLM without gain): `conv(leaky_relu(bn(x) + beta))`. `shapes`
lists the tensors of a published checkpoint; `fold` turns them into those of `Network`, which
computes the same function with less work:

* the second batch norm of a block is a scale in the weights and a shift in the bias of the
  convolution before it;
* the last block's second convolution and its shortcut are composed with the 1x1 convolution that
  follows them (32 -> 3 channels);
* the DFT matrices of the published transforms are not needed, the segmenter has an FFT;
* every shift that depends on the query stands in one vector, which is an input: one compiled
  network serves every query.

Published code: https://github.com/Audio-AGI/AudioSep (MIT), `models/resunet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import ComplexArray, FloatArray

__all__ = [
    "BINS",
    "BLOCK",
    "CONDITION",
    "N_FFT",
    "Network",
    "complex_mask",
    "fold",
    "shapes",
    "shift_count",
]

N_FFT = 2048
BINS = 1024  # the network sees no bin at half the sample rate
BLOCK = 32  # frames; what five poolings of two make of one
CONDITION = 512  # dimensions of a query's embedding
_WIDTH = 32
_SLOPE = 0.01
_BN_EPS = 1e-5

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Level:
    """One block of the U-Net: its published name, channels, and pooling (frames, bins)."""

    name: str
    inputs: int
    outputs: int
    pool: tuple[int, int]


_ENCODER = (
    _Level("encoder_block1", 32, 32, (2, 2)),
    _Level("encoder_block2", 32, 64, (2, 2)),
    _Level("encoder_block3", 64, 128, (2, 2)),
    _Level("encoder_block4", 128, 256, (2, 2)),
    _Level("encoder_block5", 256, 384, (2, 2)),
    _Level("encoder_block6", 384, 384, (1, 2)),
    _Level("conv_block7a", 384, 384, (1, 1)),
)
_DECODER = (
    _Level("decoder_block1", 384, 384, (1, 2)),
    _Level("decoder_block2", 384, 384, (2, 2)),
    _Level("decoder_block3", 384, 256, (2, 2)),
    _Level("decoder_block4", 256, 128, (2, 2)),
    _Level("decoder_block5", 128, 64, (2, 2)),
    _Level("decoder_block6", 64, 32, (2, 2)),
)


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all tensors of the published separation network.

    This holds what inference does not need (transforms, counters, the decoders' unused `bn2`) as
    well, since a checkpoint which lacks it is another one.
    """
    found: dict[str, tuple[int, ...]] = {
        "base.stft.conv_real.weight": (N_FFT // 2 + 1, 1, N_FFT),
        "base.stft.conv_imag.weight": (N_FFT // 2 + 1, 1, N_FFT),
        "base.istft.ola_window": (N_FFT,),
        "base.istft.conv_real.weight": (N_FFT, N_FFT, 1),
        "base.istft.conv_imag.weight": (N_FFT, N_FFT, 1),
        "base.pre_conv.weight": (_WIDTH, 1, 1, 1),
        "base.pre_conv.bias": (_WIDTH,),
        "base.after_conv.weight": (3, _WIDTH, 1, 1),
        "base.after_conv.bias": (3,),
    }

    def norm(name: str, channels: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            found[f"base.{name}.{leaf}"] = (channels,)
        found[f"base.{name}.num_batches_tracked"] = ()

    def film(name: str, channels: int) -> None:
        found[f"film.{name}.weight"] = (channels, CONDITION)
        found[f"film.{name}.bias"] = (channels,)

    def steered(name: str, first: int, second: int) -> None:
        norm(f"{name}.bn1", first)
        norm(f"{name}.bn2", second)
        film(f"{name.replace('.', '->')}->beta1", first)
        film(f"{name.replace('.', '->')}->beta2", second)

    def block(name: str, inputs: int, outputs: int) -> None:
        steered(name, inputs, outputs)
        found[f"base.{name}.conv1.weight"] = (outputs, inputs, 3, 3)
        found[f"base.{name}.conv2.weight"] = (outputs, outputs, 3, 3)
        if inputs != outputs:
            found[f"base.{name}.shortcut.weight"] = (outputs, inputs, 1, 1)
            found[f"base.{name}.shortcut.bias"] = (outputs,)

    norm("bn0", N_FFT // 2 + 1)
    for level in _ENCODER:
        block(f"{level.name}.conv_block1", level.inputs, level.outputs)
    for level in _DECODER:
        steered(level.name, level.inputs, level.inputs)
        found[f"base.{level.name}.conv1.weight"] = (level.inputs, level.outputs, *level.pool)
        block(f"{level.name}.conv_block2", 2 * level.outputs, level.outputs)
    return found


def _sites() -> Iterator[tuple[str, int]]:
    """Yield, in the order of the shift vector, each steered batch norm's name and channels."""
    for level in _ENCODER:
        yield f"{level.name}.conv_block1.bn1", level.inputs
        yield f"{level.name}.conv_block1.bn2", level.outputs
    for level in _DECODER:
        yield f"{level.name}.bn1", level.inputs
        yield f"{level.name}.conv_block2.bn1", 2 * level.outputs
        yield f"{level.name}.conv_block2.bn2", level.outputs


def shift_count() -> int:
    """Return the length of the shift vector, 8256."""
    return sum(channels for _, channels in _sites())


def _affine(tensors: Tensors, norm: str) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a batch norm, computed in double precision."""
    weight, bias, mean, variance = (
        tensors[f"base.{norm}.{leaf}"].double()
        for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / torch.sqrt(variance + _BN_EPS)
    return scale, bias - scale * mean


def fold(tensors: Tensors) -> dict[str, Tensor]:
    """Return the state of `Network` from the tensors that `shapes` lists."""
    state: dict[str, Tensor] = {}

    def put(name: str, value: Tensor) -> None:
        state[name] = value.float().contiguous()

    scale, shift = _affine(tensors, "bn0")
    put("input_scale", scale[:BINS])
    put("input_shift", shift[:BINS])
    put("pre_scale", tensors["base.pre_conv.weight"].reshape(-1))
    put("pre_shift", tensors["base.pre_conv.bias"])
    films = [f"film.{norm.replace('.', '->').replace('bn', 'beta')}" for norm, _ in _sites()]
    put("film.weight", torch.cat([tensors[f"{film}.weight"] for film in films]))
    put("film.bias", torch.cat([tensors[f"{film}.bias"] for film in films]))
    put("norm_shift", torch.cat([_affine(tensors, norm)[1] for norm, _ in _sites()]))

    blocks = {f"encoder.{i}": f"{level.name}.conv_block1" for i, level in enumerate(_ENCODER)}
    blocks |= {f"decoder.{i}": f"{level.name}.conv_block2" for i, level in enumerate(_DECODER)}
    for ours, theirs in blocks.items():
        put(f"{ours}.scale", _affine(tensors, f"{theirs}.bn1")[0])
        second = _affine(tensors, f"{theirs}.bn2")[0]
        first = tensors[f"base.{theirs}.conv1.weight"].double()
        put(f"{ours}.conv1", first * second[:, None, None, None])
        put(f"{ours}.conv2", tensors[f"base.{theirs}.conv2.weight"])
        if f"base.{theirs}.shortcut.weight" in tensors:
            put(f"{ours}.shortcut.weight", tensors[f"base.{theirs}.shortcut.weight"])
            put(f"{ours}.shortcut.bias", tensors[f"base.{theirs}.shortcut.bias"])
    for i, level in enumerate(_DECODER):
        put(f"up.{i}.scale", _affine(tensors, f"{level.name}.bn1")[0])
        put(f"up.{i}.conv", tensors[f"base.{level.name}.conv1.weight"])

    last = f"decoder.{len(_DECODER) - 1}"
    after = tensors["base.after_conv.weight"].double()[:, :, 0, 0]
    for name in ("conv2", "shortcut.weight"):
        composed = torch.einsum("om,mikl->oikl", after, state[f"{last}.{name}"].double())
        put(f"{last}.{name}", composed)
    bias = after @ state[f"{last}.shortcut.bias"].double()
    put(f"{last}.shortcut.bias", bias + tensors["base.after_conv.bias"].double())
    return state


class _Block(nn.Module):
    """A steered pre-activation block; `outputs` differs from `width` where one is composed."""

    def __init__(self, inputs: int, width: int, outputs: int, *, shortcut: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(inputs))
        self.conv1 = nn.Parameter(torch.empty(width, inputs, 3, 3))
        self.conv2 = nn.Parameter(torch.empty(outputs, width, 3, 3))
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if shortcut else None

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        h = functional.leaky_relu(_affined(x, self.scale, first), _SLOPE, inplace=True)
        h = functional.leaky_relu(
            functional.conv2d(h, self.conv1, second, padding=1), _SLOPE, inplace=True
        )
        h = functional.conv2d(h, self.conv2, padding=1)
        return h + (x if self.shortcut is None else self.shortcut(x))


class _Up(nn.Module):
    """A steered activation and a transposed convolution whose stride is its kernel."""

    def __init__(self, level: _Level) -> None:
        super().__init__()
        self.stride = level.pool
        self.scale = nn.Parameter(torch.empty(level.inputs))
        self.conv = nn.Parameter(torch.empty(level.inputs, level.outputs, *level.pool))

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        h = functional.leaky_relu(_affined(x, self.scale, shift), _SLOPE, inplace=True)
        return functional.conv_transpose2d(h, self.conv, stride=self.stride)


def _affined(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift[None, :, None, None], x, scale[None, :, None, None])


class Network(nn.Module):
    """The folded U-Net; its state is what `fold` returns."""

    def __init__(self) -> None:
        super().__init__()
        self.input_scale = nn.Parameter(torch.empty(BINS))
        self.input_shift = nn.Parameter(torch.empty(BINS))
        self.pre_scale = nn.Parameter(torch.empty(_WIDTH))
        self.pre_shift = nn.Parameter(torch.empty(_WIDTH))
        self.film = nn.Linear(CONDITION, shift_count())
        self.norm_shift = nn.Parameter(torch.empty(shift_count()))
        self.encoder = nn.ModuleList(
            _Block(
                level.inputs, level.outputs, level.outputs, shortcut=level.inputs != level.outputs
            )
            for level in _ENCODER
        )
        self.up = nn.ModuleList(_Up(level) for level in _DECODER)
        self.decoder = nn.ModuleList(
            _Block(
                2 * lv.outputs, lv.outputs, 3 if lv is _DECODER[-1] else lv.outputs, shortcut=True
            )
            for lv in _DECODER
        )
        self.requires_grad_(False)

    @classmethod
    def from_state(cls, state: Tensors) -> Network:
        """Return the network that holds `state`, without copying it."""
        with torch.device("meta"):
            network = cls()
        network.load_state_dict(dict(state), assign=True)
        return network.requires_grad_(False).eval()

    def shifts(self, condition: Tensor) -> Tensor:
        """Return the shift vector, shape `(8256,)`, of one embedding `(512,)`."""
        vector: Tensor = self.film(condition) + self.norm_shift
        return vector

    def betas(self, condition: Tensor) -> dict[str, Tensor]:
        """Return the published FiLM vectors of one embedding `(512,)` by their published names."""
        parts = torch.split(self.film(condition), [channels for _, channels in _sites()])
        names = [norm.replace("bn", "beta") for norm, _ in _sites()]
        return dict(zip(names, parts, strict=True))

    def forward(self, spectrum: Tensor, shifts: Tensor, keep: Tensor) -> Tensor:
        """Return the mask's three logits, shape `(batch, 3, stop - start, 1024)`.

        The encoder runs over the whole segment. What of its context the decoder needs shrinks
        from level to level, so each level is cut to that: a decoder level which ran over the
        context as well would be two thirds of the context's cost and most of its memory.

        Parameters
        ----------
        spectrum
            `(batch, 1, frames, 1024)`: normalised magnitudes (`input_scale`, `input_shift`), then
            padded with zeros to a multiple of 32 frames.
        shifts
            `(8256,)`: what `shifts` returns.
        keep
            `(2,)`, on the processor: the frames `start` and `stop` which are wanted, multiples
            of 32.

        """
        parts = iter(torch.split(shifts, [channels for _, channels in _sites()]))
        x = _affined(spectrum, self.pre_scale, self.pre_shift)
        skips = []
        for level, block in zip(_ENCODER, self.encoder, strict=True):
            x = block(x, next(parts), next(parts))
            if level is not _ENCODER[-1]:
                skips.append(x)
                x = functional.avg_pool2d(x, level.pool)
        stride, origin = BLOCK, torch.zeros_like(keep[0])
        for level, up, block in zip(_DECODER, self.up, self.decoder, strict=True):
            ratio = level.pool[0]
            stride //= ratio
            # A block reaches two frames of its level to either side, in whole frames of the
            # level below.
            reach = 2 if stride == 1 else 4
            start = torch.clamp(keep[0] // stride - reach, min=0)
            stop = keep[1] // stride + reach  # a slice ends where its tensor ends
            x = x[:, :, start // ratio - origin : stop // ratio - origin]
            skip = skips.pop()[:, :, start:stop]
            x = block(torch.cat((up(x, next(parts)), skip), 1), next(parts), next(parts))
            origin = start
        return x[:, :, keep[0] - origin : keep[1] - origin]


def complex_mask(logits: FloatArray) -> ComplexArray:
    """Return `sigmoid(a) * unit(tanh(b) + i tanh(c))` of logits `(3, frames, bins)`."""
    with np.errstate(over="ignore"):
        magnitude = 1 / (1 + np.exp(-logits[0]))
    real, imaginary = np.tanh(logits[1]), np.tanh(logits[2])
    magnitude /= np.maximum(np.sqrt(real * real + imaginary * imaginary), np.float32(1e-10))
    mask = np.empty(magnitude.shape, np.complex64)
    mask.real = magnitude * real
    mask.imag = magnitude * imaginary
    return mask
