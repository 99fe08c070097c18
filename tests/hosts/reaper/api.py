"""Signatures of REAPER's ReaScript functions, read from the API's own data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parents[2] / "data" / "reaper-api.txt"


@dataclass(frozen=True)
class Parameter:
    type: str
    name: str
    optional: bool


@dataclass(frozen=True)
class Signature:
    name: str
    parameters: tuple[Parameter, ...]
    returns: tuple[Parameter, ...]


def _parameters(text: str) -> tuple[Parameter, ...]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        words = part.split()
        optional = words[0] == "optional"
        words = words[optional:]
        found.append(Parameter(words[0], words[-1] if len(words) > 1 else "", optional))
    return tuple(found)


def _signature(line: str) -> Signature:
    match = re.fullmatch(r"(?:(.*?)(?: =)? )?reaper\.(\w+)\((.*)\)", line)
    assert match, line
    returns, name, parameters = match.groups()
    return Signature(name, _parameters(parameters), _parameters(returns or ""))


@lru_cache(maxsize=1)
def signatures() -> dict[str, Signature]:
    lines = [line for line in DATA.read_text().splitlines() if line and line[0] != "#"]
    return {found.name: found for found in map(_signature, lines)}
