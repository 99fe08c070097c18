"""A project of Audacity 4 as its extensions see it, and what nobody has said of Audacity 4 yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


@dataclass
class Semantics:
    """A switch for each open question; the extension must be right whatever the answers are.

    Attributes
    ----------
    rounding
        How times become frames: `round`, `floor`, `ceil`, or `outward`, down for a start and up for
        an end.
    capacity
        Whether a chunk's buffers are as long as its samples (`exact`) or always as long as the
        longest chunk (`whole`).
    reuse
        Whether a reader fills the same buffers again.
    short_reads
        Whether a reader may give fewer samples than it is asked for.
    past_end
        What a reader gives beyond a track's last clip: `zeros`, or nothing (`stops`).
    lists
        What the API's lists are: Qt's own, with an array's methods (`sequence`), or a `list`.
    native
        What the module of native libraries is called.
    shown
        How a rejection becomes a text: `toString` or `message`.
    validates_again
        Whether the settings are validated when an effect is repeated without its dialog.
    numbers
        How a setting that is a number reaches the script: `number` or `string`.
    by_clip
        Whether selected clips are processed one by one.
    nothing
        What is selected where nothing is: `all` audio, or `nothing`.
    recording
        Whether an edit is refused while Audacity records.
    preview
        What a preview does: it `fails`, or `runs` with a second instance whose result is dropped.
    labels
        Whether an effect that analyzes may add label tracks.
    workers
        Threads that run native calls.
    gone
        Whether an edit whose project is gone refuses at once (`at once`) or at the commit.
    destroys
        Whether an effect is told of its end.
    scheme
        Which scheme actions need: `extension` or `musescore`; effects take any.

    What Audacity 4 would have to do for the extension to be wrong is here, too; its selftest must
    notice.

    gain
        Reading changes samples with the place where it begins.
    lossy
        Texts on their way to a library lose what is not ASCII.
    copies
        A library gets a copy of a buffer.
    nan
        A sample that is no number is taken.
    most
        Samples of the longest chunk.
    cuts
        A reader ends a sample early.

    """

    rounding: str = "round"
    capacity: str = "exact"
    reuse: bool = True
    short_reads: bool = False
    past_end: str = "zeros"
    lists: str = "sequence"
    native: str = "MuseApi.Native"
    shown: str = "toString"
    validates_again: bool = True
    numbers: str = "number"
    by_clip: bool = False
    nothing: str = "all"
    recording: str = "barred"
    preview: str = "fails"
    labels: bool = True
    workers: int = 2
    gone: str = "at once"
    destroys: bool = True
    scheme: str = "extension"
    gain: bool = False
    lossy: bool = False
    copies: bool = False
    nan: bool = False
    most: int = 65536
    cuts: bool = False

    def frames(self, start: float, end: float, rate: float) -> tuple[int, int]:
        """Return the frames that a reader of a stretch of time gives."""

        def nearest(x: float) -> int:
            return math.floor(x + 0.5)

        down, up = {
            "round": (nearest, nearest),
            "floor": (math.floor, math.floor),
            "ceil": (math.ceil, math.ceil),
            "outward": (math.floor, math.ceil),
        }[self.rounding]
        return down(start * rate), up(end * rate)


@dataclass
class Audio:
    """A clip's samples, `(channels, frames)`, and the frame of the project where it begins."""

    start: int
    samples: Samples

    @property
    def stop(self) -> int:
        return self.start + self.samples.shape[1]


@dataclass
class AudioTrack:
    name: str
    rate: float
    channels: int
    clips: list[Audio] = field(default_factory=list)
    selected: bool = False
    start: float = 0.0  # seconds; of a track that an extension added

    @property
    def stop(self) -> int:
        return max((clip.stop for clip in self.clips), default=0)

    def read(self, first: int, last: int) -> Samples:
        out = np.zeros((self.channels, last - first), np.float32)
        for clip in self.clips:
            start, stop = max(first, clip.start), min(last, clip.stop)
            if stop > start:
                out[:, start - first : stop - first] = clip.samples[
                    :, start - clip.start : stop - clip.start
                ]
        return out


@dataclass
class LabelTrack:
    name: str
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    selected: bool = False


@dataclass
class Project:
    tracks: list[Any] = field(default_factory=list)
    start: float = 0.0  # seconds of the selection
    end: float = 0.0
    closed: bool = False
    recording: bool = False
    undo: list[str] = field(default_factory=list)

    @property
    def audio(self) -> list[AudioTrack]:
        return [track for track in self.tracks if isinstance(track, AudioTrack)]

    @property
    def labels(self) -> list[LabelTrack]:
        return [track for track in self.tracks if isinstance(track, LabelTrack)]

    def state(self) -> Any:
        """All that a separation must not change."""
        return [
            (track.name, track.rate, [(c.start, c.samples.tobytes()) for c in track.clips])
            for track in self.audio
        ], (self.start, self.end, len(self.labels), list(self.undo))
