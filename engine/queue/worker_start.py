"""What a worker process begins with.

The engine names it when it starts one, and imports nothing of what only a worker needs.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

from engine.folders import Folders

__all__ = ["main"]


def main(connection: Connection, folders: Folders) -> None:
    """Run `engine.queue.worker.main`."""
    from engine.queue import worker

    worker.main(connection, folders)
