"""What a reader process does: opens one file at a time and hands out its samples; see `reader`."""

from __future__ import annotations

import json
import os
import queue
import threading
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from engine.sound.audio import CHANNELS, LOUDEST, RATES
from engine.sound.decoders.base import Alive, Samples, Undecodable
from engine.sound.decoders.opening import OpenFile

__all__ = ["main"]

_IDLE = 120.0  # seconds without a file, after which it goes
_FIRST = 1 << 12  # frames that are decoded at once: whoever opens a file learns whether it works


def main() -> None:
    """Serve the process that started this one, until it goes or has no files for long."""
    # What a library prints must not get between the answers.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _send(replies, {})
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    opened: _Opened | None = None
    while True:
        try:
            request = inbox.get(timeout=None if opened else _IDLE)
        except queue.Empty:
            os._exit(0)
        try:
            if request["do"] == "open":
                opened = _Opened(
                    Path(request["path"]),
                    follow=request["follow"],
                    alive=lambda: _send(replies, {"alive": True}),
                )
                _send(replies, opened.about)
            elif request["do"] == "read" and opened is not None:
                block = opened.read(request["frames"])
                _send(replies, {"notes": list(opened.file.decoder.notes)}, block)
            else:
                if opened is not None:
                    opened.file.close()
                opened = None
                _send(replies, {})
        except Exception as error:
            _send(replies, {"error": _sentence(error)})


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[dict[str, Any]]) -> NoReturn:
    """Pass requests on. The parent's end of the pipe closes when it ends, whatever way it ends."""
    for line in requests:
        inbox.put(json.loads(line))
    os._exit(0)


def _send(replies: BinaryIO, said: dict[str, Any], block: Samples | None = None) -> None:
    try:
        size = 0 if block is None else block.nbytes
        replies.write(json.dumps({**said, "bytes": size}).encode() + b"\n")
        if block is not None and size:
            replies.write(block.data.cast("B"))
        replies.flush()
    except OSError:
        os._exit(0)


def _sentence(error: Exception) -> str:
    if isinstance(error, Undecodable):
        return str(error)
    if isinstance(error, MemoryError):
        return "needs more memory to be decoded than there is: close other programs."
    return f"cannot be decoded ({type(error).__name__}: {error}): export it again."


class _Opened:
    """A file of which the first frames are decoded already."""

    def __init__(self, path: Path, *, follow: bool, alive: Alive) -> None:
        self.file = OpenFile(path, follow=follow, alive=alive)
        self._done = 0  # frames that were handed out
        self._ended = False
        try:
            self._first = self._decoded(_FIRST)
            self.about = self._about()
        except BaseException:
            self.file.close()
            raise

    def read(self, frames: int) -> Samples:
        """Return so many frames, fewer only at the end."""
        pieces = [self._first[:frames]]
        self._first = self._first[frames:]
        while (wanted := frames - sum(map(len, pieces))) and not self._ended:
            pieces.append(self._decoded(wanted))
        pieces = [piece for piece in pieces if len(piece)] or pieces[:1]
        block = np.ascontiguousarray(pieces[0]) if len(pieces) == 1 else np.concatenate(pieces)
        self._check_samples(block)
        self._done += len(block)
        return block

    def _decoded(self, frames: int) -> Samples:
        block = self.file.decoder.read(frames)
        self._ended = not len(block)
        return block

    def _about(self) -> dict[str, object]:
        decoder = self.file.decoder
        rate, channels = decoder.rate, decoder.channels
        if not len(self._first):
            raise Undecodable("holds no sound (0 frames): export it again.")
        if channels > CHANNELS:
            raise Undecodable(
                f"has {channels} channels, and Tweeze takes mono or stereo: "
                "export the channels that you want as a stereo file."
            )
        if not RATES[0] <= rate <= RATES[1]:
            raise Undecodable(
                f"has a sample rate of {rate:,} Hz, and Tweeze takes {RATES[0]:,} to "
                f"{RATES[1]:,} Hz: export it at 44,100 or 48,000 Hz."
            )
        return {"rate": rate, "channels": channels, "promised": decoder.promised}

    def _check_samples(self, block: Samples) -> None:
        """Refuse damaged samples: NaN, infinity, or a number that no converter makes."""
        with np.errstate(invalid="ignore"):
            sane = np.abs(block) <= LOUDEST
        if sane.all():
            return
        frame, channel = (int(index) for index in np.argwhere(~sane)[0])
        value = block[frame, channel]
        what = f"{value:.3g} times full scale" if np.isfinite(value) else f"{value} (not a number)"
        seconds = (self._done + frame) / self.file.decoder.rate
        raise Undecodable(
            f"holds a damaged sample at {seconds:.6f} s (channel {channel + 1}: {what}): "
            "repair that spot or export the file again."
        )


if __name__ == "__main__":
    main()
