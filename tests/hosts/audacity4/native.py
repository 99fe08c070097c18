"""Native libraries as Audacity 4 loads them: the real thing behind its C interface, version 0."""

from __future__ import annotations

import ctypes
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NONE, BOOL, NUMBER, STRING, HANDLE, BUFFER = range(6)
STATUSES = {1: "native call failed", 2: "unknown native call", 3: "bad argument of a native call"}


class _Area(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]


class _Content(ctypes.Union):
    _fields_ = [
        ("truth", ctypes.c_bool),
        ("number", ctypes.c_double),
        ("text", ctypes.c_char_p),
        ("handle", ctypes.c_void_p),
        ("area", _Area),
    ]


class Value(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint32), ("content", _Content)]


assert ctypes.sizeof(Value) == 24


class Memory:
    """A ByteBuffer's bytes; `users` are the native calls that have it now."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes = (ctypes.c_char * size)()
        self.users = 0


@dataclass
class Answer:
    owner: Any
    key: int
    call: str
    status: int
    value: Any
    memories: list[Memory]


class Library:
    """A loaded library. Calls on workers end in `ended`, which the host's loop empties."""

    def __init__(self, path: Path, pool: ThreadPoolExecutor, ended: queue.Queue[Answer]) -> None:
        self._dispatch = ctypes.CDLL(str(path)).extension_dispatch_v0
        self._dispatch.restype = ctypes.c_int32
        self._pool = pool
        self._ended = ended

    def call(self, name: str, given: list[Any]) -> tuple[int, Any]:
        """Make a call here and now; return its status and result."""
        values = (Value * max(1, len(given)))()
        keep = []
        for value, one in zip(values, given, strict=False):
            if one is None:
                value.type = NONE
            elif isinstance(one, bool):
                value.type, value.content.truth = BOOL, one
            elif isinstance(one, float):
                value.type, value.content.number = NUMBER, one
            elif isinstance(one, str):
                keep.append(one.encode("utf-8", "replace"))
                value.type, value.content.text = STRING, keep[-1]
            else:
                assert isinstance(one, Memory), f"{one!r} is nothing for a native call"
                value.type = BUFFER
                value.content.area = _Area(ctypes.addressof(one.bytes), one.size)
        result = Value()
        array = values if given else None
        status = self._dispatch(
            name.encode(), array, ctypes.c_uint32(len(given)), ctypes.byref(result)
        )
        content = result.content
        found = {
            NONE: lambda: None,
            BOOL: lambda: content.truth,
            NUMBER: lambda: content.number,
            STRING: lambda: content.text.decode("utf-8"),
        }[result.type]()
        return status, found

    def start(self, owner: Any, key: int, name: str, given: list[Any]) -> None:
        """Make a call on a worker thread."""
        memories = [one for one in given if isinstance(one, Memory)]
        for memory in memories:
            memory.users += 1

        def work() -> None:
            status, value = self.call(name, given)
            self._ended.put(Answer(owner, key, name, status, value, memories))

        self._pool.submit(work)
