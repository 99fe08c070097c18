"""Eight clients who ask at once: over the spool, over OSC, and from the command line."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.doors.osc import Access
from engine.job import Job
from tests.faults.resident import ROOT, Resident, until

QUERIES = ("slow rain", "slow dog", "slow wind")


@dataclass
class Asked:
    """What the clients asked for: ids (or names of clips) by client, in order."""

    spool: dict[str, list[str]] = field(default_factory=dict)
    desks: dict[str, int] = field(default_factory=dict)
    terminal: dict[str, list[subprocess.Popen[str]]] = field(default_factory=dict)


class Desk:
    """An OSC controller that asks on behalf of one editor."""

    def __init__(self, engine: Resident, name: str) -> None:
        until(lambda: (access := Access.read(engine.folders)) and access.port, "the OSC door")
        access = Access.read(engine.folders)
        assert access is not None
        self._access = access
        self._name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._engine = engine

    def say(self, verb: str, *values: Any) -> None:
        builder = OscMessageBuilder(f"/tweeze/{verb}")
        for value in (self._access.secret, *values):
            builder.add_arg(value)
        self._socket.sendto(builder.build().dgram, ("127.0.0.1", self._access.port))

    def status(self, patience: float = 30.0) -> float:
        """Ask what the engine does, and return how long the answer took, in seconds."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(65536)
        began = time.perf_counter()
        self.say("subscribe", self._socket.getsockname()[1])
        while time.perf_counter() - began < patience:
            with contextlib.suppress(BlockingIOError):
                if OscMessage(self._socket.recv(65536)).address == "/tweeze/engine":
                    return time.perf_counter() - began
            time.sleep(0.0005)
        raise AssertionError("no answer to a status over OSC")

    def ask(self, count: int) -> None:
        """Ask for so many separations; what the door refuses for its number is asked again."""
        for number in range(count):
            self.say("separate", QUERIES[number % len(QUERIES)], self._name)
            until(lambda n=number: len(self.jobs()) > n, "the job of an OSC message")  # type: ignore[misc]

    def jobs(self) -> list[str]:
        """Ids of the jobs that came of it, by what the status folder holds."""
        with contextlib.suppress(FileNotFoundError):
            return [p.name for p in self._engine.folders.status.glob(f"*-{self._name}")]
        return []

    def close(self) -> None:
        self._socket.close()


def ask_all(engine: Resident, mixture: Path, total: int, out: Path) -> Asked:
    """Have five spool clients, two editors over OSC and one terminal ask, all at once."""
    each = total // 8
    asked = Asked()

    def over_spool(name: str) -> None:
        ids = asked.spool[name] = []
        for number in range(each):
            id_ = f"{name}-{number:04}"
            query = QUERIES[number % len(QUERIES)]
            engine.client.submit(Job(id_, mixture, (query,), client=name))
            ids.append(id_)

    def over_osc(name: str) -> None:
        desk = Desk(engine, name)
        try:
            desk.ask(each)
            asked.desks[name] = each
        finally:
            desk.close()

    def from_terminal(name: str, count: int) -> None:
        running = asked.terminal[name] = []
        environment = {**engine.environment}
        for number in range(count):
            words = ["separate", str(mixture), QUERIES[number % len(QUERIES)]]
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "bridge.cli", *words, "--out", str(out / str(number))],
                    env=environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            while sum(process.poll() is None for process in running) >= 4:
                time.sleep(0.05)

    threads = [
        *(threading.Thread(target=over_spool, args=(f"spool{number}",)) for number in range(5)),
        *(threading.Thread(target=over_osc, args=(name,)) for name in ("desk1", "desk2")),
        threading.Thread(target=from_terminal, args=("terminal", total - 7 * each)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return asked


def environment_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
