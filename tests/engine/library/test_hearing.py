"""Listening for an index: chapters that do not show, vectors, and processes that end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from listeners import Tones, tone

from engine.advice.listening import hear as hear_at_once
from engine.errors import BadAudio
from engine.library import hearing
from engine.library.content import Content
from engine.library.hearers import Asked, Came, Hearers, Item, Known, News, Refused, Told
from engine.library.hearing import digest_of, hear, listener_mark
from engine.models import ears
from engine.sound.audio import read

RATE = 16_000


def wav(path: Path, *rows: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, np.stack(rows, axis=1), rate, subtype="FLOAT")
    return path


def item(path: Path) -> Item:
    about = path.stat()
    return Item(path, about.st_size, about.st_mtime_ns)


def times(content: Content, label: str) -> list[tuple[float, float]]:
    return [(h.start / 100, h.stop / 100) for h in content.happenings if h.label == label]


def test_a_sound_that_goes_on_over_chapters_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bark = tone("Bark", RATE, 16.0, (3.0, 7.0), (11.0, 13.0))
    rain = tone("Rain", RATE, 16.0, (8.0, 16.0))
    path = wav(tmp_path / "a.wav", bark + rain)
    whole = hear(path, b"x", Tones(), "m")
    assert [len(times(whole, label)) for label in ("Bark", "Rain")] == [2, 1]
    monkeypatch.setattr(hearing, "_CHAPTER", 10)  # five seconds
    parts = hear(path, b"x", Tones(), "m")
    for label in ("Bark", "Rain"):
        assert np.allclose(times(parts, label), times(whole, label), atol=0.5)
    assert times(parts, "Rain")[0][1] == 16.0
    assert (parts.seconds, parts.rate, parts.channels) == (16.0, RATE, 1)
    assert len(parts.vectors) == 128 * (1 + len(parts.happenings))


def test_it_is_heard_what_listening_at_once_hears(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", tone("Bark", RATE, 9.0, (2, 5)), tone("Rain", RATE, 9.0, (4, 8)))
    samples, rate = read(path)
    expected = hear_at_once([samples], rate, 2, Tones()).sounds
    content = hear(path, b"x", Tones(), "m")
    assert {(h.label, h.start / 100, h.stop / 100) for h in content.happenings} == {
        (one.label, event.start, event.stop) for one in expected for event in one.events
    }


def test_vectors_say_which_sound_is_where(tmp_path: Path) -> None:
    bark = tone("Bark", RATE, 12.0, (2, 4))
    rain = tone("Rain", RATE, 12.0, (5, 11))
    content = hear(wav(tmp_path / "a.wav", bark + rain), b"x", Tones(), "m")
    places = np.frombuffer(content.vectors, np.int8).reshape(-1, 128).astype(np.float32)
    by_label = dict(zip([h.label for h in content.happenings], places[1:], strict=True))
    assert by_label["Bark"][:3].argmax() == 0
    assert by_label["Rain"][:3].argmax() == 2
    assert places[0][:3].argmax() == 2, "the whole is mostly rain"


def test_the_whole_lies_where_the_listener_places_an_example(tmp_path: Path) -> None:
    listener = ears.load()
    noise = np.random.default_rng(1).standard_normal(5 * RATE).astype(np.float32) * 0.1
    noise[: 2 * RATE] = tone("Meow", RATE, 2.0, (0, 2))
    content = hear(wav(tmp_path / "a.wav", noise), b"x", listener, "m")
    place = np.frombuffer(content.vectors, np.int8)[:128].astype(np.float32)
    expected = listener.example(noise[None])
    assert place @ expected / np.linalg.norm(place) > 0.9995


def test_silence_has_no_place_and_no_sound(tmp_path: Path) -> None:
    content = hear(wav(tmp_path / "a.wav", np.zeros(RATE, np.float32)), b"x", Tones(), "m")
    assert content.happenings == ()
    assert not any(content.vectors)
    assert "is silent" in content.notes[0]
    assert Content.from_json(content.to_json()) == content


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match="cannot be read"):
        digest_of(tmp_path / "none.wav")
    with pytest.raises(BadAudio):
        hear(tmp_path / "none.wav", b"x", Tones(), "m")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    made = [
        wav(folder / f"{n}.wav", tone("Bark", RATE, 2.0 + n, (0, 1)), rate=RATE) for n in range(4)
    ]
    bad = folder / "bad.wav"
    bad.write_bytes(b"no sound")
    return [*made, bad]


def heard(pool: Hearers, files: list[Path], known: bytes = b"") -> dict[str, News]:
    found: dict[str, News] = {}
    for news in pool.over([item(path) for path in files]):
        if isinstance(news, Asked):
            news.answer(news.digest == known)
        elif not isinstance(news, Told):
            found[news.item.path.name] = news
    return found


def kill() -> int:
    """Kill the processes that listen for this one; returns how many."""
    killed = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has ended, and waits to be asked for
            if "listening_process" in " ".join(child.cmdline()):
                child.kill()
                killed += 1
    return killed


def test_processes_hear_files_and_say_why_not(files: list[Path]) -> None:
    with Hearers(2) as pool:
        found = heard(pool, files, digest_of(files[3]))
    assert found.keys() == {path.name for path in files}
    assert isinstance(found["3.wav"], Known)
    bad = found["bad.wav"]
    assert isinstance(bad, Refused)
    assert "bad.wav" in bad.sentence
    assert not bad.passing
    for number in range(3):
        came = found[f"{number}.wav"]
        assert isinstance(came, Came)
        assert came.content.seconds == 2.0 + number
        assert came.content.digest == digest_of(files[number])
        assert came.content.listener == listener_mark()


@pytest.mark.fault(
    "a process that listens for an index is killed",
    promise="another one hears the file; no file is lost",
)
def test_a_process_that_dies_costs_no_file(files: list[Path]) -> None:
    """The first time that one is at work on a file, it is killed."""
    killed = 0
    with Hearers(1) as pool:
        found = {}
        for news in pool.over([item(path) for path in files[:2]]):
            if isinstance(news, Asked):
                if not killed:
                    killed = kill()
                news.answer(False)
            elif not isinstance(news, Told):
                found[news.item.path.name] = news
    assert killed == 1
    assert {name: type(news) for name, news in found.items()} == {"0.wav": Came, "1.wav": Came}


@pytest.mark.fault(
    "a file ends every process that listens to it",
    promise="it is a row with a sentence; the others are heard",
)
def test_a_file_that_kills_every_process_is_refused(files: list[Path]) -> None:
    with Hearers(1) as pool:
        found = {}
        for news in pool.over([item(path) for path in files[:2]]):
            if isinstance(news, Asked):
                if news.item.path.name == "0.wav":
                    kill()
                news.answer(False)
            elif not isinstance(news, Told):
                found[news.item.path.name] = news
    refused = found["0.wav"]
    assert isinstance(refused, Refused)
    assert "begun twice" in refused.sentence
    assert refused.passing
    assert isinstance(found["1.wav"], Came)


@pytest.mark.fault(
    "the process that indexes a library is killed",
    promise="those that listen for it end, too",
)
def test_processes_end_with_the_one_that_started_them() -> None:
    """Killed as it is, a parent leaves no process behind."""
    script = (
        "import time; from engine.library.hearers import _Process; process = _Process(); "
        "process.wait_until_ready(); print(process._process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        listening = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    listening.wait(20)


def test_closing_ends_the_waiting(files: list[Path]) -> None:
    pool = Hearers(1)
    threading.Timer(0.3, pool.close).start()
    with pytest.raises(Exception, match=r"does not start"):
        heard(pool, files)
