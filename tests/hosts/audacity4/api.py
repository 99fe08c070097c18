"""Signatures of what Audacity 4 offers to extensions, read from the API as data."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "data" / "audacity4-api.json"


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    optional: bool


@dataclass(frozen=True)
class Kind:
    """A class of objects: its properties, and its methods with their parameters."""

    name: str
    module: str
    properties: tuple[str, ...]
    methods: dict[str, tuple[Parameter, ...]]


@dataclass(frozen=True)
class Reference:
    """An object of the API that a script passes on; the host has it under this number."""

    number: int
    kind: str


@dataclass(frozen=True)
class Bytes:
    data: bytes


def _kind(name: str, module: str, about: dict[str, Any]) -> Kind:
    methods = {
        method: tuple(
            Parameter(a["name"], a["type"], "default" in a or "or absent" in a["type"])
            for a in described["args"]
        )
        for method, described in about["methods"].items()
    }
    return Kind(name, module, tuple(about["properties"]), methods)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    return json.loads(DATA.read_text())  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def kinds() -> dict[str, Kind]:
    found = {
        name: _kind(name, module, about)
        for module, described in document()["modules"].items()
        for name, about in described["objects"].items()
    }
    found["Task"] = _kind("Task", "", document()["effect_object"]["Task"])
    return found


def against(method: tuple[Parameter, ...], given: list[Any]) -> str:
    """Return what is wrong with a call's arguments, or ''."""
    least = len([one for one in method if not one.optional])
    if not least <= len(given) <= len(method):
        return f"{len(given)} arguments, not {least} to {len(method)}"
    for parameter, value in zip(method, given, strict=False):
        wrong = _wrong(parameter, value)
        if wrong:
            return f"'{parameter.name}': {wrong}"
    return ""


def _wrong(parameter: Parameter, value: Any) -> str:
    of = parameter.type
    if value is None and (parameter.optional or "null" in of or of == "any"):
        return ""
    first = re.split(r"[ ,<]", of)[0]
    number = isinstance(value, float) and not isinstance(value, bool)
    if first in ("int", "uint", "uint64"):
        fits = number and value == math.floor(value) and (first == "int" or value >= 0)
    elif first == "number":
        fits = number and math.isfinite(value)
    elif first == "string":
        fits = isinstance(value, str)
    elif first == "array":
        fits = isinstance(value, list)
    elif first == "ArrayBuffer":
        fits = isinstance(value, Bytes)
    elif first == "object":
        return _wrong_members(of, value)
    elif first == "the":  # the session, which is not described further
        fits = isinstance(value, Reference)
    else:
        fits = first == "any" or (isinstance(value, Reference) and value.kind == first)
    return "" if fits else f"{value!r} is no {of}"


def _wrong_members(of: str, value: Any) -> str:
    inner = of[of.index("{") + 1 : of.rindex("}")]
    known = {part.strip().split(":")[0].split("=")[0]: "=" in part for part in inner.split(",")}
    if not isinstance(value, dict):
        return f"{value!r} is no {of}"
    missing = [name for name, optional in known.items() if not optional and name not in value]
    return f"members {sorted(value)} of {of}" if missing or set(value) - set(known) else ""
