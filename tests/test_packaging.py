"""What `pip install` puts on a musician's computer is all that the packages hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "audacity", "reaper", "bridge")


def test_every_file_of_the_packages_is_installed(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q"),
            *("egg_info", "--egg-base", str(tmp_path)),
            *("build", "--build-base", str(tmp_path / "build")),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    built = tmp_path / "build" / "lib"
    installed = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    wanted = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    api = Path("bridge/api")
    assert Path("audacity/plugins/common.lsp") in wanted
    assert installed == {
        Path("tweeze") / path.relative_to(api) if path.is_relative_to(api) else path
        for path in wanted
    }
