"""Makes the sound of a plan, whole batches at a time, on the device that holds the clips.

What `engine.training.mixing` does to one clip after another, with the same numbers: speed by linear
interpolation, an equaliser, a room, places, levels, noise. See `engine.training.planning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.fft import next_fast_len

from engine.training.corpus import SAMPLE_RATE
from engine.training.losses import QUERIES, Batch, Truth
from engine.training.mixing import KNOTS, ROOM_DECAY

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from engine.training.planning import Plan

__all__ = ["Renderer"]

_GRAIN = 4096
"""Transforms come in multiples of about this length, so that few different ones are needed."""
_RINGING = 2048
"""Samples after a clip into which an equaliser may ring without coming round to its beginning."""
_LOWEST = 8.0  # bin up to which noise is flat


class Renderer:
    """Renders plans.

    Parameters
    ----------
    samples
        int16 ``(samples,)``, of all clips, on the device.
    frames
        Samples of a mixture.

    """

    def __init__(self, samples: Tensor, frames: int) -> None:
        self._samples = samples
        self._frames = frames
        self._device = samples.device
        self._curves: dict[int, Tensor] = {}

    @torch.no_grad()
    def render(self, plan: Plan) -> tuple[Batch, Truth]:
        """Return what a step learns from; ``Truth.meant`` holds the numbers of items."""
        generator = torch.Generator(self._device)
        generator.manual_seed(plan.seed)
        sources = self._placed(plan, self._changed(plan, self._clips(plan), generator))
        sources *= (self._put(plan.level) / (_rms(sources) + 1e-9))[:, None]
        mixtures = torch.zeros(len(plan.jitter), self._frames, device=self._device)
        mixtures.index_add_(0, self._put(plan.mixture), sources)
        self._add_noise(plan, mixtures, generator)
        targets = torch.zeros(len(plan.vectors), self._frames, device=self._device)
        items, fitting = self._put(plan.fitting).unbind(1)
        targets.index_add_(0, items, sources[fitting])
        whole = self._put(plan.whole)
        targets[whole] = mixtures[whole // QUERIES]
        present = np.zeros(len(plan.vectors), np.float32)
        present[plan.fitting[:, 0]] = 1
        present[plan.whole] = 1
        return (
            Batch(mixtures, targets, self._put(plan.vectors), self._put(plan.jitter)),
            Truth(self._put(present), self._put(plan.meant)),
        )

    def _put(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _clips(self, plan: Plan) -> Tensor:
        """Return each clip at its speed, ``(sources, longest)``; silence follows."""
        time = torch.arange(int(plan.heard.max()), device=self._device)
        place = time * self._put(plan.speed)[:, None]
        whole = place.floor()
        share = (place - whole).float()
        index = whole.long() + self._put(plan.start)[:, None]
        last = len(self._samples) - 1
        clips = self._samples[index.clamp_max_(last)].float()
        clips += share * (self._samples[(index + 1).clamp_max_(last)].float() - clips)
        clips *= time < self._put(plan.heard)[:, None]
        return clips / 32768

    def _changed(self, plan: Plan, clips: Tensor, generator: torch.Generator) -> Tensor:
        """Send clips through an equaliser and a room where wanted, ``(sources, longest)``."""
        rows = np.flatnonzero(plan.tone.any(1) | (plan.room > 0))
        longest = int(plan.size.max())
        out = torch.nn.functional.pad(clips, (0, longest - clips.shape[1]))
        if not rows.size:
            return out
        needed = int((plan.heard + plan.room)[rows].max()) + _RINGING
        size = next_fast_len(-(-needed // _GRAIN) * _GRAIN, real=True)
        chosen = self._put(rows)
        spectra = torch.fft.rfft(clips[chosen], size)
        curve = self._put(plan.tone[rows]) @ self._curve(size)
        spectra *= 10 ** (curve / 20)
        echoing = np.flatnonzero(plan.room[rows] > 0)
        if echoing.size:
            room = self._rooms(plan.room[rows][echoing], plan.wet[rows][echoing], generator)
            spectra[self._put(echoing)] *= torch.fft.rfft(room, size)
        found = torch.fft.irfft(spectra, size)[:, :longest]
        time = torch.arange(found.shape[1], device=self._device)
        found *= time < self._put(plan.size[rows])[:, None]
        out[chosen, : found.shape[1]] = found
        return out

    def _curve(self, size: int) -> Tensor:
        """Return what each knot of an equaliser contributes to each bin, ``(knots, bins)``."""
        if size not in self._curves:
            frequency = np.log(np.fft.rfftfreq(size, 1 / SAMPLE_RATE) + 1)
            curves = [np.interp(frequency, KNOTS, one) for one in np.eye(KNOTS.size)]
            self._curves[size] = self._put(np.stack(curves).astype(np.float32))
        return self._curves[size]

    def _rooms(
        self, lengths: NDArray[np.int64], wet: NDArray[np.float32], generator: torch.Generator
    ) -> Tensor:
        """Draw answers of rooms, ``(rooms, longest)``: the direct sound, then noise that decays."""
        longest = int(lengths.max())
        length = self._put(lengths)[:, None]
        time = torch.arange(longest, device=self._device)
        room = torch.randn(
            len(lengths), longest, generator=generator, device=self._device
        ) * torch.exp(-time * (ROOM_DECAY / length))
        room *= time < length
        room *= self._put(wet)[:, None] / (room.norm(dim=1, keepdim=True) + 1e-9)
        room[:, 0] = 1
        return room

    def _placed(self, plan: Plan, clips: Tensor) -> Tensor:
        """Cut, place or repeat each clip, ``(sources, frames)``."""
        frames = self._frames
        time = torch.arange(frames, device=self._device).expand(len(clips), -1).contiguous()
        onsets = self._put(plan.onsets)
        turn = torch.searchsorted(onsets, time, right=True) - 1
        begun = turn >= 0
        turn = turn.clamp_min_(0)
        index = time - onsets.gather(1, turn)
        sounding = begun & (index < self._put(plan.size)[:, None])
        gains = self._put(plan.gains).gather(1, turn) * sounding
        return clips.gather(1, index.clamp_(0, clips.shape[1] - 1)) * gains

    def _add_noise(self, plan: Plan, mixtures: Tensor, generator: torch.Generator) -> None:
        rows = np.flatnonzero(plan.noise)
        if not rows.size:
            return
        chosen = self._put(rows)
        white = torch.randn(len(rows), self._frames, generator=generator, device=self._device)
        spectra = torch.fft.rfft(white)
        bins = torch.arange(spectra.shape[1], device=self._device).clamp_min(_LOWEST)
        spectra *= bins ** -self._put(plan.slope[rows])[:, None]
        noise = torch.fft.irfft(spectra, self._frames)
        level = self._put(plan.noise[rows]) * _rms(mixtures[chosen]) / _rms(noise)
        mixtures[chosen] += level[:, None] * noise


def _rms(audio: Tensor) -> Tensor:
    return audio.square().mean(1).sqrt()
