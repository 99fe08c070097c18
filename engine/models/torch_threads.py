"""How many threads torch computes in, thread by thread.

Torch's threads meet at the end of each operation, and where other programs have a share of the
processors, each time all wait for the last. So what can be done side by side is done in one thread
each. A thread that asks torch for the first time takes the number that any other set last: whose
answer must not depend on the others says how many it wants.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["torch_threads"]

_ALL = torch.get_num_threads()
_lock = threading.Lock()
_computing = 0  # blocks that threads are in


@contextmanager
def torch_threads(count: int | None = None) -> Iterator[None]:
    """Have what this thread asks of torch computed in so many threads.

    Without a number it is computed in as many as the main thread was given; elsewhere, in all. For
    products of matrices torch has one number for all threads (MKL's): it is set back when the last
    of those that compute leaves, or what the others round would depend on who leaves first.
    """
    global _computing
    inside_main = threading.current_thread() is threading.main_thread()
    before = torch.get_num_threads() if inside_main else _ALL
    with _lock:
        _computing += 1
        torch.set_num_threads(count or before)
    try:
        yield
    finally:
        with _lock:
            _computing -= 1
            if inside_main or not _computing:
                torch.set_num_threads(before)
