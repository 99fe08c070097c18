"""Samples on disk, as the panel reads them: float32, interleaved, any stretch of them at any time.

A recording is decoded into such a file once, from its start to its end; what is there can be read
meanwhile. A clip is such a file already, behind its header.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import BadAudio, Failure
from engine.models.base import FloatArray
from engine.sound.audio import AudioInfo, frame_bytes, opened, wav_header

__all__ = ["Decoding", "Samples", "clip_samples"]


class Samples:
    """A file of samples.

    Attributes
    ----------
    info
        Rate, channels and frames; of a recording that is still decoded, the frames that its header
        promises.
    ready
        How many frames there are now.
    whole
        Whether these are all.
    lost
        Whether there will be no more, for a fault.
    grown
        Notified when there are more.

    """

    def __init__(self, path: Path, info: AudioInfo, *, offset: int = 0, ready: int = 0) -> None:
        self.path = path
        self.info = info
        self.ready = ready
        self.whole = ready >= info.frames
        self.lost = False
        self.grown = threading.Condition()
        self._offset = offset

    def read(self, start: int, stop: int) -> FloatArray:
        """Return frames `[start, stop)`: `(channels, stop - start)`.

        Raises
        ------
        Failure
            The file is gone, or shorter than it was.

        """
        return np.ascontiguousarray(self.interleaved(start, stop).T)

    def interleaved(self, start: int, stop: int) -> FloatArray:
        """Return frames `[start, stop)` as they lie on the disk: `(stop - start, channels)`.

        Raises
        ------
        Failure
            The file is gone, or shorter than it was.

        """
        channels = self.info.channels
        count = max(0, stop - start) * channels
        place = self._offset + start * frame_bytes(channels)
        try:
            flat = np.fromfile(self.path, "<f4", count, offset=place)
        except OSError as error:
            raise Failure(
                f"'{self.path.name}' is no longer kept ({error.strerror}): open the recording "
                "again."
            ) from error
        if flat.size < count:
            raise Failure(f"'{self.path.name}' was cut off: open the recording again.")
        return flat.reshape(-1, channels).astype(np.float32, copy=False)


def clip_samples(path: Path, info: AudioInfo) -> Samples:
    """Return the samples of a clip that Tweeze wrote for a recording of that rate and length.

    Raises
    ------
    Failure
        The clip is no longer there, or is none of that recording's.

    """
    header = wav_header(info)
    try:
        with path.open("rb") as file:
            begins = file.read(len(header)) == header
        size = path.stat().st_size
    except OSError as error:
        raise Failure(f"The clip is no longer kept ({error.strerror}): separate again.") from error
    if not begins or size < len(header) + info.frames * frame_bytes(info.channels):
        raise Failure("The clip is not as long as its recording: separate again.")
    return Samples(path, info, offset=len(header), ready=info.frames)


class Decoding:
    """A recording that is decoded into a file of samples; blocking, for a thread of its own.

    Parameters
    ----------
    recording
        The audio file. Never a symbolic link.
    path
        Where its samples go.
    on_news
        Called in that thread as samples come, and at the end.

    """

    def __init__(
        self, recording: Path, path: Path, on_news: Callable[[], None] = lambda: None
    ) -> None:
        self._recording = recording
        self._path = path
        self._on_news = on_news
        self.samples: Samples | None = None
        self.error = ""
        self.notes: tuple[str, ...] = ()
        self._unwanted = threading.Event()

    def stop(self) -> None:
        """Ask for the end of the work."""
        self._unwanted.set()

    def run(self) -> None:
        """Decode; `error` says why that failed, if it did."""
        try:
            self._decode()
        except (BadAudio, Failure) as error:
            self.error = str(error)
        except OSError as error:
            self.error = (
                f"'{self._recording.name}' could not be decoded to {self._path.parent} "
                f"({error.strerror}): free some space on that disk."
            )
        if self.samples is not None:
            self.samples.lost = bool(self.error)
            with self.samples.grown:
                self.samples.grown.notify_all()
        self._on_news()

    def _decode(self) -> None:
        with (
            opened(self._recording, follow=False, tick=self._tick) as sound,
            self._path.open("wb") as file,
        ):
            promised = sound.promised or 0
            samples = Samples(self._path, AudioInfo(sound.rate, sound.channels, promised))
            samples.whole = False
            for block in sound.blocks():
                self._tick()
                file.write(np.ascontiguousarray(block.T).astype("<f4", copy=False).tobytes())
                file.flush()
                ready = samples.ready + block.shape[1]
                if ready > samples.info.frames:
                    samples.info = AudioInfo(sound.rate, sound.channels, ready)
                with samples.grown:
                    samples.ready = ready
                    samples.grown.notify_all()
                if promised:  # else nobody knows yet how long it is
                    self.samples = samples
                self._on_news()
            samples.info = AudioInfo(sound.rate, sound.channels, samples.ready)
            with samples.grown:
                samples.whole = True
                samples.grown.notify_all()
            self.samples = samples
            self.notes = sound.notes

    def _tick(self) -> None:
        if self._unwanted.is_set():
            raise Failure(f"'{self._recording.name}' was closed while it was read.")
