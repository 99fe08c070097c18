"""Downloading one file over https: it goes on where it broke off, and takes no more than it should.

Whether what came is the published file, `pulling` says.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.request import Request, urlopen

__all__ = ["ask", "fetch"]

_SILENCE = 30.0  # seconds without a byte after which a connection counts as broken
_BLOCK = 1 << 18


def ask(url: str, timeout: float) -> None:
    """See whether the server answers for that file; OSError if it does not."""
    with urlopen(Request(url, method="HEAD"), timeout=timeout) as answer:
        _check_secure(url, answer.url)


def fetch(url: str, path: Path, size: int) -> None:
    """Download a file of `size` bytes to `path`.

    What has come lies beside it under another name until the file is whole.

    Raises
    ------
    OSError
        The server does not answer, or with something else, or the connection broke.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    there = part.stat().st_size if part.exists() else 0
    if there > size:
        part.unlink()
        there = 0
    if there < size:
        _continue(url, part, there, size)
    part.replace(path)


def _continue(url: str, part: Path, there: int, size: int) -> None:
    headers = {"Range": f"bytes={there}-"} if there else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=_SILENCE) as answer:
            _check_secure(url, answer.url)
            goes_on = there > 0 and answer.status == http.client.PARTIAL_CONTENT
            done = there if goes_on else 0
            with part.open("ab" if goes_on else "wb") as file:
                while block := answer.read(_BLOCK):
                    done += len(block)
                    if done > size:
                        raise OSError(f"the server sends more than the {size} bytes of the file")
                    file.write(block)
    except http.client.HTTPException as error:
        raise OSError(f"the connection broke ({type(error).__name__})") from error
    if done < size:
        raise OSError(f"the connection broke after {done} of {size} bytes")


def _check_secure(asked: str, answered: str) -> None:
    if asked.startswith("https://") and not answered.startswith("https://"):
        raise OSError("the server sent us on to an address without https")
