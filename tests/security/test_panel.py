"""The panel's port: every user of this machine, and every page of the day, can reach it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
import pytest
import soundfile
import standins
from panels import Link, Page
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bridge.client import Client
from bridge.doors.panel import access, door, events, gate, server, sources
from bridge.requests import Requests
from engine.folders import Folders
from engine.job import new_id
from engine.queue.heartbeat import Heartbeat
from engine.queue.journal import Journal
from engine.queue.service import Service
from engine.request import Request
from engine.status import JobState
from tests.hosts.reaper.studio import Engine
from tests.security.conftest import until
from tests.security.test_text import NASTY, harmless

API = (
    ("GET", "/api/state"),
    ("GET", "/api/suggest?q=dog"),
    ("POST", "/api/sources?name=a.wav"),
    ("DELETE", "/api/sources/{source}"),
    ("GET", "/api/sources/{source}/tile?zoom=0&index=0"),
    ("GET", "/api/sources/{source}/peaks?start=0&stop=9&count=9"),
    ("GET", "/api/sources/{source}/audio?start=0&stop=9"),
    ("GET", "/api/sources/{source}/heard"),
    ("GET", "/api/sources/{source}/loudness"),
    ("POST", "/api/sources/{source}/jobs"),
    ("GET", "/api/jobs/{job}"),
    ("DELETE", "/api/jobs/{job}"),
    ("POST", "/api/jobs/{job}/send"),
    ("GET", "/api/history"),
    ("POST", "/api/history/{job}/open"),
    ("DELETE", "/api/history/{job}"),
    ("POST", "/api/jobs/{job}/events"),
    ("GET", "/api/jobs/{job}/clips/0/wav"),
    ("GET", "/api/jobs/{job}/clips/0/tile?zoom=0&index=0"),
    ("GET", "/api/jobs/{job}/clips/0/peaks?start=0&stop=9&count=9"),
    ("GET", "/api/jobs/{job}/clips/0/audio?start=0&stop=9"),
    ("GET", "/api/jobs/{job}/draft/0/audio?start=0&stop=9"),
    ("GET", "/api/presets"),
    ("PUT", "/api/presets/a"),
    ("DELETE", "/api/presets/a"),
    ("GET", "/api/nothing"),
)


def wav(seconds: float = 1.0, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(8).standard_normal(int(seconds * rate)) * 0.1
    soundfile.write(file, noise.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def panel(folders: Folders, *fields: tuple[str, str]) -> str:
    """Ask the engine for a panel, as the command does, and return the redirect file's path."""
    status = Client(folders).request(Request(new_id(), "", (("action", "panel"), *fields)))
    assert status.state is JobState.DONE, status.message
    return status.message


