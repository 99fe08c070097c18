"""Builds the library of the extension for Audacity 4, for any platform, from one C file.

`python -m audacity.extension.build --target all` builds it for all of them, with the compiler in
the PyPI package `ziglang`, which brings what each platform's programs link against. For the
platform it runs on, a C compiler that is there will do.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audacity.extension import FOLDER
from engine.errors import BadInput, Failure, TweezeError

__all__ = ["SOURCE", "TARGETS", "Target", "build", "built", "this_target"]

SOURCE = FOLDER / "tweeze.c"
_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-shared")
_LIMIT = 300.0  # seconds that a compiler gets; zig makes its C library at the first time
_FAT = 0xCAFEBABE  # Mach-O: several processors' files in one, big-endian
_PAGE = 14  # each of them begins at a multiple of 2**14 bytes
_CPU = {"x86_64": (0x01000007, 3), "aarch64": (0x0100000C, 0)}


@dataclass(frozen=True)
class Target:
    """A platform: where its library lies below `platform`, and what zig calls its processors."""

    folder: str
    file: str
    triples: tuple[str, ...]


TARGETS = {
    "linux-x86_64": Target("linux/x86_64", "tweeze.so", ("x86_64-linux-gnu.2.17",)),
    "linux-arm64": Target("linux/arm64", "tweeze.so", ("aarch64-linux-gnu.2.17",)),
    "windows-x86_64": Target("windows/x86_64", "tweeze.dll", ("x86_64-windows-gnu",)),
    "windows-arm64": Target("windows/arm64", "tweeze.dll", ("aarch64-windows-gnu",)),
    "macos-universal": Target(
        "macos/universal", "tweeze.dylib", ("x86_64-macos.11.0", "aarch64-macos.11.0")
    ),
}
"""The platforms that Audacity 4 runs on, by name."""


def this_target() -> str:
    """Return the name of the platform this runs on.

    Raises
    ------
    BadInput
        Audacity 4 does not run on it.

    """
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    processor = "universal" if system == "macos" else "arm64" if arm else "x86_64"
    if f"{system}-{processor}" not in TARGETS or not (arm or machine in ("x86_64", "amd64")):
        raise BadInput(f"There is no Audacity 4 for {sys.platform} on {machine}.")
    return f"{system}-{processor}"


def built(target: str, folder: Path = FOLDER) -> Path:
    """Return where in an extension's folder the library for a platform lies, or would lie."""
    place = _target(target)
    return folder / "platform" / place.folder / place.file


def build(
    target: str, folder: Path = FOLDER, *, source: Path = SOURCE, portable: bool = False
) -> Path:
    """Build the library for a platform into an extension's folder; return its path.

    A C compiler that is there builds it for the platform this runs on, else zig does. `portable`
    has zig build in any case, so that the library runs on older systems than this one, too.

    Raises
    ------
    BadInput
        There is no such platform.
    Failure
        No compiler is there, or it fails.

    """
    place = _target(target)
    path = built(target, folder)
    with tempfile.TemporaryDirectory(prefix="tweeze-build-") as scratch:
        work = Path(scratch)
        compiler = None if portable or not _is_here(target) else _compiler()
        if compiler:
            parts = [_with_cc(compiler, target, source, place.file, work)]
        else:
            zig = _zig(target)
            parts = [_with_zig(zig, triple, source, place.file, work) for triple in place.triples]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{os.getpid()}")
            part.write_bytes(parts[0] if len(parts) == 1 else _universal(place.triples, parts))
            part.replace(path)
        except OSError as error:
            raise Failure(f"{path} cannot be written ({error.strerror}).") from error
    return path


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise BadInput(f"There is no platform {name[:40]!r}; there are: {', '.join(TARGETS)}.")
    return TARGETS[name]


def _is_here(target: str) -> bool:
    try:
        return target == this_target()
    except BadInput:
        return False


def _compiler() -> str | None:
    """Return this system's own C compiler; those of Windows take other words."""
    if sys.platform == "win32":
        return None
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _zig(target: str) -> list[str]:
    """Return the command of zig's C compiler."""
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    zig = shutil.which("zig")
    if zig is None:
        raise Failure(
            f"No compiler is there that can build Tweeze's library for {target}: run "
            f"'{sys.executable} -m pip install ziglang', and try again."
        )
    return [zig, "cc"]


def _with_zig(zig: list[str], triple: str, source: Path, file: str, work: Path) -> bytes:
    out = work / triple / file
    out.parent.mkdir()
    # Without symbols and debug information, a library is a tenth as large.
    _run(
        [*zig, "-target", triple, *_FLAGS, "-s", *_links(triple), str(source), "-o", str(out)], work
    )
    return out.read_bytes()


def _with_cc(compiler: str, target: str, source: Path, file: str, work: Path) -> bytes:
    out = work / file
    universal = ("-arch", "x86_64", "-arch", "arm64") if target == "macos-universal" else ()
    _run([compiler, *_FLAGS, *universal, *_links(target), str(source), "-o", str(out)], work)
    return out.read_bytes()


def _links(name: str) -> tuple[str, ...]:
    return () if "windows" in name else ("-fPIC", "-pthread")


def _run(command: Sequence[str], work: Path) -> None:
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(work / "cache")}
    try:
        done = subprocess.run(
            command, env=environment, cwd=work, capture_output=True, text=True, timeout=_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"The compiler {command[0]} cannot be run: {error}.") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise Failure(f"Tweeze's library cannot be built with {command[0]}: {said}")


def _universal(triples: Sequence[str], parts: Sequence[bytes]) -> bytes:
    """Return one Mach-O file for several processors (`struct fat_header` in mach-o/fat.h)."""
    head = struct.pack(">II", _FAT, len(parts))
    body = b""
    for triple, part in zip(triples, parts, strict=True):
        start = -(-max(len(body), 4096) >> _PAGE) << _PAGE
        body = body.ljust(start, b"\0") + part
        head += struct.pack(">5I", *_CPU[triple.split("-")[0]], start, len(part), _PAGE)
    return head + body[len(head) :]


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what the command line asks for, and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m audacity.extension.build", description=__doc__)
    parser.add_argument(
        "--target",
        choices=["all", *TARGETS],
        help="the platform to build for; the usual one is this machine's. 'all' is what a release "
        "takes, and has zig build each",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="the extension's folder (%(default)s)",
    )
    given = parser.parse_args(arguments)
    try:
        names = list(TARGETS) if given.target == "all" else [given.target or this_target()]
        for name in names:
            print(build(name, given.out, portable=given.target == "all"), flush=True)
    except TweezeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
