"""Starting and stopping the resident process from any other one."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time

from engine import processes
from engine.display import shown
from engine.errors import EngineUnreachable
from engine.folders import Folders
from engine.queue.heartbeat import VERSION, Heartbeat, is_fresh
from engine.queue.lock import holder
from engine.settings import Settings

__all__ = ["ensure", "stop"]

_ENGINE = "bridge.app"  # the module that runs as the engine
_START = 30.0  # seconds until a started engine must answer
_STOP = 10.0  # seconds that a clean end may take
_LOOK = 0.01  # seconds between looks at the sign of life
# What a shell hands to its programs for the moment is not for a process that outlives the shell,
# and Tweeze's engine has no use for it: it asks no other service for anything.
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH_SOCK")
_children: list[subprocess.Popen[bytes]] = []  # kept, or Python warns of each that still runs


def ensure(folders: Folders, *, any_version: bool = False) -> tuple[Heartbeat, bool]:
    """Start the engine if none runs; return its heartbeat, and whether it was started.

    An engine of another version of Tweeze is replaced if it is idle. With `any_version` the one
    that runs is good enough: to cancel what it is doing, say.

    Raises
    ------
    EngineUnreachable
        It ends at once, or does not answer in time; or it is of another version and at work.
    BadInput
        A variable of the environment has a value that it cannot have.

    """
    Settings.of_environment()
    beat = Heartbeat.of_living(folders)
    if beat is not None and (any_version or beat.version == VERSION):
        return beat, False
    if beat is not None:
        _retire(folders, beat)
    deadline = time.monotonic() + _START
    process = None if holder(folders.lock) is not None else _spawn(folders)
    while time.monotonic() < deadline:
        beat = Heartbeat.of_living(folders)
        if beat is not None:
            if not any_version and beat.version != VERSION:
                _retire(folders, beat)
                continue
            if process is None or process.poll() is not None:
                return beat, False
            if _is_in(process, beat.pid):
                return beat, True
            # Another is the engine, and the process will end as soon as it sees that: until then
            # it could follow that engine. Or the heartbeat is that of an engine that was killed.
            if time.monotonic() > deadline - _START / 2:
                process.terminate()
        if holder(folders.lock) is None and (process is None or process.poll() is not None):
            if process is not None and process.returncode == 1:
                raise EngineUnreachable(f"The engine did not start: {_last_words(folders)}")
            process = _spawn(folders)  # whoever held the lock has gone meanwhile
        time.sleep(_LOOK)
    raise EngineUnreachable(
        f"The engine does not answer: see 'tweeze log', then try 'tweeze stop' "
        f"(its last message: {_last_words(folders)})"
    )


def _is_in(process: subprocess.Popen[bytes], pid: int) -> bool:
    """Return whether a process is the one that was started, or comes from it."""
    import psutil

    with contextlib.suppress(psutil.Error):
        # On Windows, what a venv calls Python starts the one that runs.
        return pid == process.pid or process.pid in (p.pid for p in psutil.Process(pid).parents())
    return False


def _retire(folders: Folders, beat: Heartbeat) -> None:
    """End an engine of another version, if that interrupts nothing."""
    if not beat.idle:
        raise EngineUnreachable(
            f"The engine of Tweeze {shown(beat.version)[:40]} is still at work, and this is Tweeze "
            f"{VERSION}: try again when it is done, or run 'tweeze stop' first (its jobs go on "
            "at the next start)."
        )
    stop(folders)


def stop(folders: Folders) -> bool:
    """End the engine and return whether there was one; a running job goes on at the next start."""
    pid = holder(folders.lock)
    if pid is None:
        return False
    import psutil

    for end in (psutil.Process.terminate, psutil.Process.kill):
        asked: set[int] = set()
        deadline = time.monotonic() + _STOP
        while time.monotonic() < deadline:
            pid = holder(folders.lock)
            if pid is None:
                with contextlib.suppress(OSError):
                    folders.heartbeat.unlink()
                return True
            if not pid:  # the disk had no room for it in the lock
                beat = Heartbeat.read(folders.heartbeat)
                pid = beat.pid if beat is not None and is_fresh(beat.time) else 0
            if pid and pid not in asked:  # one that was about to start may have followed it
                asked.add(pid)
                with contextlib.suppress(psutil.Error):
                    end(psutil.Process(pid))
            time.sleep(_LOOK)
    raise EngineUnreachable(f"The engine (process {pid}) does not stop: end that process yourself.")


def _spawn(folders: Folders) -> subprocess.Popen[bytes]:
    """Start the engine on its own: no terminal, no inherited files, not in the caller's session."""
    kept = {key: value for key, value in os.environ.items() if not _SECRET.search(key.upper())}
    environment = processes.environment({**kept, "TWEEZE_HOME": str(folders.root)})
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    try:
        folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What Python or a native library says in its last moment has no other place to go.
        words = os.fdopen(os.open(folders.crash_log, flags, 0o600), "wb")
    except OSError as error:
        raise EngineUnreachable(
            f"The engine cannot write to {error.filename} ({error.strerror}): check the folder's "
            "permissions, or name another with TWEEZE_HOME."
        ) from error
    with words:
        process = subprocess.Popen(
            processes.command(_ENGINE, options=("-X", "faulthandler")),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=folders.root,  # others write nothing there, and it stays as long as the engine
            env=environment,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    _children.append(process)
    return process


def _last_words(folders: Folders) -> str:
    with contextlib.suppress(OSError):
        text = folders.crash_log.read_text("utf-8", "replace").strip()
        if text:
            return text.rpartition("\n")[2]
    with contextlib.suppress(OSError):
        text = folders.log.read_text("utf-8", "replace").strip()
        if text:
            return text.rpartition("\n")[2]
    return "nothing was written."
