from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from execnet import XSpec
    from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["reliability"]
# Where more processes compute than there are processors, threads of torch (libgomp) and of NumPy
# (OpenBLAS) else use up to ten times as much processor time, spinning while they wait. Both read
# this when they are loaded; OpenBLAS's threads spin for two to the power of so many cycles, of
# which 4 is the least.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
# Hundreds of processes import Tweeze, and each would compile it anew where no bytecode is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.pop("TWEEZE_HOME", None)  # the user's own Tweeze: each test has one of its own
# What takes longest begins first. Each of these groups of tests, by how their files begin, runs in
# one process: they share an Audacity and an engine, or an AudioSep of more than a gigabyte.
AUDACITY, MODELS = "tests/hosts/audacity/", "tests/engine/models/test_"
SHARED_MODEL = tuple(f"{MODELS}{name}" for name in ("audiosep", "catalogue", "end_to_end"))
TOGETHER = {AUDACITY: (AUDACITY,), MODELS: SHARED_MODEL}
TOGETHER_APART = {
    **{
        f"{AUDACITY}{name}": (f"{AUDACITY}test_{name}.py",)
        for name in ("timeline", "menu", "faults")
    },
    MODELS: SHARED_MODEL,
    AUDACITY: (AUDACITY,),
}
# Files that take minutes come next, or one of them would be alone at the end.
LONG = tuple(
    f"tests/{name}.py"
    for name in (
        "faults/test_crashes",
        "hosts/reaper/test_scenarios",
        "hosts/audacity4/test_scenarios",
        "panel/test_page",
        "engine/library/test_cluster",
        "panel/test_steering",
    )
)
APART = Path(__file__).parent / "hosts/audacity/apart"  # gives a process an Audacity of its own
_apart = "TWEEZE_TEST_APART" in os.environ


@pytest.fixture(autouse=True)
def _no_package_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which models come in packages that are installed here shows only where a test wants it."""
    monkeypatch.setattr("engine.models.kinds.PACKAGED", ())


def _together() -> dict[str, tuple[str, ...]]:
    return TOGETHER_APART if _apart else TOGETHER


def _group(nodeid: str) -> str:
    """What runs in one process: such tests, or a file, whose tests share fixtures."""
    file = nodeid.partition("::")[0]
    return next((group for group, files in _together().items() if file.startswith(files)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {group: place for place, group in enumerate((*_together(), *LONG))}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[XSpec]) -> None:
    """Give each process an Audacity of its own, where the system lets us."""
    global _apart
    if sys.platform == "linux":
        _apart = subprocess.run([APART, "true"], capture_output=True).returncode == 0
    if _apart:
        config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # which they share
        for spec in specs:
            spec.python = shlex.join([str(APART), sys.executable])


# pytest-xdist's own groups do not take effect with pytest 9.2, in which a test's id is fixed.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


@pytest.fixture
def no_specialists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no models of others' wheels, as on a system for which there are none."""
    from engine.models import kinds

    monkeypatch.setattr(kinds, "specialists", tuple)
