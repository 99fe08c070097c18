"""The panel's door: a port that is open while somebody wants the page, and closed else.

Nothing here imports what serves the page before it is wanted: an engine without a panel is as small
as it ever was, and listens to nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
import os
import secrets
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.requests import Requests
from engine.errors import BadInput, Failure, TweezeError
from engine.host import Notify, Report, Resident, Selected
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState, Status
from engine.waiting import aside, within

if TYPE_CHECKING:
    from bridge.doors.panel.app import Panel
    from bridge.doors.panel.server import Server

__all__ = ["IDLE", "PANEL", "PanelDoor", "link"]

PANEL = "panel"
"""The action of a request to open the panel; its `file` names a recording."""
IDLE = 600.0
"""Seconds without a page and without a request after which the port is closed."""
_LINK = 60.0  # seconds that a redirect file lies there
_LOOK = 1.0  # seconds between looks whether anybody is there
_READY = 60.0  # seconds that opening may take, with the imports that it needs
_BROWSER = 20.0  # seconds that a browser gets to start
_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>Tweeze Panel</title>
<p><a href="{url}">Open the Tweeze Panel</a>: this link works once, for a minute.
"""
_LOG = logging.getLogger("tweeze.panel")


class PanelDoor:
    """Opens the panel at a request's word, and closes it when it is left alone.

    `hosts` are the editors' parts of the resident process, by the editor's name; `notify` shows a
    sentence on the desktop, where an editor asked.
    """

    def __init__(
        self,
        service: Service,
        requests: Requests,
        hosts: Mapping[str, Resident],
        notify: Notify,
    ) -> None:
        self._service = service
        self._requests = requests
        self._hosts = hosts
        self._notify = notify
        self._folder = service.folders.panel
        self._panel: Panel | None = None
        self._server: Server | None = None
        self._port = 0
        self._opening = asyncio.Lock()
        self._idle: asyncio.Task[None] | None = None
        self._links: dict[Path, asyncio.TimerHandle] = {}

    @property
    def port(self) -> int:
        """The port, 0 while it is closed."""
        return self._port

    async def handle(self, request: Request, report: Report) -> None:
        """Carry out a request to open the panel, with a file or an editor's selection.

        The last status's message is the path of a file that leads a browser to the page; where an
        editor asks, the browser is started here.

        Raises
        ------
        TweezeError
            It cannot be opened, or the recording cannot.

        """
        selected = await self._selected(request)
        try:
            path = await self._shown(selected)
            if request.host:
                await _show(path)
        except TweezeError as error:
            host = self._hosts.get(request.host)
            if host is not None and not getattr(host, "tells", False):
                await self._notify(str(error))
            raise
        report(Status(request.id, JobState.DONE, progress=1.0, message=str(path)))

    async def _shown(self, selected: list[Selected]) -> Path:
        """Open recordings in the panel; returns the file that leads a browser to them."""
        panel = await self._opened()
        panel.used = time.monotonic()
        newest = ""
        try:
            while selected:
                one = selected[0]
                own = one.path.parent == self._service.folders.mixtures
                source = await panel.sources.add(one.path, one.title, one.placement, move=own)
                selected.pop(0)
                newest = source.id
        finally:
            for one in selected:
                if one.path.parent == self._service.folders.mixtures:
                    with contextlib.suppress(OSError):
                        one.path.unlink()
        url = f"http://127.0.0.1:{self._port}/#code={panel.access.new_code()}"
        return await self._link(f"{url}&source={newest}" if newest else url)

    async def _selected(self, request: Request) -> list[Selected]:
        file = request.one("file")
        if file:
            path = Path(file)
            if not path.is_absolute() or ".." in path.parts:
                raise BadInput(f"The panel needs a whole path, not {file[:200]!r}.")
            return [Selected(path, request.one("title"))]
        host = self._hosts.get(request.host)
        take = getattr(host, "selection", None)
        return await take(request) if take is not None else []

    async def _opened(self) -> Panel:
        async with self._opening:
            if self._panel is None:
                try:
                    await within(_READY, self._open())
                except asyncio.TimeoutError:
                    raise Failure(
                        f"The panel did not open within {_READY:.0f} s: the disk does not answer, "
                        "perhaps. Try again."
                    ) from None
            assert self._panel is not None
            return self._panel

    async def _open(self) -> None:
        try:
            await aside(_import, name="panel-import")
        except ImportError as error:
            raise Failure(
                f"The panel needs a package that is not installed ({error.name}): install Tweeze "
                "again."
            ) from error
        from bridge.doors.panel.app import Panel
        from bridge.doors.panel.server import Server, bound

        await aside(self._clear_folder, name="panel-folder")
        try:
            sock = bound()
        except OSError as error:
            raise Failure(f"No port could be opened for the panel ({error.strerror}).") from error
        port = sock.getsockname()[1]
        panel = Panel(self._service, self._requests, self._hosts, port)
        try:
            await panel.open()
            self._server = Server(panel.application(), sock)
            self._server.start()
        except BaseException:
            sock.close()
            await panel.close()
            raise
        self._panel, self._port = panel, port
        self._idle = asyncio.create_task(self._close_when_idle(), name="panel-idle")
        _LOG.info("The panel is open at port %d.", port)

    def _clear_folder(self) -> None:
        """Make the panel's folder, and remove links that an earlier engine left."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.glob("*.html"):
            with contextlib.suppress(OSError):
                path.unlink()

    async def _close_when_idle(self) -> None:
        assert self._panel is not None
        while True:
            await asyncio.sleep(_LOOK)
            if len(self._panel.events):
                self._panel.used = time.monotonic()
            elif time.monotonic() - self._panel.used > IDLE:
                break
        _LOG.info("Nobody uses the panel: its port is closed.")
        self._idle = None
        await self.close()

    async def close(self) -> None:
        """Close the port; tokens and links are worth nothing from then on."""
        async with self._opening:
            idle, self._idle = self._idle, None
            if idle is not None:
                idle.cancel()
                await asyncio.gather(idle, return_exceptions=True)
            for path in list(self._links):
                self._remove(path)
            server, self._server = self._server, None
            panel, self._panel = self._panel, None
            if server is not None:
                await server.stop()
            self._port = 0
            if panel is not None:
                await panel.close()

    async def _link(self, url: str) -> Path:
        """Write the file that leads a browser to the page, for the user alone, for a minute."""
        path = self._folder / f"{secrets.token_hex(16)}.html"
        try:
            await within(_BROWSER, aside(lambda: link(path, url), name="panel-link"))
        except (OSError, asyncio.TimeoutError) as error:
            raise Failure(
                f"The folder {self._folder} cannot be written ({error}): check its disk."
            ) from error
        loop = asyncio.get_running_loop()
        self._links[path] = loop.call_later(_LINK, self._remove, path)
        return path

    def _remove(self, path: Path) -> None:
        self._links.pop(path).cancel()
        with contextlib.suppress(OSError):
            path.unlink()


def link(path: Path, url: str) -> None:
    """Write a page that leads to another, for the user alone."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_PAGE.format(url=html.escape(url)))


def _import() -> None:
    """Import what serves the page, in a thread: it takes a while."""
    import bridge.doors.panel.app
    import bridge.doors.panel.server  # noqa: F401


async def _show(path: Path) -> None:
    """Open a file in the user's browser.

    Raises
    ------
    Failure
        There is none that can be started from here.

    """
    opening = aside(lambda: webbrowser.open(path.as_uri()), name="panel-browser")
    try:
        shown = await within(_BROWSER, opening)
    except (webbrowser.Error, OSError):
        shown = False
    except asyncio.TimeoutError:
        return  # some browsers stay in the foreground
    if not shown:
        raise Failure(f"No browser could be started: open {path} in yours within a minute.")
