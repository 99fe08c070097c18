"""`tweeze compare`: one recording, several words for the sound, and what each of them finds."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bridge.client import Client
from bridge.delivery import Destination
from bridge.interruption import Interrupted, Interruption
from bridge.separating import progress, raise_unless_done, take_back
from bridge.streams import source
from engine.advice.candidates import ranked
from engine.advice.noticed import noticed
from engine.advice.suggestions import suggest
from engine.errors import BadInput
from engine.files import replace_text
from engine.folders import Folders
from engine.job import Job, Task, check_id, clean_query, new_id
from engine.models import catalogue, router
from engine.options import AUTO, Keep, Options
from engine.places import Span
from engine.sound.audio import opened
from engine.sound.kept import Kept
from engine.status import Clip, Status

__all__ = ["Compared", "candidates_for", "compare"]

_NOTE = "compared.json"
COUNT = 3
"""Words at most where nobody names any, the user's own among them."""


@dataclass(frozen=True)
class Compared:
    """A candidate's result.

    Attributes
    ----------
    number
        Its place among the candidates, from 1 on.
    query, model
        What was asked for, and who answered.
    job
        The id of the job.
    presence
        How likely the sound is there, 0 to 1; None where nobody estimates it.
    share
        How much of the mixture's energy it took, in dB.
    difference
        Energy of what is not the same in the first candidate's clip, in dB of that clip's; None of
        the first one.
    spans
        When it is likely.
    paths
        Its clips, that of the sound first.
    best
        Whether it is probably the best one.
    notes
        Sentences for the user.

    """

    number: int
    query: str
    model: str
    job: str
    presence: float | None
    share: float
    difference: float | None
    spans: tuple[Span, ...]
    paths: tuple[Path, ...]
    best: bool = False
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, object]:
        """Return what a JSON object says of it."""
        said = {**vars(self), "paths": [str(path) for path in self.paths]}
        said["spans"] = [[span.start, span.stop] for span in self.spans]
        return said


@dataclass(frozen=True)
class _Asked:
    number: int
    query: str
    model: str


def candidates_for(query: str, others: Sequence[str], model: str, folders: Folders) -> list[_Asked]:
    """Return what is to be compared: the query, then other words for it, then another model.

    `others` are words that the user names; without them the suggestions are taken.
    """
    words = [clean_query(text) for text in others]
    words = words or [found.term for found in suggest(query, COUNT - 1)]
    words = list(dict.fromkeys([clean_query(query), *words]))
    asked = [_Asked(number, word, model) for number, word in enumerate(words, start=1)]
    own = router.general(folders) if model == AUTO else model
    specialists = catalogue.specialists(folders)
    for entry in catalogue.entries(folders):
        if entry.name not in {own, *specialists} and entry.task is Task.SEPARATE:
            asked.append(_Asked(len(asked) + 1, words[0], entry.name))
            break
    return asked


