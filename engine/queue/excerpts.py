"""Adjusted answers a stretch at a time, from kept masks: what is heard while the hand moves.

No job and no clip comes of it; the samples are those of the adjusted job, bit by bit.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.job import Job
from engine.models.base import FloatArray
from engine.options import Options
from engine.queue.teams import assemble
from engine.sound.audio import AudioInfo
from engine.sound.core import KeptPart, pieces_of
from engine.sound.kept import Kept, KeptMasks
from engine.sound.region import Region, check_inside
from engine.sound.team import KeptMember

__all__ = ["LEFT", "Excerpts"]

LEFT = ".excerpt-"
"""How the names of folders begin that lie among the masks while excerpts are made."""

_ALIKE = ("model", "stereo", "precision", "context", "memory", "like", "events", "merge")


class Excerpts:
    """Stretches of the clips that a job would have with other options.

    Parameters
    ----------
    folders
        Tweeze's.
    job
        A job that is done, resolved.
    options
        The other options.

    Raises
    ------
    BadInput
        The options do not fit the recording, or its masks are not kept, or do not serve for these.
    Failure
        The disk refuses.

    """

    def __init__(self, folders: Folders, job: Job, options: Options) -> None:
        kept = Kept.open(folders.masks / job.id)
        if kept is None or kept.told is None:
            raise BadInput(f"No masks of job {job.id} are kept: ask for it anew.")
        for name in _ALIKE:
            if getattr(options, name) != getattr(kept.job.options, name):
                raise BadInput(f"With another '{name}' the model is asked anew.")
        self.info: AudioInfo = kept.info
        check_inside(options, kept.info.frames / kept.info.rate, kept.info.rate)
        wanted = replace(job, options=options)
        found = assemble(wanted, {}, beside=kept.told.beside, kept=kept)
        members = [one for one in found.team.members if isinstance(one, KeptMember)]
        if found.missing or len(members) < len(found.team.members):
            raise BadInput("Not all masks that this takes are kept: the model is asked anew.")
        self._team, self._job = found.team.tuned(options), wanted
        try:
            self._work = tempfile.TemporaryDirectory(dir=folders.masks, prefix=LEFT)
            try:
                mixture = kept.mixture(self._team.frame_grid, Path(self._work.name))
            except BaseException:
                self._work.cleanup()
                raise
        except OSError as error:
            raise Failure(
                f"{folders.masks} cannot be written ({error.strerror}): free some space there, and "
                "try again."
            ) from error
        self._parts = [
            KeptPart(KeptMasks(kept, one.places), mixture, one.frame_grid, one.sounds)
            for one in self._team.members
            if isinstance(one, KeptMember)
        ]
        self._region = Region.of_options(options, len(job.queries), ())
        self._busy = threading.Lock()
        self._last: tuple[tuple[int, int], FloatArray] | None = None

    @property
    def count(self) -> int:
        """How many clips there are: one a query, and the residual."""
        return len(self._job.queries) + 1

    def of(self, start: int, stop: int) -> FloatArray:
        """Return frames `[start, stop)` of all clips, `(queries + 1, channels, frames)`; blocking.

        Raises
        ------
        Failure
            The kept masks are damaged, or gone meanwhile.

        """
        with self._busy:
            if self._last is not None and self._last[0] == (start, stop):
                return self._last[1]
            out = np.empty((self.count, self.info.channels, stop - start), np.float32)
            options = self._job.options
            # The first samples of the first frame, before the stretch, have no weight.
            with np.errstate(invalid="ignore"):
                for piece in pieces_of(
                    self._parts,
                    self._team.competition,
                    stereo=options.stereo,
                    sharpness=options.sharpness,
                    bandwidth=options.bandwidth,
                    region=self._region,
                    stretch=(start, stop),
                ):
                    first = max(start, piece.start)
                    last = min(stop, piece.start + piece.targets.shape[-1])
                    if first >= last:
                        continue
                    inside = slice(first - piece.start, last - piece.start)
                    out[:-1, :, first - start : last - start] = piece.targets[..., inside]
                    out[-1, :, first - start : last - start] = piece.residual[..., inside]
            self._last = (start, stop), out
            return out

    def close(self) -> None:
        """Let go of the recording."""
        self._work.cleanup()
