"""The engine at login: a systemd user unit, a LaunchAgent, or a file in the Startup folder."""

from __future__ import annotations

import contextlib
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

from engine import editing, processes
from engine.errors import Failure
from engine.folders import Folders, xdg_folder
from engine.queue.heartbeat import VERSION

__all__ = ["disable", "enable", "enabled", "is_current"]

_UNIT = """\
# Written by Tweeze {version}; 'tweeze uninstall' removes it.
[Unit]
Description=Tweeze, the sound separation engine

[Service]
ExecStart={command}
Environment="TWEEZE_HOME={home}"
WorkingDirectory=-{folder}
SuccessExitStatus=75
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""


def enable(folders: Folders) -> str:
    """Have the engine start at login, and return a sentence that says how; again does no harm.

    Raises
    ------
    Failure
        A file cannot be written.

    """
    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not (place.exists() and place.read_bytes() == _content(folders)):
            editing.write(place, _content(folders))
        if _is_linux():
            link = _wants()
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(place)
            _systemctl("daemon-reload")
    except OSError as error:
        raise Failure(
            f"{error.filename} cannot be written ({error.strerror}): check its permissions."
        ) from error
    return f"The engine starts at login ({place})."


def disable() -> str:
    """Undo `enable`, and return a sentence."""
    place = _place()
    if not place.exists() and not _wants().is_symlink():
        return "The engine did not start at login."
    with contextlib.suppress(FileNotFoundError):
        _wants().unlink()
    editing.remove(place)
    if _is_linux():
        _systemctl("daemon-reload")
    return "The engine no longer starts at login."


def enabled() -> bool:
    """Return whether the engine starts at login."""
    return _place().exists() and (not _is_linux() or _wants().is_symlink())


def is_current(folders: Folders) -> bool:
    """Return whether what starts at login is this very Tweeze, with these folders."""
    try:
        return _place().read_bytes() == _content(folders)
    except OSError:
        return False


def _is_linux() -> bool:
    return sys.platform not in ("win32", "darwin")


def _place() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA", home / "AppData/Roaming"))
        return roaming / "Microsoft/Windows/Start Menu/Programs/Startup/tweeze.vbs"
    if sys.platform == "darwin":
        return home / "Library/LaunchAgents/tweeze.engine.plist"
    return xdg_folder("XDG_CONFIG_HOME", ".config") / "systemd/user/tweeze.service"


def _wants() -> Path:
    return _place().parent / "default.target.wants" / "tweeze.service"


def _content(folders: Folders) -> bytes:
    command = processes.command("bridge.app")
    if sys.platform == "win32":
        quoted = " ".join(f'""{word}""' for word in command)
        lines = [
            'Set shell = CreateObject("WScript.Shell")',
            f'shell.Environment("Process")("TWEEZE_HOME") = "{folders.root}"',
            f'shell.Run "{quoted}", 0, False',
        ]
        return ("\r\n".join(lines) + "\r\n").encode("utf-16")
    if sys.platform == "darwin":
        return plistlib.dumps(
            {
                "Label": "tweeze.engine",
                "ProgramArguments": command,
                "EnvironmentVariables": {"TWEEZE_HOME": str(folders.root)},
                "RunAtLoad": True,
                "KeepAlive": {"SuccessfulExit": False},
            }
        )
    quoted = " ".join(f'"{_systemd(word)}"' for word in command)
    text = _UNIT.format(
        version=VERSION,
        command=quoted,
        home=_systemd(str(folders.root)),
        folder=str(folders.root).replace("%", "%%"),
    )
    return text.encode("utf-8", "surrogateescape")


def _systemd(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _systemctl(verb: str) -> None:
    """Tell a running systemd, if there is one; at the next login it reads the files anyway."""
    program = shutil.which("systemctl")
    if program is not None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([program, "--user", verb], check=False, capture_output=True, timeout=10)
