"""Listening to a recording for an index: what is heard when, and where it lies among sounds.

A recording is judged in chapters of ten minutes, one after the other: memory does not grow with
its length, and a sound that is rare in eight hours is not lost among those that are not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from engine.advice.events import Scores, sounds
from engine.advice.listening import checked
from engine.errors import BadAudio, Failure, TweezeError
from engine.library.content import DIMENSIONS, Content, Happening
from engine.models.base import FloatArray, HearingGrid, Listener
from engine.sound.audio import opened
from engine.sound.hearing import stretches
from engine.sound.mixture import SILENCE, resampled, silent_note

__all__ = ["check_unchanged", "digest_of", "hear", "listener_mark", "quantised", "why_not"]

_CHAPTER = 1250  # windows: ten minutes, where one begins every 0.48 s
_RANGE = 25  # dB; windows that much quieter than the loudest say nothing of the whole
_BLOCK = 1 << 20  # bytes


@cache
def listener_mark() -> str:
    """Return what tells the bundled listener from those of other versions; loads no model."""
    data = (files("engine.models.ears") / "weights.safetensors").read_bytes()
    return f"ears-{hashlib.sha256(data).hexdigest()[:12]}"


def digest_of(path: Path, tick: Callable[[], None] = lambda: None) -> bytes:
    """Return the SHA-256 of a file's bytes; `tick` is called with each megabyte, and may raise.

    Raises
    ------
    BadAudio
        The file cannot be read.

    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                tick()
    except OSError as error:
        raise BadAudio(
            f"{path} cannot be read ({error.strerror}): check its permissions and its disk."
        ) from error
    return digest.digest()


