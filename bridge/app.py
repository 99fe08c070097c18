"""The resident process: the service, the doors and the hosts under one roof, one per user."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from bridge import hosts
from bridge.doors.osc import Osc
from bridge.doors.spool import Spool, check_private
from bridge.heartbeat import VERSION
from bridge.hosts import Host, HostMaker
from bridge.layout import settle
from engine.cleaning import Keeping
from engine.display import LogFormatter
from engine.errors import TweezeError
from engine.folders import Folders
from engine.journal import Journal
from engine.lock import ProcessLock
from engine.service import Limits, Service

__all__ = ["ALREADY_RUNNING", "main", "serve"]

ALREADY_RUNNING = 75  # exit code (EX_TEMPFAIL of sysexits.h): another engine holds the lock
_LOG = logging.getLogger("tweeze.app")


def main() -> None:
    """Run until SIGTERM; what a detached `python -m bridge.app` does."""
    os.umask(0o077)  # what the engine writes is for its user alone
    folders = Folders.of_user()
    lock = ProcessLock(folders.lock)
    try:
        check_private(folders)
        if not lock.take():
            sys.exit(ALREADY_RUNNING)
        settle(folders)
        _log_to(folders)
        _LOG.info("Tweeze %s started, process %d, folder %s.", VERSION, os.getpid(), folders.root)
        asyncio.run(serve(folders, hosts.REGISTERED))
        _LOG.info("The engine ended.")
        code = 0
    except TweezeError as error:
        _LOG.error("%s", error)
        print(error, file=sys.stderr)
        code = 1
    except Exception:
        _LOG.exception("The engine ended in a way it does not know.")
        traceback.print_exc()
        code = 1
    _leave(lock, code)


def _leave(lock: ProcessLock, code: int) -> NoReturn:
    """End the process, whatever still hangs in a thread, or as a child that cannot be killed.

    Python's own way would wait for both, without a limit.
    """
    lock.drop()  # a thread that a disk holds up would keep it, and the next engine out
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def serve(folders: Folders, makers: Sequence[HostMaker]) -> None:
    """Serve until the process is asked to end."""
    journal = Journal(folders.journal)
    service = Service(
        folders, journal, limits=Limits.of_environment(), keeping=Keeping.of_environment()
    )
    present = {host.name: host for host in (maker(service) for maker in makers)}
    spool = Spool(service, present)
    osc = Osc(service, present)
    end = asyncio.Event()
    _on_signals(end)
    await spool.open()
    await service.start()
    await osc.open()
    tasks = [asyncio.create_task(_run(host), name=f"host-{host.name}") for host in present.values()]
    try:
        await end.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await osc.close()
        await spool.close()
        await service.stop()
        spool.detach()
        journal.close()


async def _run(host: Host) -> None:
    """Run a host's own work; where it breaks, the others go on."""
    while True:
        try:
            await host.run()
            return
        except Exception:
            _LOG.exception("The part for %s broke; it is started again.", host.name)
        await asyncio.sleep(5)


def _on_signals(end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not loop.add_signal_handler, which Windows does not have.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(end.set))
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # outlives the terminal it was started from


def _log_to(folders: Folders) -> None:
    handler = logging.handlers.RotatingFileHandler(
        folders.log, maxBytes=1_000_000, backupCount=3, encoding="utf-8"
    )
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("tweeze")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(handler)
    logging.getLogger("asyncio").addHandler(handler)


if __name__ == "__main__":
    main()
