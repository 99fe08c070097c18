"""Audio out of Audacity's timeline and clips into it, over one connection of `audacity.pipe`.

What the selection is, and what is exact about it: each selected audio track is exported alone, at
the *project's* rate, as float32, with the track's gain (and clip envelopes) baked in. A mono track
is exported without its pan, and the track of its clip gets that pan; a stereo track's pan is baked
in. Muted, or silenced by another track's solo, a track exports as nothing, so these are refused.
What is marked within the selection, labels and frequencies, comes along: see `audacity.marks`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import soundfile

from audacity import sight
from audacity.marks import Label, Marks, marked
from audacity.pipe import NoProject, Pipe, Refused, command, plain
from audacity.sight import Sight
from audacity.view import Seen, View, ask, scratch
from engine.errors import BadInput, Cancelled, HostError
from engine.file_names import file_name
from engine.job import Placement, new_id
from engine.places import Span
from engine.status import Clip

__all__ = ["Captured", "Fingerprint", "NothingSelected", "OtherProject", "Place", "capture"]

_EXPORT_FORMAT = "/FileFormats/ExportFormat_SF1_Type/WAV_10000"
_SYNC_LOCK = "/GUI/SyncLockTracks"
_FLOAT, _PCM16 = "6", "2"  # libsndfile's subtypes; Audacity takes 16 bit where none is set
_LAST_TRACK = 100  # a larger index for SelectTracks opens a dialog
_LONG = 300.0  # seconds that an export or import may take
_T = TypeVar("_T")


class NothingSelected(BadInput):
    """The selection in Audacity cannot be separated; the message says why."""


class OtherProject(HostError):  # noqa: N818
    """The project in front is not, or no longer, the one that a clip came from."""


@dataclass(frozen=True)
class _Track:
    name: str
    kind: str
    channels: int
    selected: bool
    muted: bool
    soloed: bool
    pan: float
    clips: tuple[tuple[float, float], ...]

    @property
    def is_audio(self) -> bool:
        return self.kind == "wave"

    @property
    def is_label(self) -> bool:
        return self.kind == "label"

    def identity(self) -> str:
        return _digest(self.kind, self.name, self.channels)


@dataclass(frozen=True)
class Fingerprint:
    """What a project is known by when a clip comes back to it.

    Its rate, its name (a project without one may get one meanwhile), its tracks' kinds, names and
    channels, and the extents of the source track's clips. Tracks may be added (clips of other jobs
    are), and gain, pan, mute, solo and selection may change; anything else is another project.
    """

    rate: int
    name: str
    source: int
    extent: str
    tracks: tuple[str, ...]

    def to_text(self) -> str:
        """Return the one-line form that a `Placement` carries."""
        return " ".join(
            ["a1", str(self.rate), self.name or "-", str(self.source), self.extent, *self.tracks]
        )

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """Read the one-line form; OtherProject if it is none."""
        form, *words = text.split(" ")
        numbers = words[0:3:2]
        if (
            form != "a1"
            or len(words) < 5
            or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers)
        ):
            raise OtherProject("The clip does not say which Audacity project it came from.")
        rate, name, source, extent, *tracks = words
        if int(source) >= len(tracks):
            raise OtherProject("The clip does not say which Audacity project it came from.")
        return cls(int(rate), "" if name == "-" else name, int(source), extent, tuple(tracks))

    @classmethod
    def of(cls, view: View, tracks: Sequence[_Track], source: int) -> Fingerprint:
        """Return the fingerprint of a project for clips of the track with index `source`."""
        return cls(
            rate=view.rate,
            name=_digest(view.name) if view.name else "",
            source=source,
            extent=_digest(*tracks[source].clips),
            tracks=tuple(track.identity() for track in tracks),
        )

    def find(self, tracks: Sequence[_Track]) -> int | None:
        """Return the index that the source track has now, or None in another project."""
        at = 0  # where the next track may be found
        found = None
        for number, identity in enumerate(self.tracks):
            is_source = number == self.source
            while at < len(tracks):
                track = tracks[at]
                at += 1
                same = track.identity() == identity
                if same and not (is_source and _digest(*track.clips) != self.extent):
                    break
            else:
                return None
            if is_source:
                found = at - 1
        return found


@dataclass(frozen=True)
class Captured:
    """The selected part of one track, in a file.

    `start` is in frames at `rate` Hz from the project's start; `project` is the fingerprint's text;
    `marks` is what the user marked in it; `sight` is what tells the project without asking for it.
    """

    path: Path
    track: str
    start: int
    rate: int
    frames: int
    channels: int
    project: str
    marks: Marks = field(default_factory=Marks)
    sight: Sight | None = None


def capture(
    pipe: Pipe,
    folder: Path,
    *,
    keepsake: Path,
    labels: bool = True,
    seen: Seen | None = None,
    abandoned: Callable[[], bool] = lambda: False,
) -> list[Captured]:
    """Export the selected part of each selected audio track to a float32 WAV file in `folder`.

    Files are named by fresh job ids. Tracks are taken from top to bottom; one that holds no audio
    in the selected time is left out. Selection, undo history and export settings stay as they are.

    Parameters
    ----------
    pipe
        An open connection.
    folder
        Where the files go.
    keepsake
        A file that holds the user's export setting while ours is in force, so that a later call
        can put it back if this one is cut short.
    labels
        Whether to look at the labels in the selection.
    seen
        What the menu command saw; where it counts, that is captured, and nothing asked again.
    abandoned
        Asked before each export; true ends the capture.

    Raises
    ------
    NothingSelected
        There is nothing to export; the message says what to do.
    BadInput
        The labels leave nothing of it.
    Cancelled
        It was abandoned; selection and settings are as they were.
    HostError
        Audacity cannot be reached, or refuses.

    """
    at_first = sight.look()
    tracks = _tracks(pipe)
    chosen = _choose(tracks)
    known = seen.view if seen is not None and seen.counts(chosen) else None
    parts = {index: folder / f"{new_id()}.part.wav" for index in chosen}
    try:
        sound = _export(pipe, tracks, parts, keepsake, labels, known, abandoned)
        for captured in sound.values():
            captured.path.with_name(f"{captured.path.stem}.part.wav").replace(captured.path)
        same = at_first is not None and at_first.holds()
        return [replace(one, sight=at_first if same else None) for one in sound.values()]
    except (OSError, soundfile.SoundFileError) as error:
        raise HostError(
            f"The selection cannot be written to {folder} ({error}): is the disk full?"
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink()


def _export(
    pipe: Pipe,
    tracks: Sequence[_Track],
    parts: Mapping[int, Path],
    keepsake: Path,
    labels: bool,
    known: View | None,
    abandoned: Callable[[], bool],
) -> dict[int, Captured]:
    """Export tracks to the files of `parts`; what holds audio is returned under its final name."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_doorway(next(iter(parts.values())).parent))
        kept = stack.enter_context(_selection_kept(pipe, tracks))
        kept.at_origin = False  # nothing could be exported

        def export() -> None:
            for index, part in parts.items():
                if abandoned():
                    raise Cancelled("The capture was cancelled.")
                if sum(track.selected and track.is_audio for track in tracks) > 1:
                    kept.select([index])
                channels = min(tracks[index].channels, 2)
                pipe.do(
                    command("Export2", Filename=out / part.name, NumChannels=channels),
                    timeout=_LONG,
                )
                if not part.exists():
                    raise HostError(
                        f"Audacity said that it exported the track {tracks[index].name!r}, but "
                        "wrote no file: is the disk full?"
                    )

        _put_back(pipe, keepsake)
        if known is not None:  # whatever was selected since: Audacity stays free after a command
            pipe.do(command("SelectTime", Start=known.start, End=known.end))
        export()
        if any(soundfile.info(str(part)).subtype != "FLOAT" for part in parts.values()):
            with _float_export(pipe, keepsake):
                export()
        infos = {index: soundfile.info(str(part)) for index, part in parts.items()}
        sound = {index: info for index, info in infos.items() if info.frames > 0}
        if not sound:
            raise NothingSelected(
                "Nothing is selected: mark a range of time that holds audio on the selected track."
            )
        if known is not None and {info.samplerate for info in sound.values()} == {known.rate}:
            views = dict.fromkeys(sound, known)
        else:
            if len(parts) > 1:
                kept.select(list(sound))
            views = dict(zip(sound, ask(pipe, len(sound)), strict=True))
        for index, info in sound.items():
            view = views[index]
            if info.subtype != "FLOAT" or info.samplerate != view.rate:
                raise HostError(
                    f"Audacity exported {info.subtype} at {info.samplerate} Hz instead of FLOAT at "
                    f"{view.rate} Hz: set the WAV export to 32-bit float, and try again."
                )
    written = _labels(pipe) if labels and any(track.is_label for track in tracks) else []
    return {
        index: Captured(
            path=parts[index].with_name(parts[index].name.replace(".part", "")),
            track=plain(tracks[index].name),
            start=round(views[index].start * views[index].rate),
            rate=views[index].rate,
            frames=info.frames,
            channels=info.channels,
            project=Fingerprint.of(views[index], tracks, index).to_text(),
            marks=_marks(written, views[index], info.frames, plain(tracks[index].name)),
        )
        for index, info in sound.items()
    }