def compare(
    file: Path,
    query: str,
    others: Sequence[str],
    options: Options,
    folder: Path,
    *,
    pick: int | None = None,
    best: bool = False,
) -> list[Compared]:
    """Ask for a sound in several words, and bring the clips to `folder`.

    The first candidate is separated; the others go on from its kept masks, so that only what is
    new is asked of a model. With `pick` only that candidate's clips are brought, with all that
    `options` say; one that was compared just before is there at once. With `best` it is the
    candidate that is probably best.

    Raises
    ------
    BadInput
        The file, a query or the folder is wrong, or there is no such candidate.
    Failure
        A separation did not succeed.
    Interrupted
        A signal came.

    """
    folders = Folders.of_user()
    client = Client(folders)
    asked = candidates_for(query, others, options.model, folders)
    if pick is not None and not 1 <= pick <= len(asked):
        raise BadInput(f"There is no candidate {pick}: there are {len(asked)}, from 1 on.")
    destination = Destination(folder)
    made: list[Job] = []
    base = _last(file, folders)

    def done(one: _Asked, wanted: Options, base: str, title: str) -> Status:
        """Separate by one candidate."""
        job = Job(
            new_id(),
            recording.path,
            (one.query,),
            wanted,
            recording.title,
            client=f"cli-{os.getpid()}",
            base=base,
        )
        made.append(job)
        with progress(title, quiet=False) as on_status:
            status = recording.renamed(client.separate(job, on_status))
        raise_unless_done(status)
        return status

    with Interruption() as interruption, source(file, folders) as recording:
        try:
            found: list[tuple[_Asked, Status]] = []
            for one in asked:
                if pick is not None and one.number not in ((pick,) if base else (1, pick)):
                    continue
                kept = replace(options, model=one.model, masks=True)
                if pick is None:
                    kept = replace(kept, keep=Keep.TARGET)
                title = f"{one.query} ({one.number} of {len(asked)})"
                status = done(one, kept, base if one.model == asked[0].model else "", title)
                found.append((one, status))
                if not base:
                    base = made[-1].id
                    _note(file, base, folders)
            if pick is not None:
                found = [(one, status) for one, status in found if one == asked[pick - 1]][:1]
            results = list(_compared(found, recording.path))
            if best:
                place = _best(results)
                chosen = found[place][0]
                if options.keep is not Keep.TARGET:
                    wanted = replace(options, model=chosen.model, masks=True)
                    found[place] = chosen, done(chosen, wanted, made[place].id, chosen.query)
                found = [found[place]]
                results = list(_compared(found, recording.path))
            with interruption.shield():
                clips = [clip for _, status in found for clip in status.clips]
                paths = destination.deliver(clips)
                brought = dict(zip([clip.path for clip in clips], paths, strict=True))
                for job in made:  # whose clips nobody wants
                    shutil.rmtree(folders.clips / job.id, ignore_errors=True)
        except BaseException as error:
            destination.withdraw()
            if isinstance(error, Interrupted):
                for job in made:
                    take_back(client, job)
            raise
    likeliest = _best(results)
    return [
        replace(one, paths=tuple(brought[path] for path in one.paths), best=place == likeliest)
        for place, one in enumerate(results)
    ]


def _best(results: Sequence[Compared]) -> int:
    """Return the place of the candidate that is probably best."""
    return ranked([one.presence for one in results])[0]


def _compared(found: Sequence[tuple[_Asked, Status]], mixture: Path) -> Iterator[Compared]:
    """Measure the clips of candidates; nothing is yet where it is to go."""
    energy = _energy(mixture)
    first: Clip | None = None
    for asked, status in found:
        target = status.clips[0]
        own = _energy(target.path)
        difference = None
        if first is not None:
            difference = _db(_energy(target.path, first.path), _energy(first.path))
        first = first or target
        known = status.certainty[0] if status.certainty else None
        yield Compared(
            asked.number,
            asked.query,
            ", ".join(dict.fromkeys(status.answers)),
            target.path.parent.name,
            status.presence[0] if status.presence else None,
            _db(own, energy),
            difference,
            noticed(known, Options()) if known is not None else (),
            tuple(clip.path for clip in status.clips),
            notes=status.notes,
        )


def _energy(path: Path, less: Path | None = None) -> float:
    """Return the energy of a file's samples, or of what is left when another's are taken off."""
    total = 0.0
    with opened(path) as sound:
        if less is None:
            for block in sound.blocks():
                total += float(np.sum(np.square(block, dtype=np.float64)))
            return total
        with opened(less) as other:
            for block, taken in zip(sound.blocks(), other.blocks(), strict=True):
                total += float(np.sum(np.square(block.astype(np.float64) - taken)))
    return total


def _db(energy: float, reference: float) -> float:
    return 10 * math.log10((energy + 1e-20) / (reference + 1e-20))


def _stamp(file: Path) -> list[object]:
    about = file.stat()
    return [str(file.resolve()), about.st_size, about.st_mtime_ns]


def _last(file: Path, folders: Folders) -> str:
    """Return the job of the last comparison, if it was of this file and its masks are kept."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((folders.root / _NOTE).read_text(encoding="utf-8"))
        job = check_id(str(said["job"]))
        if said["file"] == _stamp(file) and Kept.open(folders.masks / job) is not None:
            return job
    return ""


def _note(file: Path, job: str, folders: Folders) -> None:
    """Note the job of a comparison, for the next one; without an error where that fails."""
    with contextlib.suppress(OSError):
        replace_text(folders.root / _NOTE, json.dumps({"file": _stamp(file), "job": job}))
