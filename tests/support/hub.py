"""As much of the Hugging Face hub as a download needs, on this machine."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download needs. It hangs up in the middle, once.

    `promised` has the contents whose digests it names for files that are something else;
    `says` is its code for a file that it does not have.
    """

    files: dict[str, bytes]
    promised: dict[str, bytes]
    says: str
    cut: int
    ranges: list[str | None]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        content = self.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", type(self).says)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            return
        promised = self.promised.get(self.path, content)
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(promised).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if not body:
            return
        self.ranges.append(asked)
        stop = len(content)
        if type(self).cut and self.path.endswith(".ckpt"):
            stop, type(self).cut = start + type(self).cut, 0
            self.close_connection = True
        self.wfile.write(content[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hub(
    files: dict[str, bytes],
    cut: int = 0,
    promised: dict[str, bytes] | None = None,
    says: str = "EntryNotFound",
) -> Iterator[tuple[str, type[Hub]]]:
    own = {"files": files, "cut": cut, "ranges": [], "promised": promised or {}, "says": says}
    handler = type("Handler", (Hub,), own)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
