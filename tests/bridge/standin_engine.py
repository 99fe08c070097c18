"""A resident engine, real but for its model, which also hears (tests/support/standins.py)."""

from __future__ import annotations

import functools

import standins

from bridge import app
from engine.queue.service import Service

if __name__ == "__main__":
    app.Service = functools.partial(Service, worker_main=standins.hearing_main)  # type: ignore[misc]
    app.main()
