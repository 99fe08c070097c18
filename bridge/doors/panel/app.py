"""The panel's routes: the page's files, and what the page asks for under `/api`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from bridge.doors.panel import facts
from bridge.doors.panel.access import Access
from bridge.doors.panel.answers import Endpoint, Refused, answered, refusal, small_json
from bridge.doors.panel.audio import LONGEST, samples_response, wav_response
from bridge.doors.panel.events import Events
from bridge.doors.panel.gate import Gate, trust
from bridge.doors.panel.history import History
from bridge.doors.panel.jobs import Jobs
from bridge.doors.panel.library import Finder
from bridge.doors.panel.overview import CHANNELS, NotYet, Overview
from bridge.doors.panel.presets import Presets
from bridge.doors.panel.previews import Previews
from bridge.doors.panel.samples import Samples
from bridge.doors.panel.sending import Sending
from bridge.doors.panel.sources import Source, Sources, in_thread
from bridge.doors.panel.suggesting import suggested
from bridge.doors.panel.tile_cache import TileCache
from bridge.doors.panel.tiles import FARTHEST
from bridge.requests import Requests
from engine.host import Resident
from engine.queue.heartbeat import VERSION
from engine.queue.service import Service
from engine.waiting import within

__all__ = ["Panel"]

_PATIENCE = 2.0  # seconds that a picture may be waited for while it is read
_LOOK = 0.05  # seconds between looks whether it is there
_PEAKS = 4096  # stretches in one picture of a waveform
_SENDING = 600.0  # seconds that an editor may take to take clips in
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
_FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
_FRESH = {"Cache-Control": "no-store"}
_T = TypeVar("_T")


class Panel:
    """All that is served while the port is open.

    Attributes
    ----------
    access, sources, events
        Who may come in, what is open, and which pages are.
    used
        When somebody with a token last asked for anything, by `time.monotonic`.

    """

    def __init__(
        self, service: Service, requests: Requests, hosts: Mapping[str, Resident], port: int
    ) -> None:
        self._service = service
        self._port = port
        self.access = Access(port)
        self.events = Events(self.access)
        self.sources = Sources(service.folders, self._note_source)
        self._jobs = Jobs(service, requests, self.sources, self.events.tell)
        self._sending = Sending(service, requests, hosts)
        self._history = History(service, requests, self.sources, self._note_source)
        self._finder = Finder(service.folders, self.sources)
        self._presets = Presets(service.folders, self.events)
        self._previews = Previews(service.folders)
        self._tiles = TileCache()
        self._drawing = asyncio.Semaphore(2)
        self.used = time.monotonic()
        self._unsubscribe = service.subscribe(lambda status: self._note_engine())

    async def open(self) -> None:
        """Find what is kept."""
        await self.sources.open()
        self._jobs.resume()
        self._presets.open()
        await self._previews.open()

    async def close(self) -> None:
        """Let go of everything."""
        self._unsubscribe()
        await self._presets.close()
        await self._jobs.close()
        self._previews.close()
        self.sources.close()

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        routes = [
            _route("/api/session", self._session, "POST"),
            _route("/api/state", self._state),
            _route("/api/suggest", self._suggest),
            _route("/api/presets", self._list_presets),
            _route("/api/presets/{name:path}", self._save_preset, "PUT"),
            _route("/api/presets/{name:path}", self._remove_preset, "DELETE"),
            _route("/api/sources", self._receive, "POST"),
            _route("/api/sources/{source}", self._forget, "DELETE"),
            _route("/api/sources/{source}/tile", self._tile),
            _route("/api/sources/{source}/peaks", self._peaks),
            _route("/api/sources/{source}/audio", self._audio),
            _route("/api/sources/{source}/heard", self._heard),
            _route("/api/sources/{source}/loudness", self._loudness),
            _route("/api/sources/{source}/jobs", self._ask, "POST"),
            _route("/api/jobs/{job}", self._job),
            _route("/api/jobs/{job}", self._cancel, "DELETE"),
            _route("/api/jobs/{job}/send", self._send, "POST"),
            _route("/api/jobs/{job}/events", self._mark, "POST"),
            _route("/api/jobs/{job}/clips/{index:int}/wav", self._wav),
            _route("/api/jobs/{job}/previews", self._preview, "POST"),
            _route("/api/jobs/{job}/previews/{preview}/{index:int}/audio", self._hear_preview),
            *(
                _route(f"/api/jobs/{{job}}/{kind}/{{index:int}}/{name}", endpoint)
                for kind in ("clips", "draft")
                for name, endpoint in (
                    ("tile", self._tile),
                    ("peaks", self._peaks),
                    ("audio", self._audio),
                )
            ),
            _route("/api/history", self._find),
            _route("/api/history/{job}/open", self._open_again, "POST"),
            _route("/api/history/{job}", self._forget_job, "DELETE"),
            _route("/api/library", self._search),
            _route("/api/library/{file:int}/open", self._open_found, "POST"),
            _route("/api/library/{file:int}/audio", self._hear_found),
            WebSocketRoute("/api/events", self.events.attend),
            _route("/{name:path}", _page),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such})
        app.router.redirect_slashes = False
        return Gate(app, self.access, self._port, self._note_use)

    # What is new.

    def _note_use(self) -> None:
        self.used = time.monotonic()

    def _note_engine(self) -> None:
        self.events.tell("engine", lambda: {"engine": facts.of_engine(self._service)})

    def _note_source(self, source: Source) -> None:
        self.events.tell(
            ("source", source.id),
            lambda: {"source": self._facts(source)} if source in list(self.sources) else None,
        )

    def _facts(self, source: Source) -> dict[str, object]:
        return facts.of_source(source, self._jobs.all_facts(source))

    # Getting in, and what there is.

    async def _session(self, request: Request) -> Response:
        code = (await small_json(request)).get("code")
        token = self.access.redeem(code) if isinstance(code, str) else None
        if token is None:
            raise Refused(
                403, "This link was used already, or is too old: run 'tweeze panel' for another."
            )
        trust(request.scope)
        self._note_use()
        return JSONResponse({"token": token}, headers=_FRESH)

    async def _state(self, request: Request) -> Response:
        folders = self._service.folders
        models = await in_thread(lambda: facts.of_models(folders))
        library = await in_thread(self._finder.there)
        said = {
            "version": VERSION,
            "engine": facts.of_engine(self._service),
            "models": models,
            "options": facts.of_options(),
            "sources": [self._facts(source) for source in self.sources],
            "library": library,
        }
        return JSONResponse(said, headers=_FRESH)

    async def _suggest(self, request: Request) -> Response:
        query = request.query_params.get("q", "")[:200]
        said = await in_thread(lambda: suggested(query, self._service.folders))
        return JSONResponse(said, headers=_FRESH)

    # Presets.

    async def _list_presets(self, request: Request) -> Response:
        return JSONResponse({"presets": await self._presets.all()}, headers=_FRESH)

    async def _save_preset(self, request: Request) -> Response:
        said = await small_json(request)
        preset, replaced = await self._presets.save(request.path_params["name"], said)
        return JSONResponse(preset, 200 if replaced else 201, headers=_FRESH)

    async def _remove_preset(self, request: Request) -> Response:
        gone = await self._presets.remove(request.path_params["name"])
        return JSONResponse({"gone": gone}, headers=_FRESH)

    # Recordings.

    async def _receive(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        announced = request.headers.get("content-length", "0")
        length = int(announced) if announced.isdecimal() and len(announced) < 16 else 0
        source = await self.sources.receive(name, request.stream(), length)
        self._note_source(source)
        return JSONResponse(self._facts(source), 201, headers=_FRESH)

    async def _forget(self, request: Request) -> Response:
        source = self.sources.get(request.path_params["source"])
        await self._jobs.drop(source)
        await self.sources.remove(source.id)
        self.events.tell(("source", source.id), lambda: {"gone": source.id})
        return JSONResponse({"gone": source.id}, headers=_FRESH)

    async def _heard(self, request: Request) -> Response:
        source = self.sources.get(request.path_params["source"])
        return JSONResponse(await self._jobs.listen(source), headers=_FRESH)

    async def _loudness(self, request: Request) -> Response:
        source = self.sources.get(request.path_params["source"])
        return JSONResponse({"integrated": await self._jobs.loudness(source)}, headers=_FRESH)

    # Jobs.

    async def _ask(self, request: Request) -> Response:
        source = self.sources.get(request.path_params["source"])
        said = await small_json(request)
        return JSONResponse(await self._jobs.ask(source, said), 202, headers=_FRESH)

    async def _job(self, request: Request) -> Response:
        id_ = request.path_params["job"]
        return JSONResponse(self._jobs.facts(self._jobs.source_of(id_), id_), headers=_FRESH)

    async def _cancel(self, request: Request) -> Response:
        return JSONResponse(self._jobs.cancel(request.path_params["job"]), headers=_FRESH)

    async def _send(self, request: Request) -> Response:
        said = await small_json(request)
        sentence = await within(_SENDING, self._sending.send(request.path_params["job"], said))
        return JSONResponse({"said": sentence}, headers=_FRESH)

    async def _mark(self, request: Request) -> Response:
        said = await small_json(request)
        sentence = await within(_SENDING, self._sending.mark(request.path_params["job"], said))
        return JSONResponse({"said": sentence}, headers=_FRESH)

    async def _wav(self, request: Request) -> Response:
        form = request.query_params.get("format", "float")
        if form not in ("float", "pcm24"):
            raise Refused(400, "The format must be float or pcm24.")
        id_, index = request.path_params["job"], request.path_params["index"]
        clip = self._jobs.clip(id_, index)
        overview = await self._jobs.clip_overview(id_, index)
        return wav_response(overview.samples, clip.path.stem, pcm24=form == "pcm24")

    # Jobs of the past.

    async def _find(self, request: Request) -> Response:
        return JSONResponse(await self._history.find(request.query_params), headers=_FRESH)

    async def _open_again(self, request: Request) -> Response:
        source = await self._history.open(request.path_params["job"])
        return JSONResponse(self._facts(source), headers=_FRESH)

    async def _forget_job(self, request: Request) -> Response:
        await self._history.forget(request.path_params["job"])
        return JSONResponse({"forgotten": request.path_params["job"]}, headers=_FRESH)

    # The library.

    async def _search(self, request: Request) -> Response:
        return JSONResponse(await self._finder.find(request.query_params), headers=_FRESH)

    async def _open_found(self, request: Request) -> Response:
        source = await self._finder.open(request.path_params["file"])
        self._note_source(source)
        return JSONResponse(self._facts(source), headers=_FRESH)

    async def _hear_found(self, request: Request) -> Response:
        data = await self._finder.audio(request.path_params["file"], request.query_params)
        return Response(data, media_type="audio/wav", headers=_FRESH)

    # Pictures and samples, of recordings and clips alike.

    async def _overview(self, request: Request) -> tuple[str, Overview]:
        """Return what is drawn of a recording or clip, and its name for the cache."""
        params = request.path_params
        if "source" in params:
            source = self.sources.get(params["source"])
            if source.overview is None:
                raise NotYet
            return source.id, source.overview
        draft = request.url.path.split("/")[4] == "draft"
        overview = await self._jobs.clip_overview(params["job"], params["index"], draft=draft)
        return f"{params['job']}/{'draft' if draft else 'clip'}/{params['index']}", overview

    async def _tile(self, request: Request) -> Response:
        channel = request.query_params.get("channel", "mix")
        if channel not in CHANNELS:
            raise Refused(400, f"The channel must be {', '.join(CHANNELS)}.")
        zoom = _whole(request, "zoom", 0, FARTHEST)
        index = _whole(request, "index", 0, 1 << 40)
        name, overview = await self._overview(request)
        key = (name, channel, zoom, index)
        made = self._tiles.get(key)
        if made is None:
            made = await self._drawn(lambda: overview.tile(channel, zoom, index))
            self._tiles.put(key, made)
        return Response(made, media_type="application/octet-stream", headers=_FOREVER)

    async def _peaks(self, request: Request) -> Response:
        _, overview = await self._overview(request)
        start, stop = _stretch(request, overview.samples)
        count = _whole(request, "count", 1, _PEAKS)
        made = await self._drawn(lambda: overview.peaks(start, stop, count))
        return Response(made, media_type="application/octet-stream", headers=_FOREVER)

    async def _audio(self, request: Request) -> Response:
        _, overview = await self._overview(request)
        samples = overview.samples
        start, stop = _stretch(request, samples)
        if stop - start > LONGEST * samples.info.rate:
            raise Refused(416, f"At most {LONGEST:.0f} s of samples come at once: ask for less.")
        await self._drawn(lambda: _await(samples, stop))
        response = samples_response(samples, start, stop)
        response.headers.update(_FOREVER)
        return response

    async def _preview(self, request: Request) -> Response:
        said = await small_json(request)
        source, job, options = self._jobs.adjusted(request.path_params["job"], said)
        found = await self._previews.add(source, job, options)
        return JSONResponse(found, status_code=201, headers=_FRESH)

    async def _hear_preview(self, request: Request) -> Response:
        where = request.path_params
        data = await self._previews.samples(
            where["job"], where["preview"], where["index"], request.query_params
        )
        return Response(data, media_type="application/octet-stream", headers=_FRESH)

    async def _drawn(self, work: Callable[[], _T]) -> _T:
        """Return what `work` makes in a thread; it is tried anew while it is still being read."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                async with self._drawing:
                    return await in_thread(work, name="panel-draw")
            except NotYet:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_LOOK)


