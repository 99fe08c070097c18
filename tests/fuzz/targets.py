# ruff: noqa: E501 - tables of words
"""What is fuzzed: each target takes bytes to a part of Tweeze that reads what others wrote.

`check` returns where all is well: the input was understood, or refused with one of Tweeze's own
errors. Anything else that it raises is a finding; so is a crash, a hang, or too much memory, which
the process that runs it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
import os
import random
import re
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
from hypothesis import strategies as st

from audacity import timeline
from engine.errors import BadInput, BadJob, ModelBroken, TweezeError
from engine.folders import Folders
from tests.fuzz import inputs

MEMORY = 1 << 30  # bytes that a target may take beyond what it had when it was ready


class Target:
    """A target; `folder` is its own, and goes away with it."""

    name = ""
    seeds: tuple[bytes, ...] = ()
    memory = MEMORY

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def strategy(self) -> st.SearchStrategy[bytes]:
        return st.binary(max_size=300)

    def make(self, rng: random.Random) -> bytes:
        return inputs.mutate(rng, rng.choice(self.seeds), self.seeds)

    def check(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what was made."""


class Texts(Target):
    """Every small text that Tweeze reads; what it understands it can write, and read again."""

    name = "texts"
    seeds = inputs.TEXTS

    def strategy(self) -> st.SearchStrategy[bytes]:
        return inputs.texts()

    def check(self, data: bytes) -> None:
        from audacity.timeline import Fingerprint
        from bridge.doors.osc import Access
        from bridge.layout import _number
        from engine.errors import HostError
        from engine.files import read_small
        from engine.job import Job
        from engine.models import catalogue
        from engine.queue.heartbeat import Heartbeat
        from engine.request import Request
        from engine.status import Status
        from reaper.wake import Waker

        folders = Folders(self.folder)
        (self.folder / "text").write_bytes(data)
        for name in ("osc", "reaper", "layout"):
            (self.folder / name).write_bytes(data)
            (self.folder / name).chmod(0o600)
        (self.folder / "model.json").write_bytes(data)
        try:
            text = read_small(self.folder / "text")
        except BadJob:
            text = data.decode("utf-8", "surrogateescape")
        for kind in (Job, Status, Request):
            try:
                value: Any = kind.from_text(text)  # type: ignore[attr-defined]
            except BadInput:
                continue
            again = kind.from_text(value.to_text())  # type: ignore[attr-defined]
            # A status says its numbers rounded; written twice they are the same.
            assert again.to_text() == value.to_text(), f"{value} is not {again}"
            assert "/" not in value.id
        with contextlib.suppress(HostError):
            made = Fingerprint.from_text(text)
            assert Fingerprint.from_text(made.to_text()) == made
        Heartbeat.read(self.folder / "text")
        access = Access.read(folders)
        assert access is None or len(access.secret) >= 32
        Waker.of(folders)
        _number(folders)
        catalogue._read(self.folder / "model.json")


