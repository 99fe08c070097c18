"""Disks that show file times and permissions of their own, for programs that a test starts."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("odd_disk.c")


@functools.lru_cache(maxsize=1)
def _library() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("NO ODD DISK WAS TRIED: that takes Linux and a C compiler")
    library = Path(tempfile.mkdtemp(prefix="tweeze-odd-disk-")) / "odd_disk.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    return str(library)


def odd_disk(under: Path, *, skew: int | None = None, mode: str | None = None) -> dict[str, str]:
    """Return the environment in which what lies below `under` lies on such a disk.

    `skew` is in seconds; `mode` is octal, like `755`.
    """
    found = {**os.environ, "LD_PRELOAD": _library(), "ODD_DISK": str(under)}
    if skew is not None:
        found["ODD_SKEW"] = str(skew)
    if mode is not None:
        found["ODD_MODE"] = mode
    return found
