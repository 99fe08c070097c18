"""A resident engine that says it is of an older Tweeze; real but for that and its model."""

from __future__ import annotations

import importlib.metadata

OLD = "0.0.9"
_version = importlib.metadata.version

if __name__ == "__main__":
    importlib.metadata.version = lambda name: OLD if name == "tweeze" else _version(name)

    import functools

    import standins

    from bridge import app
    from engine.queue.service import Service

    app.Service = functools.partial(Service, worker_main=standins.main)  # type: ignore[misc]
    app.main()
