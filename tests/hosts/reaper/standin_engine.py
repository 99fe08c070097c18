"""A resident engine, real but for its model: see tests/support/standins.py. Run with `python -m`."""

from __future__ import annotations

import functools

import standins

from bridge import app
from engine.service import Service

if __name__ == "__main__":
    app.Service = functools.partial(Service, worker_main=standins.main)  # type: ignore[misc]
    app.main()
