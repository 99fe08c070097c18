"""Files that jobs name: a regular file, opened once, is read, and nothing else ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import BadAudio, BadInput, BadJob, Failure
from engine.folders import Folders
from engine.job import Job
from engine.models.base import FrameGrid
from engine.queue.admission import admit
from engine.sound import audio
from engine.sound.decoders.base import Undecodable
from engine.sound.decoders.opening import OpenFile
from engine.sound.mixture import prepare
from engine.status import Status
from tests.security.conftest import Home

GRID = FrameGrid(32000, 2048, 640, block=16, context=16, core=64)


def wav(path: Path, rate: int = 16_000, frames: int = 800) -> Path:
    samples = np.random.default_rng(1).standard_normal((frames, 1)) * 0.1
    soundfile.write(path, samples.astype(np.float32), rate, subtype="FLOAT")
    return path


def _link(path: Path) -> None:
    path.symlink_to(wav(path.with_name("real.wav")))


def _socket(path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (_link, "is a symbolic link"),
    "link to a device": (lambda p: p.symlink_to("/dev/zero"), "is a symbolic link"),
    "fifo": (lambda p: os.mkfifo(p), "is a device or a pipe"),
    "socket": (_socket, "is a device or a pipe"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "gone": (lambda p: None, "does not exist"),
}


@pytest.mark.fault(
    "a job names a link, FIFO, socket or folder", promise="it is refused in a sentence"
)
@pytest.mark.parametrize("what", ODD)
def test_a_job_reads_regular_files_only(tmp_path: Path, what: str) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    path = tmp_path / "mixture.wav"
    make, said = ODD[what]
    make(path)
    with pytest.raises(BadAudio, match=said):
        admit(Job("j", path, ("dog",)), folders)
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(BadAudio, match=said):  # and the worker looks for itself
        prepare(Job("j", path, ("dog",)), GRID, work, lambda share: None)


@pytest.mark.fault("a job names a device", promise="it is refused without being opened")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin"])
def test_devices_are_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda p, *a, **k: opened.append(str(p)) or real(p, *a, **k))
    with pytest.raises(Undecodable):
        _opened(Path(device))
    assert device not in opened
    with pytest.raises(BadAudio):
        admit(Job("j", Path(device), ("dog",)), folders)


@pytest.mark.fault("a job's path goes up ('..')", promise="it is refused in a sentence")
def test_a_path_that_goes_up_is_refused(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    wav(tmp_path / "mixture.wav")
    with pytest.raises(BadJob, match=r"contains '\.\.'"):
        admit(Job("j", tmp_path / "home" / ".." / "mixture.wav", ("dog",)), folders)


def test_the_command_line_takes_links_and_dots(tmp_path: Path, home: Home) -> None:
    """For these are the user's own words, made out before they become a job."""
    (tmp_path / "in").mkdir()
    real = wav(tmp_path / "in" / "real.wav")
    (tmp_path / "in" / "link.wav").symlink_to(real)
    file = tmp_path / "in" / ".." / "in" / "link.wav"
    done = home.tweeze("separate", file, "dog", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def _opened(path: Path) -> tuple[int, int, int]:
    """Open and decode a file as a reader process does; return its rate, channels and frames."""
    file = OpenFile(path, follow=False)
    try:
        frames = 0
        while len(block := file.decoder.read(500)):
            frames += len(block)
        return file.decoder.rate, file.decoder.channels, frames
    finally:
        file.close()


def _look(path: Path) -> str:
    try:
        assert _opened(path) == (16_000, 1, 800)
        return "read"
    except Undecodable:
        return "refused"


@pytest.mark.fault(
    "a mixture is exchanged for a link, a FIFO or another file while it is opened",
    promise="what is read is the file that was there, or it is refused; never waits",
)
def test_an_exchange_at_any_moment_is_harmless(
    tmp_path: Path, tries: Callable[[int], None]
) -> None:
    """A thread exchanges the file all the while; the other file has another rate."""
    path = wav(tmp_path / "mixture.wav", 16_000)
    stranger = wav(tmp_path / "stranger.wav", 44_100)
    content = path.read_bytes()
    end = threading.Event()

    def exchange() -> None:
        number = 0
        while not end.is_set():
            number += 1
            other = tmp_path / f"other-{number}"
            kind = number % 4
            if kind == 0:
                other.symlink_to(stranger)
            elif kind == 1:
                os.mkfifo(other)
            elif kind == 2:
                other.symlink_to("/dev/zero")
            else:
                other.write_bytes(content)
            other.replace(path)

    thread = threading.Thread(target=exchange)
    thread.start()
    outcomes = {"read": 0, "refused": 0}
    try:
        while min(outcomes.values()) < 100:
            outcomes[_look(path)] += 1
    finally:
        end.set()
        thread.join()
    tries(sum(outcomes.values()))


@pytest.mark.fault(
    "a mixture becomes a link just after it was looked at",
    promise="the system itself refuses to open it",
)
@pytest.mark.parametrize("target", ["stranger.wav", "/dev/zero"])
def test_a_link_put_there_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    path = wav(tmp_path / "mixture.wav")
    wav(tmp_path / "stranger.wav", 44_100)
    real = os.open

    def swap(name: object, *arguments: object, **more: object) -> int:
        if name == path and not path.is_symlink():
            path.unlink()
            path.symlink_to(target)
        return real(name, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(Undecodable, match="is a symbolic link"):
        _opened(path)


def test_a_device_put_there_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav(tmp_path / "mixture.wav")
    real = os.open

    def swap(name: object, *arguments: object, **more: object) -> int:
        if name == path:
            path.unlink()
            os.mkfifo(path)
        return real(name, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(Undecodable, match="is a device or a pipe"):
        _opened(path)


@pytest.mark.fault(
    "a mixture is exchanged for another while it is decoded",
    promise="header and samples are those of one file",
)
def test_header_and_samples_are_of_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav(tmp_path / "mixture.wav", 16_000, 800)
    with audio.opened(path, follow=False) as sound:
        wav(tmp_path / "other.wav", 44_100, 50).replace(path)
        assert sum(block.shape[1] for block in sound.blocks()) == sound.promised == 800


@pytest.mark.fault("a job's folder for clips is a link", promise="it is refused in a sentence")
def test_a_job_writes_into_its_own_folder_only(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "home")
    folders.make()
    (tmp_path / "elsewhere").mkdir()
    (folders.clips / "j").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="symbolic link"):
        admit(Job("j", wav(tmp_path / "a.wav"), ("dog",)), folders)


@pytest.mark.fault("a job or status names a path as its id", promise="it is refused in a sentence")
@pytest.mark.parametrize("id_", ["../x", "a/b", "..", ".", "", "-x", "a" * 65, "x\u202e", "a b"])
def test_an_id_is_never_a_path(id_: str) -> None:
    with pytest.raises(BadInput):
        Job.from_text(f"tweeze=1\nid={id_}\nmixture=/a.wav\nquery=dog\nend\n")
    status = Status.from_text("tweeze=1\nid=x\nstate=done\nprogress=1\nseconds=1\nloading=0\nend\n")
    with pytest.raises(BadJob):
        Status.from_text(status.to_text().replace("id=x", f"id={id_}"))
