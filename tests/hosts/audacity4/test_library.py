"""The extension's library call by call, under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadJob
from engine.folders import Folders
from engine.job import Job
from engine.status import Clip, ClipKind, JobState, Status
from engine.text_form import lines
from tests.hosts.audacity4 import driven as module
from tests.hosts.audacity4.driven import Driven, driven

BAD, UNKNOWN = 3, 2


@pytest.fixture(scope="module")
def parser() -> Iterator[Driven]:
    with driven(Path("/nowhere")) as made:
        yield made


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "höme \N{DOG}")
    made.make()
    return made


@pytest.fixture
def library(folders: Folders) -> Iterator[Driven]:
    with driven(folders.root) as made:
        yield made


def beat(folders: Folders, *, off: float = 0.0) -> None:
    folders.heartbeat.write_text(f"tweeze=1\npid=1\ntime={int(time.time() + off)}\nend\n")


def noise(frames: int, channels: int = 1) -> Any:
    return np.random.default_rng(1).uniform(-9, 9, (channels, frames)).astype("<f4")


def sent(library: Driven, samples: Any, rate: int = 48000) -> tuple[float, str]:
    """Hand samples over in one chunk; return the handle and the job's id."""
    handle = library.well("begin", library.home, rate, len(samples))
    buffers = [library.buffer(row.tobytes()) for row in samples]
    assert library.well("put", handle, samples.shape[1], *buffers) == samples.shape[1]
    return handle, library.well("submit", handle, "query=dog\n")


def done(folders: Folders, id_: str, *names: str) -> None:
    clips = tuple(Clip(folders.clips / id_ / n, ClipKind.TARGET, "dog", n) for n in names)
    (folders.status / id_).write_text(Status(id_, JobState.DONE, 1.0, clips=clips).to_text())


# Calls and their arguments.


def test_what_is_no_call(library: Driven, folders: Folders) -> None:
    few = library.buffer(b"\0" * 12)
    handle = library.well("begin", library.home, 48000, 1)
    assert library.call("delete", library.home)[0] == UNKNOWN
    for call in (
        ("version", 1.0),
        ("alive",),
        ("alive", 1.0),
        ("alive", ...),
        ("alive", library.home, library.home),
        ("begin", library.home, 48000),
        ("begin", library.home, 48000, 3),
        ("begin", library.home, 48000, 0),
        ("begin", library.home, 48000.5, 1),
        ("begin", library.home, 0, 1),
        ("begin", library.home, float("nan"), 1),
        ("begin", library.home, 1e300, 1),
        ("put", handle),
        ("put", handle, 3),
        ("put", handle, 4, few),
        ("put", handle, 0, few),
        ("put", handle, -1, few),
        ("put", handle, 1.5, few),
        ("put", handle, float("nan"), few),
        ("put", handle, 65537, library.buffer(b"\0" * 4 * 65537)),
        ("put", handle, 3, few, few),
        ("put", handle, 3, "samples"),
        ("put", handle, "3", few),
        ("put", handle, 3, None),
        ("put", handle, 3, few, few, few),
        ("submit", handle, "query=dog\n"),  # nothing was put
        ("submit", handle),
        ("submit", handle, True),
        ("state", handle),  # not submitted
        ("fetch", handle, 0, 0, 3, few),
        ("state", "1"),
        ("probe", "text"),
        ("probe", "text", 1.0),
        ("report", library.home),
    ):
        assert library.call(*call)[0] == BAD, call
    for call in (("put", 99, 3, few), ("submit", 0, "query=dog\n"), ("state", 2.5)):
        status, said = library.call(*call)
        assert (status, said) == (1, "This separation is not known any more: start it again.")
    for call in ("cancel", "finish"):
        assert library.call(call, 77) == (0, None)
    assert library.well("cancel", handle) is None
    assert library.call("state", handle)[0] == 1
    assert not list(folders.mixtures.iterdir())