def _marks(labels: Sequence[Label], view: View, frames: int, track: str) -> Marks:
    found = marked(labels, view.start, view.end, frames / view.rate, track)
    return replace(found, band=view.band)


class Place:
    """The place in the open project where a job's clips belong; use it as a context.

    Raises on entry OtherProject if the project in front is not the one that `placement` names.
    On exit the user's selection is what it was on entry. Where `known` tells the project that the
    clips came from, and still holds, Audacity is not asked for its name and rate.
    """

    def __init__(self, pipe: Pipe, placement: Placement, *, known: Sight | None = None) -> None:
        self._pipe = pipe
        self._placement = placement
        self._known = known
        self._fingerprint = Fingerprint.from_text(placement.project)
        self._stack = contextlib.ExitStack()
        self._in_doubt = False

    @property
    def in_doubt(self) -> bool:
        """Whether an insertion began of which nobody knows how it ended."""
        return self._in_doubt

    def __enter__(self) -> Place:
        pipe, placement = self._pipe, self._placement
        self._tracks = _tracks(pipe)
        source = self._fingerprint.find(self._tracks)
        if source is None:
            raise OtherProject(_other(placement))
        self._source = source
        self._count = len(self._tracks)
        with contextlib.ExitStack() as stack:
            self._doorway = Path(stack.enter_context(scratch()))
            self._restore = stack.enter_context(_selection_kept(pipe, self._tracks))
            if self._known is None or not self._known.holds():
                self._check(source)
            self._restore.now()  # what an undo of the insertion goes back to
            self._stack = stack.pop_all()
        return self

    def _check(self, source: int) -> None:
        """Raise OtherProject unless the project in front has the name and rate that it must."""
        self._restore.select([source])
        # A second from the selection's end (counted backwards from there): never empty, and
        # it tells whether the user's selection is 0-0, the only one SelRestore leaves out.
        self._pipe.do(command("SelectTime", Start=0, End=-1, RelativeTo="SelectionEnd"))
        (view,) = ask(self._pipe)
        self._restore.at_origin = view.start == 0
        here = Fingerprint.of(view, self._tracks, source)
        named = self._fingerprint.name
        if here.rate != self._fingerprint.rate or (named and here.name != named):
            raise OtherProject(_other(self._placement))

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def insert(self, clip: Clip, *, mute: bool = False) -> None:
        """Put one clip on a new track, as one step of the undo history.

        Parameters
        ----------
        clip
            Its `name` becomes the track's name (and the audio clip's, as far as a file can be
            called that).
        mute
            Whether to mute the source track in the same step.

        Raises
        ------
        HostError
            Audacity refused, and the project is as it was before; or it is gone or blocked.

        """
        pipe, new = self._pipe, self._count
        name = plain(clip.name) or "Tweeze"
        source = self._tracks[self._source]
        file = self._doorway / f"{file_name(plain(clip.path.stem))}.wav"
        _lend(clip.path, file)
        line = command("Import2", Filename=file)
        self._in_doubt = True
        self._restore.elsewhere()
        try:
            pipe.do(line, timeout=_LONG)
        except Refused:
            self._in_doubt = False
            raise
        finally:
            file.unlink()
        try:
            # The import left the new track selected, alone.
            start = self._placement.start / self._placement.rate
            pipe.do(command("SetClip", At=0, Start=start))
            if file.stem != name:
                pipe.do(command("SetTrackStatus", Name=name))
            if source.channels == 1 and source.pan and soundfile.info(str(clip.path)).channels == 1:
                pipe.do(command("SetTrackAudio", Pan=100 * source.pan))
            if mute:
                self._restore.select([self._source])
                pipe.do(command("SetTrackAudio", Mute=1))
            self._restore.now()  # writes all of this into the step that the import made
        except Refused:
            pipe.do("Undo:")
            self._in_doubt = False
            raise
        self._in_doubt = False
        self._count = new + 1

    def label(self, spans: Sequence[Span], name: str) -> None:
        """Put a label on each span, on a new label track, as one step of the undo history.

        Audacity takes one label a command, and one undo step each; a Nyquist script gives it all.

        Parameters
        ----------
        spans
            In seconds from the selection's start, each with an end.
        name
            What the track and each label are called.

        Raises
        ------
        HostError
            Audacity refused, and the project is as it was before; or it is gone or blocked.

        """
        pipe, new, name = self._pipe, self._count, plain(name) or "Tweeze"
        start = self._placement.start / self._placement.rate
        with scratch() as folder:
            file = Path(folder) / "labels"
            text = name.replace('"', '\\"')
            rows = (f'({one.start:.6f} {one.stop:.6f} "{text}")' for one in spans)
            file.write_text(f"({' '.join(rows)})\n", "utf-8")
            script = f'(let* ((fp (open "{file.as_posix()}")) (found (read fp))) (close fp) found)'
            self._restore.elsewhere()
            pipe.do("NewLabelTrack:")
            try:
                _select(pipe, [new])
                pipe.do(command("SetTrackStatus", Name=name))
                # The script runs for the source track; its labels go to the label track beside it.
                self._restore.select([self._source, new])
                pipe.do(command("SelectTime", Start=start, End=start + 1.0))
                with _without_sync_lock(pipe):
                    pipe.do(command("NyquistPrompt", Version=4, Command=script), timeout=60)
                if _count_labels(pipe, new) != len(spans):
                    raise Refused(
                        "Audacity did not take Tweeze's labels: close the effect that is open, and "
                        "try again."
                    )
                self._restore.now()  # writes all of this into the step that made the track
            except Refused:
                pipe.do("Undo:")
                raise
        self._count = new + 1


