"""Queries and names of tracks and files are only text: in Audacity, Lua, names, logs, terminals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import select
import subprocess
import sys
import types
from pathlib import Path
from typing import Any
from unicodedata import category
from unittest import mock

import numpy as np
import pytest
import soundfile
from lupa.lua54 import LuaRuntime

from audacity import pipe as pipes
from audacity import timeline
from audacity.timeline import Fingerprint, Place
from audacity.view import View
from bridge import notify as notices
from engine.display import LogFormatter, misleads
from engine.errors import BadInput
from engine.file_names import file_name
from engine.job import Job, Placement, clean_query
from engine.options import Options, Stereo
from engine.status import Clip, ClipKind, Status
from tests.security.conftest import ROOT, Home

NASTY = {
    "quote": 'dog" Name="owned',
    "backslash quote": 'dog\\" Exit:',
    "newline": "dog\nExit:",
    "carriage return": "dog\rExit:",
    "exit": "Exit:",
    "shell": "$(touch canary) `touch canary` ; touch canary & touch canary | touch canary",
    "lisp": '") (system "touch canary") ("',
    "lua": "]] os.execute('touch canary') --[[",
    "percent": "%s%n%d %(asctime)s {0}",
    "markup": "<img src='http://192.0.2.1/x.png'><a href='file:///etc/passwd'>dog</a> & [red]x[/]",
    "direction": "dog \u202egpj.exe\u2066",
    "escape": "dog\x1b]0;owned\x07\x1b[2J\x9b31m",
    "separator": "dog\u2028Exit:\u2029\x85",
    "nul": "dog\0cat",
    "up": "../../../../tmp/canary",
    "option": "--out=/",
    "surrogate": "dog\ud800",
}
EVERY = pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)


def harmless(text: str) -> bool:
    return not any(misleads(c) for c in text)


class Audacity:
    """Audacity's end of its pipe: takes commands as Audacity does, and keeps them."""

    def __init__(self, track: str) -> None:
        self.track = track
        self.lines: list[str] = []
        self._waiting: list[bytes] = []

    def send(self, data: bytes, timeout: float) -> None:
        assert data.endswith(b"\n")
        assert data.count(b"\n") == 1, "two commands"
        assert b"\r" not in data
        assert len(data) <= 1023, "Audacity would take it for two"
        line = data.decode()[:-1]
        name, values = understand(line)
        self.lines.append(line)
        said = ""
        if re.fullmatch("tweeze[0-9a-f]{16}", name):  # the greeting: no such command
            self._waiting.append(f"{name}?\nBatchCommand finished: Failed!\n\n".encode())
            return
        if name == "GetInfo" and values["Type"] == "Tracks":
            row = {"name": self.track, "kind": "wave", "selected": 1, "channels": 1}
            said = __import__("json").dumps([row, {"name": self.track, "kind": "label"}])
        elif name == "GetInfo" and values["Type"] == "Labels":
            said = __import__("json").dumps([[1, [[0, 0.5, f"+ {self.track}"]]]])
        elif name == "GetInfo":
            said = '[{"track":0,"start":0,"end":1}]'
        elif name == "NyquistPrompt":
            path = values["Command"].split('strcat "')[1].split('"')[0]
            Path(f"{path}1").write_text("0.0\n1.0\nNIL\nNIL\nWaveform\nT\n16000\nSong\n")
        self._waiting.append(f"{said}\nBatchCommand finished: OK\n\n".encode())

    def receive(self, deadline: float) -> bytes | None:
        return self._waiting.pop(0) if self._waiting else None

    def close(self) -> None: ...


def understand(line: str) -> tuple[str, dict[str, str]]:
    """Take a command apart as Audacity does: name, colon, `key="value"`, a backslash escapes."""
    name, _, rest = line.partition(":")
    assert name.isalnum(), line
    values: dict[str, str] = {}
    at = 0
    while at < len(rest):
        if rest[at] == " ":
            at += 1
            continue
        key, _, _ = rest[at:].partition("=")
        assert key.isalnum(), f"{line}: a key {key!r}"
        at += len(key) + 1
        assert rest[at] == '"', line
        at += 1
        value = ""
        while rest[at] != '"':
            at += rest[at] == "\\"
            value += rest[at]
            at += 1
        assert key not in values, line
        values[key] = value
        at += 1
    return name, values