def hear(
    path: Path,
    digest: bytes,
    listener: Listener,
    mark: str,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Content:
    """Listen to a whole recording.

    Parameters
    ----------
    path
        The file; it is not followed if it is a link.
    digest
        Of its bytes.
    listener
        The loaded listener.
    mark
        What tells it from others.
    on_progress
        Called a few times a second with the seconds of sound that were heard; may raise.

    Raises
    ------
    BadAudio
        The file cannot be read, is no audio, or has more than two channels.
    Failure
        The listener is damaged, or no process to decode the file could be started.

    """
    frames, peak = 0, 0.0
    with opened(path, follow=False, tick=lambda: on_progress(frames / rate)) as sound:
        rate = sound.rate

        def passed() -> Iterator[FloatArray]:
            nonlocal frames, peak
            for block in sound.blocks():
                frames += block.shape[1]
                peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
                on_progress(frames / rate)
                yield block

        grid = listener.hearing_grid
        chapters = _Chapters(listener, grid)
        made = resampled(passed(), rate, grid.sample_rate, sound.channels)
        for stretch in stretches((block.T for block in made), grid):
            probabilities, vectors = listener.both(stretch)
            chapters.add(stretch, checked(probabilities, stretch, listener), vectors)
        notes, channels = sound.notes, sound.channels
    if peak < SILENCE:
        silent = np.zeros((1, DIMENSIONS), np.float32)
        notes = (*notes, silent_note(path.name))
        return Content(digest, frames, rate, channels, mark, (), quantised(silent), notes)
    happenings, places = chapters.end(frames / rate)
    return Content(digest, frames, rate, channels, mark, happenings, quantised(places), notes)


def check_unchanged(path: Path, size: int, mtime_ns: int) -> None:
    """Raise Failure if a file is not as it was when it was found."""
    now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (size, mtime_ns):
        raise Failure(f"{path} changed while it was read: index it again.")


def why_not(path: Path, error: Exception) -> tuple[str, bool]:
    """Return a sentence why a file could not be heard, and whether that is worth another try."""
    if isinstance(error, BadAudio):
        # A file that is as it was then is as bad; but what the system refused may be allowed.
        return str(error), not _is_readable(path)
    if isinstance(error, TweezeError):
        return str(error), True
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{path} could not be listened to ({said}).", True


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def quantised(vectors: FloatArray) -> bytes:
    """Return vectors `(count, 128)` as int8, each as large as fits; only directions are kept."""
    most = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    data: bytes = np.rint(vectors * (127 / most)).astype(np.int8).tobytes()
    return data


class _Chapters:
    """Windows as they come, judged chapter by chapter."""

    def __init__(self, listener: Listener, grid: HearingGrid) -> None:
        self._labels = listener.labels
        self._grid = grid
        self._hop = grid.hop / grid.sample_rate
        self._early = (grid.window - grid.hop) / 2 / grid.sample_rate
        self._scores = Scores(self._labels)
        self._vectors: list[FloatArray] = []
        self._before = 0  # windows of earlier chapters
        self._found: list[tuple[Happening, FloatArray]] = []
        self._open: dict[str, int] = {}  # sounds that go on to the end of the last chapter
        self._whole: dict[int, FloatArray] = {}  # sums of vectors by their loudness in dB

    def add(self, stretch: FloatArray, probabilities: FloatArray, vectors: FloatArray) -> None:
        """Take the windows of a stretch."""
        self._weigh(stretch, vectors)
        while len(probabilities):
            room = _CHAPTER - self._scores.windows
            self._scores.add(probabilities[:room])
            self._vectors.append(vectors[:room])
            probabilities, vectors = probabilities[room:], vectors[room:]
            if self._scores.windows == _CHAPTER:
                self._judge(_CHAPTER * self._hop)

    def end(self, seconds: float) -> tuple[tuple[Happening, ...], FloatArray]:
        """Return what happens in `seconds`, and the vectors of the whole and of each happening."""
        if self._scores.windows:
            self._judge(max(0.0, seconds - self._before * self._hop))
        loudest = max(self._whole, default=0)
        whole = sum(
            (total for level, total in self._whole.items() if level > loudest - _RANGE),
            np.zeros(DIMENSIONS, np.float32),
        )
        self._found.sort(key=lambda pair: (pair[0].start, pair[0].stop, pair[0].label))
        places = np.stack([whole, *(total for _, total in self._found)])
        return tuple(one for one, _ in self._found), places

    def _weigh(self, stretch: FloatArray, vectors: FloatArray) -> None:
        """Add windows to the whole, louder ones counting more, as in the listener's `example`."""
        grid = self._grid
        inside = stretch[:, grid.context : stretch.shape[1] - grid.context]
        power = np.square(inside, dtype=np.float64).mean(axis=0)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        starts = np.arange(len(vectors)) * grid.hop
        loud = sums[starts + grid.window] - sums[starts]
        for one, vector in zip(loud.tolist(), vectors, strict=True):
            if one > 0:
                level = round(10 * math.log10(one))
                total = self._whole.get(level, 0.0) + np.float32(one**0.25) * vector
                self._whole[level] = np.asarray(total, np.float32)

    def _judge(self, seconds: float) -> None:
        """Name the sounds of the chapter that ends here, and begin another."""
        vectors = np.concatenate(self._vectors)
        offset, windows = round(100 * self._before * self._hop), self._scores.windows
        going_on: dict[str, int] = {}
        for heard in sounds(self._scores, self._grid, seconds):
            for event in heard.events:
                first = round((event.start - self._early) / self._hop) if event.start else 0
                last = round((event.stop - self._early) / self._hop)
                first = min(max(first, 0), windows - 1)
                total = vectors[first : max(first + 1, min(last, windows))].sum(axis=0)
                start, stop = offset + round(100 * event.start), offset + round(100 * event.stop)
                one = Happening(heard.label, start, stop, round(100 * event.probability))
                place = self._open.get(heard.label) if event.start == 0 else None
                if place is not None:  # it began in the chapter before
                    earlier, sum_ = self._found[place]
                    most = max(earlier.certainty, one.certainty)
                    one = Happening(one.label, earlier.start, stop, most)
                    self._found[place] = one, sum_ + total
                else:
                    place = len(self._found)
                    self._found.append((one, total))
                if last >= windows:
                    going_on[heard.label] = place
        self._open = going_on
        self._before += windows
        self._scores, self._vectors = Scores(self._labels), []
