from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audacity.pipe import (
    COMMAND_LIMIT,
    Blocked,
    Busy,
    Gone,
    NotRunning,
    Pipe,
    Refused,
    command,
    plain,
)
from engine.errors import HostError
from tests.hosts.audacity.editor import FROM, TO, Editor, Screen, wait_for


def test_a_command_quotes_its_values() -> None:
    assert (
        command("A", Name='b "c"', At=0, Start=0.1)
        == 'A: Name="b \\"c\\"" At="0" Start="0.100000000"'
    )
    assert command("A", Filename=Path("/a b/ö.wav")) == 'A: Filename="/a b/ö.wav"'


@pytest.mark.parametrize("value", ["a\nb", "a\rSelectAll:", "a\\b", "a\0b", "x" * 1100, "\ud800"])
def test_a_command_refuses_what_audacity_would_misread(value: str) -> None:
    with pytest.raises(HostError):
        command("SetTrackStatus", Name=value)


def test_plain_text_can_always_be_sent() -> None:
    assert plain('a\nb\\c "d"') == 'a b/c "d"'
    assert command("A", Name=plain("\n\\\0\u2028"))


def test_many_replies_come_in_step(editor: Editor) -> None:
    with editor.pipe() as pipe:
        for number in range(60):
            text = f'number {number} "quoted" ö日本'
            assert pipe.do(command("Message", Text=text)).strip() == text


def test_the_longest_command_is_understood(editor: Editor) -> None:
    empty = len(command("Message", Text="").encode())
    text = "x" * (COMMAND_LIMIT - empty)
    with editor.pipe() as pipe:
        assert pipe.do(command("Message", Text=text)).strip() == text
        assert pipe.do(command("Message", Text="after")).strip() == "after"
        with pytest.raises(HostError, match="1,022"):
            command("Message", Text=text + "x")


def test_refusals_and_misspellings_leave_the_connection_in_step(editor: Editor) -> None:
    with editor.pipe() as pipe:
        with pytest.raises(Refused):
            pipe.do("NoSuchCommand:")
        with pytest.raises(Refused):
            pipe.do(command("GetPreference", Name="/no/such/preference"))
        with pytest.raises(Refused):
            pipe.do("this is no command")
        assert pipe.do(command("Message", Text="still here")).strip() == "still here"


def test_connections_follow_each_other_without_a_pause(editor: Editor) -> None:
    for number in range(40):
        assert editor.do(command("Message", Text=number)).strip() == str(number)


def test_without_audacity_it_says_so_at_once(no_editor: None) -> None:
    for fifo in (TO, FROM):
        fifo.unlink(missing_ok=True)
    began = time.monotonic()
    with pytest.raises(NotRunning, match="not running"):
        Pipe()
    assert time.monotonic() - began < 2


@pytest.mark.fault(
    "Audacity died and left its pipe behind",
    promise="the stale pipe is told from a live one, without waiting",
)
def test_a_stale_pipe_is_told_from_a_live_one(no_editor: None) -> None:
    for fifo in (TO, FROM):
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
    try:
        with pytest.raises(NotRunning, match="left its pipe behind"):
            Pipe()
    finally:
        TO.unlink()
        FROM.unlink()


@pytest.mark.fault(
    "Audacity is killed in the middle of a command",
    promise="it is noticed at once, in a sentence",
)
def test_a_kill_in_the_middle_of_a_command_is_noticed(editor: Editor) -> None:
    pid = editor.pid()
    with editor.pipe() as pipe:
        os.kill(pid, signal.SIGSTOP)
        try:
            killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -KILL {pid}"])
            with pytest.raises(Gone, match="closed in the middle"):
                pipe.do(command("Message", Text="x"), timeout=20)
        finally:
            killer.wait()
        with pytest.raises(Gone):
            pipe.do(command("Message", Text="x"))


@pytest.mark.fault(
    "a dialog is open in Audacity when a command is sent",
    promise="a sentence; the connection is in step afterwards",
)
def test_an_open_dialog_is_told_and_does_no_harm(editor: Editor) -> None:
    with editor.pipe() as pipe:
        # Audacity answers an unknown value of an enumeration with a dialog.
        with pytest.raises(Blocked, match="open dialog"):
            pipe.do("GetInfo: Type=NoSuchType", timeout=1)
        assert pipe.broken
    with pytest.raises(Blocked, match="open dialog"):
        Pipe(timeout=1, patience=0.5)
    editor.screen.key("Return")

    def answers() -> bool:
        try:
            return bool(editor.do(command("Message", Text="back")).strip() == "back")
        except HostError:
            return False

    wait_for(answers, "Audacity after its dialog")
    assert editor.running()


def test_before_the_project_window_it_waits(screen: Screen, tmp_path: Path) -> None:
    editor = Editor(screen, tmp_path / "home")
    editor.prepare()
    try:
        editor.start(ready=False)
        wait_for(TO.exists, "the FIFO")
        with Pipe(patience=20) as pipe:
            assert pipe.do(command("Message", Text="ready")).strip() == "ready"
    finally:
        editor.stop()


def client(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE)


@pytest.mark.fault(
    "another program talks over Audacity's pipe",
    promise="it is named, and waited for where that helps",
)
def test_another_client_is_named_and_waited_for(editor: Editor) -> None:
    held = client(
        f"""
        import sys
        with open("{TO}", "w") as to, open("{FROM}") as answers:
            sys.stdin.read()
        """
    )
    try:
        with pytest.raises(Busy, match=f"process {held.pid}"):
            wait_for(lambda: _opens(Pipe(patience=0.3)), "the other client", 15)
        assert held.stdin is not None
        held.stdin.close()
        assert editor.do(command("Message", Text="mine again")).strip() == "mine again"
    finally:
        held.wait(10)


def _opens(pipe: Pipe) -> bool:
    pipe.close()
    return False


def test_pyaudacity_and_tweeze_take_turns(editor: Editor, sound: Callable[..., Path]) -> None:
    """An independent client's view of the same Audacity, in a process that has its own limit."""
    pytest.importorskip("pyaudacity")
    path = sound("both")
    editor.do(command("Import2", Filename=path))
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            "import pyaudacity; print(pyaudacity.do('GetInfo: Type=Tracks Format=JSON'))",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert '"name":"both"' in other.stdout
    assert editor.tracks()[0]["name"] == "both"
