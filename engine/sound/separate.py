"""A job's file in, its clips out: checkpoints, names and what memory allows.

The separation itself is `engine.sound.core`. A checkpoint follows each segment, so a job that was
interrupted ends in the same bytes as one that was not.
"""

from __future__ import annotations

import errno
import gc
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import Cancelled, Failure
from engine.job import Job
from engine.models.base import FloatArray, Separator
from engine.places import Span
from engine.sound import checkpoints, memory, segments
from engine.sound.audio import frame_bytes
from engine.sound.certainty import CertaintyGrid
from engine.sound.clips import ClipFiles
from engine.sound.core import KeptPart, Part, estimates, pieces_of
from engine.sound.kept import Kept, KeptMasks, Recorder
from engine.sound.mixture import DecodedMixture, at_rate, is_silent, prepare
from engine.sound.region import Region, check_inside
from engine.sound.rest import Hearer, is_fit, remembered_rest
from engine.sound.team import KeptMember, Member, Rest, Team, Traits
from engine.status import Clip

__all__ = ["Keeping", "separate"]

_PREPARING = 0.02  # share of the progress that belongs to reading the mixture
_FIRST = 0.15  # that belongs to a first answer, where what it leaves competes
_WORK = "work"
_MASKS = "masks"
_BEGUN = "begun"
_ATTEMPTS = 10  # that may end, with the whole engine, before a first segment is finished
_RESERVE = 32 << 20  # bytes that masks leave free on the disk, beside the job's clips
_LOG = logging.getLogger("tweeze.separate")


@dataclass(frozen=True)
class Keeping:
    """Where the masks of a job are kept: in the folder `path`, unless it lasts longer."""

    path: Path
    seconds: float = float("inf")


