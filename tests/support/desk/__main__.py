"""Tweeze with the desk registered, and nothing else changed: `python -m desk engine|cli ...`."""

from __future__ import annotations

import functools
import sys

import standins

from bridge import hosts
from desk.host import DeskHost

if __name__ == "__main__":
    hosts.HOSTS = (*hosts.HOSTS, DeskHost())
    if sys.argv[1] == "engine":
        from bridge import app
        from engine.queue.service import Service

        app.Service = functools.partial(Service, worker_main=standins.main)  # type: ignore[misc]
        app.main()
    else:
        from bridge import cli

        sys.argv = ["tweeze", *sys.argv[2:]]
        cli.main()
