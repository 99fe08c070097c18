"""Which model answers which sound of a job.

A query goes to the model that is measured best for its family. A table says how well models do: the
bundled one (`routes.csv`), or the user's own of the same form, which `tweeze evaluate --route`
writes. What is in no family goes to the general model.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from engine.errors import BadInput, Failure
from engine.folders import Folders
from engine.job import Job, Task
from engine.models import catalogue, kinds, releases, runtime_choice
from engine.options import AUTO
from engine.taxonomy.families import FAMILIES, SPEECH, family, may_be_beside_speech

__all__ = [
    "Route",
    "general",
    "load_routes",
    "models_of",
    "resolve",
    "route",
    "routes_file",
    "specialist_for",
    "unknown_in_routes",
    "use",
    "who_takes",
    "write_routes",
]

_GENERAL = "general.txt"
_NAMED = 3  # names of one sort in a sentence
_COLUMNS = ("family", "model", "gain", "count", "from")


@dataclass(frozen=True)
class Route:
    """How well a model does with a family of sounds.

    Attributes
    ----------
    family
        One of `engine.taxonomy.families.FAMILIES`.
    model
        Name of the model.
    gain
        Mean SI-SDR improvement in dB.
    count
        Over how many sounds; 0 where it was not measured here.
    origin
        Where the figure is from.

    """

    family: str
    model: str
    gain: float
    count: int
    origin: str


def routes_file(folders: Folders) -> Path:
    """Return where the user's own table lies, if there is one."""
    return folders.root / "routes.csv"


def load_routes(folders: Folders) -> tuple[Route, ...]:
    """Return the table: the bundled one, with the user's own rows in place of its.

    Raises
    ------
    BadInput
        The user's table is damaged; says which line.

    """
    bundled = (files("engine.models") / "routes.csv").read_text(encoding="utf-8")
    found = {(one.family, one.model): one for one in _parsed(bundled, "routes.csv")}
    found |= {(one.family, one.model): one for one in _own_routes(folders)}
    return tuple(found.values())


def unknown_in_routes(folders: Folders) -> str:
    """Return a sentence on the models and families in the user's table that there are not; or ''.

    Their rows count for nothing. A model that can be had, and is not installed, is none of them.

    Raises
    ------
    BadInput
        The user's table is damaged; says which line.

    """
    rows = tuple(_own_routes(folders))
    if not rows:
        return ""
    there = (*catalogue.entries(folders), *catalogue.added(folders), *kinds.specialists())
    known = {one.name for one in there} | {one.name for one in kinds.PACKAGED}
    known |= {one.name for one in releases.RELEASES}
    strangers = _named({one.model for one in rows} - known)
    strange = _named({one.family for one in rows} - FAMILIES.keys())
    said = []
    if strangers:
        said.append(f"models that are not known ({strangers})")
    if strange:
        said.append(f"families that there are not ({strange}; there are: {', '.join(FAMILIES)})")
    if not said:
        return ""
    return (
        f"{routes_file(folders)} names {' and '.join(said)}: those rows count for nothing; correct "
        "or remove them."
    )


def _own_routes(folders: Folders) -> Iterable[Route]:
    own = routes_file(folders)
    try:
        text = own.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{own} cannot be read ({error}): correct it, or remove it.") from error
    return _parsed(text, str(own))


def _named(names: Collection[str]) -> str:
    """Return names as a sentence has them: the first few, each cut where it is long."""
    few = [f"{name[:40]!r}" for name in sorted(names)[:_NAMED]]
    more = len(names) - len(few)
    return ", ".join(few) + (f" and {more} more" if more > 0 else "")


def _parsed(text: str, where: str) -> Iterable[Route]:
    reader = csv.DictReader(text.splitlines())
    try:
        rows = list(reader)
    except csv.Error as error:
        raise BadInput(f"{where} is damaged ({error}): correct it, or remove it.") from error
    for number, row in enumerate(rows, start=2):
        line = f"{where}, line {number}"
        if any(row.get(name) is None for name in _COLUMNS):
            raise BadInput(f"{line}: the columns must be {', '.join(_COLUMNS)}.")
        try:
            gain, count = float(row["gain"]), int(row["count"])
        except ValueError:
            gain, count = math.nan, 0
        if not math.isfinite(gain):
            raise BadInput(f"{line}: 'gain' must be a number in dB, 'count' a whole number.")
        yield Route(row["family"], row["model"], gain, count, row["from"])


