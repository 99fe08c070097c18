"""The objects of Audacity 4's API, as far as Tweeze's extension uses them, with the API's rules.

`Fault` is what an extension must never do, whatever happens; `Refusal` is what can happen to any.
A method of a class here is one of the API if it is in the API's data, under the same name.
"""

# ruff: noqa: N802
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.hosts.audacity4.api import Bytes
from tests.hosts.audacity4.native import STATUSES, Library, Memory
from tests.hosts.audacity4.project import Audio, AudioTrack, LabelTrack

if TYPE_CHECKING:
    from tests.hosts.audacity4.fake import Instance, Run

CHUNK = 65536


class Fault(AssertionError):  # noqa: N818
    """The extension broke a rule."""


class Refusal(Exception):  # noqa: N818
    """Audacity refuses something for a reason that no extension can help."""


class Thing:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.host = instance.host
        self.semantics = instance.host.semantics

    @property
    def kind(self) -> str:
        return type(self).__name__


class Project(Thing):
    def beginEdit(self, name: str, session: Session | None = None) -> Edit:
        run = self.instance.run
        if run is None or run.scope is None or session is not run.scope:
            raise Fault("beginEdit outside of process and poll, or without their session")
        if run.edit is not None:
            raise Refusal("Another edit of this project is open")
        if self.host.project.closed:
            raise Refusal("No project is open")
        if run.preview and self.semantics.preview == "fails":
            raise Refusal("A preview does not edit the project")
        if self.host.project.recording and self.semantics.recording == "barred":
            raise Refusal("The project is being recorded to")
        run.edit = Edit(self.instance, run)
        return run.edit


class Session(Thing):
    """What `process` gets for `beginEdit`; not described further."""


class Edit(Thing):
    def __init__(self, instance: Instance, run: Run) -> None:
        super().__init__(instance)
        self.run = run
        self.writers: list[AudioWriter] = []
        self.label_tracks: list[LabelTrack] = []
        self.order: list[Any] = []
        self.committed = False
        self._selection = Selection(instance, self)

    def check(self) -> None:
        """Raise if the edit is over."""
        if self.committed:
            raise Fault("an edit is used after its commit")
        if self.run.over:
            raise Refusal("The edit is over")
        if self.host.project.closed and self.semantics.gone == "at once":
            raise Refusal("The edit's project is not the current one")

    @property
    def selection(self) -> Selection:
        return self._selection

    def createAudioWriter(self, format: dict[str, float]) -> AudioWriter:  # noqa: A002
        self.check()
        writer = AudioWriter(self.instance, self, *_format(format))
        self.writers.append(writer)
        return writer

    def createLabelTrack(self, name: str) -> AddedLabelTrack:
        self.check()
        if not self.semantics.labels:
            raise Refusal("This effect may not add label tracks")
        track = LabelTrack(name)
        self.label_tracks.append(track)
        self.order.append(track)
        return AddedLabelTrack(self.instance, self, track)

    def commit(self) -> None:
        self.check()
        if self.host.project.closed:
            raise Refusal("The edit's project is not the current one")
        if not all(writer.added for writer in self.writers):
            raise Fault("a writer was neither replaced nor added")
        self.committed = True


def _format(format: dict[str, float]) -> tuple[int, float]:  # noqa: A002
    channels, rate = format["channelCount"], format["sampleRate"]
    if channels not in (1, 2) or rate != math.floor(rate) or not 1 <= rate <= 384000:
        raise Fault(f"a bad format: {format}")
    return int(channels), rate


class Selection(Thing):
    def __init__(self, instance: Instance, edit: Edit) -> None:
        super().__init__(instance)
        self.start, self.end, tracks = edit.run.range
        self.audioTracks = [AudioTrackOf(instance, edit, track) for track in tracks]


