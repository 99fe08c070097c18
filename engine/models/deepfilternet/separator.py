"""DeepFilterNet3 as a separator: speech, and everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import BadQuery
from engine.models.base import ChunkGrid, FloatArray, FrameGrid
from engine.models.deepfilternet import wheel
from engine.models.deepfilternet.filterbank import SAMPLE_RATE
from engine.models.deepfilternet.network import Network
from engine.models.deepfilternet.stream import DELAY, Memory, speech
from engine.models.deepfilternet.weights import network_from
from engine.models.torch_threads import torch_threads
from engine.taxonomy.speech import Share, share_of

__all__ = ["DeepFilterNet", "load"]

CHUNK = 2 * SAMPLE_RATE
"""Samples that are separated at a time; the memory goes on from one to the next."""
LEVEL = 0.1
"""RMS to which a clip is brought for the network: -20 dBFS, the best of levels 5 dB apart."""
N_FFT, GRID_HOP = 3072, 960


class DeepFilterNet:
    """A :class:`engine.models.base.RememberingSeparator` for speech."""

    name = "deepfilternet"
    sources = ("speech", "everything else")
    channels = 1

    def __init__(self, network: Network) -> None:
        self.network = network
        self.frame_grid = FrameGrid(SAMPLE_RATE, N_FFT, GRID_HOP, block=1, context=100, core=1000)
        self.chunk_grid = ChunkGrid(np.ones(CHUNK, np.float32), hop=CHUNK, latency=DELAY)

    def embed(self, query: str) -> FloatArray:
        """Return how much of speech, and of everything else, the query asks for: ``(2,)``.

        Raises
        ------
        BadQuery
            It describes neither; the message says what does.

        """
        share = share_of(query)
        if share is None:
            raise BadQuery(
                f"The model {self.name} tells speech from everything else and nothing finer: ask "
                "for 'speech' or for 'background noise', or choose another model for "
                f"{query[:60]!r}, as 'tweeze models' lists them."
            )
        return np.array(
            [share is Share.SPEECH, share is Share.REST],
            np.float32,
        )

    def sources_of(self, samples: FloatArray, rms: float) -> FloatArray:
        """Separate a clip's first chunk, ``(1, length)``: ``(2, 1, length)``, `DELAY` late."""
        return self.sources_after(samples, rms, None)[0]

    def sources_after(
        self, samples: FloatArray, rms: float, memory: object
    ) -> tuple[FloatArray, Memory]:
        """Do what `sources_of` does behind another chunk; see `RememberingSeparator`."""
        if isinstance(memory, Memory):
            new = samples[0, DELAY:]  # what comes before was the end of the last chunk
        else:
            memory, new = Memory.none(), samples[0]
        gain = LEVEL / rms if rms > 0 else 1.0
        # The recurrent layers' steps are too small to be shared: on two threads they took as long
        # where both had a core, and ten times as long where other programs had a share of it.
        with torch_threads(1):
            found, memory = speech(self.network, new * np.float32(gain), memory)
        out = np.zeros((2, *samples.shape), np.float32)
        out[0, 0, samples.shape[1] - len(found) :] = found / np.float32(gain)
        out[1, 0, DELAY:] = samples[0, :-DELAY] - out[0, 0, DELAY:]
        return out, memory


def load(path: Path) -> DeepFilterNet:
    """Load the network from the wheel's archive.

    Raises
    ------
    ModelBroken
        The archive is damaged, or not the published one.

    """
    return DeepFilterNet(network_from(wheel.read(path)))