@pytest.fixture(scope="module")
def page(live: Engine, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("audio") / "street.wav"
    path.write_bytes(wav())
    return Page.opened(panel(live.folders, ("file", str(path))))


@pytest.fixture(scope="module")
def job(page: Page) -> str:
    return str(page.job(["dog"])["id"])


class Inside:
    """An engine's panel in this process, whose patience tests can shorten."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.do(self._start())

    def do(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(60)

    async def _start(self) -> None:
        self._journal = Journal(self.folders.journal)
        self._service = Service(self.folders, self._journal, worker_main=standins.main)
        self._requests = Requests(self._service, {})
        self._door = door.PanelDoor(self._service, self._requests, {}, _say)
        self._requests.offer(door.PANEL, self._door.handle)
        await self._service.start()

    async def _open(self) -> str:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._requests.submit(
            Request(new_id(), "", (("action", "panel"),)),
            lambda status: ended.set_result(status) if status.state.final else None,
        )
        status = await ended
        assert status.state is JobState.DONE, status.message
        return str(status.message)

    def open(self) -> str:
        return str(self.do(self._open()))

    def close(self) -> None:
        async def stop() -> None:
            await self._door.close()
            await self._requests.close()
            await self._service.stop()
            self._journal.close()

        self.do(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    folders = Folders(tmp_path / "home")
    folders.make()
    made = Inside(folders)
    yield made
    made.close()


# Another user of this machine.


@pytest.mark.fault(
    "another user finds the panel's port", promise="nothing is said or done without a token"
)
@pytest.mark.parametrize(("method", "path"), API, ids=[" ".join(one) for one in API])
def test_nothing_is_had_without_a_token(page: Page, job: str, method: str, path: str) -> None:
    where = path.format(source=page.source, job=job)
    for token in ("", "guess", page.token[:-1], page.token.swapcase(), page.token + "A"):
        answer = Page(page.port, token).ask(method, where, {} if method == "POST" else None)
        assert answer.status == 401
        assert answer.json == {
            "error": "This page is not let in any more: run 'tweeze panel' to open it anew."
        }
    for header in (page.token, f"Basic {page.token}", "Bearer", f"Bearer  {page.token}"):
        answer = Page(page.port).ask(method, where, headers={"Authorization": header})
        assert answer.status == 401


@pytest.mark.fault(
    "another user, or another site's page, asks for presets or changes them",
    promise="they hear nothing, and the presets stay as they are",
)
def test_presets_are_the_users_own(live: Engine, page: Page) -> None:
    live.folders.presets.unlink(missing_ok=True)
    dog = {"queries": ["dog"]}
    assert page.ask("PUT", "/api/presets/mine", dog).status == 201
    kept = live.folders.presets.read_bytes()
    site = {"Origin": "https://example.org"}
    strangers = (
        (Page(page.port), {}, 401),
        (Page(page.port, page.token[::-1]), {}, 401),
        (page, site, 403),
        (page, {"Host": "example.org"}, 403),
        (page, {"Sec-Fetch-Site": "cross-site"}, 403),
    )
    for who, headers, status in strangers:
        for method, name in (("GET", ""), ("PUT", "/mine"), ("PUT", "/other"), ("DELETE", "/mine")):
            body = {"queries": ["cat"]} if method == "PUT" else None
            answer = who.ask(method, f"/api/presets{name}", body, headers=headers)
            assert answer.status == status
            assert b"mine" not in answer.body
            assert b"dog" not in answer.body
    assert live.folders.presets.read_bytes() == kept
    # No name leads out of the file.
    for name in ("..%2F..%2Fx", "%2Fetc%2Fpasswd", "..", "%2e%2e%2fosc"):
        page.ask("PUT", f"/api/presets/{name}", dog)
    assert not list(live.folders.root.parent.glob("x"))
    assert (live.folders.root / "osc").read_text("utf-8").startswith("tweeze=1\n")
    live.folders.presets.unlink()


@pytest.mark.fault("another user reads 'ps'", promise="no code and no token is in any argument")
def test_ps_shows_neither_code_nor_token(live: Engine, page: Page) -> None:
    path = panel(live.folders)
    link = Link.read(path)
    beat = Heartbeat.of_living(live.folders)
    assert beat is not None
    told = []
    for pid in (beat.pid, beat.worker):
        if pid:
            process = psutil.Process(pid)
            told += [*process.cmdline(), *process.environ().values()]
    assert link.code not in " ".join([*told, path])
    assert page.token not in " ".join(told)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    for log in (live.folders.log, live.folders.crash_log):
        text = log.read_text() if log.exists() else ""
        assert link.code not in text
        assert page.token not in text


@pytest.mark.fault("another user looks for the link", promise="the system refuses each attempt")
def test_nobody_reads_the_link(
    live: Engine, page: Page, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    path = Path(panel(live.folders))

    def look() -> list[str]:
        found = []
        for attempt in (
            path.read_text,
            lambda: list(path.parent.iterdir()),
            lambda: list((path.parent / "sources").iterdir()),
        ):
            try:
                found.append(repr(attempt()))
            except PermissionError:  # noqa: PERF203
                found.append("refused")
        return found

    assert as_nobody(look) == ["refused"] * 3


@pytest.mark.fault(
    "a link is used a second time, or later", promise="it is worth one token, for a minute"
)
def test_a_used_code_is_worth_nothing(live: Engine, page: Page) -> None:
    link = Link.read(panel(live.folders))
    stranger = Page(link.port)
    assert stranger.ask("POST", "/api/session", {"code": link.code}).status == 200
    for code in (link.code, "", link.code[:-1], 7, None, [link.code]):
        again = stranger.ask("POST", "/api/session", {"code": code})
        assert again.status == 403
        assert "used already, or is too old" in again.error


def test_the_link_goes_after_a_minute(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_LINK", 0.05)
    monkeypatch.setattr(access, "_CODE_SECONDS", 0.0)
    path = Path(inside.open())
    link = re.search(r":(\d+)/", path.read_text()) if path.exists() else None
    until(lambda: not path.exists(), "the removal")
    assert link is None or Page(int(link[1])).ask("POST", "/api/session", {}).status == 403


@pytest.mark.fault("a token is guessed byte by byte", promise="each comparison takes as long")
@pytest.mark.parametrize("verdict", [True, False])
def test_tokens_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, verdict: bool
) -> None:
    made = access.Access(1)
    for _ in range(3):
        made.redeem(made.new_code())
    asked = []
    monkeypatch.setattr(
        access.hmac, "compare_digest", lambda one, other: asked.append(other) or verdict
    )
    assert made.knows("guess") is verdict
    assert asked == [b"guess"] * 3


@pytest.mark.fault(
    "another user runs a server of their own on loopback",
    promise="the browser gives it nothing: no cookie is ever set, no token is in an address",
)
def test_another_server_gets_nothing(page: Page, job: str) -> None:
    for method, path in API[:2] + API[4:9] + API[10:11]:
        answer = page.ask(method, path.format(source=page.source, job=job))
        assert "set-cookie" not in answer.headers
        assert answer.headers["referrer-policy"] == "no-referrer"
        # A token in the address, where others could see it, is none.
        mark = "&" if "?" in path else "?"
        address = f"{path.format(source=page.source, job=job)}{mark}token={page.token}"
        assert Page(page.port).ask(method, address).status == 401
        cookie = {"Cookie": f"token={page.token}"}
        assert Page(page.port, headers=cookie).ask(method, address).status == 401


# A page of the day.


@pytest.mark.fault("a name of theirs leads to this machine (DNS rebinding)", promise="403")
@pytest.mark.parametrize(
    "name",
    [
        *("evil.example", "evil.example:{}", "localhost.evil.example:{}"),
        *("127.0.0.1", "127.0.0.1:1", "0.0.0.0:{}", "[::1]:{}", ""),
    ],
)
def test_another_name_is_not_served(page: Page, name: str) -> None:
    host = name.format(page.port)
    for method, path in (("GET", "/"), ("GET", "/api/state"), ("POST", "/api/session")):
        answer = page.ask(method, path, headers={"Host": host})
        assert answer.status == 403, answer.body
        assert "error" in answer.json
    with pytest.raises(InvalidStatus) as refused, _socket(page, {"Host": host}):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.fault("another site's page asks", promise="403, and no CORS header")
@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "file://"),
        *("http://127.0.0.1:1", "https://127.0.0.1:{}", "http://127.0.0.1"),
    ],
)
def test_another_origin_is_not_answered(page: Page, origin: str) -> None:
    theirs = {"Origin": origin.format(page.port)}
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        answer = page.ask(method, "/api/state", headers=theirs)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    with pytest.raises(InvalidStatus) as refused, _socket(page, theirs):
        pass
    assert refused.value.response.status_code == 403
    ours = {"Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin"}
    assert page.ask("GET", "/api/state", headers=ours).status == 200
    for site in ("cross-site", "same-site", "none"):
        assert page.ask("GET", "/api/state", headers={"Sec-Fetch-Site": site}).status == 403


async def _say(sentence: str) -> None:
    raise AssertionError(sentence)


def _socket(page: Page, headers: dict[str, str]) -> Any:
    @contextlib.contextmanager
    def opened() -> Iterator[None]:
        sock = socket.create_connection(("127.0.0.1", page.port))
        host = headers.get("Host", f"127.0.0.1:{page.port}")
        with connect(
            f"ws://{host or 'x'}/api/events", sock=sock, proxy=None,
            additional_headers={k: v for k, v in headers.items() if k != "Host"},
        ):  # fmt: skip
            yield

    return opened()


@pytest.mark.fault("a page is to be framed, sniffed, or fed scripts", promise="headers forbid it")
def test_every_answer_keeps_the_page_to_itself(page: Page) -> None:
    for method, path in (("GET", "/"), ("GET", "/gone.js"), *API, ("PUT", "/api/state")):
        for token in ("", page.token):
            answer = Page(page.port, token).ask(
                method, path.format(source="none", job="none"), {} if method == "POST" else None
            )
            policy = dict(
                part.strip().split(" ", 1)
                for part in answer.headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert "unsafe" not in str(policy)
            assert "*" not in str(policy)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in answer.headers


# Hostile names and paths.


@pytest.mark.fault("a file's name is markup, or worse", promise="it is only a name")
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_name_is_only_a_name(live: Engine, page: Page, text: str) -> None:
    name = quote(text + ".wav", errors="surrogatepass")
    answer = page.ask("POST", f"/api/sources?name={name}", wav(0.1))
    assert answer.status == 201, answer.body
    source = answer.json
    try:
        assert answer.headers["content-type"] == "application/json"
        assert harmless(source["title"])
        folder = live.folders.panel / "sources" / source["id"]
        (recording,) = (folder / "recording").iterdir()
        assert harmless(recording.name)
        assert recording.stat().st_mode & 0o077 == 0
        made = page.job(["dog"], source=source["id"])
        clip = page.get(f"/api/jobs/{made['id']}/clips/0/wav")
        disposition = clip.headers["content-disposition"]
        assert re.fullmatch(
            r"attachment; filename=\"[A-Za-z0-9 ._-]+\.wav\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+",
            disposition,
        )
        assert not (Path("/tmp") / "canary").exists()
        assert not Path("canary").exists()
    finally:
        page.ask("DELETE", f"/api/sources/{source['id']}")
    assert not folder.exists()


@pytest.mark.fault("an address climbs out of the page's folder", promise="nothing is there")
@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd", "/%2fetc%2fpasswd", "/..\\..\\etc\\passwd", "/.", "/..", "/index.html/..",
        "/__init__.py", "/../doors/osc.py", "/panel.css%00.js", "/%00", "/" + "a" * 5000,
        "/api/../../etc/passwd", "/static/..%2f..%2fapp.py",
    ],
)  # fmt: skip
def test_no_address_leads_out(page: Page, path: str) -> None:
    answer = page.ask("GET", path)
    assert answer.status in (403, 404)
    assert b"root:" not in answer.body
    assert answer.json["error"]


@pytest.mark.parametrize("id_", ["..", "%2e%2e", "../../etc", "..%2f..%2fjournal.sqlite", "%00"])
def test_no_id_is_a_path(page: Page, id_: str) -> None:
    for path in (f"/api/sources/{id_}/audio?start=0&stop=9", f"/api/jobs/{id_}/clips/0/wav"):
        assert page.ask("GET", path).status == 404
    assert page.ask("DELETE", f"/api/sources/{id_}").status in (404, 405)
    assert page.ask("GET", "/api/state").status == 200


def test_a_request_names_whole_paths_and_no_links(live: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(0.1))
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    for name, said in (
        ("a.wav", "whole path"),
        (f"{tmp_path}/x/../a.wav", "whole path"),
        (f"{tmp_path}/link.wav", "link.wav"),
        ("/dev/zero", "/dev/zero"),
        (str(tmp_path), tmp_path.name),
    ):
        fields = (("action", "panel"), ("file", name))
        status = Client(live.folders).request(Request(new_id(), "", fields))
        assert status.state is JobState.FAILED
        assert status.bad_input
        assert said in status.message


# Too much, too slow, too many.


@pytest.mark.fault("an upload has no end", promise="2 GB at most, streamed to the disk")
def test_an_upload_is_bounded(
    live: Engine, page: Page, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = {"Content-Length": str((2 << 30) + 1), "Expect": "100-continue"}
    announced = page.ask("POST", "/api/sources?name=a.wav", b"", headers=length)
    assert announced.status == 413
    assert "larger than 2 GB" in announced.error
    # one that announces nothing is counted
    monkeypatch.setattr(sources, "LARGEST", 3 << 20)
    monkeypatch.setattr(gate, "_LINGER", 0.1)
    own = Page.opened(inside.open())
    with socket.create_connection(("127.0.0.1", own.port)) as client:
        client.settimeout(60)
        head = (
            f"POST /api/sources?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\n"
            f"Authorization: Bearer {own.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        client.sendall(head.encode())
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 4 << 30:
                client.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                sent += 1 << 20
    assert sent < 4 << 30
    until(lambda: not list((inside.folders.panel / "sources").iterdir()), "the removal")


def test_an_upload_costs_no_memory(live: Engine, page: Page) -> None:
    beat = Heartbeat.of_living(live.folders)
    assert beat is not None
    engine = psutil.Process(beat.pid)
    page.ask(
        "DELETE", f"/api/sources/{page.ask('POST', '/api/sources?name=a.wav', wav()).json['id']}"
    )
    before = engine.memory_info().rss
    header = wav(0.01)[:44]
    assert header
    size = 120 << 20
    file = io.BytesIO()
    soundfile.write(file, np.zeros(size // 4, np.float32), 48_000, format="WAV", subtype="FLOAT")
    answer = page.ask("POST", "/api/sources?name=long.wav", file.getvalue())
    assert answer.status == 201
    most = engine.memory_info().rss
    assert most - before < 60 << 20
    page.ask("DELETE", f"/api/sources/{answer.json['id']}")


@pytest.mark.fault("twenty-one recordings are opened", promise="twenty are the most")
def test_recordings_are_bounded(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST", 3)
    own = Page.opened(inside.open())
    for _ in range(3):
        assert own.ask("POST", "/api/sources?name=a.wav", wav(0.1)).status == 201
    fourth = own.ask("POST", "/api/sources?name=a.wav", wav(0.1))
    assert fourth.status == 413
    assert "3 recordings are open" in fourth.error


@pytest.mark.fault("a question is a megabyte long", promise="413, and no memory taken")
def test_questions_are_bounded(page: Page) -> None:
    for path in ("/api/session", f"/api/sources/{page.source}/jobs"):
        answer = page.ask("POST", path, b" " * (1 << 20))
        assert answer.status == 413


@pytest.mark.fault(
    "a client sends its request a letter a minute, or takes no answer",
    promise="its connection ends within half a minute",
)
def test_slow_clients_are_let_go(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STRANGE", 0.3)
    monkeypatch.setattr(gate, "_STILL", 0.3)
    own = Page.opened(inside.open())
    heads = (
        b"",
        b"GET / HT",
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\nX: ".encode(),
        f"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\n"
        "Content-Length: 99\r\n\r\n{".encode(),
        # one with a token, that never sends what it announces
        f"POST /api/sources?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\n"
        f"Authorization: Bearer {own.token}\r\nContent-Length: 99999\r\n\r\nRIFF".encode(),
    )
    for head in heads:
        with socket.create_connection(("127.0.0.1", own.port)) as client:
            client.settimeout(60)
            client.sendall(head)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
    # one with a token that takes none of its answer
    source = own.ask("POST", "/api/sources?name=a.wav", wav(30, 100_000)).json["id"]
    own.get(f"/api/sources/{source}/audio?start=0&stop=3000000")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", own.port))
        client.sendall(
            f"GET /api/sources/{source}/audio?start=0&stop=3000000 HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{own.port}\r\nAuthorization: Bearer {own.token}\r\n\r\n".encode()
        )
        until(lambda: _is_reset(own.port, client), "the end of the connection")
    assert own.ask("GET", "/api/state").status == 200


def _is_reset(port: int, client: socket.socket) -> bool:
    """Whether the server has let go of a connection; what lies in the client's buffer stays."""
    mine = client.getsockname()[1]
    return not any(
        one.laddr.port == port and one.raddr and one.raddr.port == mine
        for one in psutil.Process().net_connections("tcp")
    )


@pytest.mark.fault(
    "a thousand sockets are opened and kept", promise="the page goes on; the engine keeps 64"
)
def test_a_thousand_sockets(live: Engine, page: Page) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    beat = Heartbeat.of_living(live.folders)
    assert beat is not None
    engine = psutil.Process(beat.pid)
    usual = engine.num_fds()
    with contextlib.ExitStack() as kept, page.events() as events_:
        until(lambda: page.ask("GET", "/api/state").status == 200)
        try:
            for number in range(1000):
                with contextlib.suppress(OSError):
                    kept.enter_context(socket.create_connection(("127.0.0.1", page.port), 10))
                if number % 250 == 249:
                    assert page.ask("GET", "/api/state").status == 200
            until(lambda: engine.num_fds() < usual + 80, "letting go")
            # the page that was there hears still
            source = page.ask("POST", "/api/sources?name=b.wav", wav(0.1)).json["id"]
            while json.loads(events_.recv(60)).get("source", {}).get("id") != source:
                pass
            page.ask("DELETE", f"/api/sources/{source}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.fault("a socket says nothing, or the wrong thing", promise="it is closed: 4401")
def test_a_socket_introduces_itself(
    page: Page, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in ("{}", "[]", "{", "null", '{"token": 7}', json.dumps({"token": "x" * 43}), b"\0"):
        with connect(f"ws://127.0.0.1:{page.port}/api/events", proxy=None) as client:
            client.send(first)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401
    with connect(f"ws://127.0.0.1:{page.port}/api/events", proxy=None) as client:
        client.send("x" * (1 << 16))
        with pytest.raises(ConnectionClosed):
            client.recv(60)
    monkeypatch.setattr(events, "_INTRODUCTION", 0.1)
    own = Page.opened(inside.open())
    with connect(f"ws://127.0.0.1:{own.port}/api/events", proxy=None) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


@pytest.mark.fault("thirty-three pages listen", promise="thirty-two are the most")
def test_pages_are_bounded(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SOCKETS", 2)
    own = Page.opened(inside.open())
    with own.events() as one, own.events() as two:
        for client in (one, two):
            assert client.ping().wait(60)
        with own.events() as third:
            with pytest.raises(ConnectionClosed) as closed:
                third.recv(60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429


@pytest.mark.fault("a page takes none of its news", promise="only the newest of each thing waits")
def test_news_does_not_pile_up() -> None:
    made = events.Events(access.Access(1))
    page = events._Page()
    made._pages.append(page)
    for number in range(100_000):
        made.tell(("job", number % 5), dict)
    assert len(page.news) == 5


def test_the_network_cannot_reach_it(live: Engine, page: Page) -> None:
    beat = Heartbeat.of_living(live.folders)
    assert beat is not None
    listening = [
        connection.laddr
        for connection in psutil.Process(beat.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", page.port)]
