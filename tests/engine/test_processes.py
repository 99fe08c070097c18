"""Processes that Tweeze starts take no module from the folder they happen to run in."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import launch, login
from engine import processes
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat
from tests.faults.resident import until, write_noise

DEADLINE = 180.0  # seconds until what must happen counts as not happening
TRAPS = (
    "random", "json", "socket", "pickle", "struct", "logging", "runpy", "types", "threading",
    "multiprocessing/__init__", "engine/__init__", "bridge/__init__", "numpy/__init__",
    "soundfile", "torch/__init__", "sitecustomize", "usercustomize", "psutil",
)  # fmt: skip


@pytest.fixture
def short_wav(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "street.wav", 1.0, channels=2)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of modules that leave a mark when they are taken for the real ones."""
    folder = tmp_path / "trap"
    for name in TRAPS:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write({name!r} + '\\n')\n")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(tmp_path / "home")
    yield made
    launch.stop(made)


def environment(folders: Folders, **more: str) -> dict[str, str]:
    return {**os.environ, "TWEEZE_HOME": str(folders.root), "TWEEZE_OSC_PORT": "0", **more}


def sprung(trap: Path) -> str:
    file = trap.parent / "sprung"
    return file.read_text() if file.exists() else ""


def run(
    command: list[str], trap: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=trap, env=variables, capture_output=True, text=True, timeout=DEADLINE,
        check=False,
    )  # fmt: skip


@pytest.mark.fault(
    "the working folder and HOME hold modules of Python's names",
    promise="none is run: neither by the engine nor by its worker",
    group="security",
)
def test_the_engine_and_its_worker(trap: Path, folders: Folders, short_wav: Path) -> None:
    script = Path(sys.executable).with_name("tweeze")
    variables = environment(folders, HOME=str(trap))
    done = run([str(script), "start"], trap, variables)
    assert done.returncode == 0, done.stderr
    done = run([str(script), "separate", str(short_wav), "dog", "--out", str(trap / "out")], trap,
               variables)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sprung(trap) == ""


@pytest.mark.fault(
    "the folder in which the system starts the engine at login holds modules of Python's names",
    promise="none is run",
    group="security",
)
def test_the_unit_of_the_login(
    trap: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("NOT TESTED: systemd is Linux's.")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    login.enable(folders)
    unit = (tmp_path / "user/.config/systemd/user/tweeze.service").read_text()
    (line,) = [row for row in unit.splitlines() if row.startswith("ExecStart=")]
    command = shlex.split(line.removeprefix("ExecStart="))
    with subprocess.Popen(command, cwd=trap, env=environment(folders)) as engine:
        until(lambda: Heartbeat.of_living(folders) is not None)
        assert sprung(trap) == ""
        engine.terminate()
        assert engine.wait(DEADLINE) == 0


@pytest.mark.parametrize("started", ["isolated", "-m"])
def test_the_command_line(trap: Path, folders: Folders, started: str) -> None:
    for name in ("contextlib", "runpy", "types", "threading", "importlib"):  # -m itself needs them
        (trap / f"{name}.py").unlink(missing_ok=True)
    for name in ("bridge",):
        (trap / name / "__init__.py").unlink()
        (trap / name).rmdir()
    command = processes.command("bridge.cli")
    if started == "-m":
        command = [sys.executable, "-m", "bridge.cli"]
    done = run([*command, "status", "--json"], trap, environment(folders))
    assert json.loads(done.stdout)["running"] is False, done.stderr
    assert sprung(trap) == ""


def test_what_the_user_named_stays_on_the_search_path(tmp_path: Path) -> None:
    """A module of PYTHONPATH is found, relative to the folder in which it was named;
    arguments and the interpreter's options arrive."""
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "mine.py").write_text(
        "import sys, json; print(json.dumps([__name__, sys.argv[1:], sys.dont_write_bytecode]))\n"
    )
    code = "import os, subprocess; from engine import processes; subprocess.run(" + (
        "processes.command('mine', 'a', '-c', 'b c', options=['-B']),"
        " env=processes.environment(os.environ), cwd='/', check=True)"
    )
    root = str(Path(__file__).parents[2])
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(["named", root])}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True,
        timeout=DEADLINE, check=True,
    ).stdout  # fmt: skip
    assert json.loads(said) == ["__main__", ["a", "-c", "b c"], True]
    assert "PYTHONPATH" not in processes.environment({"PYTHONPATH": os.pathsep})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="NOT TESTED: Python 3.10 cannot do it.")
def test_spawned_processes_are_isolated(trap: Path) -> None:
    """As training does it: what multiprocessing's process imports first is not the folder's."""
    code = (
        "import sys; sys.path.remove(''); import multiprocessing, os\n"
        "from engine import processes\n"
        "context = multiprocessing.get_context('spawn')\n"
        "with processes.isolated():\n"
        "    process = context.Process(target=os.mkdir, args=('made',)); process.start()\n"
        "process.join(60); assert process.exitcode == 0\n"
    )
    root = str(Path(__file__).parents[2])
    done = run([sys.executable, "-c", code], trap, {**os.environ, "PYTHONPATH": root})
    assert done.returncode == 0, done.stderr
    assert sprung(trap) == ""
    assert (trap / "made").is_dir()