class AudioTrackOf(Thing):
    kind = "AudioTrack"

    def __init__(self, instance: Instance, edit: Edit, track: AudioTrack) -> None:
        super().__init__(instance)
        self.edit = edit
        self.track = track
        self.name = track.name
        self.channelCount = track.channels
        self.sampleRate = track.rate
        self.start = min((clip.start for clip in track.clips), default=0) / track.rate
        self.end = track.stop / track.rate
        self.clips = [ClipOf(instance, clip, track.rate) for clip in track.clips]

    def openReader(self, options: dict[str, float]) -> AudioReader:
        self.edit.check()
        channels, rate = _format({k: options[k] for k in ("channelCount", "sampleRate")})
        if not 0 <= options["start"] <= options["end"]:
            raise Fault(f"a reader of bad times: {options}")
        if (channels, rate) != (self.track.channels, self.track.rate):
            raise Fault("another format than the track's own: the mixer would change the samples")
        if options["end"] > max(self.edit.run.range[1], 3 / rate) + 1 / rate:
            raise Fault(f"seconds far behind the selection, or samples for seconds: {options}")
        first, last = self.semantics.frames(options["start"], options["end"], rate)
        if self.semantics.past_end == "stops":
            last = max(first, min(last, self.track.stop))
        return AudioReader(self.instance, self, first, last)


class ClipOf(Thing):
    kind = "AudioClip"

    def __init__(self, instance: Instance, clip: Audio, rate: float) -> None:
        super().__init__(instance)
        self.start, self.end = clip.start / rate, clip.stop / rate


class ByteBuffer(Thing):
    def __init__(self, instance: Instance, size: int) -> None:
        super().__init__(instance)
        self.memory = Memory(size)
        self.byteLength = size

    def idle(self) -> Memory:
        if self.memory.users:
            raise Fault("a buffer is touched while a native call has it")
        return self.memory

    def copyToArrayBuffer(self) -> Bytes:
        return Bytes(bytes(self.idle().bytes))

    def copyFromArrayBuffer(self, data: Bytes) -> None:
        if len(data.data) != self.byteLength:
            raise Fault(f"{len(data.data)} bytes for a buffer of {self.byteLength}")
        self.idle().bytes[:] = data.data


class AudioChunk(Thing):
    def __init__(
        self, instance: Instance, channels: int, rate: float, count: int, buffers: list[ByteBuffer]
    ) -> None:
        super().__init__(instance)
        self.channelCount = channels
        self.sampleRate = rate
        self.sampleCount = count
        self._buffers = buffers
        self.released = False

    @property
    def channels(self) -> list[ByteBuffer]:
        if self.released:
            raise Fault("a chunk is used after its release")
        return self._buffers

    def samples(self) -> Any:
        rows = [np.frombuffer(bytes(one.idle().bytes), "<f4") for one in self._buffers]
        return np.stack([row[: self.sampleCount] for row in rows])

    def release(self) -> None:
        for one in self._buffers:
            one.idle()
        self.released = True


def _buffers(instance: Instance, channels: int, count: int) -> list[ByteBuffer]:
    whole = instance.host.semantics.capacity == "whole"
    return [ByteBuffer(instance, 4 * (CHUNK if whole else count)) for _ in range(channels)]