COMMANDS = {
    "GetInfo", "SelSave", "SelRestore", "SelectTracks", "SelectTime", "NyquistPrompt",
    "Import2", "SetClip", "SetTrackStatus", "SetTrackAudio", "CursProjectStart", "Export2",
    "GetPreference", "SetPreference",
}  # fmt: skip


@pytest.mark.fault(
    "a query or track name is written to command Audacity",
    promise="each line stays the one command that Tweeze meant, the text one value of it",
)
@EVERY
def test_audacity_gets_only_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.zeros((16_000, 1), np.float32), 16_000, subtype="FLOAT")
    audacity = Audacity(text.encode("utf-8", "replace").decode())
    with (
        mock.patch.object(pipes, "_connect", return_value=audacity),
        pipes.Pipe(timeout=1, patience=0) as pipe,
    ):
        tracks = timeline._tracks(pipe)
        view = View(0.0, 1.0, 16_000, "Song")
        project = Fingerprint.of(view, tracks, 0).to_text()
        place = Placement("audacity", project, text, 0, 16_000)
        clip = Clip(path, ClipKind.TARGET, text, f"Track - {text}")
        with Place(pipe, place) as here:
            here.insert(clip, mute=True)
        with contextlib.suppress(BadInput, pipes.HostError):
            timeline.capture(pipe, tmp_path, keepsake=tmp_path / "keepsake")
    understood = [understand(line) for line in audacity.lines]
    greetings = {name for name, _ in understood if name.startswith("tweeze")}
    assert {name for name, _ in understood} - greetings <= COMMANDS
    named = [values["Name"] for name, values in understood if name == "SetTrackStatus"]
    named += [Path(v["Filename"]).stem for name, v in understood if name == "Import2"]
    assert pipes.plain(f"Track - {text}") in named
    assert not (ROOT / "canary").exists()


@pytest.mark.fault(
    "a query or track name is written to be a path", promise="a clip's name is one plain name"
)
@EVERY
def test_a_files_name_is_only_a_name(tmp_path: Path, text: str) -> None:
    for words in (text, f"{text}{text}", f"  {text}.", text * 40):
        name = file_name(words)
        assert harmless(name)
        assert not set(name) & set('<>:"/\\|?*')
        assert name == name.strip(" .")
        (tmp_path / f"{name}.wav").touch()
    assert all(p.parent == tmp_path and p.is_file() for p in tmp_path.iterdir())


@pytest.mark.fault(
    "a job file's value is written to be a line", promise="it is refused, or one value"
)
@EVERY
def test_a_text_form_holds_no_second_line(text: str) -> None:
    controls = any(category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
    if controls:
        with pytest.raises(BadInput) as refused:
            Job("j", Path("/a.wav"), ("dog",), title=text).to_text()
        assert harmless(str(refused.value))
        return
    query = clean_query(text)
    written = Job("j", Path("/a.wav"), (query,), title=text, client=text).to_text()
    again = Job.from_text(written)
    assert (again.title, again.client, again.queries) == (text, text, (query,))
    assert written.count("\n") == len(written.splitlines())


def record(message: str, *values: object) -> str:
    made = logging.LogRecord("tweeze", logging.INFO, "", 0, message, values, None)
    return LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s").format(made)


@pytest.mark.fault(
    "a query or name is written to forge a log line or to steer a terminal",
    promise="a record is one line and its continuation, without any control character",
)
@EVERY
def test_the_log_holds_only_text(text: str) -> None:
    forged = f"{text}\n2026-11-25 12:00:00,000 ERROR tweeze: forged"
    said = record("Job %s: %s", "j", forged)
    assert "forged" in said
    first, *others = said.split("\n")
    assert others
    assert all(line.startswith("    ") for line in others)
    assert harmless(first)
    assert all(harmless(line) for line in others)
    try:
        raise ValueError(forged)
    except ValueError:
        made = logging.LogRecord("tweeze", logging.ERROR, "", 0, "x", (), sys.exc_info())
    said = LogFormatter("%(message)s").format(made)
    assert "Traceback" in said
    assert all(line.startswith("    ") and harmless(line) for line in said.split("\n")[1:])


def at_a_terminal(home: Home, *arguments: str) -> tuple[bytes, int]:
    """Run a command whose output and errors are a terminal, and return what that gets."""
    pty = pytest.importorskip("pty", reason="NOT TESTED: this system has no pseudo-terminals.")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=home.environment(),
        cwd=ROOT,
    )
    os.close(theirs)
    said = b""
    try:
        with contextlib.suppress(OSError):  # the terminal is closed
            while select.select([ours], [], [], 90)[0] and (part := os.read(ours, 65536)):
                said += part
    finally:
        os.close(ours)
    return said, process.wait()


