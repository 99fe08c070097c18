"""When a query's sound is there: the values that a separation leaves, in bounded memory.

A model answers block by block. The blocks of a long recording are taken together, as many to a
value as keeps the number of values within `VALUES`; a value is that of its likeliest block. How
many there are depends on the length alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.models.base import FloatArray, FrameGrid

__all__ = ["VALUES", "CertaintyGrid"]

VALUES = 2000
"""Values for each query at most."""


@dataclass(frozen=True)
class CertaintyGrid:
    """Where the values lie.

    Attributes
    ----------
    frame_grid
        Of the model.
    frames
        Model frames of the whole mixture.

    """

    frame_grid: FrameGrid
    frames: int

    @property
    def _blocks(self) -> int:
        return -(-self.frames // self.frame_grid.block)

    @property
    def _together(self) -> int:
        """Blocks to a value."""
        return max(1, -(-self._blocks // VALUES))

    @property
    def values(self) -> int:
        """Number of values for each query."""
        return -(-self._blocks // self._together)

    @property
    def step(self) -> float:
        """Seconds from one value to the next."""
        grid = self.frame_grid
        return self._together * grid.block * grid.hop / grid.sample_rate

    def nothing(self, queries: int) -> FloatArray:
        """Return the values before the first frame, `(queries, values)`."""
        return np.zeros((queries, self.values), np.float32)

    def raised(self, certainty: FloatArray, start: int, presence: FloatArray) -> FloatArray:
        """Return the values with what was found from the frame `start` on in them.

        Parameters
        ----------
        certainty
            `(queries, values)` so far.
        start
            Frame at which the first block begins.
        presence
            `(queries, blocks)` that a model returned.

        """
        out: FloatArray = certainty.copy()
        first = start // self.frame_grid.block
        index = (first + np.arange(presence.shape[1])) // self._together
        for row, found in zip(out, presence, strict=True):
            np.maximum.at(row, index, found)
        return out

    def of_maximum(self, presence: FloatArray, done: int) -> FloatArray:
        """Return values of which only the maximum over the first `done` frames is known."""
        out = self.nothing(len(presence))
        out[:, : -(-done // (self.frame_grid.block * self._together))] = presence[:, None]
        return out