class AudioReader(Thing):
    def __init__(self, instance: Instance, of: AudioTrackOf, first: int, last: int) -> None:
        super().__init__(instance)
        self.of = of
        self.at, self.last = first, last
        self._start = first
        self.channelCount, self.sampleRate = of.channelCount, of.sampleRate
        self._chunk: AudioChunk | None = None
        self._reads = 0

    def read(self, samples: float = CHUNK) -> AudioChunk | None:
        self.of.edit.check()
        if not 0 < samples <= CHUNK:
            raise Fault(f"a reader is asked for {samples} samples")
        if self._chunk is not None and not self._chunk.released:
            raise Fault("the chunk before was not released")
        # As long as is asked for; where nothing longer is asked for, as long as there can be.
        most = self.semantics.most if samples == CHUNK else int(samples)
        count = min(max(int(samples), most), self.last - self.at - self.semantics.cuts)
        self._reads += 1
        if self.semantics.short_reads:
            count = min(count, 1 + 9973 * self._reads % CHUNK)
        if count <= 0:
            return None
        old = self._chunk._buffers if self._chunk is not None else []
        fits = old and old[0].byteLength == 4 * (
            CHUNK if self.semantics.capacity == "whole" else count
        )
        again = self.semantics.reuse and fits
        buffers = old if again else _buffers(self.instance, self.channelCount, count)
        for row, one in zip(self.of.track.read(self.at, self.at + count), buffers, strict=True):
            content = np.full(one.byteLength // 4, np.nan, np.float32)
            content[:count] = row * np.float32(1 + self.semantics.gain * self._start / 1e6)
            one.idle().bytes[:] = content.tobytes()
        self.at += count
        self._chunk = AudioChunk(self.instance, self.channelCount, self.sampleRate, count, buffers)
        return self._chunk


class AudioWriter(Thing):
    def __init__(self, instance: Instance, edit: Edit, channels: int, rate: float) -> None:
        super().__init__(instance)
        self.edit = edit
        self.channelCount, self.sampleRate = channels, rate
        self.parts: list[Any] = []
        self.added = False

    def createChunk(self, samples: float) -> AudioChunk:
        self.edit.check()
        if not 0 < samples <= CHUNK:
            raise Fault(f"a chunk of {samples} samples")
        count = int(samples)
        buffers = _buffers(self.instance, self.channelCount, count)
        return AudioChunk(self.instance, self.channelCount, self.sampleRate, count, buffers)

    def write(self, chunk: AudioChunk) -> bool:
        self.edit.check()
        if self.added:
            raise Fault("a writer is written to after its track was added")
        if chunk.released:
            raise Fault("a released chunk is written")
        if (chunk.channelCount, chunk.sampleRate) != (self.channelCount, self.sampleRate):
            raise Fault("a chunk of another format is written")
        samples = chunk.samples()
        if not np.isfinite(samples).all() and not self.semantics.nan:
            raise Refusal("A sample is not finite")
        self.parts.append(samples)
        return True

    def addTrack(self, name: str, start: float) -> bool:
        self.edit.check()
        if self.added or start < 0:
            raise Fault("a track is added twice, or before the project's start")
        if not self.parts:
            raise Fault("a track without samples is added")
        if start > self.edit.run.range[1]:
            raise Fault(f"a track behind the selection, or samples for seconds: {start}")
        self.added = True
        data = np.concatenate(self.parts, 1)
        clip = Audio(math.floor(start * self.sampleRate + 0.5), data)
        track = AudioTrack(name, self.sampleRate, self.channelCount, [clip], start=start)
        self.edit.order.append(track)
        return True


class AddedLabelTrack(Thing):
    def __init__(self, instance: Instance, edit: Edit, track: LabelTrack) -> None:
        super().__init__(instance)
        self.edit = edit
        self.track = track

    def addLabel(self, start: float, end: float, text: str) -> bool:
        self.edit.check()
        if not 0 <= start <= end:
            raise Fault(f"a label from {start} to {end}")
        self.track.labels.append((start, end, text))
        return True


class Native(Thing):
    def open(self, name: str) -> NativeLibrary | None:
        path = self.host.library(name)
        if path is None:
            return None
        return NativeLibrary(self.instance, Library(path, self.host.pool, self.host.ended))

    def createBuffer(self, byteLength: float) -> ByteBuffer:
        return ByteBuffer(self.instance, int(byteLength))


class NativeLibrary(Thing):
    def __init__(self, instance: Instance, library: Library) -> None:
        super().__init__(instance)
        self.library = library

    def _given(self, values: list[Any]) -> list[Any]:
        out = []
        for value in values:
            if isinstance(value, ByteBuffer):
                memory = value.idle()
                if self.semantics.copies:
                    memory = Memory(memory.size)
                    memory.bytes[:] = bytes(value.memory.bytes)
                out.append(memory)
            elif isinstance(value, str) and self.semantics.lossy:
                out.append(value.encode("ascii", "replace").decode())
            elif value is None or isinstance(value, (bool, float, str)):
                out.append(value)
            else:
                raise Fault(f"{value!r} is nothing that a native call takes")
        return out

    def dispatch(self, call: str, args: list[Any]) -> Any:
        """A call that blocks the window."""
        self.host.blocking.append(call)
        status, value = self.library.call(call, self._given(args))
        if status:
            raise Refusal(value if isinstance(value, str) else STATUSES[status])
        return value

    def start(self, key: float, call: str, args: list[Any]) -> None:
        """A call on a worker thread, whose Promise the prelude keeps."""
        given = self._given(args)
        self.host.called(call)
        self.library.start(self.instance, int(key), call, given)
        self.instance.flying += 1


class Log(Thing):
    def error(self, message: str) -> None:
        self.host.log.append(message)

    warn = info = debug = error


class Task(Thing):
    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self.cancelled = False
        self.reports: list[tuple[float, str]] = []

    def report(self, fraction: float, message: str = "") -> bool:
        if not 0 <= fraction <= 1:
            raise Fault(f"a progress of {fraction}")
        self.reports.append((fraction, message))
        return not self.cancelled


MODULES = {
    "Audacity.Project": Project,
    "MuseApi.Log": Log,
}
INTERNAL = {"start"}  # methods that are not the API's own
