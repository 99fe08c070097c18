"""Decoding with libsndfile: one recording after the other, always forwards.

`soundfile` looks up its place after each read and goes there, which is not exact in an MP3 of
variable bit rate. A file that says it cannot seek is read on from where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soundfile

from engine.sound.decoders.base import Bytes, Layout, Part, Samples, Undecodable, Window

__all__ = ["SndfileDecoder"]

_UNKNOWN = 1 << 62  # frames; libsndfile says a little less than 2**63 where it cannot know
_BLOCK = 1 << 16  # frames
_LEFT = "this was left out: export it as one recording to have all."


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is only ever read on."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Reads the parts of a layout, one after the other, as one recording.

    Raises
    ------
    Undecodable
        libsndfile does not know what this is.

    """

    def __init__(self, data: Bytes, layout: Layout) -> None:
        self._data = data
        self._layout = layout
        self._notes: list[str] = []
        self._waiting = list(layout.parts)
        self._part = self._waiting.pop(0)
        try:
            self._file = self._open(self._part)
        except soundfile.SoundFileError as error:
            raise Undecodable("is not of a kind that libsndfile knows.") from error
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self._counts = [self._count()]  # frames of each part, as far as its format tells
        self._here = 0  # frames that were read of the present part
        self._read = 0  # frames that were read of all
        self._left: Samples = np.zeros((0, self.channels), np.float32)  # read, not handed out

    @property
    def promised(self) -> int | None:
        """How many frames there should be; None where that is not known."""
        counts = [*self._counts, *(part.frames for part in self._waiting)]
        known = [count for count in counts if count is not None]
        return round(sum(known) * self._layout.promised) if len(known) == len(counts) else None

    @property
    def notes(self) -> Sequence[str]:
        """Remarks on how the file was read."""
        return tuple(self._notes)

    def read(self, frames: int) -> Samples:
        """Return the next frames: `(frames, channels)`."""
        if not len(self._left):
            self._left = self._next()
        block, self._left = self._left[:frames], self._left[frames:]
        return block

    def _next(self) -> Samples:
        """Return the next frames, as many as ever: some of libsndfile's codecs stumble over few."""
        while True:
            try:
                block: Samples = self._file.read(_BLOCK, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                block = self._before_error()
                if not len(block) and not self._window.exhausted:
                    raise Undecodable(
                        f"cannot be decoded from {self._seconds(self._read)} on ({_said(error)}): "
                        "export it again."
                    ) from error
            self._here += len(block)
            self._read += len(block)
            if len(block) or not self._go_on():
                return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, part: Part) -> soundfile.SoundFile:
        self._window = Window(self._data, part)
        return _Forwards(self._window)

    def _count(self) -> int | None:
        if self._part.endless or self._file.frames > _UNKNOWN:
            return self._part.frames
        frames = int(self._file.frames)
        # libsndfile believes the tag of an MP3 also where fewer frames are left than it names.
        return frames if self._part.frames is None else min(frames, self._part.frames)

    def _before_error(self) -> Samples:
        """Return what can be decoded before an error: `soundfile` drops all of such a block."""
        self._file.close()
        self._file = self._open(self._part)
        left, found = self._here, [np.zeros((0, self.channels), np.float32)]
        try:
            while left:
                left -= len(self._file.read(min(left, _BLOCK)))
            while len(frame := self._file.read(1, dtype="float32", always_2d=True)):
                found.append(frame)
        except soundfile.SoundFileError:
            pass
        return np.concatenate(found)

    def _go_on(self) -> bool:
        """Go on with the next part that belongs to the same recording, and say whether one does."""
        self._compare()
        while self._waiting:
            part = self._waiting.pop(0)
            where = self._seconds(self._read)
            try:
                file = self._open(part)
            except soundfile.SoundFileError:
                self._notes.append(f"holds more from {where} on that cannot be decoded; {_LEFT}")
                continue
            if (file.samplerate, file.channels) != (self.rate, self.channels):
                self._notes.append(
                    f"goes on from {where} with another sample rate or number of channels "
                    f"({file.samplerate:,} Hz, {file.channels}); {_LEFT}"
                )
                file.close()
                continue
            self._file.close()
            self._part, self._file, self._here = part, file, 0
            self._counts.append(self._count())
            return True
        self._compare_all()
        return False

    def _compare(self) -> None:
        """Note where a part holds less than it says, if the whole file is as it says."""
        promised, whole = self._counts[-1], self._layout.promised == 1 and not self._layout.cut
        if not whole or promised is None or promised == self._part.frames:  # counted, not said
            return
        if self._here < promised:
            self._notes.append(self._short(self._read - self._here + promised))

    def _compare_all(self) -> None:
        """Note where all parts together hold less or more than the file says."""
        factor = self._layout.promised
        if self._layout.damaged:
            self._notes.append("holds damaged pieces, which were left out: copy it again.")
        elif self._layout.cut:
            whose = "its" if len(self._layout.parts) == 1 else "an"
            self._notes.append(f"is cut off: {whose} end is missing. {self._used}")
        elif factor < 1:
            said = self._seconds(self._read * factor)
            self._notes.append(f"goes on after the {said} that its header names. {self._used}")
        elif factor > 1:
            self._notes.append(self._short(self._read * factor))

    def _short(self, promised: float) -> str:
        return f"is cut off: its header promises {self._seconds(promised)}. {self._used}"

    @property
    def _used(self) -> str:
        return f"The {self._seconds(self._read)} that are there were used."

    def _seconds(self, frames: float) -> str:
        return f"{frames / self.rate:,.3f} s"


def _said(error: soundfile.SoundFileError) -> str:
    """Return what libsndfile says of an error."""
    text = getattr(error, "error_string", str(error)).removeprefix("Error : ")
    return text.strip().rstrip(".")