def write_routes(path: Path, rows: Sequence[Route]) -> None:
    """Write a table, or put rows in place of those of the same family and model in one.

    Raises
    ------
    BadInput
        The table that is there is damaged.
    Failure
        It cannot be written.

    """
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
        known = {(one.family, one.model): one for one in _parsed(text, str(path))}
        known |= {(one.family, one.model): one for one in rows}
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(_COLUMNS)
        for one in sorted(known.values(), key=lambda one: (one.family, one.model)):
            table.writerow([one.family, one.model, f"{one.gain:.2f}", one.count, one.origin])
        temporary = path.with_suffix(".part")
        temporary.write_text(out.getvalue(), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise Failure(f"Writing to {path} failed: {error.strerror or error}.") from error


def route(query: str, routes: Sequence[Route], able: Collection[str], general: str) -> str:
    """Return the model for a query.

    Parameters
    ----------
    query
        What is asked for.
    routes
        The table.
    able
        Names of the models that can be loaded.
    general
        The model for everything that is in no family; where the table does not say how well it
        does with one, any model that the table names does better.

    """
    of_family = [one for one in routes if one.family == family(query) and one.model in able]
    if not of_family:
        return general
    best = max(of_family, key=lambda one: one.gain)
    own = next((one for one in of_family if one.model == general), None)
    return general if own is not None and own.gain >= best.gain else best.model


def general(folders: Folders) -> str:
    """Return the general model: the one that the user chose with `use`, or the bundled one.

    One that is no longer installed does not count.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        name = (folders.models / _GENERAL).read_text(encoding="utf-8").strip()
        specialists = catalogue.specialists(folders)
        if name in {entry.name for entry in catalogue.entries(folders)} - specialists:
            return name
    return kinds.BUNDLED.name


def use(name: str, folders: Folders) -> None:
    """Make a model the general one.

    Raises
    ------
    BadInput
        It answers only some queries.
    UnknownModel
        There is none of that name.
    Failure
        That cannot be written down.

    """
    found = catalogue.entry(name, folders)
    catalogue.check_task(found, Task.SEPARATE)
    if found.kind in kinds.SPECIALISTS:
        raise BadInput(
            f"'{name}' is a specialist, which takes its own queries by itself "
            f"({kinds.SPECIALISTS[found.kind]}): choose a model for any sound."
        )
    folders.make()
    path = folders.models / _GENERAL
    try:
        temporary = path.with_suffix(".part")
        temporary.write_text(f"{name}\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise Failure(f"Writing to {path} failed: {error.strerror or error}.") from error


def resolve(job: Job, folders: Folders, base: Job | None = None) -> Job:
    """Return a job that says which model answers each of its sounds, and what may compete unasked.

    One that says so already is left as it is. A job has at most one model that is no specialist; if
    that has a choice of runtimes, and need not try them first, the job says which it is, too. With
    a `base`, which was resolved, the same models answer the same sounds, in the same runtime.

    Raises
    ------
    BadInput
        The user's table is damaged.

    """
    named = job.options.model
    if job.answers or (job.task is Task.LISTEN and named != AUTO):
        return job
    if job.task is Task.LISTEN:
        return replace(job, options=replace(job.options, model=kinds.LISTENER.name))
    by_name = {entry.name: entry for entry in catalogue.entries(folders)}
    chosen = general(folders) if named == AUTO else named
    specialists = catalogue.specialists(folders)
    able = specialists | {chosen}
    routed = named == AUTO or (named in specialists and job.nots)
    routes = load_routes(folders) if routed and not job.options.like else ()
    if named in by_name and by_name[named].kind in kinds.SPECIALISTS:
        # It is wanted for the queries; what is not wanted may be anything.
        answers = [named] * len(job.queries)
        answers += [route(text, routes, able, general(folders)) for text in job.nots]
    elif named != AUTO or job.options.like:
        answers = [chosen] * len(job.sounds)
    else:
        answers = [route(text, routes, able, chosen) for text in job.sounds]
    beside = _beside(job, routes, specialists)
    runtime = job.runtime
    if base is not None and base.options.model == named:
        known = dict(zip(base.sounds, base.answers, strict=False))
        answers = [known.get(text, name) for text, name in zip(job.sounds, answers, strict=True)]
        runtime = runtime or base.runtime
        if beside:
            beside = base.beside or beside
    if not runtime:
        found = [by_name[name] for name in dict.fromkeys(answers) if name in by_name]
        told = (runtime_choice.chosen(entry, job.options.precision) for entry in found)
        runtime = next(filter(None, told), "")
    runtime = runtime_choice.fitting(runtime, job.options.precision)
    return replace(job, answers=tuple(answers), beside=beside, runtime=runtime)


def specialist_for(query: str, folders: Folders) -> str:
    """Return the specialist that answers a query unless a model is named; '' if none does."""
    specialists, chosen = catalogue.specialists(folders), general(folders)
    name = route(query, load_routes(folders), specialists | {chosen}, chosen)
    return name if name in specialists else ""


def models_of(job: Job) -> tuple[str, ...]:
    """Return the names of the models that a resolved job needs, each once."""
    named = job.answers or (job.options.model,)
    return tuple(dict.fromkeys([*named, *filter(None, [job.beside])]))


def _beside(job: Job, routes: Sequence[Route], specialists: Collection[str]) -> str:
    """Return the specialist for speech if its sound may compete with a query unasked, else ''."""
    if not (job.options.auto and job.options.compete) or job.options.model != AUTO:
        return ""
    if SPEECH in map(family, job.sounds) or not any(map(may_be_beside_speech, job.queries)):
        return ""
    found = [one for one in routes if one.family == SPEECH and one.model in specialists]
    best = max(found, key=lambda one: one.gain, default=None)
    return best.model if best is not None else ""


def who_takes(folders: Folders) -> Mapping[str, str]:
    """Return the model that takes each family's queries."""
    routes, chosen = load_routes(folders), general(folders)
    able = catalogue.specialists(folders) | {chosen}
    return {name: route(example, routes, able, chosen) for name, example in FAMILIES.items()}
