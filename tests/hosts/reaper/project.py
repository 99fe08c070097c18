"""A REAPER project as the fake knows it: tracks, items, takes, sources, and how they sound.

What the reference leaves open of REAPER's behaviour is a field of `Semantics`.
"""

from __future__ import annotations

import copy
import itertools
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]  # (frames, channels): as REAPER interleaves


@dataclass(frozen=True)
class Semantics:
    """How this REAPER behaves where no document says it."""

    take_time: str = "item"  # take accessors count from the item's start; or "source", "project"
    take_gain: bool = False  # take accessors deliver item gain and fades
    track_gain: bool = True  # track accessors deliver item gain and fades
    track_time: str = "project"  # track accessors count project time; or "first item"
    past_end: str = "untouched"  # what a buffer holds where there is no audio; or "zeros"
    interpolation: str = "linear"  # between samples; or "nearest", "sinc"
    reverse: bool = True  # accessors honour reversed sources
    section: bool = True  # accessors honour a section's offset
    loop: bool = True  # accessors honour looped sources
    channel_mode: bool = True  # accessors honour I_CHANMODE
    pan_law: float = 1.0  # gain of a centred mono take on its track
    dirty_arrays: bool = True  # reaper.new_array comes with what was in memory
    selects_new: bool = True  # inserting selects the new track, and the new item
    default_fade: float = 0.01  # seconds of fade that a new item has
    unicode_keys: str = "second value"  # or "packed": 'u' << 24 | code point
    markers_in_order: bool = True  # EnumProjectMarkers3 lists by time, not by making
    lists_hidden: bool = True  # EnumerateFiles lists names that begin with a dot


class Thing:
    """An opaque pointer."""

    kind = ""
    numbers = itertools.count(1)

    def __init__(self) -> None:
        self.number = next(Thing.numbers)
        self.alive = True
        self.guid = "{" + str(uuid.uuid4()).upper() + "}"
        self.values: dict[str, float] = {}
        self.strings: dict[str, str] = {}


class Source(Thing):
    kind = "PCM_source"

    def __init__(self, path: Path | None, type_: str = "WAVE") -> None:
        super().__init__()
        self.path = path
        self.type = type_
        self.parent: Source | None = None
        self.offset, self.length, self.reverse = 0.0, 0.0, False
        self.rate, self.channels, self.frames = 0, 0, 0
        self._samples: Samples | None = None
        if path is not None:
            about = soundfile.info(path)
            self.rate, self.channels, self.frames = about.samplerate, about.channels, about.frames
            self.length = self.frames / self.rate

    @classmethod
    def section(
        cls, path: Path, offset: float = 0.0, length: float = 0.0, *, reverse: bool = False
    ) -> Source:
        inner = cls(path)
        made = cls(None, "SECTION")
        made.parent, made.offset, made.reverse = inner, offset, reverse
        made.length = length or inner.length - offset
        made.rate, made.channels = inner.rate, inner.channels
        made.frames = round(made.length * made.rate)
        return made

    def samples(self, semantics: Semantics) -> Samples:
        if self.parent is not None:
            inner = self.parent.samples(semantics)
            first = round(self.offset * self.rate) if semantics.section else 0
            part = inner[first : first + self.frames]
            return part[::-1] if self.reverse and semantics.reverse else part
        if self._samples is None:
            assert self.path is not None
            self._samples = soundfile.read(self.path, dtype="float64", always_2d=True)[0]
        return self._samples


class Take(Thing):
    kind = "MediaItem_Take"

    def __init__(self, item: Item, source: Source | None = None, **values: float) -> None:
        super().__init__()
        self.item = item
        self.source = source
        self.midi = False
        self.effects = self.envelopes = self.stretch_markers = 0
        self.values = {
            "D_STARTOFFS": 0.0,
            "D_VOL": 1.0,
            "D_PAN": 0.0,
            "D_PANLAW": -1.0,
            "D_PLAYRATE": 1.0,
            "D_PITCH": 0.0,
            "I_CHANMODE": 0.0,
            **values,
        }
        self.strings = {"P_NAME": ""}

    def read(self, semantics: Semantics, rate: float, times: Samples) -> Samples:
        """Return what plays at `times` (seconds of the item), before gain, pan and fades."""
        assert self.source is not None
        samples = _play_as(
            int(self.values["I_CHANMODE"]) if semantics.channel_mode else 0,
            self.source.samples(semantics),
        )
        where = times * self.values["D_PLAYRATE"] + self.values["D_STARTOFFS"]
        looped = bool(self.item.values["B_LOOPSRC"]) and semantics.loop
        return _at(samples, where * self.source.rate, semantics.interpolation, looped)

    def channels(self) -> int:
        assert self.source is not None
        return 1 if self.values["I_CHANMODE"] in (2, 3, 4) else self.source.channels


