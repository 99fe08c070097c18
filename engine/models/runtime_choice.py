"""Which runtime a model that has a choice computes in, as its files say: torch is not imported.

The engine asks when a job is submitted, without loading a model. What a trial found lies in the
record of the model's fast form (see `engine.models.audiosep.fast`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from engine.models.kinds import MOVABLE
from engine.models.records import Entry

__all__ = ["FAST", "OPENVINO", "RECORD", "RUNTIMES", "TORCH", "chosen", "faster", "openvino"]

TORCH, OPENVINO = RUNTIMES = ("torch", "openvino")
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


def chosen(entry: Entry) -> str:
    """Return the runtime that a model would choose now; '' if it has no choice, or must try first.

    Without OpenVINO there is nothing but torch.
    """
    if entry.kind not in MOVABLE:
        return ""
    if not openvino():
        return TORCH
    try:
        facts = json.loads((entry.folder / FAST / RECORD).read_text()).get("graph")
    except (OSError, ValueError, RecursionError, AttributeError):
        return ""
    return faster(facts) if isinstance(facts, dict) else ""


def faster(facts: Mapping[str, object]) -> str:
    """Return the faster runtime by a trial; '' if it was made with an OpenVINO that is not here."""
    if facts.get("openvino") != openvino():
        return ""
    try:
        seconds = {name: float(str(facts[f"seconds_{name}"])) for name in RUNTIMES}
    except (LookupError, ValueError):
        return ""
    return OPENVINO if seconds[OPENVINO] < seconds[TORCH] else TORCH
