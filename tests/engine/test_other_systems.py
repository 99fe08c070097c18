"""What Windows does otherwise, by stand-ins that refuse what it refuses."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import files
from engine.file_names import file_name
from engine.queue import lock

fcntl = pytest.importorskip("fcntl", reason="Windows is the real thing")


@given(st.text(max_size=40), st.text(max_size=20))
@example("NUL.tar", "wav")
@example("con .a.b", "")
@example("COM¹", "")
@example("conin$", "")
@example("a. . ", "")
@example("C:\\take", "dog")
def test_a_clip_has_a_name_that_windows_takes(name: str, label: str) -> None:
    """By Microsoft's "Naming Files, Paths, and Namespaces"."""
    made = file_name(name, label)
    path = PureWindowsPath(f"{made}.wav")
    assert path.name == f"{made}.wav"  # no drive, no folder, no stream of a file
    assert not set(made) & set('<>:"/\\|?*')
    assert all(ord(c) >= 32 for c in made)
    assert made[-1:] not in (".", " ")
    devices = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    devices |= {f"{p}{n}" for p in ("COM", "LPT") for n in "123456789¹²³"}
    assert made.split(".")[0].strip().upper() not in devices


@pytest.fixture
def ntfs(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Renaming as on NTFS: refused as long as somebody has the file open that is in the way."""

    def make(held: int) -> list[int]:
        tried: list[int] = []
        real = Path.replace

        def replace(self: Path, target: Any) -> Path:
            tried.append(1)
            if Path(target).exists() and len(tried) <= held:
                raise PermissionError(errno.EACCES, "Access is denied", str(self), 5, str(target))
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(sys, "platform", "win32")
        return tried

    return make


def test_a_reader_delays_a_new_status_and_does_not_prevent_it(
    tmp_path: Path, ntfs: Callable[[int], list[int]]
) -> None:
    path = tmp_path / "status"
    path.write_text("old")
    tried = ntfs(3)
    files.replace_text(path, "new")
    assert path.read_text() == "new"
    assert len(tried) == 4
    assert [one.name for one in tmp_path.iterdir()] == ["status"]


def test_one_who_keeps_the_file_open_is_not_waited_for_without_a_limit(
    tmp_path: Path, ntfs: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status"
    path.write_text("old")
    monkeypatch.setattr(files, "_MOMENT", 0.05)
    ntfs(10**9)
    with pytest.raises(PermissionError):
        files.replace_text(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["status"], (
        "what could not be put in place is left"
    )


def test_elsewhere_a_refusal_is_one_at_once(
    tmp_path: Path, ntfs: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status"
    path.write_text("old")
    tried = ntfs(1)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(PermissionError):
        files.replace_text(path, "new")
    assert len(tried) == 1


@pytest.fixture
def windows_lock(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """`engine.queue.lock` as Windows would load it, with a stand-in for its C library's locks.

    `msvcrt.locking` takes bytes from where the file stands, against every other handle, and raises
    OSError where it cannot; it leaves the place in the file alone.
    """

    def locking(handle: int, mode: int, count: int) -> None:
        assert (mode, count) == (2, 1)
        assert os.lseek(handle, 0, os.SEEK_CUR) > 1000, "it would lock the text against reading"
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    stand_in = types.ModuleType("msvcrt")
    stand_in.__dict__.update(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("windows_lock", lock.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_names_its_holder_on_windows_too(
    tmp_path: Path, windows_lock: types.ModuleType
) -> None:
    path = tmp_path / "lock"
    assert windows_lock.holder(path) is None
    one, other = windows_lock.ProcessLock(path), windows_lock.ProcessLock(path)
    assert one.take()
    assert not other.take()
    assert windows_lock.holder(path) == os.getpid()
    assert path.read_text() == f"{os.getpid()}\n"
    assert one.holds()
    one.drop()
    assert windows_lock.holder(path) is None
    assert other.take()
    other.drop()
