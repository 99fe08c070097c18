"""Ogg files: where one chained stream ends and the next begins, and whether the last is whole.

libsndfile reads the first stream of a chain, and stumbles over a page that was cut in two. Format:
RFC 3533.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.sound.decoders.base import Alive, Bytes, Layout, Part

__all__ = ["layout"]

_FIRST, _LAST = 2, 4  # of a page's flags: it begins or ends a logical stream


def layout(data: Bytes, alive: Alive = lambda: None) -> Layout | None:
    """Return the streams of a chain, without what is left of a last page; None if there is none."""
    parts: list[Part] = []
    start = stop = 0
    opening = True  # whether all pages so far were the first of their logical streams
    ended = True  # whether the page before said that its stream ends there
    cut = False
    for number, (at, size, flags) in enumerate(_pages(data)):
        if not number & 0xFFF:
            alive()
        if flags & _FIRST and not opening:
            parts.append(Part(start, stop))
            start, cut = at, cut or not ended
        opening, ended = bool(flags & _FIRST), bool(flags & _LAST)
        stop = at + size
    if not stop:
        return None
    parts.append(Part(start, stop))
    return Layout(tuple(parts), cut=cut or not ended)


def _pages(data: Bytes) -> Iterator[tuple[int, int, int]]:
    """Yield offset, size and flags of each page that is whole."""
    at = 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        flags, segments = data[at + 5], data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        end = at + size
        # A page that was cut off, with another file joined to it, seems to hold that one's first.
        cut = data[end : end + 4] != b"OggS" and data.find(b"OggS", at + 4, end) >= 0
        if data[at + 4] or end > len(data) or cut:
            at += 4
            continue
        yield at, size, flags
        at = end
