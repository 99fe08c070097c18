"""An editor is added by a package of its own and its name in the registry, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from desk.host import DeskHost
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge import cli, doctor, engine_cli, hosts, hosts_cli, launch
from bridge.doors.osc import Access
from engine.errors import BadInput
from engine.folders import Folders
from engine.host import Host
from engine.queue.heartbeat import Heartbeat

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


class Machine:
    """A user's home with an engine that knows the desk."""

    def __init__(self, home: Path) -> None:
        self.folders = Folders(home / "tweeze")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("XDG_")},
            "HOME": str(home),
            "TWEEZE_HOME": str(self.folders.root),
            "TWEEZE_OSC_PORT": str(port),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]),
        }

    @contextlib.contextmanager
    def engine(self) -> Iterator[None]:
        process = subprocess.Popen(
            [sys.executable, "-m", "desk", "engine"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )
        try:
            until(lambda: Heartbeat.of_living(self.folders), "the engine's start")
            yield
        finally:
            launch.stop(self.folders)
            process.wait(DEADLINE)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    with made.engine():
        yield made


Tweeze = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def tweeze(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tweeze:
    """The command line as it is with the desk in the registry: exit code, lines, complaint."""
    monkeypatch.setattr(hosts, "HOSTS", (*hosts.HOSTS, DeskHost()))
    app = typer.Typer()
    hosts_cli.add_to(app)
    app.command()(engine_cli.doctor)
    monkeypatch.setattr(cli, "app", app)
    # What is not an editor takes a while to examine.
    monkeypatch.setattr(doctor, "examine", lambda *_: iter(()))
    for name in ("HOME", "TWEEZE_HOME"):
        monkeypatch.setenv(name, machine.environment[name])
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = cli.run(list(arguments))
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return run


def checks(tweeze: Tweeze) -> dict[str, bool]:
    """What `tweeze doctor` says of editors."""
    _, (facts,), _ = tweeze("doctor", "--json")
    return {one["name"]: one["ok"] for one in json.loads(facts)}


def test_a_new_editor(
    machine: Machine, tweeze: Tweeze, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    desk = tmp_path / "desk"
    assert any("--desk-folder" in line for line in tweeze("install", "--help")[1])
    assert checks(tweeze) == {}

    # Put in, with an option of its own, which no other editor takes.
    wrong = tweeze("install", "audacity", "--desk-folder", str(desk))
    assert wrong == (2, [], "--desk-folder is for Desk: leave it out.\n")
    wrong = tweeze("install", "desk")
    assert wrong == (2, [], "Say where the desk is: --desk-folder FOLDER.\n")
    code, said, _ = tweeze("install", "desk", "--desk-folder", str(desk))
    assert code == 0
    assert said[0] == f"The desk is {desk}."
    assert said[-1] == "At the desk: lay down a selection."
    assert checks(tweeze) == {"desk tracks": True, "start at login": True}
    (desk / "tracks").rmdir()
    assert checks(tweeze) == {"desk tracks": False, "start at login": True}
    (desk / "tracks").mkdir()

    # Requests reach it, through the spool and over OSC; its refusals come back.
    refused = tweeze("trigger", "dog", "--host", "desk")
    assert refused == (1, [], "Nothing lies on the desk.\n")
    noise(desk / "selection.wav", 1.0)
    code, (said_of_job,), _ = tweeze("trigger", "dog", "--host", "desk")
    assert code == 0
    assert said_of_job.startswith("Desk: job ")
    until(lambda: (desk / "tracks" / "Desk - dog.wav").exists(), "the delivery")
    over_osc(machine, "rain")  # of the editor that asked last
    until(lambda: (desk / "tracks" / "Desk - rain.wav").exists(), "the second delivery")

    # Taken out.
    code, said, _ = tweeze("uninstall", "desk")
    assert (code, said) == (0, ["The desk is gone.", "The engine no longer starts at login."])
    assert checks(tweeze) == {}


def over_osc(machine: Machine, query: str) -> None:
    access = Access.read(machine.folders)
    assert access is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller:
        controller.bind(("127.0.0.1", 0))
        controller.settimeout(DEADLINE)
        for verb, *values in (("subscribe",), ("separate", query)):
            builder = OscMessageBuilder(f"/tweeze/{verb}")
            for value in (access.secret, *values):
                builder.add_arg(value)
            controller.sendto(builder.build().dgram, ("127.0.0.1", access.port))
        while (message := OscMessage(controller.recv(4096))).address != "/tweeze/job/done":
            assert message.address != "/tweeze/error", message.params


@pytest.mark.parametrize("host", [*hosts.HOSTS, DeskHost()], ids=lambda host: host.name)
def test_every_editor_says_what_it_is(host: Host) -> None:
    assert host.name.isidentifier()
    assert host.title
    assert host.first_steps.endswith(".")
    for option in host.options:
        assert option.flag.startswith("--")
        assert option.help.endswith(".")


def test_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="no editor 'desk'; there are: audacity, reaper"):
        hosts.named("desk")
    desk = DeskHost()
    monkeypatch.setattr(hosts, "HOSTS", (*hosts.HOSTS, desk))
    assert hosts.named("desk") is desk


def test_an_unknown_editor_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["install", "cubase"], ["uninstall", "cubase"], ["trigger", "x", "--host", "y"]):
        assert cli.run(words) == 2
        assert capsys.readouterr().err.startswith(f"There is no editor '{words[-1]}'; there are: ")


def test_help_does_not_load_what_the_editors_need() -> None:
    """What talks with editors, and the engine's own part, are imported where they are used."""
    heavy = ["audacity.install", "audacity.resident", "reaper.install", "reaper.resident"]
    heavy += ["engine.queue.service", "bridge.app", "pythonosc"]
    code = f"import sys, bridge.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done
