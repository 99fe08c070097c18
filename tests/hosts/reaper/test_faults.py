"""Faults put into the Lua are noticed: what the scenarios are worth."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.hosts.reaper import insertion, scenarios, studio  # noqa: F401 - adds to ALL
from tests.hosts.reaper.faults import FAULTS, Fault
from tests.hosts.reaper.studio import LUA, Engine, OverdueError, Studio, copy_scripts, until

ALL = bool(os.environ.get("TWEEZE_ALL_FAULTS"))
# All of them take minutes: `make test-faults`.
SLOW = ("no_engine", "the_engine_is_killed", "whatever_reaper_means")
CHOSEN = [
    fault
    for number, fault in enumerate(FAULTS)
    if ALL or (fault.noticed not in SLOW and number % 3 == 0)
]


def test_every_fault_fits_its_script() -> None:
    for fault in FAULTS:
        text = (LUA / "tweeze" / f"{fault.file}.lua").read_text()
        assert text.count(fault.before) == 1, f"{fault} does not fit the script any more"


_sound: set[str] = set()  # scenarios that the scripts as they are have passed in this process


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda f: f"{f.file}-{FAULTS.index(f)}")
def test_noticed(
    fault: Fault, tmp_path: Path, standin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the scenario's own assertion fails, with the fault and not without it.

    An error of another kind is one of the scenarios, of the fake or of the engine, and no notice.
    """
    # Without the fault all is well; and from here on the engine has its model loaded.
    if fault.noticed not in _sound:
        sound = copy_scripts(tmp_path / "sound")
        desk = Studio(tmp_path / "control", standin.folders, sound, start=standin.command)
        scenarios.ALL[fault.noticed](desk, standin)
        _tidy(desk, standin)
        _sound.add(fault.noticed)

    scripts = copy_scripts(tmp_path / "scripts")
    file = scripts / "tweeze" / f"{fault.file}.lua"
    text = file.read_text()
    file.write_text(text.replace(fault.before, fault.after))
    desk = Studio(tmp_path / "desk", standin.folders, scripts, start=standin.command)
    patience = 30.0 if fault.noticed in SLOW else 6.0 if fault.hangs else studio.DEADLINE
    monkeypatch.setattr(studio, "DEADLINE", patience)
    try:
        with pytest.raises(AssertionError) as notice:
            scenarios.ALL[fault.noticed](desk, standin)
    finally:
        monkeypatch.undo()
        _tidy(desk, standin)
    assert isinstance(notice.value, OverdueError) is fault.hangs, notice.value


def _tidy(desk: Studio, engine: Engine) -> None:
    """What a fault leaves must not be noticed by the next one's scenario."""
    folders = engine.folders
    desk.reaper.scripts.clear()
    (folders.root / "hold").unlink(missing_ok=True)
    engine.ensure()
    for status in desk.recent():
        if not status.state.final:
            (folders.cancel / status.id).write_text("end\n")
    until(lambda: all(status.state.final for status in desk.recent()))
    until(lambda: not list(folders.jobs.glob("[!.]*")))
    for place in (folders.mixtures, folders.clips):
        for path in place.iterdir():
            # the engine may be removing the same at this moment
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
