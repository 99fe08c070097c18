"""What wheel and sdist hold: `python -m tests.packaging.contents FOLDER`, once they are built."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from audacity.extension.build import TARGETS, built

ROOT = Path(__file__).parents[2]
MOST = 25_000_000
"""Bytes of each."""
PACKAGES = ("audacity", "bridge", "engine", "reaper")
LIBRARIES = {built(target).relative_to(ROOT).as_posix() for target in TARGETS}
"""Of the extension for Audacity 4, one for each platform: `make dist` builds them."""
ABOUT = {"LICENSE", "README.md", "CHANGELOG.md", "MANIFEST.in", "PKG-INFO", "pyproject.toml"}
ABOUT |= {"setup.py", "setup.cfg"}


def shipped() -> set[str]:
    """All that a wheel must hold: the files of the packages that git knows, and what is built."""
    command = ["git", "ls-files", "-z", *PACKAGES]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return set(filter(None, listed.split("\0"))) | LIBRARIES


def in_wheel(name: str) -> str:
    """Where a file lies in the wheel: `bridge/api` is what users import as `tweeze`."""
    return name.replace("bridge/api/", "tweeze/", 1)


def faults(archive: Path) -> list[str]:
    """Return what is wrong with a wheel or sdist, a sentence each."""
    wrong = []
    if archive.stat().st_size > MOST:
        wrong.append(f"{archive.name} has {archive.stat().st_size:,} bytes, more than {MOST:,}.")
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            names = {name for name in file.namelist() if ".dist-info/" not in name}
        wanted = set(map(in_wheel, shipped()))
    else:
        with tarfile.open(archive) as file:
            members = [PurePosixPath(one.name) for one in file.getmembers() if one.isfile()]
        names = {"/".join(path.parts[1:]) for path in members}
        names = {name for name in names if name not in ABOUT and ".egg-info/" not in name}
        wanted = shipped()
    wrong += [f"{archive.name} lacks {name}." for name in sorted(wanted - names)]
    wrong += [f"{archive.name} holds {name}, too." for name in sorted(names - wanted)]
    return wrong


def main(folder: Path) -> None:
    archives = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    if len(archives) != 2:
        sys.exit(f"{folder} holds {len(archives)} archives instead of a wheel and an sdist.")
    wrong = [sentence for archive in archives for sentence in faults(archive)]
    if wrong:
        sys.exit("\n".join(wrong))
    for archive in archives:
        print(
            f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB, nothing missing, nothing else"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