class Sounds(Target):
    """Audio files of every kind: their header, every sample, and what the worker makes of them."""

    name = "sounds"

    def __init__(self, folder: Path) -> None:
        from engine.sound import reader

        super().__init__(folder)
        self.seeds = (*inputs.sounds(), *inputs.joined(), *inputs.films())
        reader.LIMITS.answer = 3.0  # mutated files do make decoders hang, and each is tried twice

    def strategy(self) -> st.SearchStrategy[bytes]:
        return inputs.waves()

    def check(self, data: bytes) -> None:
        from engine.errors import BadAudio
        from engine.job import Job
        from engine.models.base import FrameGrid
        from engine.sound.audio import opened, probe
        from engine.sound.mixture import prepare

        path = self.folder / "mixture.wav"
        path.write_bytes(data)
        try:
            info = probe(path)
            assert 1 <= info.channels <= 2
            assert info.frames >= 0
            done, digest = 0, hashlib.sha256()
            with opened(path, follow=False) as sound:
                for block in sound.blocks():
                    assert block.shape[0] == info.channels
                    done += block.shape[1]
                    digest.update(np.ascontiguousarray(block.T))
                    if done > 4_000_000:
                        return  # compressed silence can be long, and is read as it comes
            assert done >= 1
            if done < 100_000:
                small = hashlib.sha256()
                with opened(path, follow=False) as sound:
                    for block in sound.blocks(1_009):
                        small.update(np.ascontiguousarray(block.T))
                assert small.digest() == digest.digest()
                work = self.folder / "work"
                work.mkdir()
                frame_grid = FrameGrid(32000, 2048, 640, block=16, context=16, core=64)
                made = prepare(Job("j", path, ("dog",)), frame_grid, work, lambda share: None)
                assert made.info.frames == done
                assert made.own.stat().st_size == 4 * info.channels * done
                assert made.model.stat().st_size == 4 * info.channels * made.model_samples
        except BadAudio as error:
            told = str(error)
            if "\n" in told or re.search(r"\((Attribute|Type|Index|Key|Name|Struct)", told):
                raise AssertionError(told) from error
        finally:
            shutil.rmtree(self.folder / "work", ignore_errors=True)


