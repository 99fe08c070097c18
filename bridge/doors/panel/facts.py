"""What the page is told of recordings, jobs, options and models, as JSON says it."""

from __future__ import annotations

import shlex
from typing import Any

from bridge.doors.panel.sources import Source
from engine.folders import Folders
from engine.job import Job
from engine.models import catalogue, kinds, router
from engine.option_types import Choice, Flag, Number, Option, Several, table
from engine.options import AUTO, Options
from engine.queue.service import Service
from engine.status import Clip, JobState, Status

__all__ = [
    "CALM",
    "changed",
    "command",
    "of_engine",
    "of_job",
    "of_listening",
    "of_models",
    "of_options",
    "of_source",
]

CALM = 0.1
"""Seconds between two progress values of one job."""


def of_source(source: Source, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the page is told of a recording."""
    samples = source.overview.samples if source.overview is not None else None
    return {
        "id": source.id,
        "title": source.title,
        "rate": samples.info.rate if samples else 0,
        "channels": samples.info.channels if samples else 0,
        "frames": samples.info.frames if samples else 0,
        "ready": samples.ready if samples else 0,
        "whole": samples.whole if samples else False,
        "host": source.placement.host if source.placement else "",
        "error": source.error,
        "jobs": jobs,
    }


def of_job(source: Source, job: Job, status: Status) -> dict[str, Any]:
    """Return what the page is told of a job, but for the loudness of its clips."""
    return {
        "id": job.id,
        "source": source.id,
        "state": status.state.value,
        "progress": status.progress,
        "message": status.message,
        "notes": list(status.notes),
        "queries": list(job.queries),
        "nots": list(job.nots),
        "answers": list(status.answers or job.answers),
        "clips": [_clip(number, one) for number, one in enumerate(status.clips)],
        "draft": [_clip(number, one) for number, one in enumerate(status.draft)],
        "presence": list(status.presence),
        "certainty": [{"step": one.step, "values": list(one.values)} for one in status.certainty],
        "seconds": status.seconds,
        "loading": status.loading,
        "base": job.base,
        "instead": source.instead.get(job.id, ""),
        "options": _changed(source, job),
        "command": command(source, job),
    }


def of_listening(status: Status) -> dict[str, Any]:
    """Return what the page is told of the sounds in a recording."""
    state = status.state
    return {
        "state": state.value if state.final else "running",
        "progress": status.progress,
        "heard": [
            {
                "name": one.name,
                "probability": one.probability,
                "events": [[e.start, e.stop, e.probability] for e in one.events],
            }
            for one in status.heard
        ],
        "error": status.message if state is JobState.FAILED else "",
    }


def of_engine(service: Service) -> dict[str, Any]:
    """Return what the page is told of the engine."""
    return {
        "state": service.activity.value,
        "running": service.running,
        "queue": service.queue_length,
    }


def of_options() -> list[dict[str, Any]]:
    """Return what the page is told of the options of a job."""
    return [_option(option) for option in table(Options)]


def of_models(folders: Folders) -> list[dict[str, Any]]:
    """Return what the page is told of the models that separate; reads files."""
    usual = router.general(folders)
    said = [{"name": AUTO, "title": "the best for each sound", "general": True}]
    for entry in catalogue.entries(folders):
        special = kinds.SPECIALISTS.get(entry.kind, "")
        title = special or ("any sound, the usual one" if entry.name == usual else "any sound")
        said.append({"name": entry.name, "title": title, "general": not special})
    return said


def command(source: Source, job: Job) -> str:
    """Return the command that separates a recording as a job does, for a POSIX shell."""
    file = source.recording.name if source.is_own else str(source.recording)
    words = ["tweeze", "separate", file if not file.startswith("-") else f"./{file}"]
    words += job.queries
    for text in job.nots:
        words += ["--not", text]
    for option in table(Options):
        value = getattr(job.options, option.name)
        if option.name == "draft" or value == option.default:
            continue
        words += _flag(option, value)
    return shlex.join(words)


def _flag(option: Option[Any], value: Any) -> list[str]:
    name = option.name.replace("_", "-")
    if isinstance(option, Flag):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(option, Several):
        return [word for one in value for word in (f"--{name}", one.text)]
    return [f"--{name}", option.brief(value)]


def _option(option: Option[Any]) -> dict[str, Any]:
    kinds_ = {Choice: "choice", Flag: "flag", Number: "number", Several: "places"}
    kind = next((name for type_, name in kinds_.items() if isinstance(option, type_)), "text")
    return {
        "name": option.name,
        "label": option.label,
        "help": option.help,
        "kind": kind,
        "default": option.write(option.default),
        "words": dict(option.words),
        "form": option.form,
        "least": option.least if isinstance(option, Number) else None,
        "most": option.most if isinstance(option, Number) else None,
    }


def changed(options: Options) -> dict[str, str]:
    """Return the options that are not as usual, in their text forms."""
    return {
        option.name: option.write(getattr(options, option.name))
        for option in table(Options)
        if getattr(options, option.name) != option.default
    }


def _changed(source: Source, job: Job) -> dict[str, str]:
    """Return the options that are not as usual, as the page writes them."""
    said = changed(job.options)
    for recording in {source.recording, job.mixture}:
        if "like" in said and said["like"].startswith(f"{recording}@"):
            said["like"] = source.id + said["like"].removeprefix(str(recording))
    return said


def _clip(index: int, clip: Clip) -> dict[str, Any]:
    return {
        "index": index,
        "kind": clip.kind.value,
        "query": clip.query,
        "name": clip.name,
        "loudness": None,
    }
