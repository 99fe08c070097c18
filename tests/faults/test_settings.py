"""Settings, ports and disks with which the engine cannot work: said before anything starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odd_disk import odd_disk

from bridge import doctor
from bridge.cli import run
from bridge.doors.osc import Access
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat
from engine.queue.lock import holder
from tests.faults.resident import DOCTOR, ROOT, write_noise

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "home")


@pytest.fixture
def command(folders: Folders) -> Iterator[Command]:
    def tweeze(
        *words: object, models: bool = False, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        program = ["-c", DOCTOR] if words[0] == "doctor" and not models else ["-m", "bridge.cli"]
        return subprocess.run(
            [sys.executable, *program, *map(str, words)],
            env={
                **os.environ,
                "TWEEZE_HOME": str(folders.root),
                "PYTHONPATH": str(ROOT),
                **settings,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    yield tweeze
    tweeze("stop")


@pytest.mark.fault(
    "a TWEEZE_ variable has a value that it cannot have (a port of 99999, a word, NaN, -1)",
    promise="one sentence that names the variable, exit 2, nothing is started or made",
)
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TWEEZE_OSC_PORT", "99999"),
        ("TWEEZE_OSC_PORT", "http"),
        ("TWEEZE_IDLE_MINUTES", "nan"),
        ("TWEEZE_KEEP_DAYS", "-1"),
        ("TWEEZE_KEEP_GB", "inf"),
    ],
)
def test_a_setting_that_cannot_be(
    folders: Folders,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variable: str,
    value: str,
) -> None:
    mixture = write_noise(tmp_path / "mixture.wav", 1.0)
    monkeypatch.setenv("TWEEZE_HOME", str(folders.root))
    monkeypatch.setenv(variable, value)
    for words in (
        ("start",),
        ("separate", mixture, "dog", "--out", tmp_path / "out"),
        ("trigger", "dog"),
        ("install", "reaper"),
        ("osc",),
    ):
        assert run(list(map(str, words))) == 2
        told = capsys.readouterr()
        assert told.err.startswith(f"{variable} is '{value}': it must be "), words
        assert told.err.count("\n") == 1
        assert not folders.root.exists()
    assert not (tmp_path / "out").exists()
    assert (run(["stop"]), capsys.readouterr().out) == (0, "The engine was not running.\n")
    monkeypatch.setattr(doctor, "_models", lambda *_: iter(()))  # each would be loaded
    assert run(["doctor"]) == 1
    assert f"WRONG  settings: {variable} is '{value}'" in capsys.readouterr().out
    engine = subprocess.run(
        [sys.executable, "-m", "bridge.app"],
        env={**os.environ, "TWEEZE_HOME": str(folders.root), variable: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert engine.returncode == 1
    assert engine.stderr.startswith(f"{variable} is '{value}'")
    assert engine.stderr.count("\n") == 1
    monkeypatch.delenv(variable)
    run(["doctor"])
    assert "ok     settings: " in capsys.readouterr().out


@pytest.mark.fault(
    "another program has the OSC port when the engine starts",
    promise="the engine works without OSC; the log, 'tweeze osc' and doctor say so",
)
def test_a_port_that_is_taken(folders: Folders, command: Command) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert "has started" in command("start", TWEEZE_OSC_PORT=port).stdout
        assert Heartbeat.of_living(folders) is not None
        asked = command("osc", TWEEZE_OSC_PORT=port)
        assert asked.returncode == 1
        assert "another program uses its port" in asked.stderr
        said = command("doctor", TWEEZE_OSC_PORT=port)
        assert said.returncode == 1
        wrong = f"WRONG  OSC: the engine does not listen: another program had port {port}"
        assert wrong in said.stdout
        assert f"No OSC: port {port} cannot be used" in folders.log.read_text()
        assert "OSC:" not in command("doctor", TWEEZE_OSC_PORT="0").stdout
    command("stop")
    assert "has started" in command("start", TWEEZE_OSC_PORT=port).stdout
    access = Access.read(folders)
    assert access is not None
    assert access.port == int(port)
    assert "OSC:" not in command("doctor", TWEEZE_OSC_PORT=port).stdout


@pytest.mark.fault(
    "TWEEZE_HOME lies on a disk that keeps no permissions (exFAT, NTFS, CIFS), open to others",
    promise="the sentence says what can be done there: another folder, or how to mount the disk",
)
@pytest.mark.parametrize("mode", ["755", "777"])
def test_a_disk_that_is_open_to_all(folders: Folders, command: Command, mode: str) -> None:
    disk = odd_disk(folders.root, mode=mode)
    done = command("start", **disk)
    assert done.returncode == 1
    assert "keeps no permissions" in done.stderr
    assert "TWEEZE_HOME" in done.stderr
    assert "umask=077" in done.stderr
    assert "chmod" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert holder(folders.lock) is None
    said = command("doctor", **disk).stdout
    assert "WRONG  folders: " in said
    assert "keeps no permissions" in said
    assert not list(folders.root.rglob(".modes*"))


@pytest.mark.fault(
    "TWEEZE_HOME lies on a disk that keeps no permissions, mounted for its user alone",
    promise="Tweeze works there as anywhere",
)
def test_a_disk_for_one_user(folders: Folders, command: Command, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])  # other engines of these tests may have the usual one
    disk = {**odd_disk(folders.root, mode="700"), "TWEEZE_OSC_PORT": port}
    mixture = write_noise(tmp_path / "mixture.wav", 1.0)
    done = command("separate", mixture, "dog", "--out", tmp_path, **disk)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mixture - dog.wav").exists()
    assert command("osc", **disk).returncode == 0
    for sentence in command("doctor", models=True, **disk).stdout.splitlines():
        assert not sentence.startswith("WRONG"), sentence
