"""Separating on many machines; see `engine.library.crew` for how the work is spread."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import Failure
from engine.folders import Folders
from engine.job import new_id
from engine.library.actor import Task, Worker
from engine.library.crew import Crew, Pace, Piece
from engine.library.items import Item
from engine.library.outcome import Outcome, failed
from engine.models.router import resolve
from engine.models.runtime_choice import INT8, OPENVINO, TORCH

__all__ = ["WORK", "ClusterSeparating"]

WORK = ".tweeze-work"
"""The folder among the results in which machines work."""


@dataclass
class _Separation(Piece):
    item: Item | None = None
    folder: Path | None = None  # where a process works on it


class ClusterSeparating(Crew[_Separation, Outcome]):
    """Separates items on the machines of a cluster; an `engine.library.batch.Separating`.

    Parameters
    ----------
    ray, cores, gpus, on_note, pace
        See `engine.library.crew.Crew`.
    folders
        The user's, on this machine: which model answers what is settled here, for all machines.
    out
        The folder of the results, on a disk that all machines share.
    on_share
        Called with an item and how much of it is done, 0 to 1.
    worker
        The class of the actors; tests have their own.

    """

    def __init__(
        self,
        ray: Any,
        folders: Folders,
        out: Path,
        *,
        cores: int = 1,
        gpus: float = 0,
        on_share: Callable[[Item, float], None] = lambda item, share: None,
        on_note: Callable[[str], None] = lambda note: None,
        worker: type = Worker,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(ray, worker, cores=cores, gpus=gpus, on_note=on_note, pace=pace)
        self._folders = folders
        self._work_folder = out / WORK / secrets.token_hex(4)
        self._on_share = on_share

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Separate items; see `engine.library.batch.Separating`.

        Raises
        ------
        Failure
            No process starts.

        """
        shutil.rmtree(self._work_folder.parent, ignore_errors=True)
        pieces = (_Separation(item=item) for item in items)
        try:
            with contextlib.closing(self.answers(pieces)) as answers:
                for _, outcome in answers:
                    yield outcome
        finally:
            shutil.rmtree(self._work_folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self._work_folder.parent.rmdir()

    def begin(self, actor: Any, piece: _Separation) -> Any:
        """Have an actor separate, with everything settled that machines could differ in."""
        item = piece.item
        assert item is not None
        id_ = new_id()
        job = resolve(item.job(id_, item.found.path, "cluster"), self._folders)
        # 8 bits are planned, and tried, for each machine of its own.
        job = replace(job, runtime=OPENVINO if job.runtime == INT8 else job.runtime or TORCH)
        piece.folder = self._work_folder / id_
        return actor.separate.remote(Task(item, job, piece.folder, piece.deaths))

    def complaint(self, answer: Outcome) -> str:
        """Return why an item failed, if the recording or the request is not to blame."""
        return "" if answer.wrong else answer.error

    def given_up(self, piece: _Separation) -> Outcome:
        """Return the outcome of an item over which too many processes ended."""
        assert piece.item is not None
        name = piece.item.found.path.name
        sentence = Failure(
            f"The process that separates ended {piece.deaths} times while it worked on '{name}', "
            "perhaps for lack of memory: try it with --memory low, or on a larger machine."
        )
        return failed(piece.item.key, sentence)

    def lost(self, piece: _Separation) -> None:
        """Remove what an ended process left."""
        if piece.folder is not None:
            shutil.rmtree(piece.folder, ignore_errors=True)

    def moved(self, piece: _Separation, share: float) -> None:
        """Pass on how much of an item is done."""
        if piece.item is not None:
            self._on_share(piece.item, share)
