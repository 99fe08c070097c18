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
AUDACITY = "tests/hosts/audacity"


def _group(nodeid: str) -> str:
    """What runs in one process: a file, whose tests share fixtures; the one Audacity's tests."""
    return AUDACITY if nodeid.startswith(AUDACITY) else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the group that takes longest."""
    items.sort(key=lambda item: _group(item.nodeid) != AUDACITY)


# pytest-xdist's own groups do not take effect with pytest 9.2, in which a test's id is fixed.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)
