"""What a bench ran on: figures mean little without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from engine.cores import threads

__all__ = ["machine"]

# What decides which code OpenVINO, oneDNN and torch run; from the narrowest to the widest.
_FEATURES = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
}
_CPUINFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Return the processor's name, cores and features, and how much other work it has.

    Features are known on Linux alone.
    """
    text = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""
    rows = dict(row.split(":", 1) for row in text.split("\n\n")[0].splitlines() if ":" in row)
    facts = {name.strip(): value.strip() for name, value in rows.items()}
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = facts.get("flags", "").split()
    found = ", ".join(said for flag, said in _FEATURES.items() if flag in flags)
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{name}, {threads()} cores ({found or 'features unknown'}){load}"
