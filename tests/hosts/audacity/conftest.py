from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.hosts.audacity.editor import Editor, Screen, missing_tools, only_one

HERE = Path(__file__).parent
_screens: list[Screen] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Leave no Audacity running beside tests of other things: it computes even when idle."""
    if nextitem is None or HERE not in nextitem.path.parents:
        for screen in _screens:
            screen.stop_editor()


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    missing = missing_tools()
    if missing:
        said = f"not installed: {', '.join(missing)} (tests/install-tools installs them)"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(f"NO REAL AUDACITY WAS TESTED, {said}")
    with only_one():
        made = Screen()
        _screens.append(made)
        yield made
        _screens.remove(made)
        made.close()


@pytest.fixture(scope="session")
def shared_editor(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    made = Editor(screen, tmp_path_factory.mktemp("audacity") / "home")
    yield made
    made.stop()


@pytest.fixture
def editor(shared_editor: Editor) -> Editor:
    """A running Audacity with an empty project and the smallest settings.

    Tests share it one after another; one that leaves more behind than tracks takes `own_editor`.
    """
    return shared_editor.reset()


@pytest.fixture
def own_editor(screen: Screen, tmp_path: Path) -> Iterator[Editor]:
    """An Audacity that is started for this test alone."""
    made = Editor(screen, tmp_path / "home")
    made.prepare()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def no_editor(screen: Screen) -> None:
    """No Audacity runs."""
    screen.stop_editor()


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """Write noise to a float32 WAV file: `sound("name", rate, channels, seconds)`."""

    def write(name: str, rate: int = 44100, channels: int = 2, seconds: float = 5.0) -> Path:
        path = tmp_path / f"{name}.wav"
        rng = np.random.default_rng(len(name) + rate + channels)
        noise = rng.uniform(-0.3, 0.3, (round(seconds * rate), channels)).astype("float32")
        soundfile.write(path, noise, rate, subtype="FLOAT")
        return path

    return write
