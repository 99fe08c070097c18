"""The panel's HTTP server: uvicorn on a loopback port, with bounds on who may hold connections.

Any user of this machine can connect. Whoever has not shown a token is a stranger: strangers go when
there is no room, the oldest first, and after half a minute in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Server", "bound"]

_CONNECTIONS = 64
_STRANGE = 30.0  # seconds that a connection without a token lasts
_BACKLOG = 64
_HEAD = 1 << 14  # bytes of a request's head
_MESSAGE = 1 << 12  # bytes of a message over the WebSocket
_KEEP = 30  # seconds that a connection waits for the next request
_END = 2  # seconds that requests get to end


def bound() -> socket.socket:
    """Return a socket at a port of the system's choice, which this machine alone can reach."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    return made


class _Visitor:
    """One connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.trusted = False

    @property
    def gone(self) -> bool:
        return self._transport.is_closing()

    def abort(self) -> None:
        self._transport.abort()

    def leave_unless_trusted(self) -> None:
        if not self.trusted:
            self.abort()


class _Visitors:
    """All connections, in the order in which they came."""

    def __init__(self) -> None:
        self._all: list[_Visitor] = []

    def enter(self, transport: asyncio.Transport) -> _Visitor:
        visitor = _Visitor(transport)
        self._all = [one for one in self._all if not one.gone]
        if len(self._all) >= _CONNECTIONS:
            strangers = [one for one in self._all if not one.trusted]
            leaves = strangers[0] if strangers else visitor
            leaves.abort()
        self._all.append(visitor)
        asyncio.get_running_loop().call_later(_STRANGE, visitor.leave_unless_trusted)
        return visitor


class Server:
    """Serves an application on a bound socket."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        visitors = _Visitors()

        class Http(H11Protocol):
            """Knows its visitor, and so does the application, by its scope's state."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                self.app_state = {**self.app_state, "visitor": visitors.enter(transport)}

        config = uvicorn.Config(
            app,
            http=Http,
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            log_level="critical",  # of each packet of any user's it would say something
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_HEAD,
            ws_max_size=_MESSAGE,
            ws_per_message_deflate=False,
            timeout_keep_alive=_KEEP,
            timeout_graceful_shutdown=_END,
        )
        self._server = _Uvicorn(config)
        self._sock = sock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve."""
        serving: Any = self._server.serve(sockets=[self._sock])
        self._task = asyncio.create_task(serving, name="panel-server")

    async def stop(self) -> None:
        """Close the port and all connections."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._sock.close()


class _Uvicorn(uvicorn.Server):
    """Leaves the process's signals alone: they are the engine's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
