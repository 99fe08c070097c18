"""Tweeze's extension for Audacity 4: scripts, and the source of the library that they call."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FOLDER", "scripts"]

FOLDER = Path(__file__).parent
"""Where the extension's manifest and scripts lie; what was built lies in `platform` beside them."""


def scripts() -> list[Path]:
    """Return the files that every platform's extension has: the manifest and the scripts."""
    return [FOLDER / "manifest.json", *sorted(FOLDER.glob("*.js"))]
