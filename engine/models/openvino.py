"""OpenVINO as Tweeze imports it."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["openvino"]


def openvino() -> Any:
    """Import OpenVINO without its report of that to Google Analytics.

    Tweeze goes to the network only when it is asked to.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
