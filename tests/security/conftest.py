from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from bridge import launch
from bridge.doors.osc import Access
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat
from tests.hosts.reaper.studio import Engine
from tests.hosts.reaper.studio import engine as running_engine
from tests.support.audiosep import roberta

__all__ = ["Home", "roberta", "until"]

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0  # seconds until what must happen counts as not happening
NOBODY = 65534


def until(condition: Callable[[], object], what: str = "it") -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def as_nobody() -> Callable[[Callable[[], Any]], Any]:
    """Call a function as another, unprivileged user, and return what it returns or raises.

    In a forked process, so what it needs must be imported already.
    """
    if not hasattr(os, "fork") or os.geteuid() != 0:
        message = "NOT TESTED: what another user can reach, since only root can become one."
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(message, stacklevel=1)
        pytest.skip(message)

    def call(function: Callable[[], Any]) -> Any:
        ours, theirs = Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if not pid:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                try:
                    theirs.send(function())
                except BaseException as error:
                    theirs.send(error)
            finally:
                os._exit(0)
        theirs.close()
        try:
            assert ours.poll(DEADLINE), "no answer"
            return ours.recv()
        finally:
            os.waitpid(pid, 0)

    return call


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine with the stand-in model, reached by files and by OSC."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWEEZE_OSC_PORT", str(port))
        patch.setenv("HUB_TOKEN", "hunter2-in-the-environment")
        with running_engine(tmp_path_factory.mktemp("live") / "home", "stand-in") as made:
            until(lambda: (a := Access.read(made.folders)) is not None and a.port)
            yield made


class Home:
    """A private Tweeze on the command line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = Folders(root)

    def environment(self, **more: str) -> dict[str, str]:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        return {
            **os.environ,
            "TWEEZE_HOME": str(self.root),
            "TWEEZE_OSC_PORT": "0",
            "COLUMNS": "200",
            "PYTHONPATH": paths,
            **more,
        }

    def tweeze(
        self, *arguments: str | Path, stdout: int = subprocess.PIPE, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(**more),
            cwd=ROOT,
            timeout=DEADLINE,
            check=False,
        )

    def start(self, module: str) -> subprocess.Popen[bytes]:
        """Start an engine of our own making, and wait until it is there."""
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=self.environment(), cwd=ROOT, start_new_session=True
        )
        until(lambda: (b := self.beat()) is not None and b.pid == process.pid, "the start")
        return process

    def beat(self) -> Heartbeat | None:
        return Heartbeat.of_living(self.folders)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    with contextlib.suppress(Exception):
        launch.stop(made.folders)
