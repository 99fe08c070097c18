"""What a musician does in REAPER, against a real resident engine whose model can hold and fail."""

from __future__ import annotations

import pytest

from tests.hosts.reaper import insertion, scenarios, test_compact  # noqa: F401 - adds to ALL
from tests.hosts.reaper.studio import Engine, Studio

OTHERS = [name for name in scenarios.ALL if name not in test_compact.CHOSEN]


@pytest.mark.parametrize("name", OTHERS)
def test_scenario(name: str, studio: Studio, standin: Engine) -> None:
    _prepare(standin)
    scenarios.ALL[name](studio, standin)


def _prepare(engine: Engine) -> None:
    (engine.folders.root / "hold").unlink(missing_ok=True)
