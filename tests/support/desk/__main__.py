"""The engine with the desk registered, and nothing else changed but the model."""

from __future__ import annotations

import functools

import standins

from bridge import app, hosts
from desk.host import DeskHost
from engine.queue.service import Service

if __name__ == "__main__":
    hosts.HOSTS = (*hosts.HOSTS, DeskHost())
    app.Service = functools.partial(Service, worker_main=standins.main)  # type: ignore[misc]
    app.main()
