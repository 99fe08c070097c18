"""Which decoder reads a file: libsndfile where it can, FFmpeg for what it does not know."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from pathlib import Path

from engine.sound.decoders import containers, mpeg, ogg
from engine.sound.decoders.base import Alive, Bytes, Decoder, Layout, Part, Undecodable
from engine.sound.decoders.ffmpeg import kind, open_ffmpeg
from engine.sound.decoders.kinds import refusal
from engine.sound.decoders.sndfile import SndfileDecoder

__all__ = ["OpenFile"]

_LINK = "is a symbolic link: name the file that it points to."


class OpenFile:
    """A file and its decoder; a context manager that closes both.

    Without `follow` a symbolic link is refused, also one that was put there a moment ago: a path
    that somebody else named could lead anywhere else by the time it is opened. Devices and FIFOs
    are refused without being opened. `alive` is called from time to time while a long file is
    looked through for what lies in it.

    Raises
    ------
    Undecodable
        The file cannot be read, or is not audio.

    """

    def __init__(self, path: Path, *, follow: bool, alive: Alive = lambda: None) -> None:
        with contextlib.ExitStack() as stack:
            handle = _opened(path, follow=follow)
            stack.callback(os.close, handle)
            about = os.fstat(handle)
            _check_kind(about)
            if about.st_size == 0:
                raise Undecodable("is empty (0 bytes): export it again.")
            data = _mapped(handle, about.st_size)
            if isinstance(data, mmap.mmap):
                stack.callback(data.close)
            self.decoder = _decoder(data, handle, alive)
            stack.callback(self.decoder.close)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _opened(path: Path, *, follow: bool) -> int:
    # Without O_NONBLOCK, opening a FIFO would wait for its writer, for ever perhaps.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        # Looked at before it is opened, for that alone makes some devices do something; and after,
        # for it may have been exchanged in between.
        _check_kind(path.stat() if follow else path.lstat())
        return os.open(path, flags)
    except FileNotFoundError:
        raise Undecodable("does not exist: check the path.") from None
    except (OSError, ValueError) as error:
        if not follow and getattr(error, "errno", 0) == errno.ELOOP:
            raise Undecodable(_LINK) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise Undecodable(f"cannot be opened ({reason}): check its permissions.") from error


def _check_kind(about: os.stat_result) -> None:
    if stat.S_ISLNK(about.st_mode):
        raise Undecodable(_LINK)
    if stat.S_ISDIR(about.st_mode):
        raise Undecodable("is a folder: name an audio file.")
    if not stat.S_ISREG(about.st_mode):
        raise Undecodable("is a device or a pipe, not a file: name an audio file.")


def _mapped(handle: int, size: int) -> Bytes:
    try:
        return mmap.mmap(handle, size, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # some network file systems map nothing
        try:
            with os.fdopen(os.dup(handle), "rb") as file:
                return file.read()
        except OSError as error:
            raise Undecodable(
                f"cannot be read ({error.strerror or error}): copy it to a disk of this machine."
            ) from error


def _decoder(data: Bytes, handle: int, alive: Alive) -> Decoder:
    found = _layout(data, alive)  # what it refuses, FFmpeg would look at for long
    try:
        return SndfileDecoder(data, found)
    except Undecodable:
        known = kind(data)
        if known is None:
            raise Undecodable(refusal(data)) from None
        demuxer, called = known
        decoder = open_ffmpeg(data, handle, demuxer)
        if decoder is None:
            raise Undecodable(
                f"is {called}, which Tweeze reads with FFmpeg: run "
                "'pip install \"tweeze[formats]\"' or install ffmpeg; or export it as WAV, AIFF or "
                "FLAC."
            ) from None
        return decoder


def _layout(data: Bytes, alive: Alive) -> Layout:
    found = containers.layout(data, alive)
    if found is None and data[:4] == b"OggS":
        found = ogg.layout(data, alive)
    if found is None and mpeg.looks_like(data):
        found = mpeg.layout(data, 0, len(data), alive)
    return found or Layout((Part(0, len(data)),))