def _play_as(mode: int, x: Samples) -> Samples:
    if mode == 1:
        return x[:, ::-1]
    if mode == 2:
        return x.mean(axis=1, keepdims=True)
    if mode in (3, 4):
        return x[:, mode - 3 : mode - 2]
    return x


def _at(x: Samples, position: Samples, interpolation: str, looped: bool) -> Samples:
    whole = np.floor(position + 1e-6).astype(int)
    rest = np.clip(position - whole, 0.0, 1.0)
    rest[rest < 2e-6] = 0.0

    def get(index: npt.NDArray[np.int64]) -> Samples:
        if looped:
            return x[index % len(x)]
        inside = (index >= 0) & (index < len(x))
        return np.where(inside[:, None], x[np.clip(index, 0, len(x) - 1)], 0.0)

    if not rest.any() or interpolation == "nearest":
        return get(whole + (rest >= 0.5))
    if interpolation == "linear":
        return get(whole) * (1 - rest)[:, None] + get(whole + 1) * rest[:, None]
    taps = range(-31, 33)
    return sum(get(whole + k) * np.sinc(rest - k)[:, None] for k in taps)  # type: ignore[return-value]


class Item(Thing):
    kind = "MediaItem"

    def __init__(self, track: Track, **values: float) -> None:
        super().__init__()
        self.track = track
        self.takes: list[Take] = []
        self.values = {
            "D_POSITION": 0.0,
            "D_LENGTH": 0.0,
            "D_VOL": 1.0,
            "B_MUTE": 0.0,
            "B_LOOPSRC": 1.0,
            "B_UISEL": 0.0,
            "D_FADEINLEN": 0.0,
            "D_FADEOUTLEN": 0.0,
            "D_FADEINLEN_AUTO": -1.0,
            "D_FADEOUTLEN_AUTO": -1.0,
            "C_FADEINSHAPE": 0.0,
            "C_FADEOUTSHAPE": 0.0,
            "D_FADEINDIR": 0.0,
            "D_FADEOUTDIR": 0.0,
            "C_BEATATTACHMODE": -1.0,
            **values,
        }

    @property
    def take(self) -> Take:
        return self.takes[0]

    @property
    def start(self) -> float:
        return self.values["D_POSITION"]

    @property
    def length(self) -> float:
        return self.values["D_LENGTH"]

    def gain(self, times: Samples) -> Samples:
        v = self.values
        gain = np.full(len(times), v["D_VOL"] * self.take.values["D_VOL"])
        fade_in = max(v["D_FADEINLEN"], v["D_FADEINLEN_AUTO"])
        fade_out = max(v["D_FADEOUTLEN"], v["D_FADEOUTLEN_AUTO"])
        if fade_in > 0:
            gain *= _shape(v["C_FADEINSHAPE"], v["D_FADEINDIR"], times / fade_in)
        if fade_out > 0:
            rest = (v["D_LENGTH"] - times) / fade_out
            gain *= _shape(v["C_FADEOUTSHAPE"], v["D_FADEOUTDIR"], rest)
        return gain

    def play(self, semantics: Semantics, rate: float, first: float, frames: int) -> Samples:
        """Return what is heard of the item from a project time on, in stereo."""
        times = first + np.arange(frames) / rate - self.start
        inside = (times >= -1e-9) & (times < self.length - 1e-9)
        out = np.zeros((frames, 2))
        if not inside.any() or not self.takes or self.take.source is None or self.take.midi:
            return out
        x = self.take.read(semantics, rate, times[inside])
        law = semantics.pan_law if x.shape[1] == 1 else 1.0
        x = np.repeat(x, 2, axis=1) * law if x.shape[1] == 1 else x[:, :2]
        pan = self.take.values["D_PAN"]
        balance = np.array([min(1.0, 1.0 - pan), min(1.0, 1.0 + pan)])
        gain = self.gain(times[inside]) if semantics.track_gain else np.ones(inside.sum())
        out[inside] = x * gain[:, None] * balance
        return out