@contextlib.contextmanager
def _without_sync_lock(pipe: Pipe) -> Iterator[None]:
    """Have scripts see the selected tracks alone: else labels go to those of the whole group."""
    try:
        locked = pipe.do(command("GetPreference", Name=_SYNC_LOCK)).strip() == "1"
    except Refused:  # it was never set
        locked = False
    if locked:
        pipe.do("SyncLock:")
    try:
        yield
    finally:
        if locked and not pipe.broken:
            pipe.do("SyncLock:")


def _count_labels(pipe: Pipe, track: int) -> int:
    """Return how many labels a track holds."""
    for row in _json(pipe, "Labels", list):
        if len(row) == 2 and row[0] == track and isinstance(row[1], list):
            return len(row[1])
    return 0


def _other(placement: Placement) -> str:
    return (
        f"The Audacity project in front is not the one that {placement.track!r} came from, or has "
        "changed since: bring that project to the front and run 'tweeze insert'."
    )


def _tracks(pipe: Pipe) -> list[_Track]:
    clips: dict[int, list[tuple[float, float]]] = {}
    for row in _json(pipe, "Clips", dict):
        start, end = _number(row, "start"), _number(row, "end")
        clips.setdefault(int(_number(row, "track")), []).append((start, end))
    return [
        _Track(
            name=_text(row, "name"),
            kind=_text(row, "kind"),
            channels=int(_number(row, "channels", 0)),
            selected=bool(row.get("selected", 0)),
            muted=bool(row.get("mute", 0)),
            soloed=bool(row.get("solo", 0)),
            pan=_number(row, "pan", 0),
            clips=tuple(clips.get(index, [])),
        )
        for index, row in enumerate(_json(pipe, "Tracks", dict))
    ]


