from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge import cli, launch
from bridge.client import Client
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat

ROOT = Path(__file__).parents[2]
DEADLINE = 180.0  # seconds until what must happen counts as not happening


@dataclass(frozen=True)
class Home:
    """A private Tweeze, used as a user does: through the command line and the spool."""

    root: Path
    standin: bool = False  # whether commands start an engine with a stand-in for the model
    answer: float = 10.0  # seconds that a decoder may take in that engine

    @property
    def folders(self) -> Folders:
        return Folders(self.root)

    @property
    def client(self) -> Client:
        return Client(self.folders)

    @property
    def environment(self) -> dict[str, str]:
        own = {"TWEEZE_HOME": str(self.root), "COLUMNS": "200"}
        if self.standin:
            own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
            own["STANDIN_ANSWER"] = str(self.answer)
        return {**os.environ, **own}

    def start(self, *arguments: str | Path, **more: object) -> subprocess.Popen[str]:
        if self.standin:
            self.beat()  # or the command would start another one
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, "-m", "bridge.cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            **more,
        )

    def tweeze(
        self, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Carry out a command as `cli.main` does, but within this process, which is quicker."""
        done = self.piped(b"", *arguments, cwd=cwd)
        out, err = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def piped(
        self, data: bytes, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Carry out a command in this process, with `data` on its standard input."""
        words = [str(argument) for argument in arguments]
        said = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            if cwd is not None:
                patch.chdir(cwd)
            if self.standin:
                patch.setattr(launch, "_ENGINE", "tests.bridge.standin_engine")
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            for name, written in said.items():
                stream = io.TextIOWrapper(written, "utf-8", errors="backslashreplace")
                patch.setattr(sys, name, stream)
            code = cli.run(words)
            sys.stdout.flush()
            sys.stderr.flush()
            out, err = (written.getvalue() for written in said.values())
        return subprocess.CompletedProcess(words, code, out, err)

    def in_its_own_process(
        self, *arguments: str | Path, deadline: float = DEADLINE, **more: object
    ) -> subprocess.CompletedProcess[str]:
        """Carry out a command as a shell does."""
        with self.start(*arguments, **more) as process:
            try:
                out, err = process.communicate(timeout=deadline)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def complaints(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        """What a command said on stderr, but for advice: noise has no dog in it."""
        return [line for line in done.stderr.splitlines() if "was barely detected" not in line]

    def beat(self) -> Heartbeat:
        beat = Heartbeat.of_living(self.folders)
        assert beat is not None, "the engine does not run"
        return beat

    def leftovers(self) -> list[Path]:
        """What jobs leave in Tweeze's own folders beside their statuses."""
        f = self.folders
        places = (f.clips, f.jobs, f.cancel, f.requests, f.mixtures)
        said = [*f.status.iterdir(), *f.request_status.iterdir()]
        hidden = [p for p in said if p.name.startswith(".")]
        return [p for place in places for p in place.iterdir()] + hidden


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One whose engine is real but for its model: for tests in which the sound is not the point."""
    home = Home(tmp_path_factory.mktemp("tweeze") / "home", standin=True)
    started = home.tweeze("start")
    assert started.returncode == 0, started.stderr
    yield home
    launch.stop(home.folders)


@pytest.fixture(scope="module")
def real_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One whose engine is started by the first command, and separates with the bundled model."""
    home = Home(tmp_path_factory.mktemp("tweeze") / "home")
    yield home
    launch.stop(home.folders)


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    launch.stop(home.folders)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> Callable[[Callable[[], object]], None]:
    return until


def write_noise(path: Path, seconds: float, *, rate: int = 16_000, channels: int = 1) -> Path:
    noise = np.random.default_rng(4).standard_normal((int(seconds * rate), channels)) * 0.1
    soundfile.write(path, noise.astype(np.float32), rate, subtype="FLOAT")
    return path


@pytest.fixture
def noise() -> Callable[..., Path]:
    return write_noise


@pytest.fixture(scope="session")
def short_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("audio") / "street.wav", 1.0, channels=2)


@pytest.fixture(scope="session")
def long_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough that something can be done to its job before it ends."""
    return write_noise(tmp_path_factory.mktemp("audio") / "concert.wav", 100.0)
