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


@contextmanager
def torch_threads(count: int | None = None) -> Iterator[None]:
    """Have what this thread asks of torch computed in so many threads.

    Without a number it is computed in as many as the main thread was given; elsewhere, in all.
    """
    inside_main = threading.current_thread() is threading.main_thread()
    before = torch.get_num_threads() if inside_main else _ALL
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
