"""Which runtime a model that has a choice computes in, as its files say: torch is not imported.

The engine asks when a job is submitted, without loading a model. What trials found lies in the
record of the model's fast form (see `engine.models.audiosep.fast`): that of the runtimes, and that
of drafts with parts in 8 bits (see `engine.models.audiosep.drafts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from engine.models.kinds import MOVABLE
from engine.models.records import Entry
from engine.options import Precision

__all__ = [
    "FAST",
    "INT8",
    "OPENVINO",
    "RECORD",
    "RUNTIMES",
    "TORCH",
    "chosen",
    "drafting",
    "faster",
    "fitting",
    "openvino",
]

TORCH, OPENVINO, INT8 = RUNTIMES = ("torch", "openvino", "openvino-int8")
FAST = "fast"
"""The folder of a fast form, in its model's."""
RECORD = "form.json"
"""The record in it."""


def openvino() -> str:
    """Return which version of OpenVINO is installed (`pip install 'tweeze[cpu]'`); '' if none."""
    try:
        return version("openvino") if find_spec("openvino") else ""
    except PackageNotFoundError:
        return ""


def chosen(entry: Entry, precision: Precision) -> str:
    """Return the runtime that a model would choose now; '' if it has no choice, or must try first.

    Without OpenVINO there is nothing but torch.
    """
    if entry.kind not in MOVABLE:
        return ""
    if not openvino():
        return TORCH
    try:
        record = json.loads((entry.folder / FAST / RECORD).read_text())
        facts, draft = record.get("graph"), record.get("int8")
    except (OSError, ValueError, RecursionError, AttributeError):
        return ""
    found = faster(facts) if isinstance(facts, dict) else ""
    if found != OPENVINO or precision is not Precision.DRAFT:
        return found
    return drafting(draft if isinstance(draft, dict) else {})


def fitting(runtime: str, precision: Precision) -> str:
    """Return a runtime, or the one to take in its place: 8 bits are for drafts alone."""
    return OPENVINO if runtime == INT8 and precision is not Precision.DRAFT else runtime


def faster(facts: Mapping[str, object]) -> str:
    """Return the faster runtime by a trial; '' if it was made with an OpenVINO that is not here."""
    if facts.get("openvino") != openvino():
        return ""
    try:
        seconds = {name: float(str(facts[f"seconds_{name}"])) for name in (OPENVINO, TORCH)}
    except (LookupError, ValueError):
        return ""
    return OPENVINO if seconds[OPENVINO] < seconds[TORCH] else TORCH


def drafting(facts: Mapping[str, object]) -> str:
    """Return what drafts are computed in: 8 bits only where a trial found that they gain."""
    of_now = facts.get("openvino") == openvino()
    return INT8 if of_now and facts.get("plan") else OPENVINO
