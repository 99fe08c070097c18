"""Prints the project's dependencies for pip, each at its lowest version: what CI tries.

    python -m tests.packaging.lowest > lowest.txt

What is pinned or has no lower bound stays as it is. Nothing says that the lowest versions of all
run on the newest Python: CI takes the oldest.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def lowest(requirement: str) -> str:
    """Return a requirement at its lower bound: `torch>=2.6,<2.14` is `torch==2.6`."""
    what, _, marker = requirement.partition(";")
    match = re.fullmatch(r"\s*([\w.-]+)\s*>=\s*([\w.]+)\s*(,.*)?", what)
    pinned = f"{match[1]}=={match[2]}" if match else what.strip()
    return f"{pinned}; {marker.strip()}" if marker else pinned


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    print("\n".join(map(lowest, project["dependencies"])))


if __name__ == "__main__":
    main()
