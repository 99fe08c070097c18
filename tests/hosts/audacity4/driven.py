"""The extension's library in a process of its own, watched by AddressSanitizer and UBSan."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audacity.extension.build import SOURCE

DRIVER = Path(__file__).with_name("driver.c")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
LIMIT = 60.0
current = SOURCE  # the source that is tried


@functools.lru_cache(maxsize=8)
def driver(source: Path) -> Path:
    """Return the library and its driver as one program, watched by the sanitizers."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if sys.platform == "win32" or compiler is None:
        pytest.skip("THE EXTENSION'S LIBRARY WAS NOT TRIED: that takes gcc or clang")
    program = Path(tempfile.mkdtemp(prefix="tweeze-driver-")) / "driver"
    words = [compiler, "-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    # The driver's own conversions are not what is looked at.
    words += ["-Wno-conversion", *SANITIZE, "-I", str(source.parent), "-I", str(DRIVER.parent)]
    done = subprocess.run(
        [*words, str(DRIVER), "-o", str(program), "-pthread"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


class Buffer:
    def __init__(self, index: int) -> None:
        self.index = index


class Driven:
    """The library in a process of its own."""

    def __init__(self, home: Path, source: Path | None = None, environment: Any = None) -> None:
        self.home = str(home)
        self.program = subprocess.Popen(
            [driver(source or current)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **(environment or {})},
        )
        self._buffers = 0

    def ask(self, line: str) -> str:
        assert self.program.stdin
        assert self.program.stdout
        self.program.stdin.write(line + "\n")
        self.program.stdin.flush()
        watchdog = threading.Timer(LIMIT, self.program.kill)
        watchdog.start()
        answer = self.program.stdout.readline()
        watchdog.cancel()
        assert answer, f"{line[:60]}: {self._last_words()}"
        return answer.strip()

    def tell(self, line: str) -> None:
        assert self.program.stdin
        self.program.stdin.write(line + "\n")

    def buffer(self, content: bytes) -> Buffer:
        """Make a buffer of exactly these bytes; one byte beyond it is noticed."""
        made = Buffer(self._buffers % 16)
        self._buffers += 1
        self.tell(f"buffer {made.index} {len(content)}")
        if content:
            self.tell(f"fill {made.index} {content.hex()}")
        return made

    def show(self, buffer: Buffer) -> bytes:
        return bytes.fromhex(self.ask(f"show {buffer.index}"))

    def call(self, name: str, *given: Any) -> tuple[int, Any]:
        words = [name]
        for one in given:
            if isinstance(one, bool):
                words.append("t")
            elif one is None:
                words.append("z")
            elif isinstance(one, Buffer):
                words.append(f"b {one.index}")
            elif isinstance(one, str):
                words.append(f"s x{one.encode().hex()}")
            elif one is ...:
                words.append("e")
            else:
                words.append(f"n {one}")
        status, _, said = self.ask(" ".join(words)).partition(" ")
        value: Any = None
        if said.startswith("s"):
            value = bytes.fromhex(said[1:]).decode()
        elif said.startswith(("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9")):
            value = float(said[1:])
        elif said.startswith("b"):
            value = said == "b1"
        return int(status), value

    def well(self, name: str, *given: Any) -> Any:
        status, value = self.call(name, *given)
        assert status == 0, (name, status, value)
        return value

    def parse(self, content: bytes) -> tuple[str | None, list[str]]:
        words = self.ask(f"parse {content.hex()}").split(" ")
        count, said, names = words[0], words[1] if len(words) > 1 else "", words[2:]
        assert int(count) == len(names)
        text = bytes.fromhex(said).decode(errors="replace")
        return (None if text == "none" else text), [bytes.fromhex(one).decode() for one in names]

    def close(self) -> None:
        """End it; the sanitizers have nothing to say, of leaks neither."""
        assert self.program.stdin
        try:
            with contextlib.suppress(OSError):
                self.program.stdin.close()
            assert self.program.wait(LIMIT) == 0, self._last_words()
        finally:
            for pipe in (self.program.stdout, self.program.stderr):
                assert pipe
                pipe.close()

    def _last_words(self) -> str:
        assert self.program.stderr
        self.program.wait(LIMIT)
        return self.program.stderr.read()[-3000:]


@contextlib.contextmanager
def driven(home: Path, source: Path | None = None, environment: Any = None) -> Iterator[Driven]:
    made = Driven(home, source, environment)
    try:
        yield made
    except BaseException:
        made.program.kill()
        made.program.communicate()
        raise
    made.close()