def _shape(shape: float, direction: float, x: Samples) -> Samples:
    """One of several curves: only that different values sound different matters here."""
    return np.clip(x, 0.0, 1.0) ** (2.0 ** (shape - direction))


class Track(Thing):
    kind = "MediaTrack"

    def __init__(self, project: Project, name: str = "") -> None:
        super().__init__()
        self.project = project
        self.items: list[Item] = []
        self.effects = self.envelopes = 0
        self.values = {"I_FOLDERDEPTH": 0.0, "I_SELECTED": 0.0, "B_MUTE": 0.0, "D_VOL": 1.0}
        self.strings = {"P_NAME": name}

    @property
    def name(self) -> str:
        return self.strings["P_NAME"]

    def add(
        self,
        audio: Path | Source | None,
        position: float = 0.0,
        length: float | None = None,
        *,
        selected: bool = False,
        take: dict[str, float] | None = None,
        **values: float,
    ) -> Item:
        item = Item(self, D_POSITION=position, B_UISEL=float(selected), **values)
        source = Source(audio) if isinstance(audio, Path) else audio
        if source is not None:
            made = Take(item, source, **(take or {}))
            path = source.path or (source.parent and source.parent.path)
            made.strings["P_NAME"] = path.name if path else ""
            item.takes.append(made)
            item.values["D_LENGTH"] = source.length if length is None else length
        self.items.append(item)
        return item


class Project(Thing):
    kind = "ReaProject"

    def __init__(self, folder: Path, rate: float = 48000.0, file: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.file = file
        self.rate = rate
        self.rate_used = True
        self.tracks: list[Track] = []
        self.time_selection = (0.0, 0.0)
        self.markers: list[tuple[float, float | None, str]] = []  # start, a region's end, name
        self.cursor = 0.0
        self.view = (0.0, 60.0)
        self.notes: dict[tuple[str, str], str] = {}
        self.undo: list[tuple[str, int, Any, Any]] = []

    def add_track(self, name: str = "", *, selected: bool = False) -> Track:
        track = Track(self, name)
        track.values["I_SELECTED"] = float(selected)
        self.tracks.append(track)
        return track

    @property
    def items(self) -> list[Item]:
        return [item for track in self.tracks for item in track.items]

    def things(self) -> list[Thing]:
        takes = [take for item in self.items for take in item.takes]
        sources = [take.source for take in takes if take.source]
        return [*self.tracks, *self.items, *takes, *sources]

    def state(self) -> Any:
        """All that an undo step could change, as plain values."""
        return [
            (
                track.guid,
                dict(track.values),
                dict(track.strings),
                [
                    (
                        item.guid,
                        dict(item.values),
                        [
                            (t.guid, dict(t.values), dict(t.strings), t.source and t.source.path)
                            for t in item.takes
                        ],
                    )
                    for item in track.items
                ],
            )
            for track in self.tracks
        ]

    def marked(self) -> Any:
        """What the user has selected and sees."""
        return (
            {item.guid for item in self.items if item.values["B_UISEL"]},
            {track.guid for track in self.tracks if track.values["I_SELECTED"]},
            self.time_selection,
            self.cursor,
            self.view,
        )

    def reopened(self, *, saved: bool = True) -> Project:
        """Return the project as it is when its file is opened again: same ids, new pointers."""
        assert self.file
        again = Project(self.folder, self.rate, self.file)
        again.time_selection = self.time_selection
        again.markers = list(self.markers)
        again.notes = dict(self.notes) if saved else {}
        for track in self.tracks:
            new = copy.copy(track)
            new.number, new.alive, new.project, new.items = next(Thing.numbers), True, again, []
            again.tracks.append(new)
            for item in track.items:
                twin = new.add(_loaded_again(item.take.source), item.start, item.length)
                twin.guid, twin.values = item.guid, dict(item.values)
                twin.take.values = dict(item.take.values)
        return again


def _loaded_again(source: Source | None) -> Source | None:
    if source is None:
        return None
    again = copy.copy(source)
    again.number, again.alive, again.parent = (
        next(Thing.numbers),
        True,
        _loaded_again(source.parent),
    )
    return again