FIELDS = [
    "",
    "query=dog",
    "query\n",
    "=dog\n",
    "end\n",
    "query=dog\nend\n",
    "end=1\n",
    "id=mine\n",
    "mixture=/etc/passwd\n",
    "tweeze=2\n",
    "query=d\x07og\n",
    "query=dog\n\n",
    "query=dog\r",
    "query=" + "d" * 70000 + "\n",
]


def test_a_job_says_nothing_that_is_the_librarys(library: Driven) -> None:
    handle = library.well("begin", library.home, 48000, 1)
    library.well("put", handle, 1, library.buffer(b"\0" * 4))
    for fields in FIELDS:
        assert library.call("submit", handle, fields)[0] == BAD, fields[:40]
    library.well("submit", handle, "query=dog\n")
    assert library.call("submit", handle, "query=dog\n")[0] == BAD, "sent twice"
    assert library.call("put", handle, 1, library.buffer(b"\0" * 4))[0] == BAD, "after the end"


# Handing over.


def test_a_mixture_and_its_job(library: Driven, folders: Folders) -> None:
    for channels in (1, 2):
        _a_mixture_and_its_job(library, folders, channels)
        for folder in (folders.mixtures, folders.jobs):
            for path in folder.iterdir():
                path.unlink()


def _a_mixture_and_its_job(library: Driven, folders: Folders, channels: int) -> None:
    samples = noise(65536 + 7, channels)
    handle = library.well("begin", library.home, 44100, channels)
    (unfinished,) = folders.mixtures.iterdir()
    assert unfinished.name.startswith(".")
    assert unfinished.stat().st_mode & 0o777 == 0o600
    first = [library.buffer(row[:65536].tobytes()) for row in samples]
    # The last chunk's buffers are longer than it.
    last = [library.buffer(row[65536:].tobytes() + b"\xff" * 8) for row in samples]
    assert library.well("put", handle, 65536, *first) == 65536
    assert library.well("put", handle, 7, *last) == 65543
    assert not list(folders.jobs.iterdir())
    id_ = library.well("submit", handle, "query=größe \N{DOG}\nquery=c\nnot=a=b\ntitle=\n")
    (path,) = folders.jobs.iterdir()
    assert path.name == id_
    assert path.stat().st_mode & 0o777 == 0o600
    job = Job.from_text(path.read_text())
    assert job.queries == ("größe \N{DOG}", "c")
    assert job.nots == ("a=b",)
    assert list(folders.mixtures.iterdir()) == [job.mixture]
    found, rate = soundfile.read(job.mixture, dtype="float32", always_2d=True)
    assert rate == 44100
    np.testing.assert_array_equal(found.T, samples)


def test_ids_sort_and_never_come_again(library: Driven) -> None:
    ids = []
    for _ in range(40):
        handle, id_ = sent(library, noise(1))
        library.well("finish", handle)
        ids.append(id_)
    assert len(set(ids)) == 40
    if sys.platform == "linux":
        open_ones = list(Path(f"/proc/{library.program.pid}/fd").iterdir())
        assert len(open_ones) < 10, "files stay open"
    assert [i[:25] for i in ids] == sorted(i[:25] for i in ids)


def test_there_is_a_most(library: Driven, folders: Folders) -> None:
    handles = [library.well("begin", library.home, 48000, 1) for _ in range(16)]
    assert "too much at once" in library.call("begin", library.home, 48000, 1)[1]
    library.well("cancel", handles[3])
    library.well("begin", library.home, 48000, 1)
    for handle in handles:
        library.call("cancel", handle)


def test_no_home(tmp_path: Path) -> None:
    environment = {"TWEEZE_HOME": "", "HOME": "", "XDG_DATA_HOME": "relative"}
    with driven(tmp_path, environment=environment) as library:
        assert "folder is not known" in library.call("begin", "", 48000, 1)[1]
        assert library.well("alive", "") is False
        assert library.well("alive", "relative/home") is False
        assert library.call("report", "", "text")[0] == 1
    assert not list(tmp_path.iterdir())


