"""The resident process: the service, the doors and the hosts under one roof, one per user."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import psutil

from bridge import hosts
from bridge.doors.osc import Osc
from bridge.doors.panel.door import PANEL, PanelDoor
from bridge.doors.spool import Spool
from bridge.layout import migrate
from bridge.notify import notify
from bridge.preset_use import KEEP
from bridge.presetting import keep
from bridge.private import check_private
from bridge.requests import Requests
from engine.cores import limit_threads
from engine.display import LogFormatter
from engine.errors import Failure, TweezeError
from engine.folders import Folders
from engine.host import Host, Resident
from engine.queue.cleaning import Keeping
from engine.queue.heartbeat import FRESH, VERSION, Heartbeat, is_fresh
from engine.queue.journal import Journal
from engine.queue.limits import Limits
from engine.queue.lock import ProcessLock
from engine.queue.service import Service
from engine.settings import Settings

__all__ = ["ALREADY_RUNNING", "main", "serve"]

_GUARD = 0.2  # seconds between looks whether the lock is still that of the folders
ALREADY_RUNNING = 75  # exit code (EX_TEMPFAIL of sysexits.h): another engine holds the lock
_LOG = logging.getLogger("tweeze.app")


def main() -> None:
    """Run until SIGTERM; what a detached `python -m bridge.app` does."""
    os.umask(0o077)  # what the engine writes is for its user alone
    limit_threads()  # the worker inherits it
    logging.getLogger("tweeze").addHandler(logging.NullHandler())  # stderr hears it once, below
    lock: ProcessLock | None = None
    try:
        Settings.of_environment()  # what is wrong there is said before anything is made
        folders = Folders.of_user()
        check_private(folders)
        lock = ProcessLock(folders.lock)
        if not lock.take():
            sys.exit(ALREADY_RUNNING)
        _await_predecessor(folders)
        os.chdir(folders.root)  # the worker's first imports look into the working folder
        migrate(folders)
        _log_to(folders)
        _LOG.info("Tweeze %s started, process %d, folder %s.", VERSION, os.getpid(), folders.root)
        asyncio.run(serve(folders, hosts.HOSTS, lock))
        _LOG.info("The engine ended.")
        code = 0
    except TweezeError as error:
        _LOG.error("%s", error)
        print(error, file=sys.stderr)
        code = 1
    except OSError as error:
        _LOG.exception("The engine cannot use a file.")
        named = f"{error.filename} cannot be used" if error.filename else "A file cannot be used"
        print(f"{named} ({error.strerror or error}): check its permissions.", file=sys.stderr)
        code = 1
    except Exception:
        _LOG.exception("The engine ended with an unexpected error.")
        traceback.print_exc()
        code = 1
    _leave(lock, code)


def _leave(lock: ProcessLock | None, code: int) -> NoReturn:
    """End the process, whatever still hangs in a thread, or as a child that cannot be killed.

    Python's own way would wait for both, without a limit.
    """
    if lock is not None:
        lock.drop()  # a thread that a disk holds up would keep it, and the next engine out
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _await_predecessor(folders: Folders) -> None:
    """Give an engine whose lock file was removed the time to notice that this one has the lock."""
    deadline = time.monotonic() + 2 * FRESH
    while time.monotonic() < deadline:
        beat = Heartbeat.read(folders.heartbeat)
        if beat is None or not is_fresh(beat.time) or not _runs(beat.pid):
            return
        time.sleep(_GUARD / 4)


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return pid != os.getpid() and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def serve(folders: Folders, editors: Sequence[Host], lock: ProcessLock) -> None:
    """Serve these editors until a signal ends the process.

    Raises
    ------
    Failure
        The folders are not there any more, or another engine serves them now.

    """
    journal = Journal(folders.journal, owned=lock.holds)
    service = Service(
        folders, journal, limits=Limits.of_environment(), keeping=Keeping.of_environment()
    )
    residents = {editor.name: editor.attach(service, notify) for editor in editors}
    requests = Requests(service, residents)
    spool = Spool(service, requests, owned=lock.holds)
    osc = Osc(service, requests)
    panel = PanelDoor(service, requests, residents, notify)
    requests.offer(PANEL, panel.handle)
    requests.offer(KEEP, partial(keep, service))
    end = asyncio.Event()
    _on_signals(end)
    await spool.open()
    await service.start()
    await osc.open()
    tasks = [
        asyncio.create_task(_run(name, resident), name=f"host-{name}")
        for name, resident in residents.items()
    ]
    tasks.append(asyncio.create_task(_guard(lock, end), name="lock"))
    try:
        await end.wait()
        if not lock.holds():
            lost = service.queue_length + bool(service.running)
            raise Failure(
                f"Tweeze's folder {folders.root} was removed, moved or exchanged, so its engine "
                f"ended: {lost or 'no'} job{'' if lost == 1 else 's'} under way."
                f"{' Ask again for what you still need.' if lost else ''}"
            )
    except Failure as error:
        await notify(str(error))  # the log may be gone with the folder
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await osc.close()
        await panel.close()
        await spool.close()
        await requests.close()
        await service.stop()
        spool.detach()
        journal.close()


async def _guard(lock: ProcessLock, end: asyncio.Event) -> None:
    """End this process when it is not the one engine of its folders any more."""
    while True:
        if not lock.holds():
            if not lock.renew():
                break
            _LOG.warning("Somebody removed the lock file %s: it is taken anew.", lock.path)
        await asyncio.sleep(_GUARD)
    end.set()


async def _run(name: str, resident: Resident) -> None:
    """Run an editor's own work; where it breaks, the others go on."""
    while True:
        try:
            await resident.run()
            return
        except Exception:
            _LOG.exception("The part for %s broke; it is started again.", name)
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
