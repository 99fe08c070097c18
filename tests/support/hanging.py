"""A file system that stops to answer, as a network share does: a FUSE server in its own process.

What is asked of it while it hangs gets no answer, and who asks does not end even when it is killed
(state D). That ends with the server. It speaks the kernel's protocol itself (linux/fuse.h, version
7.31).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_LOOKUP, _GETATTR, _OPEN, _READ, _INIT, _OPENDIR = 1, 3, 14, 15, 26, 27
_SILENT = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET: nobody waits for a reply
_GRANTED = (18, 25, 29, 34)  # RELEASE, FLUSH, RELEASEDIR, ACCESS
_DIRECT = 1  # FOPEN_DIRECT_IO: every read comes here
_DETACH = 2  # MNT_DETACH
_libc = ctypes.CDLL(None, use_errno=True)


class Share:
    """The mounted share: a folder with one file."""

    def __init__(self, path: Path, hang: Path, server: subprocess.Popen[bytes]) -> None:
        self.path = path
        self._hang = hang
        self._server = server

    def hang(self) -> None:
        self._hang.touch()

    def holds(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._hang.stat().st_size > 0

    def end(self) -> None:
        """Give everybody who waits an error; a second call does nothing."""
        if self._server.poll() is None:
            self._server.kill()
            self._server.communicate()
            _libc.umount2(os.fsencode(self.path), _DETACH)


def available() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and os.access("/dev/fuse", os.W_OK)


@contextlib.contextmanager
def share(path: Path, file: Path) -> Iterator[Share]:
    """Mount at `path` a file system that holds a copy of `file`, under its name."""
    path.mkdir(parents=True, exist_ok=True)
    hang = path.parent / f".{path.name}-hangs"
    server = subprocess.Popen([sys.executable, __file__, path, file, hang], stdout=subprocess.PIPE)
    made = Share(path, hang, server)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"mounted\n"
        yield made
    finally:
        made.end()


def _mount(path: str) -> int:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if _libc.mount(b"hanging", os.fsencode(path), b"fuse", 6, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount", path)
    return device


def _serve(path: str, file: Path, hang: Path) -> None:
    data = file.read_bytes()
    device = _mount(path)
    print("mounted", flush=True)
    while True:
        try:
            asked = os.read(device, 1 << 20)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return  # unmounted
        opcode, unique, node = struct.unpack_from("=IQQ", asked, 4)
        if opcode in _SILENT:
            continue
        if hang.exists():
            hang.write_bytes(b"held\n")
            continue
        try:
            said, reply = 0, _answer(opcode, node, asked[40:], file.name, data)
        except OSError as error:
            said, reply = -(error.errno or errno.EIO), b""
        os.write(device, struct.pack("=IiQ", 16 + len(reply), said, unique) + reply)


def _answer(opcode: int, node: int, words: bytes, name: str, data: bytes) -> bytes:
    if opcode == _INIT:
        ahead = struct.unpack_from("=III", words)[2]
        return struct.pack("=IIIIHHIIHHII24x", 7, 31, ahead, 0, 12, 9, 1 << 17, 1, 32, 0, 0, 0)
    if opcode == _LOOKUP:
        if words.rstrip(b"\0") != os.fsencode(name):
            raise OSError(errno.ENOENT, "no such file")
        return struct.pack("=QQQQII", 2, 0, 0, 0, 0, 0) + _attributes(2, data)
    if opcode == _GETATTR:
        return struct.pack("=QII", 0, 0, 0) + _attributes(node, data)
    if opcode in (_OPEN, _OPENDIR):
        return struct.pack("=QII", 0, _DIRECT, 0)
    if opcode == _READ:
        _, offset, size = struct.unpack_from("=QQI", words)
        return data[offset : offset + size]
    if opcode in _GRANTED:
        return b""
    raise OSError(errno.ENOSYS, "not here")


def _attributes(node: int, data: bytes) -> bytes:
    now = int(time.time())
    folder = node == 1
    mode = stat.S_IFDIR | 0o755 if folder else stat.S_IFREG | 0o644
    size = 0 if folder else len(data)
    times = (now, now, now, 0, 0, 0)
    return struct.pack(
        "=QQQQQQIIIIIIIIII", node, size, size // 512, *times, mode, 1, 0, 0, 0, 4096, 0
    )


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