HOMES = [
    ({"TWEEZE_HOME": "{}/named"}, "named"),
    ({"TWEEZE_HOME": "", "XDG_DATA_HOME": "{}/data"}, "data/tweeze"),
    ({"TWEEZE_HOME": "", "XDG_DATA_HOME": "", "HOME": "{}"}, ".local/share/tweeze"),
    ({"TWEEZE_HOME": "", "XDG_DATA_HOME": "relative", "HOME": "{}/h"}, "h/.local/share/tweeze"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="THE USUAL FOLDER elsewhere WAS NOT TRIED")
def test_the_usual_home(tmp_path: Path) -> None:
    for environment, where in HOMES:
        folders = Folders(tmp_path / where)
        folders.root.parent.mkdir(parents=True, exist_ok=True)
        folders.make()
        beat(folders)
        named = {key: value.format(tmp_path) for key, value in environment.items()}
        with driven(tmp_path, environment=named) as library:
            assert library.well("alive", "") is True, where


def test_a_full_disk_is_one_sentence(library: Driven, folders: Folders) -> None:
    handle = library.well("begin", library.home, 48000, 1)
    library.well("put", handle, 1, library.buffer(b"\0" * 4))
    folders.jobs.rmdir()
    status, said = library.call("submit", handle, "query=dog\n")
    assert status == 1
    assert "is the disk full?" in said
    assert not list(folders.mixtures.iterdir())
    assert library.call("state", handle)[0] == 1


# The engine's sign of life.


def test_alive(library: Driven, folders: Folders) -> None:
    assert library.well("alive", library.home) is False
    beat(folders)
    assert library.well("alive", library.home) is True
    for off in (-6, 6, -1e6):
        beat(folders, off=off)
        assert library.well("alive", library.home) is False
    now = int(time.time())
    long = f"time={now}\nroom={'.' * 2000000}\nend\n"
    for text in (
        f"time={now}\n",
        f"time={now}\nend",
        "time=now\nend\n",
        "end\n",
        "",
        long,
    ):
        folders.heartbeat.write_text(text)
        assert library.well("alive", library.home) is False, text[:20]


def test_what_is_no_file_is_not_waited_for(library: Driven, folders: Folders) -> None:
    os.mkfifo(folders.heartbeat)
    assert library.well("alive", library.home) is False
    folders.heartbeat.unlink()
    other = folders.root / "other"
    other.write_text(f"time={int(time.time())}\nend\n")
    folders.heartbeat.symlink_to(other)
    assert library.well("alive", library.home) is False


# States.


def test_states(library: Driven, folders: Folders) -> None:
    handle, id_ = sent(library, noise(5))
    assert library.well("state", handle) == "engine=no\nwaits=yes\nstate=unknown\n"
    beat(folders)
    (folders.jobs / id_).unlink()
    assert library.well("state", handle) == "engine=yes\nwaits=no\nstate=unknown\n"
    status = Status(id_, JobState.RUNNING, 0.25, "Größe \N{DOG}", notes=("a", "b"))
    (folders.status / id_).write_text(status.to_text())
    assert library.well("state", handle).splitlines() == [
        *("engine=yes", "waits=no", "state=running", "progress=0.2500"),
        *("message=Größe \N{DOG}", "note=a", "note=b"),
    ]
    for text in (status.to_text().replace(id_, "another").encode(), b"state=done\n", b"\xff\xfe"):
        (folders.status / id_).write_bytes(text)
        assert library.well("state", handle).endswith("state=unreadable\n")


def _status(clips: int = 2) -> Status:
    return Status(
        "j1",
        JobState.DONE,
        1.0,
        "Größe",
        tuple(
            Clip(Path(f"/a/b/c {n}.wav"), ClipKind.TARGET, f"q{n}", f"n{n}") for n in range(clips)
        ),
        notes=("one=two",),
        presence=(0.5,),
    )


def test_statuses_are_taken_apart(library: Driven) -> None:
    text, names = library.parse(_status().to_text().encode())
    assert names == ["c 0.wav", "c 1.wav"]
    assert text is not None
    assert text.splitlines() == [
        *("state=done", "progress=1.0000", "message=Größe", "note=one=two"),
        *("kind=target", "query=q0", "name=n0", "kind=target", "query=q1", "name=n1"),
    ]
    windows = _status(1).to_text().replace("\n", "\r\n").encode()
    assert library.parse(windows)[1] == ["c 0.wav"]
    assert library.parse(_status(64).to_text().encode())[0] is not None
    assert library.parse(_status(65).to_text().encode()) == (None, [])


NO_STATUSES = [
    b"",
    b"end",
    b"end\n",
    b"id=j1\nend\n",
    b"state=done\nend\nx=y\n",
    b"state=done\nend\nend\n",
    b"state=done",
    b"state=done\n",
    b"state=done\nid=j2\nend\n",
    b"state=done\nid=j\nend\n",
    b"state=done\nid=j11\nend\n",
    b"state=done\nword\nend\n",
    b"state=done\n=word\nend\n",
    b"state=done\n\nend\n",
    b"state=done\nmessage=\x00\nend\n",
    b"state=done\nmessage=\x7f\nend\n",
    b"state=done\nmessage=\xc2\x85\nend\n",
    b"state=done\nmessage=\xe2\x80\xa8\nend\n",
    b"state=done\nmessage=\xe2\x80\nend\n",
    b"state=done\nmessage=\xc0\xaf\nend\n",
    b"state=done\nmessage=\xed\xa0\x80\nend\n",
    b"state=done\nmessage=\xf4\x90\x80\x80\nend\n",
    b"state=done\nmessage=\xff\nend\n",
    b"state=done\nclip=/a\nend\n",
    b"state=done\nclip=/a\nkind=target\nend\n",
    b"state=done\nkind=target\nname=n\nend\n",
    b"state=done\nclip=/a\nname=n\nend\n",
    b"state=done\nclip=/a/\nkind=target\nname=n\nend\n",
    b"state=done\nclip=\nkind=target\nname=n\nend\n",
]


def test_what_is_no_status(library: Driven) -> None:
    for text in NO_STATUSES:
        assert library.parse(text) == (None, []), text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12), st.binary(max_size=200))
