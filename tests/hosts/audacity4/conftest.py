from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hosts.audacity4.desk import Engine, Maker

QT = importlib.util.find_spec("PySide6") is not None
# What runs Audacity 4's scripts is part of `pip install 'tweeze[test]'`.
collect_ignore_glob = [] if QT else ["test_extension.py", "test_fa*.py", "test_scenarios.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not QT:
        terminalreporter.write_line(
            "AUDACITY 4 WAS NOT TRIED: PySide6-Essentials is missing", red=True
        )


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    from tests.hosts.audacity4 import desk

    desk.library()  # skips where nothing can be built
    with desk.engine(tmp_path_factory.mktemp("audacity4") / "home") as running:
        yield running


@pytest.fixture
def desks(tmp_path: Path, standin: Engine) -> Iterator[Maker]:
    from tests.hosts.audacity4 import desk

    standin.ensure()
    maker = desk.Maker(tmp_path / "desks", standin.folders, desk.library())
    yield maker
    maker.close()
