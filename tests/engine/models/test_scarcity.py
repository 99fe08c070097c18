"""Where memory may be refused, libraries that cannot bear that are not asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.models import scarcity

ASKED = "from engine.models.scarcity import may_be_refused; print(may_be_refused())"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 40, -1)); " + ASKED


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_limit_refuses_memory() -> None:
    found = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, check=True)
    assert found.stdout.strip() == b"True"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how it counts memory")
@pytest.mark.parametrize(("counting", "refused"), [("0\n", False), ("1\n", False), ("2\n", True)])
def test_linux_refuses_where_it_counts_strictly(
    counting: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    file = tmp_path / "overcommit_memory"
    file.write_text(counting)
    monkeypatch.setattr(scarcity, "_OVERCOMMIT", file)
    assert scarcity.may_be_refused() is refused


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file")
def test_a_system_that_does_not_say_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.setattr(scarcity, "_OVERCOMMIT", tmp_path / "none")
    assert not scarcity.may_be_refused()


def test_windows_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert scarcity.may_be_refused()