def test_any_text_is_read_as_the_engine_reads_it(parser: Driven, message: str, odd: bytes) -> None:
    try:
        text = lines([("state", "done"), ("message", message)])
    except BadJob:
        text = ""
    if text:
        assert parser.parse(text.encode()) == (f"state=done\nmessage={message}\n", [])
    elif "\n" not in message and not message.endswith("\r"):
        bad = f"state=done\nmessage={message}\nend\n".encode("utf-8", "surrogatepass")
        assert parser.parse(bad) == (None, [])
    parser.parse(odd)


def test_the_parser_survives_anything(library: Driven) -> None:
    """A hundred thousand odd statuses; `make soak` tries two million."""
    count = 100_000
    for _ in range(20 if os.environ.get("TWEEZE_MANY") else 1):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}")
        said = library.ask(f"fuzz {seed} {count} {_status().to_text().encode().hex()}")
        taken = int(said.split()[1])
        assert count / 20 < taken < count, "none of them, or all, were any good"


# Taking.


def test_clips_come_back(library: Driven, folders: Folders) -> None:
    for channels in (1, 2):
        _clips_come_back(library, folders, channels)


def _clips_come_back(library: Driven, folders: Folders, channels: int) -> None:
    samples, clips = noise(1000, channels), [noise(1000, channels) * (n + 2) for n in range(2)]
    handle, id_ = sent(library, samples)
    done(folders, id_, "one.wav", "two.wav")
    (folders.clips / id_).mkdir()
    for name, clip in zip(("one.wav", "two.wav"), clips, strict=True):
        soundfile.write(folders.clips / id_ / name, clip.T, 48000, subtype="FLOAT")
    library.well("state", handle)
    for number in (0, 1, 0):
        for first, frames in ((0, 1000), (0, 1), (999, 1), (300, 500)):
            buffers = [library.buffer(b"\xff" * 4 * (frames + 1)) for _ in range(channels)]
            assert library.well("fetch", handle, number, first, frames, *buffers) == frames
            for row, buffer in zip(clips[number], buffers, strict=True):
                got = library.show(buffer)
                assert got == row[first : first + frames].tobytes() + b"\xff" * 4
    few = [library.buffer(b"\0" * 4 * 10) for _ in range(channels)]
    for number, first, frames in (
        *((2, 0, 1), (-1, 0, 1), (0.5, 0, 1), (float("nan"), 0, 1), (1e300, 0, 1)),
        *((0, 1000, 1), (0, 991, 10), (0, -1, 1), (0, 0.5, 1), (0, 1e300, 1), (0, 0, 11)),
        *((0, float("nan"), 1), (0, 0, 0), (0, 0, float("nan"))),
    ):
        assert library.call("fetch", handle, number, first, frames, *few)[0] == BAD, (first, frames)
    library.well("finish", handle)
    assert library.call("fetch", handle, 0, 0, 1, *few)[0] == 1


