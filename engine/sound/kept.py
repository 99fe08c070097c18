"""Masks that a job leaves behind, so that it can be steered anew without asking a model again.

What is kept are the masks of each sound as the model answered with them, before they compete and
are limited, and the mixture at its own rate. What comes out of a mask that was stored
(`engine.sound.mask_codes`) differs from the model's own answer by less than -90 dB.

A folder of kept masks holds `kept.json`, `mixture.f32`, `certainty.npz`, and for each sound and
segment one file of codes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import BadInput, Failure
from engine.job import Job
from engine.mask_room import NOTE
from engine.models.base import FloatArray, FrameGrid
from engine.sound.audio import AudioInfo, frame_bytes
from engine.sound.frames import Mask
from engine.sound.mask_codes import decoded, encoded
from engine.sound.mixture import DecodedMixture
from engine.sound.segments import Segment
from engine.sound.team import Rest, Sought, Traits
from engine.status import Certainty

__all__ = ["Kept", "KeptMasks", "Recorder", "Told"]

FORM = 1
"""Raised whenever the files of a folder change: those of another form are not read."""
_MIXTURE, _CERTAINTY = "mixture.f32", "certainty.npz"
_LOG = logging.getLogger("tweeze.kept")


class Recorder:
    """Writes the masks of a job while it is separated, in a thread of its own.

    Where the disk refuses, or has little left, nothing is kept of the job, which goes on.

    Parameters
    ----------
    folder
        Where to write; made if it is not there. A job that goes on from a checkpoint finds what it
        wrote before.
    sounds
        What the job asks for, sound by sound, and which model answers. Those of an earlier job
        from which their masks come (`Kept`) are linked, not written.
    done
        Model frames before which everything was written by an earlier process.
    reserve
        Bytes of the disk that are not for masks: the clips come first.

    """

    def __init__(
        self, folder: Path, sounds: Sequence[tuple[str, Sought]], done: int = 0, reserve: int = 0
    ) -> None:
        self._folder, self._reserve = folder, reserve
        self._sounds = tuple(sounds)
        self._broken = False
        self._waiting: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="masks")
        self._attempt(lambda: self._begin(done))

    def _begin(self, done: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._folder.glob("*.npz"):
            if _start(file) >= done:
                file.unlink()

    def add(self, sound: int, segment: Segment, masks: Sequence[Mask]) -> None:
        """Keep the masks of one sound in a segment, one for each channel or one for all.

        Each is of shape `(frames, bins)`. They may not be changed afterwards.
        """
        if not self._broken:
            path = self._folder / _file(sound, segment.start, segment.stop)
            together = np.stack(masks)
            self._waiting.append(
                self._pool.submit(self._attempt, lambda: self._write(path, together))
            )

    def _write(self, path: Path, masks: npt.NDArray[Any]) -> None:
        if self._reserve and shutil.disk_usage(self._folder).free < self._reserve + masks.nbytes:
            raise OSError(errno.ENOSPC, "what is left of the disk is for the clips")
        _write(path, masks)

    def link(self, sound: int, kept: Kept, place: int) -> None:
        """Keep the masks of a sound that come from those of an earlier job."""

        def link_all() -> None:
            for file in kept.files(place):
                start, stop = _span(file)
                _link(file, self._folder / _file(sound, start, stop))

        self._attempt(link_all)

    def flush(self) -> None:
        """Wait until all is written, as far as the disk allows."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.result()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True)

    def finish(
        self,
        job: Job,
        mixture: DecodedMixture,
        traits: Mapping[str, Traits],
        certainty: tuple[float, FloatArray],
        frames: int,
    ) -> bool:
        """Write the note that makes the folder whole; returns whether it is.

        `certainty` is what the separator said of the queries, after the seconds of its step.
        `frames` counts the model frames of which there must be masks.
        """

        def note() -> None:
            _link(mixture.own, self._folder / _MIXTURE)
            step, values = certainty
            np.savez(self._folder / _CERTAINTY, step=np.array(step), values=values)
            facts = {
                "form": FORM,
                "version": _version(),
                "job": job.to_text(),
                "info": asdict(mixture.info),
                "peak": mixture.peak,
                "rms": mixture.rms,
                "notes": mixture.notes,
                "models": {name: one.to_json() for name, one in traits.items()},
                "sounds": [
                    {"model": name, "text": one.text, "others": one.others}
                    for name, one in self._sounds
                ],
            }
            _replace(self._folder / NOTE, facts)

        self.flush()
        whole = all(_covers(_files(self._folder, n), frames) for n in range(len(self._sounds)))
        if whole:
            self._attempt(note)
        return whole and not self._broken

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            if not self._broken:
                write()
        except (OSError, MemoryError) as error:
            self._broken = True
            shutil.rmtree(self._folder, ignore_errors=True)  # the clips may need the room
            _LOG.warning("The masks cannot be kept (%s).", error)


