"""What is new, told to every open page: the newest of each thing, at most ten times a second.

A page that takes nothing costs no memory: what it has not taken is replaced by what is newer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.doors.panel.access import Access
from bridge.doors.panel.gate import trust
from engine.waiting import within

__all__ = ["Events", "Say"]

_SOCKETS = 32
_INTRODUCTION = 5.0  # seconds that a page gets to show its token
_CALM = 0.02  # seconds between two lots of news
_STILL = 30.0  # seconds that a page may take nothing
_NO_TOKEN, _TOO_MANY = 4401, 4429

Say = Callable[[], dict[str, Any] | None]
"""Returns the newest about a thing when it is sent; None if there is nothing to say any more."""


class _Page:
    def __init__(self) -> None:
        self.news: dict[Hashable, Say] = {}
        self.wake = asyncio.Event()

    def hear(self, thing: Hashable, say: Say) -> None:
        self.news[thing] = say
        self.wake.set()


class Events:
    """The open pages. Lives in the engine's event loop."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pages: list[_Page] = []

    def __len__(self) -> int:
        return len(self._pages)

    def tell(self, thing: Hashable, say: Say) -> None:
        """Tell all pages of a thing; what they were to hear of it before is forgotten."""
        for page in self._pages:
            page.hear(thing, say)

    async def attend(self, socket: WebSocket) -> None:
        """Serve a page from its first word, which must be its token, to its end."""
        await socket.accept()
        if not await self._is_introduced(socket):
            await socket.close(_NO_TOKEN, "The first message must be the page's token.")
            return
        trust(socket.scope)
        if len(self._pages) >= _SOCKETS:
            await socket.close(_TOO_MANY, "Too many pages are open: close some.")
            return
        page = _Page()
        self._pages.append(page)
        tasks = [
            asyncio.create_task(_send(page, socket), name="panel-send"),
            asyncio.create_task(_listen(socket), name="panel-listen"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pages.remove(page)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_introduced(self, socket: WebSocket) -> bool:
        try:
            said = json.loads(await within(_INTRODUCTION, socket.receive_text()))
            return self._access.knows(said["token"])
        except (
            *(asyncio.TimeoutError, WebSocketDisconnect),
            *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
        ):
            return False


async def _send(page: _Page, socket: WebSocket) -> None:
    while True:
        await page.wake.wait()
        page.wake.clear()
        news, page.news = page.news, {}
        for say in news.values():
            said = say()
            if said is not None:
                await within(_STILL, socket.send_json(said))
        await asyncio.sleep(_CALM)


async def _listen(socket: WebSocket) -> None:
    """Wait for the end; a page has nothing more to say."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