def _wav(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"".join(n + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for n, c in chunks)
    return b"RIFF" + struct.pack("<I", size or len(body) + 4) + b"WAVE" + body


FLOAT = struct.pack("<HHIIHHH", 3, 1, 48000, 192000, 4, 32, 0)
EXTENSIBLE = b"\xfe\xff" + FLOAT[2:] + b"\0" * 6 + b"\3\0" + b"\0" * 14
DATA = noise(10).tobytes()


WAVS = [
    (_wav((b"fmt ", FLOAT), (b"data", DATA)), True),
    (_wav((b"odd ", b"x"), (b"fmt ", FLOAT), (b"fact", b"1234"), (b"data", DATA)), True),
    (_wav((b"data", DATA), (b"fmt ", FLOAT)), False),
    (_wav((b"fmt ", FLOAT), (b"data", DATA[:-4])), False),
    (_wav((b"fmt ", FLOAT), (b"data", DATA + b"1234")), False),
    (_wav((b"fmt ", FLOAT), (b"data", DATA))[:-4], False),
    (_wav((b"fmt ", FLOAT[:8]), (b"data", DATA)), False),
    (_wav((b"fmt ", b""), (b"data", DATA)), False),
    (_wav((b"fmt ", b"\xff" * 18), (b"data", DATA)), False),
    (_wav((b"fmt ", struct.pack("<H", 0xFFFE) + FLOAT[2:]), (b"data", DATA)), False),
    (
        _wav(
            (b"fmt ", EXTENSIBLE),
            (b"data", DATA),
        ),
        True,
    ),
    (b"RIFF", False),
    (b"", False),
    (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff", False),
    (b"RIFX" + _wav((b"fmt ", FLOAT), (b"data", DATA))[4:], False),
    (b"RIFF\0\0\0\0WAVE" + b"abcd\0\0\0\0" * 1000, False),
]


def test_wavs(library: Driven, folders: Folders) -> None:
    for content, fits in WAVS:
        handle, id_ = sent(library, noise(10))
        done(folders, id_, "clip.wav")
        (folders.clips / id_).mkdir()
        (folders.clips / id_ / "clip.wav").write_bytes(content)
        library.well("state", handle)
        buffer = library.buffer(b"\0" * 40)
        status, said = library.call("fetch", handle, 0, 0, 10, buffer)
        assert (status == 0) is fits, content[:60]
        if fits:
            assert library.show(buffer) == DATA
        else:
            assert said == "A clip does not fit the selection: start the separation again."
        library.well("finish", handle)


def test_a_name_is_no_path(library: Driven, folders: Folders) -> None:
    """What a status calls a clip is looked for in the job's own folder, and nowhere else."""
    handle, id_ = sent(library, noise(10))
    soundfile.write(folders.root / "secret.wav", noise(10).T, 48000, subtype="FLOAT")
    (folders.clips / id_).mkdir()
    for name in ("../../secret.wav", str(folders.root / "secret.wav"), "..", "."):
        (folders.status / id_).write_text(
            f"state=done\nclip={name}\nkind=target\nquery=dog\nname=dog\nend\n"
        )
        library.well("state", handle)
        status, said = library.call("fetch", handle, 0, 0, 1, library.buffer(b"\0" * 4))
        assert status == 1
        assert said == "A clip is not there any more: start the separation again."
    (folders.clips / id_ / "link.wav").symlink_to(folders.root / "secret.wav")
    done(folders, id_, "link.wav")
    library.well("state", handle)
    assert library.call("fetch", handle, 0, 0, 1, library.buffer(b"\0" * 4))[0] == 1


# Ends.


def test_cancel(library: Driven, folders: Folders) -> None:
    handle = library.well("begin", library.home, 48000, 1)
    library.well("put", handle, 1, library.buffer(b"\0" * 4))
    library.well("cancel", handle)
    assert not list(folders.mixtures.iterdir())

    handle, id_ = sent(library, noise(1))  # no engine lives: the job is taken back
    library.well("cancel", handle)
    assert not list(folders.mixtures.iterdir())
    assert not list(folders.jobs.iterdir())
    assert not list(folders.cancel.iterdir())

    beat(folders)
    handle, id_ = sent(library, noise(1))
    library.well("cancel", handle)
    (mark,) = folders.cancel.iterdir()
    assert mark.name == id_
    assert mark.read_text() == "end\n"
    assert library.call("cancel", handle) == (0, None)

    handle, id_ = sent(library, noise(1))
    library.well("finish", handle)
    assert len(list(folders.cancel.iterdir())) == 1


def test_what_was_abandoned_is_cancelled(tmp_path: Path, folders: Folders) -> None:
    source = tmp_path / "source" / "tweeze.c"
    source.parent.mkdir()
    text = module.current.read_text()
    assert text.count("FORGOTTEN 120") == 1
    source.write_text(text.replace("FORGOTTEN 120", "FORGOTTEN 1"))
    with driven(folders.root, source) as library:
        beat(folders)
        left = library.well("begin", library.home, 48000, 1)
        handle, id_ = sent(library, noise(1))
        deadline = time.monotonic() + 10
        while not list(folders.cancel.iterdir()):
            assert time.monotonic() < deadline
            beat(folders)
            library.well("cancel", library.well("begin", library.home, 48000, 1))
            time.sleep(0.2)
        assert [mark.name for mark in folders.cancel.iterdir()] == [id_]
        assert library.call("state", handle)[0] == 1
        assert library.call("put", left, 1, library.buffer(b"\0" * 4))[0] == 1
        assert [path.name for path in folders.mixtures.iterdir()] == [f"{id_}.wav"]


def test_report_and_probe(library: Driven, folders: Folders) -> None:
    path = library.well("report", library.home, "PASS größe\n")
    assert path == str(folders.root / "audacity4-selftest.txt")
    assert Path(path).read_text() == "PASS größe\n"
    library.well("report", library.home, "again")
    assert Path(path).read_text() == "again"
    buffer = library.buffer(struct.pack("<2f", 0.25, -1.5) + b"abc")
    assert library.well("probe", "\N{DOG}", buffer) == "\N{DOG}"
    assert library.show(buffer) == struct.pack("<2f", 0.5, -3) + b"abc"
    assert library.well("version") == "1"
