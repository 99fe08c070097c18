from __future__ import annotations

import pytest

pytest_plugins = ["reliability"]
AUDACITY = "audacity"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for pytest-xdist: by file, and all that drive Audacity together.

    A file's tests share fixtures, and only one Audacity runs at a time. Its group takes longest,
    so it begins first.
    """
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: groups[item] != AUDACITY)


def _group(item: pytest.Item) -> str:
    if "screen" in getattr(item, "fixturenames", ()):
        return AUDACITY
    return item.nodeid.partition("::")[0]
