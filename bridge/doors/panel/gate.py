"""What every request passes first: whose server it means, where it comes from, who asks.

It also gives each answer the headers that keep the page to itself, and ends what stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.doors.panel.access import Access
from bridge.doors.panel.answers import refusal
from engine.waiting import within

__all__ = ["Gate", "headers_for"]

_STILL = 30.0  # seconds that a client may neither send nor take anything
_AT_ONCE = 48  # requests
_LINGER = 5.0  # seconds that a client gets to read why its upload is refused
_SHORT = 5  # digits of the length of a body that is not worth a thought
_OPEN_TO_ALL = "/api/session"  # needs a code instead of a token


def headers_for(port: int) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer: nothing from elsewhere, nothing to elsewhere."""
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            f"connect-src 'self' ws://127.0.0.1:{port} ws://localhost:{port}",
            "font-src 'self'",
            "worker-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
    ]


class Gate:
    """An ASGI application around another one.

    `used` is called with each request that has a token.
    """

    def __init__(self, app: ASGIApp, access: Access, port: int, used: Callable[[], None]) -> None:
        self._app = app
        self._access = access
        self._headers = headers_for(port)
        self._used = used
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        headers = Headers(scope=scope)
        if scope["type"] == "websocket":
            if self._stranger(scope, headers):
                await send({"type": "websocket.close", "code": 4403})
            else:
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        still = _Still(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await still.limit(send(message))

        whole = False

        async def take() -> Message:
            nonlocal whole
            if whole:  # what comes now is the end of the connection
                return await receive()
            message: Message = await still.limit(receive())
            whole = not message.get("more_body", False)
            return message

        why = self._stranger(scope, headers)
        if why:
            await refusal(403, why)(scope, take, answer)
            return
        if scope["path"].startswith("/api/") and scope["path"] != _OPEN_TO_ALL:
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not self._access.knows(token):
                await refusal(
                    401, "This page is not let in any more: run 'tweeze panel' to open it anew."
                )(scope, take, answer)
                return
            trust(scope)
            self._used()
        if self._under_way >= _AT_ONCE:
            await refusal(429, "Too many requests at once: wait for some to end.")(
                scope, take, answer
            )
            return
        self._under_way += 1
        try:
            await self._app(scope, take, answer)
        finally:
            self._under_way -= 1
            if not whole and _is_long(headers):
                still.linger()

    def _stranger(self, scope: Scope, headers: Headers) -> str:
        """Return why a request is none of our page's; '' if it may be."""
        if not self._access.is_ours(headers.get("host", "")):
            return "This server has another name: run 'tweeze panel' to open its page."
        origin = headers.get("origin")
        if origin is not None and not self._access.is_our_origin(origin):
            return "Another site's page asks: only the panel's own may."
        site = headers.get("sec-fetch-site", "same-origin")
        if scope["path"].startswith("/api/") and site != "same-origin":
            return "Another site's page asks: only the panel's own may."
        return ""


def trust(scope: MutableMapping[str, Any]) -> None:
    """Let a connection stay, since its client has shown that it may ask."""
    visitor = scope.get("state", {}).get("visitor")
    if visitor is not None:
        visitor.trusted = True


def _is_long(headers: Headers) -> bool:
    """Return whether a request's body may go on and on."""
    return "transfer-encoding" in headers or len(headers.get("content-length", "")) > _SHORT


class _Still:
    """Ends a connection on which nothing moves, or on which only what was refused does."""

    def __init__(self, scope: Scope) -> None:
        self._visitor = scope.get("state", {}).get("visitor")

    def linger(self) -> None:
        """End the connection when the client has had the time to read why."""
        if self._visitor is not None:
            asyncio.get_running_loop().call_later(_LINGER, self._visitor.abort)

    async def limit(self, moving: Any) -> Any:
        try:
            return await within(_STILL, moving)
        except asyncio.TimeoutError:
            if self._visitor is not None:
                self._visitor.abort()
            raise ConnectionAbortedError("Nothing moved on a connection.") from None
