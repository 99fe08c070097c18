"""Reading tensors where memory is scarce does not end the process, nor hang it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.sound.memory import is_exhausted
from engine.tensors import unpacked

# Room for 16 MiB more; a copy of a tensor takes 64.
SCANTY = """
import resource
import numpy as np
import safetensors.numpy
import engine.tensors

data = safetensors.numpy.save({"a": np.zeros(64 << 20, np.uint8)})
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (16 << 20), resource.RLIM_INFINITY))
TRY
"""
UNPACKED = """
try:
    engine.tensors.unpacked(safetensors.numpy.load, data)
except MemoryError as error:
    print(type(error).__name__)
"""
# The room is there when it is tried, and gone when it is needed.
RACE = "engine.tensors._SPARE = -len(data)" + UNPACKED


def said(tried: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCANTY.replace("TRY", tried)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "RUST_BACKTRACE": "0"},
    )
    return done.stderr + done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
def test_no_room_for_a_tensor() -> None:
    assert said(UNPACKED) == "MemoryError\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
def test_the_library_panics() -> None:
    found = said(RACE)
    assert "panicked" in found, "if it panics no more, engine.tensors can be simpler"
    assert found.endswith("\nMemoryError\n")


def test_other_errors_pass() -> None:
    def load(data: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(load, b"")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Resource temporarily unavailable"),  # scipy's, where there is no thread
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_what_says_that_memory_ran_out(error: Exception) -> None:
    assert is_exhausted(error)
