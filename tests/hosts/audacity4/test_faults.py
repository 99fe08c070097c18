"""Faults put into the extension are noticed: what its tests are worth."""

from __future__ import annotations

import inspect
import os
import shutil
from pathlib import Path

import pytest

from audacity.extension import FOLDER
from engine.folders import Folders
from engine.queue.lock import holder
from engine.status import Status
from tests.hosts.audacity4 import desk, driven, endings, scenarios, test_library  # noqa: F401
from tests.hosts.audacity4.desk import Engine, Maker, OverdueError, compiled, library, until
from tests.hosts.audacity4.faults import FAULTS, Fault

ALL = bool(os.environ.get("TWEEZE_ALL_FAULTS"))
# All of them take minutes: `make test-faults`.
SLOW = (
    *("no_engine", "the_engine_is_killed", "whatever_audacity_does"),
    *("the_selftest_notices", "the_selftest"),
)
CHOSEN = [
    fault
    for number, fault in enumerate(FAULTS)
    if ALL or (number % 8 == 0 and fault.noticed not in SLOW and not fault.hangs)
]


def test_every_fault_fits_its_file() -> None:
    for fault in FAULTS:
        text = (FOLDER / fault.file).read_text()
        assert text.count(fault.before) == 1, f"{fault} does not fit its file any more"
        assert fault.noticed in scenarios.ALL or hasattr(test_library, fault.noticed), fault.noticed


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda f: f"{f.file}-{FAULTS.index(f)}")
def test_noticed(
    fault: Fault, tmp_path: Path, standin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an assertion fails that holds without the fault (`test_scenarios`, `test_library`).

    An error of another kind is one of the tests', and no notice.
    """
    folder = tmp_path / "source"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("platform", "__pycache__"))
    file = folder / fault.file
    file.write_text(file.read_text().replace(fault.before, fault.after))
    patience = 20.0 if fault.noticed in SLOW else 6.0 if fault.hangs else 20.0
    monkeypatch.setattr(desk, "DEADLINE", patience)
    played = fault.noticed in scenarios.ALL
    with pytest.raises(AssertionError) as notice:
        _play(fault, file, tmp_path, standin) if played else _try(
            fault, file, tmp_path, monkeypatch
        )
    assert isinstance(notice.value, OverdueError) is fault.hangs, notice.value


def _play(fault: Fault, file: Path, tmp_path: Path, engine: Engine) -> None:
    engine.ensure()
    native = fault.file == "tweeze.c"
    maker = Maker(
        tmp_path / "desks",
        engine.folders,
        compiled(file) if native else library(),
        lambda extension: None if native else shutil.copy(file, extension),
    )
    try:
        scenarios.ALL[fault.noticed](maker, engine)
    finally:
        maker.close()
        _tidy(engine)


def _try(fault: Fault, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driven, "current", file)
    monkeypatch.setattr(driven, "LIMIT", 10.0)
    test = getattr(test_library, fault.noticed)
    folders = Folders(tmp_path / "home")
    folders.make()
    given = {"folders": folders, "tmp_path": tmp_path / "more"}
    given["tmp_path"].mkdir()
    wanted = inspect.signature(test).parameters
    if "library" not in wanted:
        test(**{name: given[name] for name in wanted})
        return
    with driven.driven(folders.root) as tried:
        test(**{name: {**given, "library": tried}[name] for name in wanted})


def _tidy(engine: Engine) -> None:
    """What a fault leaves must not be noticed by the next one's scenario."""
    folders = engine.folders
    (folders.root / "hold").unlink(missing_ok=True)
    if holder(folders.lock) is None:
        engine.start()
    for path in folders.jobs.glob("[!.]*"):
        path.unlink(missing_ok=True)
    for path in folders.status.glob("[!.]*"):
        if not Status.from_text(path.read_text()).state.final:
            (folders.cancel / path.name).write_text("end\n")
    until(
        lambda: all(
            Status.from_text(path.read_text()).state.final for path in folders.status.glob("[!.]*")
        )
    )
    for path in folders.mixtures.iterdir():
        path.unlink(missing_ok=True)
