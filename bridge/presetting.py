"""Makes a preset of a job, at a request's word: only the engine knows what its jobs asked for."""

from __future__ import annotations

from bridge.adjusting import LAST, asked_before
from bridge.preset_use import changed, sentence
from engine.errors import BadInput, BadJob
from engine.host import Report
from engine.job import Job, Task
from engine.option_types import table
from engine.options import Options
from engine.presets import OPTIONS, Preset, lasting
from engine.queue.preset_file import PresetFile
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import one_line
from engine.waiting import aside

__all__ = ["keep", "of_job"]


async def keep(service: Service, request: Request, report: Report) -> None:
    """Carry out a request to make a preset of a job, with what it names in place of the job's.

    Raises
    ------
    BadInput
        There is no such job, or it cannot be a preset.
    Failure
        The presets cannot be written.

    """
    wanted = request.one("job", LAST)
    try:
        job = asked_before(service, wanted, "to make a preset of").job
    except BadJob as error:
        raise BadInput(str(error)) from error
    if job.task is not Task.SEPARATE:
        raise BadInput(f"Job {job.id} only listened: there is nothing to make a preset of.")
    fields = [pair for pair in request.fields if pair[0] not in ("action", "name", "job")]
    preset = changed(of_job(request.one("name"), job), fields)
    saving = aside(lambda: PresetFile(service.folders).save(preset), name="preset")
    made, replaced = await saving
    said = sentence(made, replaced=replaced)
    left = [o.name for o in table(Options) if o.name not in OPTIONS and _is_set(job, o.name)]
    if left:
        said += f" What belongs to one recording was left out: {', '.join(left)}."
    report(Status(request.id, JobState.DONE, progress=1.0, message=one_line(said)))


def of_job(name: str, job: Job) -> Preset:
    """Return the preset that asks for what a job asks for."""
    return Preset(name, job.queries, job.nots, lasting(job.options))


def _is_set(job: Job, name: str) -> bool:
    return bool(getattr(job.options, name) != getattr(Options(), name))
