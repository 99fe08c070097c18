"""Starting and stopping the resident process from any other one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from bridge.heartbeat import Heartbeat
from engine.errors import EngineUnreachable
from engine.folders import Folders
from engine.lock import holder

__all__ = ["ensure", "stop"]

_START = 30.0  # seconds until a started engine must answer
_STOP = 10.0  # seconds that a clean end may take
_LOOK = 0.01  # seconds between looks at the sign of life
_children: list[subprocess.Popen[bytes]] = []  # kept, or Python warns of each that still runs


def ensure(folders: Folders) -> tuple[Heartbeat, bool]:
    """Return the engine's sign of life, and whether it had to be started for it.

    Raises
    ------
    EngineUnreachable
        It ends at once, or does not answer in time.

    """
    beat = Heartbeat.of_living(folders)
    if beat is not None:
        return beat, False
    deadline = time.monotonic() + _START
    process = None if holder(folders.lock) is not None else _spawn(folders)
    while time.monotonic() < deadline:
        beat = Heartbeat.of_living(folders)
        if beat is not None:
            return beat, process is not None and beat.pid == process.pid
        if holder(folders.lock) is None and (process is None or process.poll() is not None):
            if process is not None and process.returncode == 1:
                raise EngineUnreachable(f"The engine did not start: {_last_words(folders)}")
            process = _spawn(folders)  # whoever held the lock has gone meanwhile
        time.sleep(_LOOK)
    raise EngineUnreachable(
        f"The engine does not answer: see 'tweeze log', then try 'tweeze stop' "
        f"(its last words: {_last_words(folders)})"
    )


def stop(folders: Folders) -> bool:
    """End the engine and return whether there was one; a running job goes on at the next start."""
    pid = holder(folders.lock)
    if pid is None:
        return False
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _STOP
        while time.monotonic() < deadline:
            if holder(folders.lock) is None:
                with contextlib.suppress(OSError):
                    folders.heartbeat.unlink()
                return True
            time.sleep(_LOOK)
    raise EngineUnreachable(f"The engine (process {pid}) does not end: end it by hand.")


def _spawn(folders: Folders) -> subprocess.Popen[bytes]:
    """Start the engine on its own: no terminal, no inherited files, not in the caller's session."""
    environment = {**os.environ, "TWEEZE_HOME": str(folders.root)}
    try:
        folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What Python or a native library says in its last moment has no other place to go.
        words = folders.crash_log.open("wb")
    except OSError as error:
        raise EngineUnreachable(
            f"The engine cannot write to {error.filename} ({error.strerror}): check the folder's "
            "permissions, or name another with TWEEZE_HOME."
        ) from error
    with words:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "bridge.app"],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=folders.root.anchor,
            env=environment,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    _children.append(process)
    return process


def _last_words(folders: Folders) -> str:
    with contextlib.suppress(OSError):
        lines = folders.crash_log.read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return lines[-1]
    with contextlib.suppress(OSError):
        lines = folders.log.read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return lines[-1]
    return "nothing was written."
