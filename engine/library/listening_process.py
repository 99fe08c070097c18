"""What a listening process does: digests and hears one file after the other; see `hearers`."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

__all__ = ["main"]

_NEWS = 0.25  # seconds between two signs of life


def main() -> None:
    """Serve the process that started this one, until it goes."""
    # What a library prints must not get between the answers.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    _Hearer(inbox, replies).serve()


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[dict[str, Any]]) -> NoReturn:
    """Pass requests on. The parent's end of the pipe closes when it ends, whatever way it ends."""
    for line in requests:
        inbox.put(json.loads(line))
    os._exit(0)


class _Hearer:
    def __init__(self, inbox: queue.SimpleQueue[dict[str, Any]], replies: BinaryIO) -> None:
        import torch  # here: a parent that went meanwhile is noticed

        from engine.library.hearing import listener_mark
        from engine.models import ears

        torch.set_num_threads(1)  # there is a process for each core
        self._inbox = inbox
        self._replies = replies
        self._listener, self._mark = ears.load(), listener_mark()
        self._told = 0.0
        self._send(ready=self._mark)

    def serve(self) -> NoReturn:
        """Hear what is asked for, for ever."""
        while True:
            request = self._inbox.get()
            self._told = time.monotonic()
            self._send(**self._answer(Path(request["path"]), request["about"]))

    def _answer(self, path: Path, about: list[int]) -> dict[str, Any]:
        from engine.library.hearing import check_unchanged, digest_of, hear, why_not

        try:
            digest = digest_of(path, lambda: self._tell(0.0))
            self._send(digest=digest.hex())
            if not self._inbox.get()["hear"]:
                return {"known": digest.hex()}
            content = hear(path, digest, self._listener, self._mark, self._tell)
            check_unchanged(path, *about)
            return {"content": content.to_json()}
        except Exception as error:
            sentence, passing = why_not(path, error)
            return {"error": sentence, "passing": passing}

    def _tell(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._told >= _NEWS:
            self._told = now
            self._send(seconds=seconds)

    def _send(self, **said: object) -> None:
        try:
            self._replies.write(json.dumps(said).encode() + b"\n")
            self._replies.flush()
        except OSError:
            os._exit(0)


if __name__ == "__main__":
    main()
