"""Carries out requests, whichever door they come in through.

A door only translates: it makes a `Request` of what it got, submits it here, and passes on the
statuses that come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from bridge.adjusting import ADJUST, adjust
from bridge.forgetting import FORGET, Forgetter
from engine.errors import BadInput, BadJob, Cancelled, TweezeError
from engine.host import Report, Resident
from engine.job import check_id
from engine.presets import in_request
from engine.queue.preset_file import PresetFile
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.text_form import one_line

__all__ = ["Requests"]

_Handle = Callable[[Request, Report], Coroutine[Any, Any, None]]
_LOG = logging.getLogger("tweeze.requests")


class Requests:
    """The requests under way, each a task of its own. Lives in the engine's event loop.

    Parameters
    ----------
    service
        The queue that the jobs of requests go to.
    hosts
        The editors' parts of the resident process, by the editor's name.

    Attributes
    ----------
    forgetter
        Forgets jobs.

    """

    def __init__(self, service: Service, hosts: Mapping[str, Resident]) -> None:
        self._service = service
        self._hosts = hosts
        self.forgetter = Forgetter(service, hosts)
        self._actions: dict[str, _Handle] = {
            ADJUST: partial(adjust, service, hosts),
            FORGET: self.forgetter.handle,
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._statuses: dict[str, Status] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._tasks

    def offer(self, action: str, handle: _Handle) -> None:
        """Have a function carry out all requests of an action, whatever editor they name."""
        self._actions[action] = handle

    def submit(self, request: Request, report: Report) -> None:
        """Begin to carry out a request; `report` is called with each of its statuses.

        Where the request names no editor, the one is meant from which the last job came. Where it
        names a preset, its fields are what that holds from here on.

        Raises
        ------
        BadInput
            The request cannot be written down, there is no such editor or preset, or the id is
            taken.

        """
        request.to_text()  # what no request file could say, nothing else may say either
        if self._service.journal.get(request.id) is not None or request.id in self:
            raise BadJob(f"The id {request.id} is taken: send the request under a new one.")
        request = in_request(request, PresetFile(self._service.folders).get)
        offered = self._actions.get(request.one("action"))
        if offered is not None:
            self._begin(request, offered, report)
            return
        name = request.host or self._last_host()
        host = self._hosts.get(name)
        if host is None:
            raise BadJob(
                f"There is no editor '{name[:40]}'; there are: {', '.join(self._hosts) or 'none'}."
            )
        self._begin(replace(request, host=name), host.handle, report)

    def _begin(self, request: Request, handle: _Handle, report: Report) -> None:
        self._tell(Status(request.id, JobState.QUEUED), report)
        work = self._carry_out(handle, request, report)
        task = asyncio.create_task(work, name=f"request-{request.id}")
        self._tasks[request.id] = task
        task.add_done_callback(lambda _: self._end(request, report))

    def cancel(self, id: str) -> None:  # noqa: A002
        """Cancel a request, or a job.

        Raises
        ------
        BadJob
            There is none of that id.

        """
        check_id(id)
        if id in self._tasks:
            self._tasks[id].cancel()
        else:
            self._service.cancel(id)

    def cancel_all(self) -> None:
        """Cancel all requests and jobs that have not ended, whoever asked for them."""
        for entry in self._service.journal.unfinished():
            self._service.cancel(entry.job.id)
        for task in self._tasks.values():
            task.cancel()

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _last_host(self) -> str:
        for entry in self._service.journal.recent():
            place = entry.job.placement
            if place is not None and place.host in self._hosts:
                return place.host
        raise BadInput(f"No editor has asked yet: name one of {', '.join(self._hosts)}.")

    def _tell(self, status: Status, report: Report) -> None:
        self._statuses[status.id] = status
        report(status)

    def _end(self, request: Request, report: Report) -> None:
        """Forget a request; one that has no outcome was cancelled, before it began perhaps."""
        del self._tasks[request.id]
        last = self._statuses.pop(request.id)
        if not last.state.final:
            report(_cancelled(request, last))

    async def _carry_out(self, handle: _Handle, request: Request, report: Report) -> None:
        last = Status(request.id, JobState.RUNNING)

        def tell(status: Status) -> None:
            nonlocal last
            last = replace(status, id=request.id)
            self._tell(last, report)

        tell(last)
        try:
            await handle(request, tell)
            if not last.state.final:
                tell(replace(last, state=JobState.DONE, progress=1.0))
        except Cancelled:
            tell(_cancelled(request, last))
        except TweezeError as error:
            bad = isinstance(error, BadInput)
            tell(replace(last, state=JobState.FAILED, message=str(error), bad_input=bad))
        except Exception:
            _LOG.exception("Request %s failed.", request.id)
            message = f"Unexpected error: see 'tweeze log' ({self._service.folders.log})."
            tell(replace(last, state=JobState.FAILED, message=message))


def _cancelled(request: Request, last: Status) -> Status:
    """Return a request's last status, which says what was cancelled."""
    asked = ", ".join(f"'{query}'" for query in request.all("query"))
    message = f"Cancelled: {asked}." if asked else "Cancelled."
    return replace(last, state=JobState.CANCELLED, message=one_line(message))
