"""Tiles that were drawn lately, so that scrolling back costs nothing."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["TileCache"]

_SIZE = 32 << 20  # bytes


class TileCache:
    """The newest tiles by their names; the ones that nobody asked for longest go first."""

    def __init__(self, size: int = _SIZE) -> None:
        self._room = size
        self._tiles: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> bytes | None:
        """Return a tile, None where there is none any more."""
        found = self._tiles.get(key)
        if found is not None:
            self._tiles.move_to_end(key)
        return found

    def put(self, key: tuple[object, ...], tile: bytes) -> None:
        """Keep a tile."""
        self._room += len(self._tiles.pop(key, b"")) - len(tile)
        self._tiles[key] = tile
        while self._room < 0 and self._tiles:
            self._room += len(self._tiles.popitem(last=False)[1])
