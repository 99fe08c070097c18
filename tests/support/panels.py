"""A panel's page without a browser: what it asks over HTTP, and what it hears."""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect

DEADLINE = 180.0  # seconds until what must happen counts as not happening


@dataclass(frozen=True)
class Link:
    """What a redirect file leads to."""

    port: int
    code: str
    source: str = ""

    @classmethod
    def read(cls, path: str | Path) -> Link:
        text = html.unescape(Path(path).read_text())
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#code=([\w-]+)(?:&source=([\w-]+))?", text)
        assert found, text
        return cls(int(found[1]), found[2], found[3] or "")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        said = self.json["error"]
        assert isinstance(said, str)
        return said

    @property
    def floats(self) -> np.ndarray:
        return np.frombuffer(self.body, "<f4")


@dataclass
class Page:
    """A page that was opened by a link."""

    port: int
    token: str = ""
    source: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def opened(cls, path: str | Path) -> Page:
        link = Link.read(path)
        page = cls(link.port)
        answer = page.ask("POST", "/api/session", {"code": link.code})
        assert answer.status == 200, answer.body
        return cls(link.port, answer.json["token"], link.source)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= self.headers | (headers or {})
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Ask for something that may still be read, as the page does: again after a 503."""
        deadline = time.monotonic() + DEADLINE
        while (answer := self.ask("GET", path)).status == 503:
            assert answer.headers["retry-after"] == "1"
            assert time.monotonic() < deadline, answer.error
            time.sleep(0.05)
        assert answer.status == 200, answer.body
        return answer

    def job(self, queries: list[str], source: str = "", **more: Any) -> dict[str, Any]:
        """Send a job and return what is known of it at its end."""
        answer = self.ask(
            "POST", f"/api/sources/{source or self.source}/jobs", {"queries": queries, **more}
        )
        assert answer.status == 202, answer.body
        return self.ended(answer.json["id"])

    def ended(self, id_: str) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        while (job := self.get(f"/api/jobs/{id_}").json)["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job  # type: ignore[no-any-return]

    def events(self, **more: Any) -> ClientConnection:
        """Return an open WebSocket that was introduced."""
        socket = connect(f"ws://127.0.0.1:{self.port}/api/events", proxy=None, **more)
        socket.send(json.dumps({"token": self.token}))
        return socket
