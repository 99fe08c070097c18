from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["reliability"]
# Where more processes compute than there are processors, torch's threads (libgomp, which reads this
# when it is loaded) else use up to six times as much processor time, spinning while they wait.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Tests that run in one process, by how their files begin: the only Audacity's, and those that share
# an AudioSep of more than a gigabyte. They take longest, so they begin first.
MODELS = "tests/engine/models/test_"
TOGETHER = {
    "tests/hosts/audacity/": ("tests/hosts/audacity/",),
    MODELS: (f"{MODELS}audiosep", f"{MODELS}catalogue", f"{MODELS}end_to_end"),
}


def _group(nodeid: str) -> str:
    """What runs in one process: such tests, or a file, whose tests share fixtures."""
    file = nodeid.partition("::")[0]
    return next((group for group, files in TOGETHER.items() if file.startswith(files)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {group: place for place, group in enumerate(TOGETHER)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


# pytest-xdist's own groups do not take effect with pytest 9.2, in which a test's id is fixed.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)