def separate(
    job: Job,
    team: Team | Separator,
    folder: Path,
    *,
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    on_certainty: Callable[[float, FloatArray], None] = lambda step, values: None,
    on_notes: Callable[[tuple[str, ...]], None] = lambda _: None,
    reduction: int = 0,
    kept: Kept | None = None,
    keeping: Keeping | None = None,
    events: Sequence[Sequence[Span] | None] = (),
    hearer: Hearer | None = None,
    on_rest: Callable[[Rest], None] = lambda _: None,
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
    team
        The loaded models and which sounds compete; or one model, which answers all queries.
    folder
        The job's own folder; nobody else writes there. It need not exist.
    on_progress
        Called with the fraction done, 0 to 1, after each step.
    cancelled
        Called between steps; where it returns True, the job ends with `Cancelled`.
    on_certainty
        Called once, before the clips are returned, if one of the models is a `PresenceSeparator`
        and the mixture is not silent: with seconds, and with the probability that each query's
        sound is there from one such step to the next, `(queries, steps)`; NaN for the queries of
        other models. See `engine.sound.certainty`.
    on_notes
        Called once, before the clips are returned, with sentences for the user about how the
        mixture was read: that it was cut off, say.
    reduction
        How often the segments are to be shortened from the start: once for each process that
        ended in the middle of this job, for it may have been lack of memory.
    kept
        Masks of an earlier job of the same mixture, where the team has a `KeptMember`; the mixture
        comes from there in any case.
    keeping
        Where masks are to be kept; None if they are not. Where that fails, the job goes on.
    events
        For each query the time in which its sound was noticed, if its target is to be limited to
        that; see `Region.of_options`.
    hearer
        Where what is left of the mixture is to compete with the query, if that mixture is fit for
        it (`engine.sound.rest.is_fit`): what loads the listener that hears it. The team is of one
        model that can be shown sounds.
    on_rest
        Called with what competes so, before the separation.

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
        The disk is full, or the model answered with something that cannot be used.
    OutOfMemory
        There is not even enough memory for the shortest segments, after longer ones were tried:
        `folder` stays, for a fresh process to go on.
    MemoryError, RuntimeError, OSError
        A fresh process has not enough memory either.

    On any other error nothing is left of `folder`.

    """
    try:
        if not isinstance(team, Team):
            team = Team.of_one(team, job.queries)
        team = team.tuned(job.options)
        frame_grid = team.frame_grid
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
                    job,
                    team,
                    folder,
                    on_progress,
                    cancelled,
                    on_certainty,
                    on_notes,
                    reduction,
                    kept,
                    keeping,
                    events,
                    hearer,
                    on_rest,
                )
            except Exception as error:
                if not memory.is_exhausted(error):
                    raise
                if segments.core(frame_grid, reduction) == segments.core(frame_grid, reduction + 1):
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
    team: Team,
    folder: Path,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
    on_certainty: Callable[[float, FloatArray], None],
    on_notes: Callable[[tuple[str, ...]], None],
    reduction: int,
    kept: Kept | None,
    keeping: Keeping | None,
    events: Sequence[Sequence[Span] | None],
    hearer: Hearer | None,
    on_rest: Callable[[Rest], None],
) -> tuple[Clip, ...]:
    def step(fraction: float) -> None:
        on_progress(min(fraction, 1.0))
        if cancelled():
            raise Cancelled(f"Job {job.id} was cancelled.")

    step(0.0)
    work = folder / _WORK
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    frame_grid = team.frame_grid
    vectors = _vectors(team)
    if kept is not None:
        mixture = kept.mixture(frame_grid, work)
    else:
        mixture = prepare(job, frame_grid, work, lambda part: step(part * _PREPARING))
    info = mixture.info
    check_inside(job.options, info.frames / info.rate, info.rate)
    prepared = _PREPARING
    if hearer is not None and is_fit(mixture):
        rest = remembered_rest(
            mixture,
            team,
            hearer,
            work / "rest.npy",
            reduction=reduction,
            step=lambda part: step(_PREPARING + part * _FIRST),
        )
        prepared += _FIRST
        if rest is not None:
            on_rest(rest)
            team = team.beside_rest(rest)
            vectors = _vectors(team)
    parts = tuple(
        _part(member, vectors.get(member.sounds), mixture, work, kept, lambda: step(prepared))
        for member in team.members
    )
    files = ClipFiles(job, folder, work, info)
    path = work / "checkpoint.npz"
    region = Region.of_options(job.options, len(job.queries), events)
    signature = checkpoints.signature(job, parts, team.competition, region)
    frames = mixture.model_samples // frame_grid.hop + 1
    cuts = {segment.stop for segment in segments.plan(frames, frame_grid, reduction)}
    certainties = CertaintyGrid(frame_grid, frames)
    at = checkpoints.load(path, signature, certainties)
    if at is not None and not (at.done in cuts and files.hold(at.base)):
        at = None
    recorder = None
    if keeping is not None and info.frames <= keeping.seconds * info.rate:
        clips = len(files.clips) * info.frames * frame_bytes(info.channels)
        recorder = _recorder(
            team, work / _MASKS, kept, at.done if at else 0, reserve=clips + _RESERVE
        )
    found = pieces_of(
        parts,
        team.competition,
        stereo=job.options.stereo,
        sharpness=job.options.sharpness,
        bandwidth=job.options.bandwidth,
        region=region,
        merge=job.options.merge,
        reduction=reduction,
        resume=at,
        on_progress=lambda part: step(prepared + part * (1 - prepared)),
        on_masks=recorder.add if recorder is not None else None,
    )
    try:
        with files.open(max(at.base, 0) if at else 0):
            for piece in found:
                files.write(piece)
                if piece.checkpoint is not None:
                    at = piece.checkpoint
                    files.flush()
                    if recorder is not None:
                        recorder.flush()
                    if at.done < frames:
                        checkpoints.save(path, at, signature)
                    (work / _BEGUN).unlink(missing_ok=True)
        assert at is not None
        certainty = _certainty(job, team, parts, at.certainty, kept)
        if recorder is not None and keeping is not None:
            traits = _traits(team)
            if recorder.finish(job, mixture, traits, (certainties.step, certainty), frames):
                _move(work / _MASKS, keeping.path)
    finally:
        if recorder is not None:
            recorder.close()
    files.name()
    shutil.rmtree(work)
    if np.isfinite(certainty).any() and not is_silent(mixture):
        on_certainty(certainties.step, certainty)
    on_notes(mixture.notes)
    on_progress(1.0)
    return files.clips


def _vectors(team: Team) -> dict[tuple[int, ...], FloatArray]:
    """Return the vectors of the sounds of each member that is asked."""
    return {
        member.sounds: team.vectors(member) for member in team.members if isinstance(member, Member)
    }


def _part(
    member: Member | KeptMember,
    vectors: FloatArray | None,
    mixture: DecodedMixture,
    work: Path,
    kept: Kept | None,
    step: Callable[[], None],
) -> Part | KeptPart:
    """Return what a member of the team answers."""
    if isinstance(member, KeptMember):
        assert kept is not None
        masks = KeptMasks(kept, member.places)
        return KeptPart(masks, mixture, member.frame_grid, member.sounds)
    assert vectors is not None
    own = at_rate(mixture, member.frame_grid.sample_rate, work, step)
    return Part(member.separator, own, vectors, member.sounds)


def _recorder(team: Team, folder: Path, kept: Kept | None, done: int, *, reserve: int) -> Recorder:
    """Return what keeps the masks of a team; those that were kept before it has already."""
    asked = {}
    for member in team.members:
        for sound, sought in zip(member.sounds, team.sought_of(member), strict=True):
            own = member.separator.name if isinstance(member, Member) else ""
            asked[sound] = member.model or own, sought
    recorder = Recorder(folder, [asked[sound] for sound in sorted(asked)], done, reserve=reserve)
    for member in team.members:
        if isinstance(member, KeptMember) and kept is not None:
            for sound, place in zip(member.sounds, member.places, strict=True):
                recorder.link(sound, kept, place)
    return recorder


def _traits(team: Team) -> dict[str, Traits]:
    return {
        (member.model or member.separator.name if isinstance(member, Member) else member.model): (
            Traits.of(member.separator) if isinstance(member, Member) else member.traits
        )
        for member in team.members
    }


def _certainty(
    job: Job,
    team: Team,
    parts: Sequence[Part | KeptPart],
    found: FloatArray,
    kept: Kept | None,
) -> FloatArray:
    """Return the certainty of each query, NaN where no model estimated it, `(queries, values)`."""
    queries = len(job.queries)
    certainty = np.full((queries, found.shape[-1]), np.nan, np.float32)
    if len(found):
        able = np.array(estimates(parts, queries))
        certainty[able] = found[able]
    known = kept.certainty() if kept is not None else None
    if known is None or known[1].shape[-1] != certainty.shape[-1]:
        return certainty
    for member in team.members:
        if isinstance(member, KeptMember):
            for sound, place in zip(member.sounds, member.places, strict=True):
                if sound < queries and place < len(known[1]):
                    certainty[sound] = known[1][place]
    return certainty


def _move(folder: Path, path: Path) -> None:
    """Give a folder of masks its place; without an error where that fails."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.replace(path)
    except OSError as error:
        _LOG.warning("The masks in %s cannot be kept (%s).", folder, error)
