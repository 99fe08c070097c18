"""What a batch is to do: a recording or a stretch of one, sounds, and how to separate them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import BadInput, Failure
from engine.file_names import file_name
from engine.job import Job
from engine.library.finding import Found
from engine.option_types import write
from engine.options import Options
from engine.sound.audio import AudioInfo, FrameWriter, opened, wav_header

__all__ = ["Cut", "Item", "write_cut"]


@dataclass(frozen=True)
class Cut:
    """A stretch of a recording, in seconds from its start; `stop` None for its end.

    Raises
    ------
    BadInput
        It ends before it has begun.

    """

    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise BadInput(
                f"The stretch from {self.start:g} s to {self.stop:g} s ends before it has begun."
                if self.start >= 0
                else f"The stretch begins at {self.start:g} s, before the recording does."
            )

    @property
    def text(self) -> str:
        """The stretch as names and tables have it: `12.5-15`, `12.5-`."""
        return f"{self.start:.10g}-{'' if self.stop is None else f'{self.stop:.10g}'}"


@dataclass(frozen=True)
class Item:
    """One recording and what is asked of it: one job.

    Attributes
    ----------
    found
        The recording.
    queries, nots, options
        As a job has them.
    cut
        The stretch that is asked for; None for all of it.

    """

    found: Found
    queries: tuple[str, ...]
    nots: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    cut: Cut | None = None

    @property
    def key(self) -> str:
        """What tells it from all other items, whenever and wherever it is asked for."""
        asked = [
            os.fspath(self.found.path),
            *(f"query={text}" for text in sorted(self.queries)),
            *(f"not={text}" for text in sorted(self.nots)),
            *(f"{name}={text}" for name, text in write(self.options)),
            "" if self.cut is None else self.cut.text,
        ]
        return hashlib.sha256("\0".join(asked).encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """What the names of its clips begin with."""
        stem = self.found.place.stem
        return file_name(stem if self.cut is None else f"{stem} {self.cut.text} s")

    @property
    def folder(self) -> Path:
        """Where its clips belong, below the output."""
        return Path(*(file_name(part) for part in self.found.place.parent.parts))

    def job(self, id_: str, mixture: Path, client: str) -> Job:
        """Return the job that does it; `mixture` is the recording, or the stretch of it."""
        return Job(
            id_,
            mixture,
            self.queries,
            self.options,
            self.title,
            client=client,
            nots=self.nots,
        )


def write_cut(recording: Path, cut: Cut, path: Path) -> None:
    """Write a stretch of a recording as a float32 WAV file of its own, to the sample.

    Raises
    ------
    BadInput
        The stretch begins behind the recording's end.
    BadAudio, Failure
        As `engine.sound.audio.opened`.

    """
    with opened(recording) as sound:
        rate = sound.rate
        first = round(cut.start * rate)
        last = None if cut.stop is None else round(cut.stop * rate)
        ends = [end for end in (last, sound.promised) if end is not None]
        # The header comes first and says how long it is; it is put right in the end.
        info = AudioInfo(rate, sound.channels, max(0, min(ends, default=first) - first))
        writer = FrameWriter(path, info)
        frames = at = 0
        try:
            for block in sound.blocks():
                begin, at = at, at + block.shape[1]
                chosen = block[:, max(0, first - begin) : None if last is None else last - begin]
                frames += chosen.shape[1]
                writer.write(chosen)
                if last is not None and at >= last:
                    break
            writer.flush()
        finally:
            writer.close()
    if not frames:
        raise BadInput(
            f"{recording} lasts {at / rate:.2f} s, and the stretch begins at {cut.start:g} s: name "
            "one inside it."
        )
    true = AudioInfo(rate, info.channels, frames)
    if len(wav_header(true)) != len(wav_header(info)):
        raise Failure(
            f"{recording} does not say how long it is, and the stretch of it is longer than a WAV "
            "file may be: name its end, or shorter ones."
        )
    with path.open("r+b") as file:
        file.write(wav_header(true))
