"""A job's clips while they are written: their names, and the files that grow under others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.file_names import file_name
from engine.job import Job
from engine.options import Keep
from engine.sound.audio import AudioInfo, FrameWriter
from engine.sound.core import Piece
from engine.status import Clip, ClipKind
from engine.taxonomy.families import left_out
from engine.taxonomy.phrases import folded

__all__ = ["ClipFiles"]


@dataclass(frozen=True)
class _Output:
    """A clip in the making; `target` is the index of its query, None for the residual."""

    clip: Clip
    part: Path
    target: int | None


class ClipFiles:
    """The files of a job's clips, unfinished in `work` and whole in `folder`."""

    def __init__(self, job: Job, folder: Path, work: Path, info: AudioInfo) -> None:
        self._outputs = _outputs(job, folder, work)
        self._info = info
        self._writers: list[FrameWriter] = []

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The targets in the order of the queries, then the residual; those that are wanted."""
        return tuple(output.clip for output in self._outputs)

    def hold(self, frame: int) -> bool:
        """Whether each clip has all samples before `frame`, in the making or finished."""
        return all(
            FrameWriter.holds(output.part, self._info, max(frame, 0))
            or (
                frame >= self._info.frames
                and FrameWriter.holds(output.clip.path, self._info, frame)
            )
            for output in self._outputs
        )

    @contextlib.contextmanager
    def open(self, frame: int) -> Iterator[None]:
        """Write from `frame` on; where that ends without an error, all is on the disk."""
        writers: list[FrameWriter] = []
        try:
            if frame < self._info.frames:
                writers.extend(
                    FrameWriter(output.part, self._info, frame=frame) for output in self._outputs
                )
            self._writers = writers
            yield
            for writer in writers:
                writer.flush(to_disk=True)
        finally:
            for writer in writers:
                writer.close()

    def write(self, piece: Piece) -> None:
        """Append a piece to every clip."""
        residual = piece.residual if any(o.target is None for o in self._outputs) else None
        for output, writer in zip(self._outputs, self._writers, strict=True):
            samples = residual if output.target is None else piece.targets[output.target]
            assert samples is not None
            writer.write(samples)

    def flush(self) -> None:
        """Hand what was written to the system."""
        for writer in self._writers:
            writer.flush()

    def name(self) -> None:
        """Give each clip that is whole its final name."""
        for output in self._outputs:
            if output.part.exists():
                output.part.replace(output.clip.path)


def _outputs(job: Job, folder: Path, work: Path) -> tuple[_Output, ...]:
    wanted: list[tuple[ClipKind, str, str, int | None]] = []
    if job.options.keep is not Keep.RESIDUAL and job.options.merge:
        all_of_them = ", ".join(job.queries)
        wanted.append((ClipKind.TARGET, all_of_them, all_of_them, 0))
    elif job.options.keep is not Keep.RESIDUAL:
        wanted += [(ClipKind.TARGET, query, query, i) for i, query in enumerate(job.queries)]
    if job.options.keep is not Keep.TARGET:
        wanted.append((ClipKind.RESIDUAL, "", _residual(job.queries), None))
    outputs: list[_Output] = []
    for number, (kind, query, label, target) in enumerate(wanted):
        name = f"{job.title} - {label}" if job.title else label
        path = _free(folder, file_name(job.title, label), outputs)
        clip = Clip(path, kind, query, name)
        outputs.append(_Output(clip, work / f"{number}.part", target))
    return tuple(outputs)


def _residual(queries: Sequence[str]) -> str:
    """Return what the residual is called: by what it holds, where a query says that.

    What is left beside "everything but speech" is the speech, less what other queries describe.
    """
    held = [left_out(query) for query in queries]
    others = [query for query, sound in zip(queries, held, strict=True) if not sound]
    said = f"without {', '.join(others)}" if others else ""
    sounds = list(dict.fromkeys(filter(None, held)))
    if len(sounds) > 1 or {folded(query) for query in others} & set(sounds):
        return "the rest"
    return " ".join(filter(None, [*sounds, said]))


def _free(folder: Path, stem: str, outputs: Sequence[_Output]) -> Path:
    taken = {output.clip.path.name.casefold() for output in outputs}
    number, file = 1, f"{stem}.wav"
    while file.casefold() in taken:
        number += 1
        file = f"{stem} ({number}).wav"
    return folder / file
