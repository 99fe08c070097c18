"""A recording cut into the stretches that a listener is given, in bounded memory.

Every sample of the recording lies in a window. Where stretches are cut depends on nothing but the
listener's grid, and does not matter: each has its context with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from engine.models.base import FloatArray, HearingGrid

__all__ = ["stretches"]

_STRETCH = 20.0  # seconds from one stretch to the next, about


def stretches(
    blocks: Iterable[FloatArray], grid: HearingGrid, *, seconds: float = _STRETCH
) -> Iterator[FloatArray]:
    """Cut a recording into what a `engine.models.base.Listener` takes.

    The windows of all stretches, one after the other, are those of the whole recording: window `w`
    begins at the sample `w * hop`. The last one may reach beyond the end.

    Parameters
    ----------
    blocks
        `(channels, frames)` each, at the grid's rate, one after the other; none of them yields
        nothing.
    grid
        The listener's.
    seconds
        How long a stretch is without its context, at least one window.

    Yields
    ------
    stretch
        `(channels, context + n + context)`, with zeros beyond the recording's ends.

    """
    windows = max(1, round(seconds * grid.sample_rate / grid.hop))
    length = _length(windows, grid)
    held: FloatArray | None = None
    done = 0  # windows so far
    frames = 0
    for block in blocks:
        if held is None:
            held = np.zeros((len(block), grid.context), np.float32)
        frames += block.shape[1]
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= length:
            yield held[:, :length]
            held = held[:, windows * grid.hop :]
            done += windows
    if held is None or not frames:
        return
    left = 1 + max(0, -(-(frames - grid.window) // grid.hop)) - done
    while left > 0:
        part = min(left, windows)
        short = max(0, _length(part, grid) - held.shape[1])
        padded = np.pad(held, ((0, 0), (0, short)))
        yield padded[:, : _length(part, grid)]
        held = held[:, part * grid.hop :]
        left -= part


def _length(windows: int, grid: HearingGrid) -> int:
    """Return the samples of a stretch of so many windows, context included."""
    return grid.context + (windows - 1) * grid.hop + grid.window + grid.context
