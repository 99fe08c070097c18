from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from execnet import XSpec
    from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["reliability"]
# Where more processes compute than there are processors, torch's threads (libgomp, which reads this
# when it is loaded) else use up to six times as much processor time, spinning while they wait.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What takes longest begins first; the tests of each of these run in one process: they share an
# Audacity and an engine, or an AudioSep of more than a gigabyte.
TOGETHER = (
    "tests/hosts/audacity/test_menu.py",
    "tests/hosts/audacity/test_faults.py",
    "tests/hosts/audacity/test_timeline.py",
    "tests/engine/models/",
    "tests/hosts/audacity/",
)
APART = Path(__file__).parent / "hosts/audacity/apart"
_apart = "TWEEZE_TEST_APART" in os.environ


def _group(nodeid: str) -> str:
    """What runs in one process: one of the above, or a file, whose tests share fixtures."""
    file = nodeid.partition("::")[0]
    group = next((start for start in TOGETHER if file.startswith(start)), file)
    # Where Audacitys cannot be kept apart, there can be only one.
    one = "tests/hosts/audacity/"
    return one if group.startswith(one) and not _apart else group


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {group: place for place, group in enumerate(TOGETHER)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[XSpec]) -> None:
    """Let each process have an Audacity, where that can be (see `apart`)."""
    global _apart
    if shutil.which("unshare"):
        _apart = _apart or not subprocess.run([APART, "true"], capture_output=True).returncode
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
