"""The options of a job as REAPER's scripts read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.option_types import Option

__all__ = ["option_rows"]


def option_rows(options: Iterable[Option[Any]]) -> list[tuple[str, str]]:
    """Return five rows for each option: `option`, `default`, `form`, `label`, `called`.

    `form` is what the value can be, `called` what dialogs call it; bars part the texts of those
    that can be listed.
    """
    rows = []
    for option in options:
        rows += [
            ("option", option.name),
            ("default", option.write(option.default)),
            ("form", option.form),
            ("label", option.label),
            ("called", "|".join(option.words.values())),
        ]
    return rows