@dataclass(frozen=True, eq=False)
class Kept:
    """The kept masks of a job.

    Attributes
    ----------
    folder
        Where they lie.
    job
        Whose they are.
    traits
        What is to be known of each model, by name.
    sounds
        The model that answered for each sound, and what it was asked for.
    notes
        Sentences about how the mixture was read.
    told
        Whether speech competed unasked, and how sure Tweeze was of each query, over time; None
        until the job had ended.

    """

    folder: Path
    job: Job
    info: AudioInfo
    peak: float
    rms: float
    notes: tuple[str, ...]
    traits: Mapping[str, Traits]
    sounds: tuple[tuple[str, Sought], ...]
    told: Told | None = None

    @classmethod
    def open(cls, folder: Path) -> Kept | None:
        """Return what lies in a folder; None if that is not whole, or of another version."""
        try:
            facts = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            if (facts["form"], facts["version"]) != (FORM, _version()):
                return None
            info = AudioInfo(**facts["info"])
            whole = info.frames * frame_bytes(info.channels)
            if (folder / _MIXTURE).stat().st_size != whole:
                return None
            return cls(
                folder,
                Job.from_text(facts["job"]),
                info,
                float(facts["peak"]),
                float(facts["rms"]),
                tuple(map(str, facts["notes"])),
                {name: Traits.from_json(one) for name, one in facts["models"].items()},
                tuple((str(one["model"]), Sought.from_json(one)) for one in facts["sounds"]),
                Told.from_json(facts["told"]) if "told" in facts else None,
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, BadInput):
            return None

    @property
    def samples(self) -> Path:
        """The mixture at its own rate, interleaved float32."""
        return self.folder / _MIXTURE

    def tell(self, told: Told) -> None:
        """Note what became known of the job after its masks; without an error if that fails."""
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
            facts["told"] = told.to_json()
            _replace(self.folder / NOTE, facts)

    def find(self, model: str, sought: Sought) -> int | None:
        """Return the place of a sound, or None if its masks are not here."""
        wanted = (model, sought)
        return self.sounds.index(wanted) if wanted in self.sounds else None

    def files(self, place: int) -> list[Path]:
        """Return the files of a sound, from the first segment to the last."""
        return _files(self.folder, place)

    def certainty(self) -> tuple[float, FloatArray] | None:
        """Return what the separator said of the queries, if it said anything."""
        try:
            path = self.folder / _CERTAINTY
            with path.open("rb") as data, np.load(data, allow_pickle=False) as stored:
                return float(stored["step"]), stored["values"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def mixture(self, frame_grid: FrameGrid, work: Path) -> DecodedMixture:
        """Return the mixture, for a model's frames; `work` gets a link to its samples.

        Raises
        ------
        OSError
            They are gone.

        """
        own = work / _MIXTURE
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        _link(self.folder / _MIXTURE, own)
        samples = -(-self.info.frames * frame_grid.sample_rate // self.info.rate)
        return DecodedMixture(self.info, own, own, samples, self.rms, self.peak, self.notes)


@dataclass(frozen=True)
class Told:
    """What a job's status told of its queries.

    Attributes
    ----------
    beside
        Whether speech competed unasked.
    certainty
        Of each query, in their order; empty where nobody estimated it.
    rest
        What was left of the mixture and competed; None where nothing did.

    """

    beside: bool
    certainty: tuple[Certainty, ...]
    rest: Rest | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "beside": self.beside,
            "certainty": [one.to_value() for one in self.certainty],
            "rest": self.rest.place.tolist() if self.rest is not None else None,
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Told:
        """Read what `to_json` returned; BadJob or KeyError where it is something else."""
        found = tuple(Certainty.from_value(value) for value in facts["certainty"])
        place = facts.get("rest")
        rest = Rest(np.array(place, np.float32)) if place else None
        return cls(bool(facts["beside"]), found, rest)


class KeptMasks:
    """The masks of some kept sounds of one model, segment by segment.

    It stands where a model's masks do in `engine.sound.core`.
    """

    def __init__(self, kept: Kept, places: Sequence[int]) -> None:
        self._kept = kept
        self._files = [[(_span(file), file) for file in kept.files(place)] for place in places]
        self._held: dict[Path, Mask] = {}

    def of(
        self, segment: Segment, on_progress: Callable[[float], None]
    ) -> Iterator[tuple[Mask, FloatArray]]:
        """Yield masks `(sounds, frames, bins)`, one a channel or one for all, without presence.

        Raises
        ------
        Failure
            A file is damaged or gone.

        """
        on_progress(0.0)
        held: dict[Path, Mask] = {}
        sounds = []
        for files in self._files:
            pieces = []
            for (start, stop), file in files:
                if start < segment.stop and stop > segment.start:
                    held[file] = self._held[file] if file in self._held else self._read(file)
                    part = slice(max(segment.start - start, 0), segment.stop - start)
                    pieces.append(held[file][:, part])
            sounds.append(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1))
        self._held = held
        for channel in range(len(sounds[0])):
            yield np.stack([mask[channel] for mask in sounds]), np.zeros((0, 0), np.float32)

    def _read(self, file: Path) -> Mask:
        try:
            with file.open("rb") as data, np.load(data, allow_pickle=False) as stored:
                return decoded({name: stored[name] for name in stored.files})
        except (OSError, ValueError, KeyError, zlib.error, zipfile.BadZipFile) as error:
            raise Failure(
                f"The kept masks of job {self._kept.job.id} are damaged ({error}): "
                "separate the recording once more."
            ) from error


@cache
def _version() -> str:
    return version("tweeze")


def _write(path: Path, mask: npt.NDArray[Any]) -> None:
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **encoded(mask))  # type: ignore[arg-type]
    temporary.replace(path)


def _replace(path: Path, facts: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(facts), encoding="utf-8")
    temporary.replace(path)


def _link(file: Path, other: Path) -> None:
    """Give a file another name, or a copy where the disk knows no links."""
    other.unlink(missing_ok=True)
    try:
        os.link(file, other)
    except (OSError, NotImplementedError):
        shutil.copyfile(file, other)


def _files(folder: Path, sound: int) -> list[Path]:
    return sorted(folder.glob(f"{sound:02d}-*.npz"))


def _covers(files: Sequence[Path], frames: int) -> bool:
    """Return whether files hold masks for all of so many frames, each once."""
    reached = 0
    for start, stop in map(_span, files):
        if start != reached:
            return False
        reached = stop
    return reached == frames


def _file(sound: int, start: int, stop: int) -> str:
    return f"{sound:02d}-{start:09d}-{stop:09d}.npz"


def _span(file: Path) -> tuple[int, int]:
    _, start, stop = file.stem.split("-")
    return int(start), int(stop)


def _start(file: Path) -> int:
    return _span(file)[0] if file.stem.count("-") == 2 else 0
