"""Mixture and queries in, targets and residual out: any length, in bounded memory.

The model sees magnitudes at its own rate and answers with masks. The masks are applied to the
mixture's spectrogram *at the mixture's own rate*, on frames of the same length and spacing in
seconds, so nothing that is kept is ever resampled: an all-ones mask returns the mixture, and no
clip can be shifted against it. Where the masks of several queries claim a bin more than once, they
share it. Bins above the model's band take the mean mask magnitude of its top bands.

Everything runs over segments that start on the model's grid and carry its context with them. The
plan depends on the length alone (and, where memory ran out, on how often the segments were
shortened) and a checkpoint follows each segment, so a job that was interrupted ends in the same
bytes as one that was not.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import logging
import math
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import Cancelled, Failure
from engine.file_names import file_name
from engine.job import Job
from engine.models.base import FloatArray, FrameGrid, PresenceSeparator, Separator, Tunable
from engine.options import Bandwidth, Keep, Stereo
from engine.sound import memory
from engine.sound.audio import FrameWriter
from engine.sound.frames import (
    GROUP,
    Mask,
    MixtureGrid,
    inverse,
    masked,
    shared,
    sharpened,
    spectrum,
    window,
)
from engine.sound.mixture import Mixture, prepare
from engine.status import Clip, ClipKind

__all__ = ["Segment", "plan", "separate"]

_PREPARING = 0.02  # share of the progress that belongs to reading the mixture
_WORK = "work"
_BEGUN = "begun"
_METHOD = 2  # raised whenever the same masks give other samples: old checkpoints fit no more
_ATTEMPTS = 10  # that may end, with the whole engine, before a first segment is finished
_LOG = logging.getLogger("tweeze.separate")


@dataclass(frozen=True)
class Segment:
    """Model frames `[start, stop)` which are kept, out of `[first, last)` which the model sees."""

    start: int
    stop: int
    first: int
    last: int


def plan(frames: int, frame_grid: FrameGrid, reduction: int = 0) -> tuple[Segment, ...]:
    """Cut a clip of `frames` model frames into segments of about equal length, `core` at most.

    With a `reduction`, each of those is cut into shorter ones: they take less memory, and what
    was finished before the reduction ends where one of them does.

    >>> frame_grid = FrameGrid(32000, 2048, 640, block=16, context=16, core=64)
    >>> plan(100, frame_grid)
    (Segment(start=0, stop=64, first=0, last=80), Segment(start=64, stop=100, first=48, last=100))
    >>> [segment.stop for segment in plan(100, frame_grid, reduction=1)]
    [16, 32, 48, 64, 80, 96, 100]
    """
    count = math.ceil(frames / frame_grid.core)
    per_segment = math.ceil(math.ceil(frames / frame_grid.block) / count) * frame_grid.block
    piece = min(per_segment, _core(frame_grid, reduction))
    cuts = [
        start
        for whole in range(0, frames, per_segment)
        for start in range(whole, min(whole + per_segment, frames), piece)
    ]
    return tuple(
        Segment(
            start,
            stop,
            max(0, start - frame_grid.context),
            min(stop + frame_grid.context, frames),
        )
        for start, stop in zip(cuts, [*cuts[1:], frames], strict=True)
    )


def _core(frame_grid: FrameGrid, reduction: int) -> int:
    return memory.reduced(frame_grid.core, frame_grid.block, frame_grid.context, reduction)


def separate(
    job: Job,
    separator: Separator,
    folder: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    present: Callable[[tuple[float, ...]], None] = lambda _: None,
    noted: Callable[[tuple[str, ...]], None] = lambda _: None,
    reduction: int = 0,
) -> tuple[Clip, ...]:
    """Separate a job's mixture and write its clips into `folder`.

    Unfinished files and checkpoints lie in `folder/work`. Called again with the same job after a
    crash, the work goes on behind the last finished segment. A clip gets its final name when it
    is whole; when all have theirs, `work` is removed.

    Where memory runs out, the work goes on with shorter segments, as long as that can help. How
    often they were shortened is noted in `work`, so that a later process does not try in vain
    what an earlier one could not do.

    Parameters
    ----------
    job
        The mixture's file, the queries, and how to separate.
    separator
        The loaded model.
    folder
        The job's own folder; nobody else writes there. It need not exist.
    progress
        Is told the share that is done, 0 to 1, after each step.
    cancelled
        Is asked between steps whether to give up.
    present
        Is told once, before the clips are returned, how likely the sound of each query is there
        (0 to 1, the maximum over the segments), if the model is a `PresenceSeparator` and the
        mixture is not silent.
    noted
        Is told once, before the clips are returned, what the user should know of how the mixture
        was read: that it was cut off, say.
    reduction
        How often the segments are to be shortened from the start: once for each process that
        ended in the middle of this job, for it may have been lack of memory.

    Returns
    -------
    clips
        The targets in the order of the queries, then the residual, as `job.options.keep` says.

    Raises
    ------
    BadAudio
        The mixture cannot be separated.
    Cancelled
        `cancelled` said so.
    Failure
        The disk is full, or the model gave something that is no mask.
    OutOfMemory
        There is not even enough memory for the shortest segments, after longer ones were tried:
        `folder` stays, for a fresh process to go on.
    MemoryError, RuntimeError, OSError
        A fresh process has not enough memory either.

    On any other error nothing is left of `folder`.

    """
    try:
        if isinstance(separator, Tunable):
            separator = separator.tuned(job.options)
        frame_grid = separator.frame_grid
        note, begun = folder / _WORK / "reduction", folder / _WORK / _BEGUN
        ended = _noted(begun)  # attempts since the last finished segment, each cut short
        if ended >= _ATTEMPTS:
            raise Failure(
                f"The separation of '{job.mixture.name}' was begun {ended} times, and each time "
                "everything ended before a first result, perhaps for lack of memory: close other "
                "programs, or take a shorter selection."
            )
        begun.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun.write_text(f"{ended + 1}\n")
        first = reduction = max(reduction, _noted(note), ended - 1)
        while True:
            if reduction:
                note.write_text(f"{reduction}\n")
            try:
                return _separate(
                    job, separator, folder, progress, cancelled, present, noted, reduction
                )
            except Exception as error:
                if not memory.is_exhausted(error):
                    raise
                if _core(frame_grid, reduction) == _core(frame_grid, reduction + 1):
                    raise memory.OutOfMemory if reduction > first else error from error
                _LOG.warning("Memory ran out: job %s goes on with shorter segments.", job.id)
            # Here, and not among the lines of `except`, the arrays of the attempt are let go of.
            gc.collect()
            reduction += 1
    except memory.OutOfMemory:
        raise
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not memory.is_exhausted(error):
            raise _disk_failure(error, folder) from error
        raise


def _noted(note: Path) -> int:
    try:
        text = note.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return min(int(text), 16) if text.isascii() and text.isdigit() else 0


def _disk_failure(error: OSError, folder: Path) -> Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            f"The disk that holds {folder.parent} is full: free some space and try again."
        )
    return Failure(
        f"Writing to {folder} failed ({error.strerror or error}): check the disk and try again."
    )


def _separate(
    job: Job,
    separator: Separator,
    folder: Path,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
    present: Callable[[tuple[float, ...]], None],
    noted: Callable[[tuple[str, ...]], None],
    reduction: int,
) -> tuple[Clip, ...]:
    def checkpoint(share: float) -> None:
        progress(min(share, 1.0))
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")

    checkpoint(0.0)
    frame_grid = separator.frame_grid
    work = folder / _WORK
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    vectors = np.stack([separator.embed(query) for query in job.queries])
    mixture = prepare(job, frame_grid, work, lambda share: checkpoint(share * _PREPARING))
    grid = MixtureGrid(mixture.info.rate, frame_grid)
    segments = plan(mixture.model_samples // frame_grid.hop + 1, frame_grid, reduction)
    outputs = _outputs(job, folder)
    signature = _signature(job, frame_grid, vectors, mixture)
    cuts = {segment.stop for segment in segments}
    stream = _Stream(grid, mixture, outputs, len(job.queries), work, signature, cuts)
    linked = job.options.stereo is Stereo.LINKED and mixture.info.channels > 1
    steps = len(segments) * (1 if linked else mixture.info.channels)
    full = job.options.bandwidth is Bandwidth.FULL
    with stream:
        for index, segment in enumerate(segments):
            if segment.stop <= stream.done:
                continue
            magnitude = np.abs(mixture.model_spectrum(segment.first, segment.last))
            if linked:
                magnitude = np.sqrt(np.mean(magnitude**2, axis=0, keepdims=True))
            masks = []
            for channel in range(len(magnitude)):
                done = (index * len(magnitude) + channel) / steps
                checkpoint(_PREPARING + done * (1 - _PREPARING))
                heard = magnitude[channel : channel + 1]
                keep = slice(segment.start - segment.first, segment.stop - segment.first)
                mask, presence = _asked(separator, heard, vectors, mixture.rms, keep)
                stream.presence = np.maximum(stream.presence, presence)
                kept = _checked(mask, magnitude.shape[1:], vectors, separator)[:, 0, keep]
                masks.append(shared(sharpened(kept, job.options.sharpness)))
            stream.add(segment, masks, full=full)
            stream.save(segment.stop)
    for output in outputs:
        if output.part.exists():
            output.part.replace(output.clip.path)
    shutil.rmtree(work)
    if isinstance(separator, PresenceSeparator) and not mixture.silent:
        present(tuple(float(share) for share in stream.presence))
    noted(mixture.notes)
    progress(1.0)
    return tuple(output.clip for output in outputs)


def _asked(
    separator: Separator, heard: FloatArray, vectors: FloatArray, rms: float, keep: slice
) -> tuple[Mask, FloatArray]:
    """Return the mask, and the presence of each query; of a model that gives none, zeros."""
    if not isinstance(separator, PresenceSeparator):
        none = np.zeros(len(vectors), np.float32)
        return separator.mask(heard, vectors, rms, keep), none
    mask, presence = separator.mask_with_presence(heard, vectors, rms, keep)
    # Whoever compares with 0 and 1 must find it so: NaN compares with nothing.
    if presence.shape != (len(vectors),) or not ((presence >= 0) & (presence <= 1)).all():
        raise Failure(
            f"The model {separator.name} answered with something that is no presence "
            f"({presence!r}): its weights are damaged, see 'tweeze models'."
        )
    return mask, presence


def _checked(mask: Mask, shape: tuple[int, ...], vectors: FloatArray, separator: Separator) -> Mask:
    if mask.shape != (len(vectors), 1, *shape) or not np.isfinite(mask).all():
        raise Failure(
            f"The model {separator.name} answered with something that is no mask (shape "
            f"{mask.shape}): its weights are damaged, see 'tweeze models'."
        )
    return mask


@dataclass(frozen=True)
class _Output:
    """A clip in the making; `target` is the index of its query, None for the residual."""

    clip: Clip
    part: Path
    target: int | None


def _outputs(job: Job, folder: Path) -> tuple[_Output, ...]:
    wanted: list[tuple[ClipKind, str, str, int | None]] = []
    if job.options.keep is not Keep.RESIDUAL:
        wanted += [(ClipKind.TARGET, query, query, i) for i, query in enumerate(job.queries)]
    if job.options.keep is not Keep.TARGET:
        wanted.append((ClipKind.RESIDUAL, "", f"without {', '.join(job.queries)}", None))
    outputs: list[_Output] = []
    for number, (kind, query, label, target) in enumerate(wanted):
        name = f"{job.title} - {label}" if job.title else label
        path = _free(folder, file_name(job.title, label), outputs)
        clip = Clip(path, kind, query, name)
        outputs.append(_Output(clip, folder / _WORK / f"{number}.part", target))
    return tuple(outputs)


def _free(folder: Path, stem: str, outputs: Sequence[_Output]) -> Path:
    taken = {output.clip.path.name.casefold() for output in outputs}
    number, file = 1, f"{stem}.wav"
    while file.casefold() in taken:
        number += 1
        file = f"{stem} ({number}).wav"
    return folder / file


class _Stream:
    """Overlap-add of all targets, straight into the clips' files.

    Samples are added up in float64 in the order of the frames, so that the sums are the same
    wherever a segment ends.
    """

    def __init__(
        self,
        grid: MixtureGrid,
        mixture: Mixture,
        outputs: Sequence[_Output],
        queries: int,
        work: Path,
        signature: str,
        cuts: set[int],
    ) -> None:
        self._grid = grid
        self._mixture = mixture
        self._outputs = outputs
        self._checkpoint = work / "checkpoint.npz"
        self._signature = signature
        self._window = window(grid.width)
        self._base = -(grid.width // 2)  # the sample at which the sums begin
        self._sums = np.zeros((queries, mixture.info.channels, 0))
        self._weights = np.zeros(0)
        self.presence: FloatArray = np.zeros(queries, np.float32)  # the maximum so far
        self.done = 0  # model frames before which everything is finished
        self._resume(cuts)
        self._writers: list[FrameWriter] = []

    def __enter__(self) -> _Stream:
        info = self._mixture.info
        start = max(self._base, 0)
        if self._base < info.frames or self.done == 0:
            self._writers = [FrameWriter(o.part, info, frame=start) for o in self._outputs]
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for writer in self._writers:
            if kind is None:
                writer.flush(to_disk=True)
            writer.close()

    def add(self, segment: Segment, masks: Sequence[Mask], *, full: bool) -> None:
        """Apply a segment's masks and write what is whole.

        There is one of shape `(queries, frames, bins)` for each channel, or one for all.
        """
        width = self._grid.width
        group = max(1, GROUP // width)
        for start in range(segment.start, segment.stop, group):
            stop = min(start + group, segment.stop)
            centres = self._grid.centres(start, stop)
            mixture = spectrum(self._mixture.frames(centres, width), self._window)
            part = slice(start - segment.start, stop - segment.start)
            for query in range(len(masks[0])):
                spread = [self._grid.spread(mask[query, part], full=full) for mask in masks]
                frames = inverse(masked(mixture, np.stack(spread)), width) * self._window
                self._overlap_add(query, frames, centres)
            self._weigh(centres)
            next_first = int(self._grid.centres(stop, stop + 1)[0]) - width // 2
            ended = stop == self._mixture.model_samples // self._grid.frame_grid.hop + 1
            self._write(self._mixture.info.frames if ended else next_first)

    def _overlap_add(self, query: int, frames: FloatArray, centres: npt.NDArray[np.int64]) -> None:
        starts = self._starts(centres)
        sums = self._sums[query]
        for number, start in enumerate(starts):
            sums[:, start : start + self._grid.width] += frames[:, number]

    def _weigh(self, centres: npt.NDArray[np.int64]) -> None:
        squared = self._window.astype(np.float64) ** 2
        for start in self._starts(centres):
            self._weights[start : start + self._grid.width] += squared

    def _starts(self, centres: npt.NDArray[np.int64]) -> list[int]:
        """Return where frames begin in the sums, which grow until they hold the last one."""
        starts = centres - self._grid.width // 2 - self._base
        missing = int(starts[-1]) + self._grid.width - len(self._weights)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, missing)))
            self._weights = np.pad(self._weights, (0, missing))
        listed: list[int] = starts.tolist()
        return listed

    def _write(self, end: int) -> None:
        """Write all samples before `end`: no later frame reaches them."""
        info = self._mixture.info
        end = min(end, info.frames)
        start = max(self._base, 0)
        if end > start:
            span = slice(start - self._base, end - self._base)
            # "+ 0.0" makes a negative zero positive: then mixture - 0 is the mixture, bit by bit
            targets = (self._sums[:, :, span] / self._weights[span] + 0.0).astype(np.float32)
            mixture = self._mixture.samples(start, end)
            residual = (mixture.astype(np.float64) - targets.sum(axis=0, dtype=np.float64)).astype(
                np.float32
            )
            for output, writer in zip(self._outputs, self._writers, strict=True):
                writer.write(residual if output.target is None else targets[output.target])
        if end > self._base:
            self._sums = self._sums[:, :, end - self._base :]
            self._weights = self._weights[end - self._base :]
            self._base = end

    def save(self, done: int) -> None:
        """Note that all model frames before `done` are, for a later process to go on from."""
        self.done = done
        for writer in self._writers:
            writer.flush()
        temporary = self._checkpoint.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(
                file,
                signature=np.array(self._signature),
                done=np.array(done),
                base=np.array(self._base),
                sums=self._sums,
                weights=self._weights,
                presence=self.presence,
            )
        temporary.replace(self._checkpoint)
        (self._checkpoint.parent / _BEGUN).unlink(missing_ok=True)

    def _resume(self, cuts: set[int]) -> None:
        try:
            with np.load(self._checkpoint, allow_pickle=False) as kept:
                base, done = int(kept["base"]), int(kept["done"])
                known = str(kept["signature"]) == self._signature and done in cuts
                if not known or not self._parts_hold(base):
                    return
                sums, weights, presence = kept["sums"], kept["weights"], kept["presence"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return  # no checkpoint, or one that was cut off: from the start
        self._sums, self._weights, self._base, self.done = sums, weights, base, done
        self.presence = presence

    def _parts_hold(self, base: int) -> bool:
        """Whether each clip has all samples before `base`, in the making or finished."""
        info = self._mixture.info
        return all(
            FrameWriter.holds(output.part, info, max(base, 0))
            or (base >= info.frames and FrameWriter.holds(output.clip.path, info, base))
            for output in self._outputs
        )


def _signature(job: Job, frame_grid: FrameGrid, vectors: FloatArray, mixture: Mixture) -> str:
    """Return a digest of all that the result depends on, to tell whose checkpoint one is."""
    digest = hashlib.sha256()
    parts = (version("tweeze"), str(_METHOD), job.to_text(), repr(frame_grid), repr(mixture.info))
    for part in parts:
        digest.update(part.encode() + b"\0")
    digest.update(vectors.tobytes())
    digest.update(repr(mixture.rms).encode())
    return digest.hexdigest()
