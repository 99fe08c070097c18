"""Whether the plug-ins hold the engine for alive, in a real Audacity's Nyquist."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audacity import install
from audacity.view import SEEN, Seen, View
from engine.folders import Folders
from engine.queue.heartbeat import FRESH, Heartbeat
from tests.faults.test_disk import Disk, disk
from tests.hosts.audacity.editor import Editor

__all__ = ["disk"]  # a fixture

COMMON = (Path(install.__file__).parent / "plugins" / "common.lsp").read_text("utf-8")
NOT_RUNNING = "The Tweeze engine is not running"
NO_ROOM = "Tweeze cannot write to its folder"


@pytest.fixture
def evaluate(
    editor: Editor, tmp_path: Path, sound: Callable[..., Path]
) -> Callable[[Folders, str], str]:
    """Return what an expression gives in a plug-in of Tweeze, as a text."""
    editor.do(f'Import2: Filename="{sound("room")}"', "SelectAll:")

    def run(folders: Folders, expression: str) -> str:
        source, answer = tmp_path / "expression.lsp", tmp_path / "answer"
        answer.unlink(missing_ok=True)
        source.write_text(
            COMMON.replace("@SPOOL@", folders.spool.as_posix())
            + f'\n(let ((fp (open "{answer}" :direction :output)))'
            + f'\n  (format fp "~a" {expression})\n  (close fp))\n'
        )
        editor.do(f'NyquistPrompt: Version=4 Command="(progn (load \\"{source}\\") \\"\\")"')
        return answer.read_text()

    return run


def says(folders: Folders, off: float) -> None:
    """Have the sign of life tell a time that is `off` seconds from now."""
    Heartbeat(os.getpid()).write(folders.heartbeat)
    text = folders.heartbeat.read_text()
    told = text.partition("time=")[2].partition("\n")[0]
    folders.heartbeat.write_text(text.replace(f"time={told}", f"time={int(time.time() + off)}"))


@pytest.mark.fault(
    "the file server's clock is off, the engine was killed, or its disk is full",
    promise="the menu commands hold it for alive as Python does, and say what is wrong",
    group="audacity",
)
def test_alive_to_the_menu_commands(
    evaluate: Callable[[Folders, str], str], disk: Disk, tmp_path: Path
) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    assert evaluate(folders, "(tweeze-trouble nil)").startswith(NOT_RUNNING)
    for off, alive in ((-FRESH - 1, False), (0, True), (FRESH - 1, True), (2 * FRESH, False)):
        says(folders, off)
        os.utime(folders.heartbeat, (1, 1))
        said = evaluate(folders, "(tweeze-trouble nil)")
        assert said == "NIL" if alive else said.startswith(NOT_RUNNING)
    assert list(folders.requests.iterdir()) == []
    says(folders, 0)
    assert evaluate(folders, '(tweeze-request (list (list "action" "again")))') == "NIL"
    (request,) = folders.requests.iterdir()
    lines = request.read_text().splitlines()
    assert lines[:3] == ["tweeze=1", f"id={request.name}", "host=audacity"]
    assert lines[4:] == ["action=again", "end"]
    key, _, text = lines[3].partition("=")
    seen = Seen.from_text(text)
    assert (key, seen is not None) == (SEEN, True)
    assert seen is not None
    assert (seen.tracks, seen.view) == ((0,), View(0.0, 5.0, 44100, "room"))
    assert seen.counts([0])

    full = Folders(disk.path / "home")
    full.make()
    says(full, 0)
    disk.fill()
    assert evaluate(full, "(tweeze-trouble nil)") == "NIL"
    said = evaluate(full, '(tweeze-request (list (list "action" "again")))')
    assert said.startswith(NO_ROOM)
    Heartbeat(os.getpid()).write(full.heartbeat)  # as the engine does, where there is no room
    assert evaluate(full, "(tweeze-trouble nil)") == "NIL"
    os.truncate(full.heartbeat, 0)  # as on disks that do not even write over a file
    disk.fill()
    assert evaluate(full, "(tweeze-trouble nil)").startswith(NO_ROOM)
