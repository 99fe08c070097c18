"""The lock file that one process holds, and those who ask who that is."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from engine.queue.lock import ProcessLock, holder

if sys.platform == "win32":
    pytest.skip("Windows has no shared locks", allow_module_level=True)

import fcntl


def left_behind(path: Path) -> Path:
    """Write what a process that was killed leaves: its number, and no lock."""
    path.write_text("4711\n")
    return path


def test_who_asks_at_the_same_time_is_not_taken_for_the_holder(tmp_path: Path) -> None:
    """Else the jobs of a batch, which ask both, each believed that a killed engine still ran."""
    path, stop, said = left_behind(tmp_path / "engine.lock"), threading.Event(), set[int | None]()

    def ask() -> None:
        while not stop.is_set():
            said.add(holder(path))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    said |= {holder(path) for _ in range(2000)}
    stop.set()
    for thread in threads:
        thread.join()
    assert said == {None}


def test_who_asks_keeps_nobody_from_taking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = left_behind(tmp_path / "engine.lock"), ProcessLock(tmp_path / "engine.lock")
    with path.open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert holder(path) is None
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
        assert lock.take(), "it tries again"
        monkeypatch.undo()
    assert holder(path) is not None
    assert not ProcessLock(path).take()
    lock.drop()
    assert holder(path) is None
