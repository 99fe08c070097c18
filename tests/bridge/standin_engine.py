"""A resident engine, real but for its model, which also hears (tests/support/standins.py).

`STANDIN_ANSWER` says how many seconds a decoder may take.
"""

from __future__ import annotations

import functools
import os

import standins

from bridge import app
from engine.queue.service import Service
from engine.sound import reader

reader.LIMITS.answer = float(os.environ["STANDIN_ANSWER"])  # in the worker, too

if __name__ == "__main__":
    app.Service = functools.partial(Service, worker_main=standins.hearing_main)  # type: ignore[misc]
    app.main()
