"""How good an answer is, as training sees it: losses of masks and of presence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from engine.models.compact.heads import evidence, summarised
from engine.models.compact.network import VECTOR
from engine.training.transform import precision, stft

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.compact.heads import Heads

QUERIES = 2
"""Queries about each mixture."""
BEST_SNR_DB = 25.0
"""A target that is this clean earns nothing more."""
WORST_SHARE = 0.01
"""An answer that shares less than this with the target is as wrong as can be."""
SHAPE_SHARE = 0.75
"""Share of the scale-invariant ratio in the loss in dB."""
NEAR_DB = 3.0
"""A target that is less than this too loud or too quiet is as good as right: else a model that is
not sure would pass more of the mixture only to meet the level."""
QUIETEST = 0.003
"""Amplitude of a target, relative to what it is, below which quieter is hardly worse."""
COMPRESSION = 0.3
MAGNITUDE_WEIGHT = 3.0
SNR_WEIGHT = 0.1
PRESENCE_WEIGHT = 0.3


@dataclass(frozen=True)
class Batch:
    """What one step learns from; ``items`` are mixtures times queries."""

    mixtures: Tensor
    """``(mixtures, samples)``"""
    targets: Tensor
    """``(items, samples)``"""
    vectors: Tensor
    """``(items, dim)``, or ``(items, 2 * dim)`` with what the target must not hold."""
    jitter: Tensor
    """``(mixtures,)``: factor on the measured rms."""


@dataclass(frozen=True)
class Truth:
    """What is there in the mixtures of a step."""

    present: Tensor
    """``(items,)``: whether the sound of the query is there, 0 or 1."""
    meant: Tensor
    """``(items,)``: whether the query means anything."""


@dataclass(frozen=True)
class Spectra:
    """A batch as the network sees it, and what its masks are measured against."""

    mixture: Tensor
    """Complex ``(items, frames, bins)``, as is ``target``."""
    target: Tensor
    magnitude: Tensor
    """Of the mixture."""
    rms: Tensor
    """``(items,)``"""


def spectra_of(batch: Batch) -> Spectra:
    """Transform a batch."""
    mixture = stft(batch.mixtures).repeat_interleave(QUERIES, 0)
    rms = batch.mixtures.square().mean(1).sqrt() * batch.jitter
    return Spectra(mixture, stft(batch.targets), mixture.abs(), rms.repeat_interleave(QUERIES))


def mask_losses(mask: Tensor, spectra: Spectra) -> tuple[Tensor, Tensor]:
    """Return the magnitude loss and the loss in dB, both means over the batch.

    The first is L1 on magnitudes to the power 0.3. The second is mostly the negative
    scale-invariant ratio of signal to distortion on the STFT, levelling out at 25 dB and -20 dB:
    it makes a model that is not sure pass the mixture, where the plain signal-to-noise ratio would
    have it say nothing. Since that ratio does not see how loud the answer is, the rest is by how
    much more than 3 dB the target's own part of it is too loud or too quiet. Where the target is
    silence it is the level of what came out against the mixture's (Wisdom et al. 2021, FUSS).
    """
    shared = (spectra.mixture.conj() * spectra.target).real
    return real_losses(mask, spectra.magnitude, spectra.target.abs(), shared)


def real_losses(
    mask: Tensor, magnitude: Tensor, target: Tensor, shared: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `mask_losses` does, from real spectra alone; these compilers can work on.

    ``magnitude`` is the mixture's, ``target`` the target's magnitude, ``shared`` the real part of
    what the two spectra have in common; all ``(items, frames, bins)``.
    """
    mask = mask.float()
    level = magnitude.square().mean((1, 2), keepdim=True).sqrt() + 1e-8
    compressed = (magnitude / level * mask + 1e-5) ** COMPRESSION
    wanted = (target / level + 1e-5) ** COMPRESSION
    magnitude_loss = (compressed - wanted).abs().mean()
    # the mask is real, so all energies follow from three real spectra
    power = magnitude.square()
    energy = target.square().sum((1, 2))
    loud = (mask.square() * power).sum((1, 2))
    shared = (mask * shared).sum((1, 2))
    present = energy > 0
    best = 10 ** (-BEST_SNR_DB / 10)
    alike = shared.square() / (energy * loud + 1e-9)
    distortion = 10 * torch.log10(((1 - alike).clamp_min(0) + best) / (alike + WORST_SHARE))
    kept = 20 * torch.log10((shared / (energy + 1e-9)).clamp_min(0) + QUIETEST)
    passed = 10 * torch.log10(loud / (power.sum((1, 2)) + 1e-9) + best)
    off = (kept.abs() - NEAR_DB).clamp_min(0)
    shape = torch.where(present, SHAPE_SHARE * distortion + (1 - SHAPE_SHARE) * off, passed)
    return magnitude_loss, shape.mean()


def presence_loss(
    heads: Heads,
    heard: Tensor,
    passed: Tensor,
    vectors: Tensor,
    present: Tensor,
    absent: float = 0.5,
) -> Tensor:
    """Return the cross entropy of the likeliest blocks; ``present`` is ``(queries,)``, 0 or 1.

    ``absent`` is the share of the queries, over all of training, for what is not there: they weigh
    as much in all as the others, so that a probability has the same meaning whatever the share.
    """
    logits = heads.present(heard, passed, vectors).amax(1)
    weight = torch.where(present > 0, 0.5 / (1 - absent), 0.5 / absent)
    return functional.binary_cross_entropy_with_logits(logits, present, weight)


def step_losses(
    analyse: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    heads: Heads,
    batch: Batch,
    truth: Truth,
    block: int,
    absent: float,
    of_mask: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = real_losses,
) -> tuple[Tensor, Tensor]:
    """Return the loss of one step, and its parts ``(3,)``: magnitude, dB, presence.

    Parameters
    ----------
    analyse
        The network's: magnitudes, vectors and levels to masks and activations.
    heads
        Learn with it.
    batch, truth
        On one device.
    block
        Frames of a block of the network's coarsest activations.
    absent
        As in `presence_loss`.
    of_mask
        `real_losses`, or what a compiler made of it.

    """
    spectra = spectra_of(batch)
    with precision(batch.mixtures.device.type):
        mask, heard = analyse(spectra.magnitude, batch.vectors, spectra.rms)
    shared = (spectra.mixture.conj() * spectra.target).real
    magnitude, decibels = of_mask(mask, spectra.magnitude, spectra.target.abs(), shared)
    passed = evidence(mask.detach().float(), spectra.magnitude, block)
    presence = presence_loss(
        heads,
        summarised(heard)[truth.meant],
        passed[truth.meant],
        batch.vectors[truth.meant, :VECTOR],
        truth.present[truth.meant],
        absent,
    )
    loss = MAGNITUDE_WEIGHT * magnitude + SNR_WEIGHT * decibels + PRESENCE_WEIGHT * presence
    return loss, torch.stack([magnitude.detach(), decibels.detach(), presence.detach()])
