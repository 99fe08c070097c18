from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.reaper.project import Semantics
from tests.hosts.reaper.studio import Engine, Studio, copy_scripts, engine


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(tmp_path_factory.mktemp("standin") / "home", "stand-in") as running:
        yield running


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(tmp_path_factory.mktemp("compact") / "home", "compact") as running:
        yield running


@pytest.fixture
def studio(tmp_path: Path, standin: Engine) -> Studio:
    scripts = copy_scripts(tmp_path / "scripts")
    return Studio(tmp_path, standin.folders, scripts, start=standin.command)


@pytest.fixture
def studios(tmp_path: Path, standin: Engine) -> Callable[[Semantics], Studio]:
    def make(semantics: Semantics) -> Studio:
        scripts = copy_scripts(tmp_path / "scripts")
        return Studio(
            tmp_path, standin.folders, scripts, start=standin.command, semantics=semantics
        )

    return make
