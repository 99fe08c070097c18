"""A small server that keeps the panel's contract, with synthetic sound: for the browser's tests.

What it says is strict where the page must be: it refuses what has no token, a code that was used,
ranges beyond the end, and what it does not know. Run it to look at the page by hand::

    python -m tests.bridge.panel_fake 8765
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import secrets
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt
import soundfile

PAGE = Path(__file__).parents[2] / "bridge" / "panel"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
ROWS = COLUMNS = 256
WINDOW = 2048
TERMS = (
    ("bird", "nearby", 9.1),
    ("birdsong", "other words", 8.4),
    ("bird flapping", "nearby", 2.2),
    ("river", "nearby", 5.6),
    ("rain", "nearby", 4.1),
    ("rustling leaves", "nearby", -0.4),
    ("guitar", "nearby", 7.7),
    ("animal", "broader", None),
)
OPTIONS: list[dict[str, Any]] = [
    {
        "name": "model",
        "label": "Model",
        "help": "One of those that 'tweeze models' lists; 'auto' takes the best for each sound.",
        "kind": "text",
        "default": "auto",
    },
    {
        "name": "keep",
        "label": "Result",
        "help": "The sounds, the rest, or both.",
        "kind": "choice",
        "default": "target",
        "words": {"target": "the sound", "residual": "everything else", "both": "both"},
    },
    {
        "name": "stereo",
        "label": "Channels",
        "help": "Channels one by one, or with one mask.",
        "kind": "choice",
        "default": "independent",
        "words": {"independent": "one by one", "linked": "with one mask"},
    },
    {
        "name": "sharpness",
        "label": "Sharpness",
        "help": "Above 1: less of what only resembles the sound.",
        "kind": "number",
        "default": "1",
        "least": 0.1,
        "most": 10,
    },
    {
        "name": "compete",
        "label": "Sounds compete",
        "help": "Whether the sounds of a job compete for what both could be.",
        "kind": "flag",
        "default": "yes",
        "words": {"no": "each by itself", "yes": "they compete"},
    },
    {
        "name": "twice",
        "label": "Answer twice",
        "help": "Whether one sound is asked for twice.",
        "kind": "flag",
        "default": "no",
        "words": {"no": "once", "yes": "twice"},
    },
    {
        "name": "at",
        "label": "Only at",
        "help": "Only there: a span of time in seconds, like 3.2-7.5. Repeatable.",
        "kind": "places",
        "default": "",
    },
    *(
        {"name": name, "label": label, "help": f"{label}: {form}.", "kind": "places", "default": ""}
        for name, label, form in (
            ("never", "Not at", "START-END in seconds"),
            ("rect", "Rectangle", "START-END:LOW-HIGH"),
        )
    ),
    {
        "name": "amount",
        "label": "Amount",
        "help": "How much of it is taken out, in percent.",
        "kind": "number",
        "default": "100",
        "least": 0,
        "most": 100,
    },
    {
        "name": "draft",
        "label": "Draft first",
        "help": "A fast first answer, which the exact one replaces.",
        "kind": "flag",
        "default": "no",
        "words": {"no": "only the exact answer", "yes": "a draft first"},
    },
]

Audio = npt.NDArray[np.float32]


@cache
def garden(rate: int = 44100, seconds: float = 10.0) -> dict[str, Audio]:
    """Return sounds of shape `(2, frames)` that add up to a recording: bird, guitar, river."""
    generator = np.random.default_rng(5)
    frames = int(rate * seconds)
    at = np.arange(frames) / rate
    bird = np.zeros(frames)
    chirp = np.arange(int(0.13 * rate)) / (0.13 * rate)
    for start in np.arange(0.6, seconds - 0.9, 1.7):
        for number in range(4):
            begin = int((start + 0.17 * number) * rate)
            sweep = 3200 + 400 * number + 1500 * np.sin(2 * np.pi * 1.5 * chirp)
            tone = np.sin(2 * np.pi * np.cumsum(sweep) / rate)
            bird[begin : begin + len(chirp)] += 0.14 * np.sin(np.pi * chirp) ** 2 * tone
    guitar = np.zeros(frames)
    for number, start in enumerate(np.arange(0.1, seconds - 0.3, 0.62)):
        pitch = 110 * 2 ** ((0, 7, 12, 15, 10, 3)[number % 6] / 12)
        first = int(start * rate)
        since = at[first : first + rate] - start
        for partial in range(1, 9):
            decay = np.exp(-since * (1.2 + 0.8 * partial)) * np.minimum(1, 10 * (1 - since))
            tone = np.sin(2 * np.pi * pitch * partial * since)
            guitar[first : first + rate] += 0.1 / partial * decay * tone
    river = np.empty((2, frames))
    for channel in range(2):
        spectrum = np.fft.rfft(generator.normal(size=frames))
        hertz = np.fft.rfftfreq(frames, 1 / rate)
        spectrum *= 1 / (1 + (hertz / 900) ** 2) ** 0.6 * (hertz > 60)
        noise = np.fft.irfft(spectrum, frames)
        river[channel] = 0.045 * noise / noise.std() * (1 + 0.3 * np.sin(at * (0.9 + channel / 5)))
    wide = {"bird": (1.0, 0.45), "guitar": (0.6, 0.9)}
    sounds = {
        name: np.stack([sound * side for side in wide[name]])
        for name, sound in {"bird": bird, "guitar": guitar}.items()
    }
    return {name: sound.astype(np.float32) for name, sound in {**sounds, "river": river}.items()}


@dataclass
class Sound:
    """Audio of shape `(channels, frames)`; `again` repeats it, so an hour needs no gigabyte."""

    audio: Audio
    rate: int
    again: int = 1

    @property
    def frames(self) -> int:
        return self.audio.shape[1] * self.again

    def part(self, start: int, stop: int) -> Audio:
        places = np.arange(max(0, start), min(self.frames, stop)) % self.audio.shape[1]
        return self.audio[:, places]

    def peaks(self, start: int, stop: int, count: int) -> bytes:
        edges = np.linspace(start, stop, count + 1).astype(int)
        found = np.zeros((len(self.audio), count, 2), np.float32)
        for number in range(count):
            first = edges[number]
            last = min(max(edges[number + 1], first + 1), first + 4096)
            part = self.part(first, last)
            if part.size:
                found[:, number, 0], found[:, number, 1] = part.min(axis=1), part.max(axis=1)
        return found.tobytes()

    def tile(self, channel: str, zoom: int, index: int) -> bytes:
        step = 64 * 2**zoom
        left = (index * COLUMNS + np.arange(COLUMNS)) * step
        places = left[:, None] + step // 2 - WINDOW // 2 + np.arange(WINDOW)
        audio = {"mix": self.audio.mean(axis=0), "left": self.audio[0], "right": self.audio[-1]}
        sound = audio[channel][places % self.audio.shape[1]]
        sound = np.where((places >= 0) & (places < self.frames), sound, 0)
        window = np.hanning(WINDOW)
        spectra = np.abs(np.fft.rfft(sound * window)) * 2 / window.sum()
        bins = np.geomspace(50, self.rate / 2, ROWS) / self.rate * WINDOW
        lower = np.minimum(bins.astype(int), WINDOW // 2 - 1)
        part = bins - lower
        rows = spectra[:, lower] * (1 - part) + spectra[:, lower + 1] * part
        levels = np.clip((20 * np.log10(rows + 1e-9) + 100) * 2.55, 0, 255)
        levels[left >= self.frames] = 0
        return levels.T.astype(np.uint8).tobytes()

    @property
    def loudness(self) -> float | None:
        power = float(np.mean(np.square(self.audio)))
        return None if power < 1e-10 else round(10 * np.log10(power), 2)


@dataclass
class Job:
    id: str
    source: str
    queries: list[str]
    nots: list[str]
    options: dict[str, str]
    base: str
    state: str = "queued"
    progress: float = 0.0
    message: str = ""
    notes: list[str] = field(default_factory=list)
    clips: dict[int, tuple[dict[str, Any], Sound]] = field(default_factory=dict)
    draft: dict[int, tuple[dict[str, Any], Sound]] = field(default_factory=dict)
    certainty: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    instead: list[str] = field(default_factory=list)

    @property
    def value(self) -> dict[str, Any]:
        words = " ".join(f"'{query}'" if " " in query else query for query in self.queries)
        return {
            "id": self.id,
            "source": self.source,
            "state": self.state,
            "progress": self.progress,
            "message": self.message,
            "notes": self.notes,
            "queries": self.queries,
            "nots": self.nots,
            "answers": ["compact"] * len(self.queries) if self.clips else [],
            "clips": [clip for clip, _ in self.clips.values()],
            "draft": [clip for clip, _ in self.draft.values()],
            "presence": [0.91] * len(self.queries) if self.clips else [],
            "certainty": self.certainty,
            "seconds": 1.2 if self.clips else 0.0,
            "base": self.base,
            "options": {k: v for k, v in self.options.items() if k not in ("keep", "draft")},
            "command": f"tweeze separate garden.wav {words} --keep both",
        }


@dataclass
class Source:
    id: str
    title: str
    sound: Sound
    host: str = ""
    parts: dict[str, Audio] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    asked: int = 0

    @property
    def value(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "rate": self.sound.rate,
            "channels": len(self.sound.audio),
            "frames": self.sound.frames,
            "host": self.host,
            "jobs": [job.value for job in self.jobs],
        }


class Refused(Exception):  # noqa: N818
    """A status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Panel:
    """The fake itself: what it serves, and what tests may change while it runs."""

    def __init__(self) -> None:
        self.code, self.token = "the-code", secrets.token_urlsafe(16)
        self.sources: dict[str, Source] = {}
        self.jobs: dict[str, Job] = {}
        self.go_on = threading.Event()  # jobs wait for it before the exact answer
        self.go_on.set()
        self.pace = 0.05  # seconds of a step of a job
        self.fails = ""  # the sentence that jobs end with
        self.more: dict[str, str] = {}  # scripts of a test, served beside the page's own
        self.asked: list[str] = []  # every path that was asked for
        self.posted: list[dict[str, Any]] = []  # every job as it was asked for
        self.previews: dict[str, tuple[str, list[Sound]]] = {}
        self.serves = True  # whether kept masks serve for previews
        self.presets: dict[str, dict[str, Any]] = {}
        self.labels: list[tuple[str, dict[str, Any]]] = []  # every list of events that was sent
        self.library: list[dict[str, Any]] | None = None  # moments; None without an index
        self.files: dict[str, Source] = {}  # of the library, by their numbers
        self.played: list[tuple[str, float, float]] = []
        self._sockets: list[Socket] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    # -- what the tests do ------------------------------------------------------------------------

    def start(self, port: int = 0) -> str:
        self._server = Server(("127.0.0.1", port), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self.address

    def stop(self) -> None:
        """Be gone, as an engine that was killed: sockets break off, the port is closed."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.cut()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def fresh_code(self) -> str:
        self.code = secrets.token_urlsafe(8)
        return self.code

    def add(self, title: str, sound: Sound, **more: Any) -> Source:
        source = Source(secrets.token_hex(4), title, sound, **more)
        self.sources[source.id] = source
        self.tell({"source": source.value})
        return source

    def add_library(self) -> Source:
        """Have an index with a bird at two places, and a dog in a file that is gone."""
        mixture = Sound(sum(garden().values(), np.zeros(1, np.float32)), 44100, 6)
        source = Source("take", "dawn.wav", mixture, parts=garden())
        self.files["7"] = source
        found = (("bird", "7", 42.0, 43.5, 0.93), ("bird", "7", 5.0, 6.0, 0.61),
                 ("dog", "8", 1.0, 2.0, 0.88))  # fmt: skip
        self.library = [
            {
                "file": int(file),
                "number": place + 1,
                "name": "dawn.wav",
                "place": "field/may",
                "sound": sound,
                "start": start,
                "end": end,
                "certainty": certainty,
                "open": "",
            }
            for place, (sound, file, start, end, certainty) in enumerate(found)
        ]
        return source

    def add_garden(self, title: str = "garden.wav", again: int = 1, host: str = "") -> Source:
        parts = garden()
        mixture = Sound(sum(parts.values(), np.zeros(1, np.float32)), 44100, again)
        return self.add(title, mixture, parts=parts, host=host)

    def tell(self, message: dict[str, Any]) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for socket in sockets:
            socket.send(message)

    # -- what the page asks -----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "version": "0.1.0",
            "engine": {"state": "ready", "running": 0, "queue": 0},
            "models": [
                {"name": "auto", "title": "the best for each sound", "general": True},
                {"name": "compact", "title": "any sound, small", "general": True},
                {"name": "deepfilternet", "title": "speech out of noise", "general": False},
            ],
            "options": OPTIONS,
            "sources": [source.value for source in self.sources.values()],
            "library": self.library is not None,
        }

    def find(self, words: str, sure: float) -> dict[str, Any]:
        """Search the library: all moments of a sound of just that name."""
        if self.library is None:
            raise Refused(400, "There is no index.")
        if not words:
            return {"moments": [], "files": 1840, "hours": 6.88}
        if words not in {one["sound"] for one in self.library}:
            return {"moments": [], "suggestions": ["bird"]}
        fits = [o for o in self.library if o["sound"] == words and o["certainty"] >= sure]
        return {"moments": fits, "more": False, "understood": words}

    def found(self, number: str) -> Source:
        """Return what is opened as a file of the library."""
        if number not in self.files:
            raise Refused(409, f"File {number} is no longer where it was.")
        return self.files[number]

    def source(self, key: str) -> Source:
        if key not in self.sources:
            raise Refused(404, f"There is no recording '{key}' in this panel.")
        return self.sources[key]

    def job(self, key: str) -> Job:
        if key not in self.jobs:
            raise Refused(404, f"There is no job '{key}' in this panel.")
        return self.jobs[key]

    def ask(self, source: Source, wanted: dict[str, Any]) -> Job:
        if not wanted["queries"]:
            raise Refused(400, "Name at least one sound.")
        known = {option["name"] for option in OPTIONS}
        if strange := set(wanted["options"]) - known:
            raise Refused(400, f"There is no option '{min(strange)}'.")
        instead = wanted.get("instead", "")
        if instead and all(each.id != instead for each in source.jobs):
            raise Refused(404, "The job to replace is none of this recording's.")
        self.posted.append(wanted)
        job = Job(
            f"job-{len(self.posted)}",
            source.id,
            list(wanted["queries"]),
            list(wanted["nots"]),
            dict(wanted["options"]),
            wanted.get("base", ""),
        )
        before = self.jobs.get(instead)
        if before is not None:
            job.instead = [before.id, *before.instead]
            if before.state in ("queued", "running"):
                before.state = "cancelled"
        source.jobs.append(job)
        self.jobs[job.id] = job
        threading.Thread(target=self._work, args=(job, source), daemon=True).start()
        return job

    def _work(self, job: Job, source: Source) -> None:
        if job.base:
            time.sleep(self.pace / 2)
            if job.state == "cancelled":
                self.forget(job.id)
                return
            job.clips = self._clips(job, source, self._answers(job, source))
            job.state, job.progress = "done", 1.0
            self.tell({"job": job.value})
            for id_ in job.instead:
                self.forget(id_)
            return
        time.sleep(self.pace)
        job.state = "running"
        answers = self._answers(job, source)
        for step in range(1, 11):
            if job.state == "cancelled":
                return
            if step == 5:
                if not self.go_on.is_set() and job.options.get("draft") == "yes":
                    job.draft = self._clips(job, source, [0.8 * answer for answer in answers])
                    self.tell({"job": job.value})
                self.go_on.wait(60)
            job.progress = step / 10
            self.tell({"job": job.value})
            time.sleep(self.pace)
        if job.state == "cancelled":
            return
        if self.fails:
            job.state, job.message = "failed", self.fails
            self.tell({"job": job.value})
            return
        job.clips, job.draft = self._clips(job, source, answers), {}
        step = 0.1
        for answer in answers:
            hop = int(step * source.sound.rate)
            count = answer.shape[1] // hop
            power = np.square(answer[:, : count * hop]).reshape(2, count, hop).mean(axis=(0, 2))
            values = np.clip(power / (power.max() + 1e-12) * 3, 0.02, 0.97)
            job.certainty.append({"step": step, "values": [round(float(v), 3) for v in values]})
        job.state = "done"
        self.tell({"job": job.value})

    def forget(self, id_: str) -> None:
        job = self.jobs.pop(id_, None)
        if job is not None:
            source = self.source(job.source)
            source.jobs = [each for each in source.jobs if each.id != id_]
            self.tell({"forgotten": id_})

    def _answers(self, job: Job, source: Source) -> list[Audio]:
        return [self._adjusted(one, job, source) for one in self._sounds(job, source)]

    def _adjusted(self, answer: Audio, job: Job, source: Source) -> Audio:
        """Return what the amount and the spans leave of a sound."""
        answer = answer * np.float32(float(job.options.get("amount", 100)) / 100)
        for name in ("at", "never"):
            spans = [part for part in job.options.get(name, "").split(",") if part]
            inside = np.zeros(answer.shape[1], bool)
            for span in spans:
                start, stop = (round(float(each) * source.sound.rate) for each in span.split("-"))
                inside[start:stop] = True
            if spans:
                answer = np.where(inside if name == "at" else ~inside, answer, np.float32(0))
        return answer

    def _sounds(self, job: Job, source: Source) -> list[Audio]:
        silence = np.zeros_like(source.sound.audio)
        answers = []
        for query in job.queries:
            if not source.parts:
                answers.append(np.float32(0.5) * source.sound.audio)
            else:
                answers.append(source.parts.get(query, silence))
        return answers

    def _clips(
        self, job: Job, source: Source, answers: list[Audio]
    ) -> dict[int, tuple[dict[str, Any], Sound]]:
        rest = source.sound.audio - sum(answers, np.zeros(1, np.float32))
        named = [
            ("target", query, audio) for query, audio in zip(job.queries, answers, strict=True)
        ]
        clips = {}
        for index, (kind, query, audio) in enumerate([*named, ("residual", "", rest)]):
            sound = Sound(audio.astype(np.float32), source.sound.rate, source.sound.again)
            clip = {
                "index": index,
                "kind": kind,
                "query": query,
                "name": query or "without " + ", ".join(job.queries),
                "loudness": sound.loudness,
            }
            clips[index] = clip, sound
        return clips

    def preview(self, job: Job, options: dict[str, str]) -> str:
        if not self.serves:
            raise Refused(409, f"No masks of job {job.id} are kept: ask for it anew.")
        source = self.sources[job.source]
        wanted = Job("", source.id, job.queries, job.nots, options, job.id)
        clips = self._clips(wanted, source, self._answers(wanted, source))
        name = f"preview-{len(self.previews)}"
        self.previews[name] = job.id, [sound for _, sound in clips.values()]
        return name

    def history(self, words: str) -> dict[str, Any]:
        found = [
            {
                "id": job.id,
                "title": self.sources[job.source].title,
                "file": self.sources[job.source].title,
                "queries": job.queries,
                "nots": job.nots,
                "options": job.value["options"],
                "when": "2026-11-29T21:40:00Z",
                "seconds": 10.0,
                "clips": len(job.clips),
                "bytes": 7_000_000,
                "host": self.sources[job.source].host,
                "open": job.source,
                "inserted": bool(job.sent),
                "recording": True,
            }
            for job in reversed(self.jobs.values())
            if all(word in " ".join(job.queries) for word in words.split())
        ]
        sizes = {"bytes": 7_000_000 * len(found), "masks": 5_000_000}
        return {"jobs": found, "more": False, "limit_days": 30, **sizes}

    def heard(self, source: Source) -> dict[str, Any]:
        source.asked += 1
        if source.asked == 1:
            return {"state": "running", "progress": 0.4, "heard": [], "error": ""}
        long = source.sound.frames / source.sound.rate
        return {
            "state": "done",
            "progress": 1.0,
            "error": "",
            "heard": [
                {"name": "river", "probability": 0.93, "events": [[0.0, long, 0.9]]},
                {
                    "name": "bird",
                    "probability": 0.88,
                    "events": [[0.6, 1.3, 0.9], [2.3, 3.0, 0.9], [4.0, 4.7, 0.8], [5.7, 6.4, 0.8]],
                },
                {"name": "guitar", "probability": 0.71, "events": [[0.1, 5.2, 0.7]]},
                {"name": "wind", "probability": 0.22, "events": [[7.5, 8.1, 0.3]]},
            ],
        }

    def suggest(self, text: str) -> dict[str, Any]:
        hits = [term for term in TERMS if text.lower() in term[0]] or list(TERMS[-2:])
        return {
            "terms": [{"term": t, "relation": r, "gain": g} for t, r, g in hits[:6]],
            "note": "" if text.isascii() else "Write the sound in English: 'bird', 'rain'.",
        }

    def _handler(self) -> type[Handler]:
        return type("Bound", (Handler,), {"panel": self})

    def joined(self, socket: Socket) -> None:
        with self._lock:
            self._sockets.append(socket)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of pages that left."""


class Socket:
    """One end of a WebSocket: text frames out, text frames in."""

    def __init__(self, connection: Any, read: Callable[[int], bytes]) -> None:
        self._connection, self._read, self._lock = connection, read, threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        head = struct.pack("!BB", 0x81, len(data)) if len(data) < 126 else None
        head = head or struct.pack("!BBH", 0x81, 126, len(data)) if len(data) < 65536 else None
        head = head or struct.pack("!BBQ", 0x81, 127, len(data))
        self._write(head + data)

    def close(self, code: int) -> None:
        self._write(struct.pack("!BBH", 0x88, 2, code))

    def cut(self) -> None:
        try:
            self._connection.shutdown(2)
        except OSError:
            return

    def receive(self) -> tuple[int, bytes]:
        first, second = self._read(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        key = self._read(4)
        data = bytes(byte ^ key[place % 4] for place, byte in enumerate(self._read(length)))
        return first & 15, data

    def _write(self, data: bytes) -> None:
        with self._lock:
            try:
                self._connection.sendall(data)
            except OSError:
                return


class Handler(BaseHTTPRequestHandler):
    panel: Panel
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        split = urlsplit(self.path)
        self.parts = [unquote(part) for part in split.path.strip("/").split("/")]
        self.query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.panel.asked.append(f"{self.command} {self.path}")
        try:
            if self.parts[0] != "api":
                self._page("/".join(self.parts) or "index.html")
            elif self.parts[1] == "events":
                self._events()
            elif self.parts[1] == "session":
                self._session()
            else:
                if self.headers.get("Authorization") != f"Bearer {self.panel.token}":
                    raise Refused(401, "This page has no access any more: open the panel again.")
                self._api()
        except Refused as refused:
            self._body()
            self._say({"error": refused.sentence}, refused.status)
        except (ConnectionError, OSError):
            self.close_connection = True

    def _api(self) -> None:
        match self.command, *self.parts[1:]:
            case "GET", "state":
                self._say(self.panel.state())
            case "GET", "suggest":
                self._say(self.panel.suggest(self.query["q"]))
            case "POST", "sources":
                self._upload()
            case "DELETE", "sources", key:
                self.panel.source(key)
                del self.panel.sources[key]
                self.panel.tell({"gone": key})
                self._say({})
            case "GET", "sources", key, "heard":
                self._say(self.panel.heard(self.panel.source(key)))
            case "GET", "sources", key, "loudness":
                self._say({"integrated": self.panel.source(key).sound.loudness})
            case "POST", "sources", key, "jobs":
                job = self.panel.ask(self.panel.source(key), json.loads(self._body()))
                self._say(job.value, 202)
            case "GET", "sources", key, what:
                self._sound(self.panel.source(key).sound, what)
            case "GET", "jobs", key:
                self._say(self.panel.job(key).value)
            case "DELETE", "jobs", key:
                job = self.panel.job(key)
                job.state = "cancelled"
                self.panel.tell({"job": job.value})
                self._say(job.value)
            case "POST", "jobs", key, "previews":
                said = json.loads(self._body())
                self._say({"preview": self.panel.preview(self.panel.job(key), said["options"])})
            case "GET", "jobs", key, "previews", name, index, "audio":
                base, sounds = self.panel.previews[name]
                if base != key:
                    raise Refused(404, "There is no such preview any more.")
                self._sound(sounds[int(index)], "audio")
            case "GET", "presets":
                self._say({"presets": list(self.panel.presets.values())})
            case "PUT", "presets", name:
                self.panel.presets[name] = {"name": name, **json.loads(self._body())}
                self._say(self.panel.presets[name])
            case "DELETE", "presets", name:
                self._say(self.panel.presets.pop(name))
            case "GET", "library":
                self._say(self.panel.find(self.query.get("q", ""), float(self.query["sure"])))
            case "POST", "library", number, "open":
                source = self.panel.found(number)
                self.panel.sources[source.id] = source
                self._say(source.value)
            case "GET", "library", number, "audio":
                start, stop = (float(self.query[name]) for name in ("start", "end"))
                self.panel.played.append((number, start, stop))
                self._wav("moment", self.panel.found(number).sound)
            case "GET", "history":
                self._say(self.panel.history(self.query.get("q", "")))
            case "POST", "history", key, "open":
                self._say(self.panel.source(self.panel.job(key).source).value)
            case "DELETE", "history", key:
                self.panel.job(key)
                self.panel.forget(key)
                self._say({})
            case "POST", "jobs", key, "events":
                said = json.loads(self._body())
                self.panel.labels.append((self.panel.job(key).id, said))
                self._say({"said": f"Audacity has {len(said['events'])} new labels."})
            case "POST", "jobs", key, "send":
                self._sent(self.panel.job(key))
            case "GET", "jobs", key, "clips" | "draft" as kind, index, what:
                job = self.panel.job(key)
                clips = job.clips if kind == "clips" else job.draft
                if int(index) not in clips:
                    raise Refused(404, f"Job {key} has no clip {index}.")
                clip, sound = clips[int(index)]
                if what == "wav":
                    self._wav(clip["name"], sound)
                else:
                    self._sound(sound, what)
            case _:
                raise Refused(404, f"Nothing is known of {self.path}.")

    def _session(self) -> None:
        code = json.loads(self._body()).get("code")
        if not self.panel.code or code != self.panel.code:
            raise Refused(403, "This code was used or has run out: open the panel again.")
        self.panel.code = ""
        self._say({"token": self.panel.token})

    def _upload(self) -> None:
        data = self._body()
        name = self.query["name"]
        try:
            audio, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            raise Refused(400, f"'{name}' is no audio file that Tweeze can read.") from None
        self._say(self.panel.add(name, Sound(audio.T.copy(), rate)).value)

    def _sent(self, job: Job) -> None:
        wanted = json.loads(self._body())
        if job.sent and not wanted.get("again"):
            raise Refused(409, "These clips are in Audacity already.")
        job.sent += 1
        self._say({"said": f"Audacity has {len(job.clips)} new tracks."})

    def _sound(self, sound: Sound, what: str) -> None:
        number = {name: int(text) for name, text in self.query.items() if text.isdigit()}
        if what == "tile":
            zoom, index = number["zoom"], number["index"]
            if index * COLUMNS * 64 * 2**zoom >= sound.frames:
                raise Refused(416, "The tile lies behind the end.")
            kind = "private, max-age=86400, immutable"
            self._bytes(sound.tile(self.query["channel"], zoom, index), {"Cache-Control": kind})
            return
        start, stop = number["start"], number["stop"]
        if not 0 <= start < stop <= sound.frames:
            raise Refused(416, f"There are frames 0 to {sound.frames}, not {start} to {stop}.")
        if what == "peaks":
            if not 1 <= number["count"] <= 4096:
                raise Refused(416, "Ask for 1 to 4096 peaks.")
            self._bytes(sound.peaks(start, stop, number["count"]))
        elif what == "audio":
            if stop - start > 30 * sound.rate:
                raise Refused(416, "Ask for at most 30 seconds.")
            self._bytes(sound.part(start, stop).T.tobytes())
        else:
            raise Refused(404, f"Nothing is known of {self.path}.")

    def _wav(self, name: str, sound: Sound) -> None:
        subtype = {"float": "FLOAT", "pcm24": "PCM_24"}[self.query.get("format", "float")]
        file = io.BytesIO()
        soundfile.write(file, sound.audio.T, sound.rate, subtype=subtype, format="WAV")
        named = f'attachment; filename="{name}.wav"'
        self._bytes(file.getvalue(), {"Content-Disposition": named}, "audio/wav")

    def _page(self, name: str) -> None:
        file = PAGE / name
        if name in self.panel.more:
            self._bytes(self.panel.more[name].encode(), kind=KINDS[".js"])
            return
        if file.parent != PAGE or not file.is_file():
            raise Refused(404, f"There is no page {self.path}.")
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            f"connect-src 'self' ws://127.0.0.1:{self.panel.port}; font-src 'self'; "
            "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        self._bytes(file.read_bytes(), headers, KINDS[file.suffix])

    def _events(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        socket = Socket(self.connection, self._exactly)
        _, first = socket.receive()
        if json.loads(first) != {"token": self.panel.token}:
            socket.close(4401)
            return
        self.panel.joined(socket)
        socket.send({"engine": self.panel.state()["engine"]})
        while socket.receive()[0] != 8:
            pass

    def _exactly(self, count: int) -> bytes:
        data = self.rfile.read(count)
        if len(data) < count:
            raise ConnectionError
        return data

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        del self.headers["Content-Length"]  # what was read is not read again
        return self.rfile.read(length)

    def _say(self, value: dict[str, Any], status: int = 200) -> None:
        self._bytes(json.dumps(value).encode(), {}, "application/json", status)

    def _bytes(
        self,
        data: bytes,
        headers: dict[str, str] | None = None,
        kind: str = "application/octet-stream",
        status: int = 200,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    panel = Panel()
    panel.pace = 0.3
    panel.add_garden("garden.wav", host="audacity")
    panel.add_garden("A long evening by the river, take 2.flac", again=360)
    panel.start(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(f"{panel.address}#code={panel.code}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
