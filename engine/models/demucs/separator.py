"""htdemucs as a separator: its segments as chunks, and words for its stems."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from engine.errors import BadQuery
from engine.models.base import ChunkGrid, FloatArray, FrameGrid
from engine.models.demucs.network import SAMPLES, SOURCES, HTDemucs
from engine.models.device import device
from engine.models.torch_threads import torch_threads
from engine.taxonomy.stems import stem_of

__all__ = ["Demucs"]

_STEP = SAMPLES - SAMPLES // 4  # the published overlap, a quarter


def _triangle() -> FloatArray:
    rising = np.arange(1, SAMPLES // 2 + 1, dtype=np.float32)
    window: FloatArray = np.concatenate([rising, rising[::-1]]) / np.float32(SAMPLES // 2)
    return window


class Demucs:
    """A `WaveformSeparator` of four sources: drums, bass, other and vocals.

    Parameters
    ----------
    name
        Name in the catalogue.
    weights
        Those of `HTDemucs`.

    """

    sources = SOURCES
    channels = 2
    frame_grid = FrameGrid(44_100, 4096, 1024, block=1, context=64, core=252)
    chunk_grid = ChunkGrid(_triangle(), _STEP)

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        self.name = name
        self._device = device()
        net = HTDemucs()
        net.load_state_dict({key: value.float() for key, value in weights.items()})
        self._net = net.eval().to(self._device)

    def embed(self, query: str) -> FloatArray:
        """Return `(4,)`: the sources that the query asks for; BadQuery if it asks for none.

        The accompaniment is all but the vocals.

        >>> Demucs.embed(None, "the drum kit"), Demucs.embed(None, "karaoke")
        (array([1., 0., 0., 0.], dtype=float32), array([1., 1., 1., 0.], dtype=float32))
        """
        stem = stem_of(query)
        if stem is None:
            raise BadQuery(
                "This model separates 'drums', 'bass', 'other', 'vocals' and 'accompaniment', and "
                f"{query[:60]!r} is none of them: ask for one, or choose another model with "
                "--model."
            )
        wanted = set(SOURCES) - {"vocals"} if stem == "accompaniment" else {stem}
        return np.array([source in wanted for source in SOURCES], np.float32)

    @torch.inference_mode()
    @torch_threads()
    def sources_of(self, samples: FloatArray, rms: float) -> FloatArray:
        """Separate a chunk; see `engine.models.base.WaveformSeparator`.

        As its publishers do, the clip is brought to an RMS of 1, and its sources back.
        """
        gain = rms if rms > 0 else 1.0
        heard = torch.from_numpy(samples)[None].to(self._device) / gain
        answer: FloatArray = (self._net(heard)[0] * gain).cpu().numpy()
        return answer
