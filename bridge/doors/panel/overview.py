"""What is drawn of a whole recording: the extremes of its samples, and its spectrogram from afar.

Both are made once, in a thread, while the recording is decoded, and kept in small files, so that a
picture of an hour takes no longer than one of a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bridge.doors.panel import tiles
from bridge.doors.panel.samples import Samples
from engine.errors import Failure
from engine.models.base import FloatArray

__all__ = ["CHANNELS", "NotYet", "Overview"]

CHANNELS = ("mix", "left", "right")
"""What a tile can show."""
_BLOCK = 256  # frames of which the extremes are kept
_DIRECT = 2 * _BLOCK  # frames from which on a picture of the waveform takes the kept extremes
_CLOSE = 2  # zooms beyond the base that are drawn from samples while there are no kept columns
_AT_ONCE = 1 << 18  # frames that are read at once


class NotYet(Exception):  # noqa: N818
    """What is asked for is still being read."""


class Overview:
    """The pictures of one recording or clip; `folder` is for its files.

    Its methods block, for as long as a tile takes or a disk does.
    """

    def __init__(
        self, samples: Samples, folder: Path, on_news: Callable[[], None] = lambda: None
    ) -> None:
        self.samples = samples
        self._folder = folder
        self._on_news = on_news
        self._scale = tiles.Scale(samples.info.rate)
        self._guard = threading.Lock()
        self._columns: dict[str, int] = {}  # kept columns by channel; from when on they are made
        self._blocks = -1  # of which the extremes are kept; -1 while nobody makes them
        self._closed = threading.Event()
        self._error = ""

    def close(self) -> None:
        """End the threads."""
        self._closed.set()

    def tile(self, channel: str, zoom: int, index: int) -> bytes:
        """Return a tile, ROWS bytes a row, the lowest row first.

        Raises
        ------
        NotYet
            Its stretch is not decoded, or not drawn.
        Failure
            The samples are gone.

        """
        samples, base = self.samples, self._scale.base
        first, last = index * tiles.COLUMNS, (index + 1) * tiles.COLUMNS
        end = min(last * tiles.hop(zoom), samples.info.frames)
        if zoom <= base:
            self._await_samples(end + self._scale.longest)
            made = self._from_samples(channel, zoom, first, last)
        else:
            factor = 1 << (zoom - base)
            wanted = min(last * factor, self._total)
            if self._kept(channel) >= wanted:
                made = tiles.pooled(self._read_columns(channel, first * factor, wanted), factor)
            elif zoom <= base + _CLOSE:
                self._await_samples(end + self._scale.longest)
                drawn = self._from_samples(channel, base, first * factor, wanted)
                made = tiles.pooled(drawn, factor)
            else:
                self._say_error()
                raise NotYet
        return np.ascontiguousarray(made.T).tobytes()

    def peaks(self, start: int, stop: int, count: int) -> bytes:
        """Return the extremes of `count` equal stretches of frames `[start, stop)`.

        float32, `(channels, count, 2)`, the lowest sample first; a stretch that is shorter than a
        frame shows the frame that it lies in. The last bits of a long picture are rough: a stretch
        may hold a few samples of its neighbours.

        Raises
        ------
        NotYet
            They are not decoded, or not looked at.
        Failure
            The samples are gone.

        """
        edges = np.linspace(start, stop, count + 1)
        if (stop - start) / count < _DIRECT:
            self._await_samples(stop)
            samples = self.samples.read(start, stop)
            first = np.minimum(np.floor(edges[:-1]).astype(np.int64) - start, stop - start - 1)
            low, high = (
                extreme.reduceat(samples, first, axis=1) for extreme in (np.minimum, np.maximum)
            )
            return np.stack([low, high], axis=-1).astype("<f4").tobytes()
        wanted = -(-stop // _BLOCK)
        self._start_blocks()
        if self._blocks < wanted:
            self._say_error()
            raise NotYet
        begin = start // _BLOCK
        kept = self._read_blocks(begin, wanted)  # (blocks, channels, 2)
        first = np.floor(edges[:-1] / _BLOCK).astype(np.int64) - begin
        low = np.minimum.reduceat(kept[:, :, 0], first, axis=0)
        high = np.maximum.reduceat(kept[:, :, 1], first, axis=0)
        return np.ascontiguousarray(np.stack([low, high], axis=-1).swapaxes(0, 1)).tobytes()

    def begin(self) -> None:
        """Begin to look at the whole, so that it is there when it is wanted."""
        self._start_blocks()
        self._kept("mix")

    @property
    def _total(self) -> int:
        """How many columns there are at the base."""
        return -(-self.samples.info.frames // tiles.hop(self._scale.base))

    def _from_samples(self, channel: str, zoom: int, first: int, last: int) -> tiles.Bytes:
        info = self.samples.info
        return tiles.columns(partial(self._one, channel), info.frames, info.rate, zoom, first, last)

    def _one(self, channel: str, start: int, stop: int) -> FloatArray:
        return tiles.view(self.samples.read(start, stop), channel)

    def _await_samples(self, stop: int) -> None:
        samples = self.samples
        if not samples.whole and samples.ready < stop:
            raise NotYet

    def _say_error(self) -> None:
        if self._error:
            raise Failure(self._error)

    # What is kept.

    def _path(self, what: str) -> Path:
        return self._folder / f"{what}.bin"

    def _kept(self, channel: str) -> int:
        """Return how many columns are kept of a channel, and begin to make them."""
        with self._guard:
            if channel not in self._columns:
                self._columns[channel] = 0
                self._thread(partial(self._make_columns, channel), f"panel-{channel}")
        return self._columns[channel]

    def _start_blocks(self) -> None:
        with self._guard:
            if self._blocks < 0:
                self._blocks = 0
                self._thread(self._make_blocks, "panel-peaks")

    def _thread(self, work: Callable[[], None], name: str) -> None:
        def run() -> None:
            try:
                work()
            except (OSError, Failure) as error:
                self._error = f"The picture could not be drawn ({error})."
            self._on_news()

        threading.Thread(target=run, name=name, daemon=True).start()

    def _make_columns(self, channel: str) -> None:
        zoom = self._scale.base
        per = _AT_ONCE // tiles.hop(zoom)
        path = self._path(channel)
        if self.samples.whole and self._is_there(path, self._total * tiles.ROWS):
            self._columns[channel] = self._total
            return
        with path.open("wb") as file:
            first = 0
            while not self._closed.is_set():
                last = first + per
                if not self._awaited(last * tiles.hop(zoom) + self._scale.longest):
                    return
                last = min(last, self._total)
                file.write(self._from_samples(channel, zoom, first, last).tobytes())
                file.flush()
                self._columns[channel] = first = last
                self._on_news()
                if self.samples.whole and first >= self._total:
                    return

    def _make_blocks(self) -> None:
        samples = self.samples
        path = self._path("peaks")
        frame = samples.info.channels * 8
        if samples.whole and self._is_there(path, -(-samples.info.frames // _BLOCK) * frame):
            self._blocks = -(-samples.info.frames // _BLOCK)
            return
        with path.open("wb") as file:
            start = 0
            while not self._closed.is_set():
                if not self._awaited(start + _AT_ONCE):
                    return
                stop = min(start + _AT_ONCE, samples.info.frames)
                block = samples.interleaved(start, stop)
                first = np.arange(0, len(block), _BLOCK)
                low = np.minimum.reduceat(block, first, axis=0)
                high = np.maximum.reduceat(block, first, axis=0)
                file.write(np.stack([low, high], axis=-1).astype("<f4").tobytes())
                file.flush()
                start = stop
                self._blocks = -(-stop // _BLOCK)
                self._on_news()
                if samples.whole and start >= samples.info.frames:
                    return

    def _awaited(self, stop: int) -> bool:
        """Wait until frames before `stop`, or all, are there; False if nobody wants them now."""
        with self.samples.grown:
            while not self.samples.whole and self.samples.ready < stop:
                if self._closed.is_set() or self.samples.lost:
                    return False
                self.samples.grown.wait(0.5)
        return not self._closed.is_set()

    def _is_there(self, path: Path, size: int) -> bool:
        try:
            return path.stat().st_size == size
        except OSError:
            return False

    def _read_columns(self, channel: str, first: int, last: int) -> tiles.Bytes:
        rows = tiles.ROWS
        count = max(0, last - first) * rows
        flat = np.fromfile(self._path(channel), np.uint8, count, offset=first * rows)
        return flat.reshape(-1, rows)

    def _read_blocks(self, first: int, last: int) -> FloatArray:
        channels = self.samples.info.channels
        count = (last - first) * channels * 2
        flat = np.fromfile(self._path("peaks"), "<f4", count, offset=first * channels * 8)
        return flat.reshape(-1, channels, 2)
