"""Makes Nyquist plug-ins of their sources, with what they share and with this user's folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from audacity import dialog
from engine.folders import Folders
from engine.option_types import Option

__all__ = ["in_lisp", "plugin"]

_SOURCES = Path(__file__).parent / "plugins"


def plugin(
    name: str, folders: Folders, options: Iterable[Option[Any]], models: Sequence[str]
) -> str:
    """Return a plug-in's text.

    Parameters
    ----------
    name
        Its file among the sources.
    folders
        The engine's, whose paths it gets.
    options
        What its dialog asks for, where it has one.
    models
        Names for the dialog's list, the usual one first.

    """
    known, offered = list(options), {"model": models}
    return (
        (_SOURCES / name)
        .read_text("utf-8")
        .replace(";@COMMON@", (_SOURCES / "common.lsp").read_text("utf-8").strip())
        .replace(";@SENDING@", (_SOURCES / "sending.lsp").read_text("utf-8").strip())
        .replace("@SPOOL@", in_lisp(folders.spool))
        .replace("@MIXTURES@", in_lisp(folders.mixtures))
        .replace(";@CONTROLS@", dialog.controls(known, offered))
        .replace(";@FIELDS@", dialog.fields(known, offered))
    )


def in_lisp(path: Path) -> str:
    """Return a path as it stands between the quotes of a Lisp string."""
    return path.as_posix().replace("\\", "\\\\").replace('"', '\\"')
