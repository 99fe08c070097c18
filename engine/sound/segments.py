"""Where a clip is cut into segments: a plan that depends on its length alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.models.base import FrameGrid
from engine.sound import memory

__all__ = ["Segment", "core", "plan"]


@dataclass(frozen=True)
class Segment:
    """Model frames `[start, stop)` which are kept, out of `[first, last)` which the model sees."""

    start: int
    stop: int
    first: int
    last: int


def plan(frames: int, frame_grid: FrameGrid, reduction: int = 0) -> tuple[Segment, ...]:
    """Cut a clip of `frames` model frames into segments of about equal length, `core` at most.

    With a `reduction`, each of those is cut into shorter ones: they take less memory, and what
    was finished before the reduction ends where one of them does.

    >>> frame_grid = FrameGrid(32000, 2048, 640, block=16, context=16, core=64)
    >>> plan(100, frame_grid)
    (Segment(start=0, stop=64, first=0, last=80), Segment(start=64, stop=100, first=48, last=100))
    >>> [segment.stop for segment in plan(100, frame_grid, reduction=1)]
    [16, 32, 48, 64, 80, 96, 100]
    """
    count = math.ceil(frames / frame_grid.core)
    per_segment = math.ceil(math.ceil(frames / frame_grid.block) / count) * frame_grid.block
    piece = min(per_segment, core(frame_grid, reduction))
    cuts = [
        start
        for whole in range(0, frames, per_segment)
        for start in range(whole, min(whole + per_segment, frames), piece)
    ]
    return tuple(
        Segment(
            start,
            stop,
            max(0, start - frame_grid.context),
            min(stop + frame_grid.context, frames),
        )
        for start, stop in zip(cuts, [*cuts[1:], frames], strict=True)
    )


def core(frame_grid: FrameGrid, reduction: int) -> int:
    """Return how many frames a segment holds at most, without its context."""
    return memory.reduced(frame_grid.core, frame_grid.block, frame_grid.context, reduction)
