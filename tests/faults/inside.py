"""A service in the test's own process, with a real worker process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from bridge.doors.spool import Spool
from bridge.private import check_private
from bridge.requests import Requests
from engine.folders import Folders
from engine.queue.cleaning import Keeping
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.service import Service
from engine.queue.worker_handle import WorkerMain
from tests.faults.engine import main as standin_main

DEADLINE = 200.0  # seconds until what must happen counts as not happening


@contextlib.asynccontextmanager
async def service_in(
    folders: Folders,
    *,
    worker_main: WorkerMain = standin_main,
    keeping: Keeping | None = None,
    **limits: float,
) -> AsyncIterator[Service]:
    journal = Journal(folders.journal)
    service = Service(
        folders,
        journal,
        limits=replace(Limits(), **limits),  # type: ignore[arg-type]
        keeping=keeping,
        worker_main=worker_main,
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
        journal.close()


@contextlib.asynccontextmanager
async def door_in(folders: Folders, **limits: float) -> AsyncIterator[Service]:
    """The same, behind a spool folder."""
    check_private(folders)
    async with service_in(folders, **limits) as service:
        spool = Spool(service, Requests(service, {}))
        await spool.open()
        try:
            yield service
        finally:
            await spool.close()
            spool.detach()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)