def _route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
    return Route(path, answered(endpoint), methods=[method])


async def _no_such(request: Request, error: Exception) -> Response:
    """Say that there is nothing at an address, or that nothing like this can be done there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    said = {404: "There is nothing at this address.", 405: "That cannot be done at this address."}
    return refusal(status, said.get(status, "That cannot be done."))


async def _page(request: Request) -> Response:
    """Return one of the page's files; nothing else has a name here."""
    name = request.path_params["name"] or "index.html"
    found = await in_thread(_page_files)
    if name not in found:
        raise Refused(404, "There is nothing at this address.")
    kind = _TYPES[PurePosixPath(name).suffix]
    headers = {"Content-Type": kind, "Cache-Control": "no-cache"}
    return Response(found[name], headers=headers)


def _page_files() -> dict[str, bytes]:
    """Return the page's files by name."""
    found = {}
    with contextlib.suppress(FileNotFoundError, ModuleNotFoundError):
        for one in files("bridge").joinpath("panel").iterdir():
            if PurePosixPath(one.name).suffix in _TYPES and one.is_file():
                found[one.name] = one.read_bytes()
    return found


def _await(samples: Samples, stop: int) -> None:
    if not samples.whole and samples.ready < stop:
        raise NotYet


def _stretch(request: Request, samples: Samples) -> tuple[int, int]:
    frames = samples.info.frames
    start = _whole(request, "start", 0, frames)
    stop = _whole(request, "stop", 0, frames)
    if start >= stop:
        raise Refused(416, f"Frames {start} to {stop} are none: there are {frames}.")
    return start, stop


def _whole(request: Request, name: str, least: int, most: int) -> int:
    """Return a whole number that a request names; Refused where it is none, or out of range."""
    text = request.query_params.get(name, "")
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1
    if not least <= value <= most:
        status = 416 if name in ("start", "stop") and value > most else 400
        raise Refused(status, f"'{name}' must be a whole number from {least} to {most}.")
    return value