@pytest.mark.fault(
    "names, queries, statuses and log lines hold escape sequences",
    promise="none reaches the terminal",
)
def test_the_terminal_is_not_steered(home: Home) -> None:
    escape = NASTY["escape"] + NASTY["direction"]
    home.folders.make()
    home.folders.log.write_text(f"2026-11-25 INFO tweeze: {escape}\n")
    status = Status.from_text(
        "tweeze=1\nid=job-1\nstate=failed\nprogress=0\nseconds=0\nloading=0\n"
        f"message=It reads {NASTY['direction']}\nend\n"
    )
    (home.folders.status / "job-1").write_text(status.to_text())
    for arguments in (
        ("separate", f"{escape}.wav", "dog"),
        ("separate", "a.wav", escape),
        ("status", f"a{escape}"),
        ("status", "job-1"),
        ("status",),
        ("log",),
        ("separate", "a.wav", "dog", f"--{escape}"),
        ("models", "verify", escape),
    ):
        said, _ = at_a_terminal(home, *arguments)
        assert said
        text = said.decode().replace("\r\n", "\n")
        assert [c for c in text if misleads(c) and c != "\n"] == [], (arguments, text)


@pytest.mark.fault("a query is written as markup", promise="the desktop gets no markup, no control")
@EVERY
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_notification_is_only_text(
    text: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    class DesktopNotifier:
        def __init__(self, **_: object) -> None: ...

        async def send(self, **what: object) -> None:
            sent.append(what)

    stand_in = types.SimpleNamespace(DesktopNotifier=DesktopNotifier)
    monkeypatch.setitem(sys.modules, "desktop_notifier", stand_in)
    monkeypatch.setattr(notices.sys, "platform", platform)
    try:
        asyncio.run(notices.notify(f"1 new track: {text}"))
    finally:
        monkeypatch.undo()
    (what,) = sent
    assert harmless(what["message"])
    if platform == "linux":
        assert not set(what["message"]) & set("<>&")
    assert what["message"].startswith("1 new track: ")


@pytest.mark.fault(
    "a query typed in REAPER is written as code or as a line", promise="the job holds it as text"
)
@EVERY
def test_lua_keeps_it_text(tmp_path: Path, text: str) -> None:
    lua = LuaRuntime(unpack_returned_tuples=True, encoding=None)
    raw = text.encode("utf-8", "surrogatepass")
    send = lua.eval(
        b"""function(scripts, folder, typed)
          package.path = scripts .. '/?.lua'
          reaper = { GetExtState = function() return '' end }
          local sounds, jobs = require 'tweeze.sounds', require 'tweeze.jobs'
          local request = sounds.asked(typed, '')
          request.model, request.keep = 'auto', 'target'
          request.options = { { 'stereo', 'linked' } }
          local region = { title = typed, position = 0.5, rate = 48000 }
          return jobs.send({ root = folder, spool = folder }, 'j', region, request, typed)
        end"""
    )
    (tmp_path / "jobs").mkdir()
    assert send(str(ROOT / "reaper").encode(), str(tmp_path).encode(), raw)
    written = (tmp_path / "jobs" / "j").read_text("utf-8")
    job = Job.from_text(written)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["j"]
    expected = [" ".join(part.split()) for part in _cleaned(text).split(";") if part.strip()]
    assert list(job.queries) == expected
    assert job.title == _cleaned(text)
    assert job.options == Options(stereo=Stereo.LINKED)
    assert not (ROOT / "canary").exists()


def _cleaned(text: str) -> str:
    """Return what Lua makes of it: blanks for controls, a question mark for each broken byte."""
    return "".join(
        "???" if "\ud800" <= c <= "\udfff" else " " if category(c) in ("Cc", "Zl", "Zp") else c
        for c in text
    )
