"""What the resident process asks of an editor's part of Tweeze, and who is registered.

To add an editor, write a class with these methods (nothing to inherit) and name a function that
makes it in `REGISTERED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bridge.hosts.audacity import AudacityHost
from bridge.hosts.reaper import ReaperHost
from engine.queue.service import Service
from engine.request import Request
from engine.status import Status

__all__ = ["REGISTERED", "Host", "HostMaker", "Report"]

Report = Callable[[Status], None]


class Host(Protocol):
    """An editor. All methods run in the engine's event loop and must not block it."""

    @property
    def name(self) -> str:
        """What requests call it: `audacity`."""

    async def run(self) -> None:
        """Do what needs no request (insert the clips of finished jobs) until cancelled."""

    async def handle(self, request: Request, report: Report) -> None:
        """Carry out a request: capture the selection and submit the jobs that come of it.

        `report` replaces the request's own status file; a request that was handled without a
        final report is reported as done.

        Raises
        ------
        TweezeError
            It cannot be done; the sentence becomes the request's status.

        """


HostMaker = Callable[[Service], Host]

REGISTERED: tuple[HostMaker, ...] = (AudacityHost, ReaperHost)