@contextlib.contextmanager
def _errors_count() -> Iterator[list[str]]:
    """Collect what is logged with a traceback: to a user that is a crash that was swallowed."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and not isinstance(record.exc_info[1], OSError):
                found.append(logging.Formatter().format(record))

    handler = Handler()
    logger = logging.getLogger("tweeze")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


class _Host:
    name = "reaper"

    async def run(self) -> None: ...

    async def handle(self, request: Any, report: Any) -> None:
        report(_done(request.id))


def _done(id_: str) -> Any:
    from engine.status import JobState, Status

    return Status(id_, JobState.DONE)


class _Doors(Target):
    """A service that does no job, in a loop of this process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from bridge.private import check_private
        from engine.queue.journal import Journal
        from engine.queue.service import Service

        self.folders = Folders(folder / "home")
        check_private(self.folders)
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.journal = Journal(self.folders.journal)
        self.service = Service(self.folders, self.journal)

    def close(self) -> None:
        self.journal.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class SpoolFiles(_Doors):
    """Files of any name and content in the spool's folders: each is taken, or put away and said."""

    name = "spool"
    seeds = tuple(
        bytes((place,)) + name + b"\0" + text
        for place, (name, text) in enumerate(
            (
                (b"job-1", inputs.TEXTS[0]), (b"j2", inputs.TEXTS[1]), (b"job-1", b"end\n"),
                (b"r-1", inputs.TEXTS[4]), (b"job-1", inputs.TEXTS[2]), (b"j2", b""),
            )
        )
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from bridge.doors.spool import Spool
        from bridge.requests import Requests

        self.requests = Requests(self.service, {"reaper": _Host()})
        self.spool = Spool(self.service, self.requests, patience=-1)

    def strategy(self) -> st.SearchStrategy[bytes]:
        name = st.one_of(st.sampled_from([b"job-1", b"x", b"a" * 65]), st.binary(max_size=20))
        return st.builds(
            lambda place, name, text: bytes((place,)) + name + b"\0" + text,
            st.integers(0, 255),
            name,
            st.one_of(inputs.texts(), st.sampled_from(inputs.TEXTS)),
        )

    def check(self, data: bytes) -> None:
        name, _, text = data[1:].partition(b"\0")
        f = self.folders
        folder = (f.jobs, f.cancel, f.requests, f.status)[data[0] % 4 if data else 0]
        path = folder / os.fsdecode(name.replace(b"/", b"_")[:200])
        try:
            if data[:1] and data[0] >= 250:
                path.symlink_to("/etc/passwd")
            elif data[:1] and data[0] >= 244:
                os.mkfifo(path)
            else:
                path.write_bytes(text)
        except (OSError, ValueError):
            return  # no name for a file
        with _errors_count() as errors:
            self.loop.run_until_complete(self._look())
        assert not errors, errors[0]
        if not path.name.startswith(".") and folder != f.status:
            assert not os.path.lexists(path), f"{path.name!r} stays"
        for place in (f.jobs, f.cancel, f.requests, f.status, f.spool / "refused"):
            for left in place.iterdir() if place.exists() else ():
                left.unlink()
        strays = {path.name for path in f.root.iterdir()} - {
            "clips", "mixtures", "models", "spool", "journal.sqlite", "journal.sqlite-wal",
            "journal.sqlite-shm",
        }  # fmt: skip
        assert not strays, f"a file came to lie outside its folder: {strays}"

    async def _look(self) -> None:
        self.spool._statuses.catch_up()
        for _ in range(2):  # what is not whole is given up at the second look
            await self.spool._take_all()
        await asyncio.gather(*self.requests._tasks.values(), return_exceptions=True)
        for entry in self.journal.unfinished():
            self.service.cancel(entry.job.id)
        for id_ in self.journal.ended_before(time.time() + 60):
            self.journal.forget(id_)


class OscHandler(_Doors):
    """Packets as they come from the socket, with the secret known to whoever sends them."""

    name = "osc-handler"
    seeds = inputs.osc_seeds()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from bridge.doors.osc import Osc
        from bridge.requests import Requests

        self.requests = Requests(self.service, {"reaper": _Host()})
        self.osc = Osc(self.service, self.requests)
        self.osc._secret = inputs.SECRET
        self.osc._transport = self  # type: ignore[assignment]
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def sendto(self, packet: bytes, to: tuple[str, int]) -> None:
        self.sent.append((packet, to))

    def strategy(self) -> st.SearchStrategy[bytes]:
        return inputs.packets()

    def check(self, data: bytes) -> None:
        self.sent.clear()
        self.loop.run_until_complete(self._take(data))
        for packet, to in self.sent:
            assert to[0] == "127.0.0.1"
            # An error names what it complains of; who said the secret twice hears it again.
            assert data.count(inputs.SECRET.encode()) > 1 or inputs.SECRET.encode() not in packet
        if inputs.SECRET.encode() not in data:
            assert not self.sent, "an answer without the secret"
        elif data.startswith(inputs.packet("/tweeze/play", "s", inputs.osc_text(inputs.SECRET))):
            assert self.sent, "a message with the secret is dropped without a word"

    async def _take(self, data: bytes) -> None:
        with _errors_count() as errors:
            self.osc._take(data, ("127.0.0.1", 40_000))
        assert not errors, errors[0]
        await self.requests.close()


class OscSocket(Target):
    """Batches of packets to the socket of a running engine, which must go on answering."""

    name = "osc-socket"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from bridge.doors.osc import Access
        from tests.hosts.reaper.studio import Engine, until

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.engine = Engine(Folders(folder / "home"), "stand-in")
        with mock.patch.dict(os.environ, {"TWEEZE_OSC_PORT": str(port)}):
            self.engine.start()
        until(lambda: (a := Access.read(self.engine.folders)) and a.port)
        access = Access.read(self.engine.folders)
        assert access is not None
        self.secret = access.secret
        self.to = ("127.0.0.1", access.port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(30)
        # The input names the secret as it is in `inputs`, so that it can be run again elsewhere.
        self.packets = inputs.osc_seeds()
        self.seeds = tuple(b"\n".join(p.hex().encode() for p in self.packets) for _ in range(1))
        beat = __import__("engine.queue.heartbeat", fromlist=["Heartbeat"]).Heartbeat
        self.process = psutil.Process(beat.of_living(self.engine.folders).pid)
        self.rss = 0

    def strategy(self) -> st.SearchStrategy[bytes]:
        rows = st.lists(inputs.packets().map(lambda p: p.hex().encode()), max_size=20)
        return rows.map(b"\n".join)

    def make(self, rng: random.Random) -> bytes:
        rows = (inputs.mutate(rng, rng.choice(self.packets), self.packets) for _ in range(20))
        return b"\n".join(row[:60_000].hex().encode() for row in rows)

    def check(self, data: bytes) -> None:
        for row in data.split(b"\n"):
            if len(row) % 2 == 0:
                raw = bytes.fromhex(row.decode("ascii", "replace")) if _is_hex(row) else row
                raw = raw.replace(inputs.SECRET.encode(), self.secret.encode())
                self.socket.sendto(raw[:60_000], self.to)
        status = inputs.packet("/tweeze/status", "s", inputs.osc_text(self.secret))
        self.socket.sendto(status, self.to)
        while not self.socket.recv(65536).startswith(b"/tweeze/engine"):
            pass
        assert self.process.is_running()
        log = self.engine.folders.log.read_text("utf-8")
        assert "Traceback" not in log, log[-2000:]
        assert self.secret not in log
        rss = self.process.memory_info().rss
        self.rss = self.rss or rss
        assert rss - self.rss < 64 << 20, "the engine grows"

    def close(self) -> None:
        self.socket.close()
        self.engine.stop()


def _is_hex(row: bytes) -> bool:
    return all(byte in b"0123456789abcdef" for byte in row)


class _Talk:
    """Audacity's end of the pipe: answers the greeting, then with the replies of an input."""

    def __init__(self, replies: list[bytes], folder: Path) -> None:
        self.replies = replies
        self.folder = folder
        self.waiting: list[bytes] = []
        self.greeted = False

    def send(self, data: bytes, timeout: float) -> None:
        assert data.count(b"\n") == 1, f"more than one command: {data!r}"
        assert len(data) <= 1023
        if not self.greeted:
            self.greeted = True
            token = data.partition(b":")[0]
            self.waiting.append(
                b"Your batch command of %s was not recognized.\n"
                b"BatchCommand finished: Failed!\n\n" % token
            )
            return
        reply = self.replies.pop(0) if self.replies else b"BatchCommand finished: OK\n\n"
        name = data.partition(b":")[0]
        if name == b"Export2":
            path = shlex.split(data.decode())[1].partition("=")[2]
            Path(path).write_bytes(reply)
            reply = b"BatchCommand finished: OK\n\n"
        if name == b"NyquistPrompt":
            path = data.decode().split('strcat \\"')[1].split('\\"')[0]
            Path(f"{path}1").write_bytes(reply)
            reply = b"BatchCommand finished: OK\n\n"
        self.waiting.append(reply)

    def receive(self, deadline: float) -> bytes | None:
        return self.waiting.pop(0) or None if self.waiting else None

    def close(self) -> None: ...


class Audacity(Target):
    """What Audacity, or who sits in its place, answers while a selection is captured."""

    name = "audacity"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sounds = inputs.sounds()
        clips, tracks, ok = inputs.REPLIES[:3]
        setting = inputs.REPLIES[5]
        view = b"0.5\n2.5\n500\n4000\nSpectrogram\nT\n48000\nSong\n"
        labels = inputs.REPLIES[-1]
        self.seeds = (  # in the order in which `capture` asks
            inputs.CUT.join((clips, tracks, ok, sounds[2], view, ok, labels)),
            inputs.CUT.join(
                (clips, tracks, ok, sounds[0], setting, ok, sounds[2], ok, view, ok, labels)
            ),
            inputs.CUT.join(inputs.REPLIES),
        )
        self.captured: list[timeline.Captured] = []

    def strategy(self) -> st.SearchStrategy[bytes]:
        return inputs.conversations()

    def check(self, data: bytes) -> None:
        from audacity import pipe as pipes

        self.captured = []
        mixtures = self.folder / "mixtures"
        mixtures.mkdir(exist_ok=True)
        talk = _Talk(data.split(inputs.CUT), self.folder)
        with mock.patch.object(pipes, "_connect", return_value=talk):
            try:
                with pipes.Pipe(timeout=1, patience=0) as pipe:
                    keepsake = self.folder / "keepsake"
                    self.captured = timeline.capture(pipe, mixtures, keepsake=keepsake)
            except TweezeError:
                pass
        for path in mixtures.iterdir():
            assert ".part" not in path.name, "an unfinished mixture is left"
            path.unlink()
        (self.folder / "keepsake").unlink(missing_ok=True)


class Checkpoints(Target):
    """Files that are said to hold a model: read as data, whatever they ask for."""

    name = "checkpoints"
    memory = 2 * MEMORY

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.canary = folder / "canary"
        self.seeds = inputs.checkpoints(self.canary)
        self.reading = False
        self.done: list[str] = []
        from engine.models.audiosep import checkpoint

        warm = folder / "warm"
        for seed in self.seeds[:5]:
            warm.write_bytes(seed)
            with contextlib.suppress(ModelBroken):
                checkpoint.read(warm)
        sys.addaudithook(self._audit)

    _FORBIDDEN = (
        "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen",
        "socket.connect", "socket.bind", "os.remove", "os.rename", "os.mkdir", "os.chmod",
        "shutil.rmtree", "ctypes.dlopen", "pty.spawn", "os.symlink", "os.link", "os.truncate",
    )  # fmt: skip

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.reading:
            return
        if event in self._FORBIDDEN:
            self.done.append(f"{event}{arguments!r:.200}")
        elif event == "open" and isinstance(arguments[2], int):
            if not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            self.done.append(f"open for writing: {arguments!r:.200}")

    def check(self, data: bytes) -> None:
        from engine.models.audiosep import checkpoint
        from engine.models.compact.weights import network_from

        path = self.folder / "model.ckpt"
        path.write_bytes(data)
        self.done.clear()
        self.reading = True
        try:
            with contextlib.suppress(ModelBroken):
                checkpoint.read(path)
            with contextlib.suppress(ModelBroken):
                network_from(data, "weights")
        finally:
            self.reading = False
        assert not self.canary.exists(), "code in a checkpoint was run"
        assert not self.done, self.done[0]


class Graphs(Target):
    """OpenVINO's graph of a model: only the very bytes that Tweeze wrote are given to it."""

    name = "graphs"
    memory = 4 * MEMORY

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import openvino
        from openvino import opset13 as ops

        x = ops.parameter([1, 4], openvino.Type.f32, name="x")
        weights = ops.constant([[0.5, 1, 2, 3]], openvino.Type.f32)
        model = openvino.Model([ops.relu(ops.multiply(ops.add(x, weights), weights))], [x], "m")
        openvino.save_model(model, folder / "seed.xml", compress_to_fp16=False)
        xml, weight = (folder / "seed.xml").read_bytes(), (folder / "seed.bin").read_bytes()
        record = (
            b'{"form": 1, "origin": "x", "files": {"graph.xml": "0"}, "graph": {"openvino": 1}}'
        )
        self.seeds = (xml + inputs.CUT + weight, record + inputs.CUT + weight)

    def check(self, data: bytes) -> None:
        from engine.models import int8
        from engine.models.audiosep.fast import FastForm

        form = FastForm(self.folder / "fast")
        form.folder.mkdir(exist_ok=True)
        xml, weight = self.seeds[0].split(inputs.CUT, 1)
        form.graph.write_bytes(xml)
        form.graph.with_suffix(".bin").write_bytes(weight)
        form.note_graph({"measured": 1})
        record = (form.folder / "form.json").read_bytes()
        # What was recorded is not what lies there now.
        changed, _, other = data.partition(inputs.CUT)
        form.graph.write_bytes(changed)
        form.graph.with_suffix(".bin").write_bytes(other)
        if form.has_graph():
            assert (changed, other) == (xml, weight), "a graph is read that Tweeze has not written"
        # Nor is the record itself more than text.
        (form.folder / "form.json").write_bytes(changed if len(changed) < 500 else record)
        form.is_made_from("x")
        form.graph_facts()
        int8.Plan.of_record(form.draft_facts().get("plan"), {})
        form.damaged()


class Lua(Target):
    """What REAPER's scripts read: statuses, signs of life, offers, notes, requests, clips."""

    name = "lua"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from lupa.lua54 import LuaRuntime

        note = (
            b"tweeze=1\nid=b1\nproject={A}\nfile=/a.rpp\nmute=no\nlabel=dog\njob=b1-1\ntrack={T}\n"
            b"title=Take 1\nposition=0.5\nlength=2\noriginal={I}\nitem:D_VOL=1\ntake:D_PAN=0\nend\n"
        )
        self.seeds = (*inputs.TEXTS, note, *inputs.sounds()[:9])
        scripts = Path(__file__).parents[2] / "reaper"
        self.lua = LuaRuntime(unpack_returned_tuples=True, encoding="latin-1")
        boot = self.lua.eval("function(source, ...) return load(source)(...) end")
        self.read = boot(_LUA, str(scripts), str(folder))
        for name in ("status", "jobs", "reaper/wishes", "reaper/cancel"):
            (folder / "spool" / name).mkdir(parents=True)
        (folder / "Data" / "Tweeze" / "pending").mkdir(parents=True)

    def strategy(self) -> st.SearchStrategy[bytes]:
        return st.one_of(inputs.texts(), inputs.waves())

    def check(self, data: bytes) -> None:
        for name in (
            "spool/status/j", "spool/engine", "spool/reaper/offer", "spool/reaper/wishes/w",
            "Data/Tweeze/pending/b1", "clip.wav",
        ):  # fmt: skip
            (self.folder / name).write_bytes(data)
        self.read()


_LUA = r"""
local scripts, folder = ...
package.path = scripts .. '/?.lua'
local states = {}
local listed = { ['/spool/reaper/wishes'] = 'w', ['/Data/Tweeze/pending'] = 'b1' }
reaper = {
  EnumerateFiles = function(path, index)
    return index == 0 and listed[path:sub(#folder + 1)] or nil
  end,
  GetResourcePath = function() return folder end,
  GetExtState = function(_, key) return states[key] or '' end,
  SetExtState = function(_, key, value) states[key] = value end,
  GetProjExtState = function() return 1, '{A}' end,
  EnumProjects = function() return nil end,
  time_precise = function() return 1.5 end,
  file_exists = function() return false end,
  GetOS = function() return 'Other' end,
}
local home = require 'tweeze.home'
local jobs = require 'tweeze.jobs'
local pending = require 'tweeze.pending'
local requests = require 'tweeze.requests'
local wav = require 'tweeze.wav'
return function()
  local where = { root = folder, spool = folder .. '/spool' }
  local status = jobs.status(where, 'j')
  if status then
    assert(type(status.state) == 'string' and type(status.message) == 'string')
    assert(status.progress >= 0 and status.progress <= 1, 'progress ' .. status.progress)
    for _, clip in ipairs(status.clips) do
      assert(type(clip.path) == 'string' and type(clip.name) == 'string', 'clip')
      assert(clip.kind == 'target' or clip.kind == 'residual', 'kind')
    end
  end
  home.heartbeat(where)
  local offer = home.offer(where)
  assert(#offer.models > 0)
  for _, option in ipairs(offer.options) do assert(type(option.name) == 'string') end
  local request = requests.take(where)
  if request then
    assert(type(request.action) == 'string' and #request.queries >= 0)
    for _, pair in ipairs(request.options) do assert(#pair == 2) end
  end
  for _, batch in ipairs(pending.all()) do
    pending.belongs(batch, 0)
    pending.is_attended(batch)
    for _, region in ipairs(batch.regions) do
      assert(type(region.track_id) == 'string' and type(region.title) == 'string', 'region')
      assert(math.type(region.position) and math.type(region.length), 'region')
    end
  end
  local reader = wav.open(folder .. '/clip.wav')
  if reader then
    assert(reader.frames >= 0 and reader.channels >= 1 and reader.rate >= 1, 'wav')
    reader.read(0)
    reader.read(math.max(0, math.floor(reader.frames) - 1))
    reader.close()
  end
end
"""


class Commands(Target):
    """The command line's arguments: one sentence and an exit code, whatever they are."""

    name = "commands"
    seeds = tuple(
        b"\0".join(words)
        for words in (
            (b"separate", b"street.wav", b"dog", b"--keep", b"both", b"--out", b"out"),
            (b"separate", b"street.wav", b"dog", b"--sharpness", b"1.5", b"--json"),
            (b"status", b"job-1", b"--json"), (b"status",), (b"cancel", b"job-1"), (b"log", b"-n", b"5"),
            (b"stop",), (b"start",), (b"osc",), (b"--version",), (b"--debug", b"status", b"x"),
            (b"insert", b"job-1", b"--again", b"--host", b"reaper"), (b"trigger", b"dog", b"--mute"),
            (b"models", b"list", b"--json"), (b"models", b"verify", b"x"), (b"models", b"remove", b"x"),
            (b"models", b"add", b"street.wav", b"--name", b"a", b"--clap", b"b"), (b"models", b"-h"),
        )
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from bridge.private import check_private

        check_private(Folders(folder / "home"))
        (folder / "street.wav").write_bytes(inputs.sounds()[0])

    def strategy(self) -> st.SearchStrategy[bytes]:
        words = sorted({word for seed in self.seeds for word in seed.split(b"\0")})
        word = st.one_of(st.sampled_from(words), st.text(max_size=20).map(_encoded))
        return st.lists(word, max_size=8).map(b"\0".join)

    def check(self, data: bytes) -> None:
        from bridge import cli, launch
        from engine.errors import EngineUnreachable

        words = [os.fsdecode(word) for word in data.split(b"\0")]
        # These would leave this process: to the network, to other programs, or never come back.
        if {"pull", "install", "uninstall", "demo", "doctor", "-f", "--follow"} & set(words):
            return
        if any(word.startswith("--follow"[: max(3, len(word))]) for word in words):
            return

        def unreachable(*_: object, **__: object) -> None:
            raise EngineUnreachable("There is no engine here.")

        out, err = io.StringIO(), io.StringIO()
        home = {"TWEEZE_HOME": str(self.folder / "home"), "HOME": str(self.folder)}
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with (
                mock.patch.dict(os.environ, home),
                mock.patch.object(launch, "ensure", unreachable),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = cli.run(words)
        finally:
            os.chdir(before)
        said = err.getvalue()
        assert code in (0, 1, 2, 130), code
        assert "Unexpected error" not in said, said
        assert "--debug" in words or "Traceback" not in said, said
        if code:
            assert said.strip(), "no reason is given"
        assert not [c for c in said if ord(c) < 32 and c != "\n"], said


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").replace(b"\0", b"")


TARGETS: dict[str, Callable[[Path], Target]] = {
    target.name: target
    for target in (
        Texts, SpoolFiles, Sounds, OscHandler, OscSocket, Audacity, Checkpoints, Graphs, Lua, Commands,
    )
}  # fmt: skip


def room() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for a target; in memory where that can be had, for inputs become files."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="tweeze-fuzz-", dir=where)


@contextlib.contextmanager
def opened(name: str, folder: Path | None = None) -> Iterator[Target]:
    """Make a target ready, in `folder` or in one of its own, and let go of it again."""
    with contextlib.ExitStack() as stack:
        target = TARGETS[name](folder or Path(stack.enter_context(room())))
        try:
            yield target
        finally:
            target.close()