def _labels(pipe: Pipe) -> list[Label]:
    """Return the labels of all label tracks: a list of `[start, end, text]` for each track."""
    found = []
    for track in _json(pipe, "Labels", list):
        rows = track[1] if len(track) == 2 and isinstance(track[1], list) else [None]
        for row in rows:
            if not isinstance(row, list) or len(row) != 3:
                raise HostError("Audacity's list of Labels holds something that is no label.")
            label = dict(zip(("start", "end", "text"), row, strict=True))
            times = _number(label, "start"), _number(label, "end")
            found.append(Label(*times, plain(_text(label, "text"))))
    return found


def _number(row: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = row.get(key, default)
    # An int too large for a float would raise; Python also reads NaN and Infinity as JSON.
    if not isinstance(value, int | float) or not abs(value) < 1e15:
        raise HostError(
            f"Audacity's list has the {key} {str(value)[:80]!r}, which is not a number."
        )
    return float(value)


def _text(row: Mapping[str, Any], key: str) -> str:
    # JSON may spell halves of characters, which can be sent nowhere.
    return str(row.get(key, "")).encode("utf-8", "replace").decode()


def _json(pipe: Pipe, what: str, row: type[_T]) -> list[_T]:
    """Return one of Audacity's lists; HostError if it is none, or one of its rows is no `row`."""
    reply = pipe.do(command("GetInfo", Type=what, Format="JSON"))
    try:
        rows = json.loads(reply, strict=False)
    except (ValueError, RecursionError) as error:
        raise HostError(f"Audacity's list of {what} cannot be read: {reply[:80]!r}.") from error
    if not isinstance(rows, list) or not all(isinstance(one, row) for one in rows):
        raise HostError(f"Audacity's list of {what} is none: {reply[:80]!r}.")
    return rows


def _choose(tracks: Sequence[_Track]) -> list[int]:
    if not any(track.is_audio for track in tracks):
        raise NothingSelected("The project holds no audio track: import or record one first.")
    chosen = [i for i, track in enumerate(tracks) if track.selected and track.is_audio]
    if not chosen:
        if any(track.selected for track in tracks):
            raise NothingSelected(
                "Only a track without audio is selected: select a range on an audio track."
            )
        raise NothingSelected("Nothing is selected: mark a range of time on an audio track.")
    solo = [track.name for track in tracks if track.soloed]
    for index in chosen:
        track = tracks[index]
        if track.muted:
            raise NothingSelected(
                f"The track {track.name!r} is muted, so Audacity would export silence: unmute it."
            )
        if solo and not track.soloed:
            raise NothingSelected(
                f"The track {solo[0]!r} plays solo, so Audacity would export silence for "
                f"{track.name!r}: switch the solo off."
            )
    return chosen


def _select(pipe: Pipe, indices: Sequence[int]) -> None:
    if any(index > _LAST_TRACK for index in indices):
        raise HostError(
            f"Audacity lets other programs select only the first {_LAST_TRACK + 1} tracks: move "
            "the selected ones up."
        )
    if not indices:
        pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Set"))
        pipe.do(command("SelectTracks", Track=0, TrackCount=1, Mode="Remove"))
    for number, index in enumerate(indices):
        mode = "Add" if number else "Set"
        pipe.do(command("SelectTracks", Track=index, TrackCount=1, Mode=mode))


class _Restore:
    """Puts the user's selection back, and with it the present state into the top undo step.

    `at_origin` says whether it is 0-0, None that nobody knows; where it was moved, somebody must.
    """

    def __init__(self, pipe: Pipe, tracks: Sequence[_Track]) -> None:
        self._pipe = pipe
        self._own = [i for i, track in enumerate(tracks) if track.selected]
        self._now: list[int] | None = self._own
        self.at_origin: bool | None = None
        self.needed = True

    def select(self, indices: Sequence[int]) -> None:
        """Select these tracks alone; costs nothing where they are."""
        self.needed = True
        if self._now != list(indices):
            _select(self._pipe, indices)
        self._now = list(indices)

    def elsewhere(self) -> None:
        """Take note that a command has selected other tracks."""
        self.needed = True
        self._now = None

    def now(self) -> None:
        self.select(self._own)
        # SelRestore does nothing at all where 0-0 was stored.
        if self.at_origin is None:
            self._pipe.do("CursSelStart:")
        self._pipe.do("CursProjectStart:" if self.at_origin else "SelRestore:")
        self.needed = False


@contextlib.contextmanager
def _selection_kept(pipe: Pipe, tracks: Sequence[_Track]) -> Iterator[_Restore]:
    restore = _Restore(pipe, tracks)
    pipe.do("SelSave:")
    try:
        yield restore
    finally:
        if restore.needed and not pipe.broken:
            with contextlib.suppress(NoProject):
                restore.now()


def _put_back(pipe: Pipe, keepsake: Path) -> None:
    """Put back the export setting of the user's that an interrupted call left in `keepsake`."""
    if keepsake.exists():
        own = keepsake.read_text("ascii").strip() or _PCM16
        pipe.do(command("SetPreference", Name=_EXPORT_FORMAT, Value=own))
        keepsake.unlink()


@contextlib.contextmanager
def _float_export(pipe: Pipe, keepsake: Path) -> Iterator[None]:
    """Have WAV exports be float32, and put the user's own setting back afterwards.

    Where none was ever made, Audacity's own choice (16 bit) is written; a setting cannot be
    deleted.
    """
    try:
        own = pipe.do(command("GetPreference", Name=_EXPORT_FORMAT)).strip()
    except Refused:
        own = _PCM16
    if not re.fullmatch(r"[0-9]{1,4}", own):
        raise HostError(f"Audacity's export setting cannot be read: {own[:80]!r}.")
    keepsake.write_text(own, "ascii")
    try:
        pipe.do(command("SetPreference", Name=_EXPORT_FORMAT, Value=_FLOAT))
        yield
    finally:
        if not pipe.broken:
            _put_back(pipe, keepsake)


@contextlib.contextmanager
def _doorway(folder: Path) -> Iterator[Path]:
    """Give `folder` a short name without quotes, so that any home fits into a command."""
    with scratch() as short:
        link = Path(short) / "m"
        try:
            link.symlink_to(folder, target_is_directory=True)
        except OSError:  # Windows, without the right to make links
            link = folder
        yield link


def _lend(clip: Path, name: Path) -> None:
    """Let `name` be another name of the clip's file, which Audacity copies on import."""
    if not clip.is_file():
        raise HostError(f"The clip {clip} is no longer there: nothing was inserted.")
    for way in (Path.symlink_to, Path.hardlink_to):
        with contextlib.suppress(OSError):
            way(name, clip)
            return
    shutil.copyfile(clip, name)


def _digest(*values: object) -> str:
    return hashlib.blake2b(repr(values).encode("utf-8", "replace"), digest_size=6).hexdigest()
