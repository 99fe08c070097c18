"""Files that make a decoder hang or crash: they get a sentence, and the next file is read."""

from __future__ import annotations

import contextlib
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.errors import BadAudio, Cancelled, Failure
from engine.sound import reader
from engine.sound.audio import opened, probe, read
from tests.engine.sound.decoders.test_exact import mp3, written


def looping_wav():
    """80 bytes over which libsndfile 1.2.2 loops for ever: a list entry whose length is -8."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44_100, 88_200, 2, 16)
    entries = b"LIST" + struct.pack("<I4s4sI", 20, b"INFO", b"IXXX", 0xFFFFFFF8) + b"abcd1234"
    body = b"WAVE" + form + entries + struct.pack("<4sI", b"data", 4) + bytes(4)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def until_equal(look, wanted):
    deadline = time.monotonic() + 10
    while look() != wanted:
        assert time.monotonic() < deadline, f"{look()} is not {wanted}"
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(reader.LIMITS, "answer", 1.0)


@pytest.fixture
def readers():
    """Say which reader processes of this process live."""

    def alive():
        found = []
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if "engine.sound.reading" in child.cmdline():
                    found.append(child)
        return found

    return alive


@pytest.mark.fault(
    "a WAV file of 80 bytes makes libsndfile loop for ever",
    promise="one sentence, in bounded time; no process is left behind, and the next file is read",
    group="files",
)
def test_a_file_over_which_the_decoder_hangs(quick, readers, wav, rng, tmp_path):
    bad = tmp_path / "x.wav"
    bad.write_bytes(looping_wav())
    good = wav(rng.standard_normal((2, 900)).astype(np.float32), 44_100)
    with pytest.raises(BadAudio, match="opened twice, and each time the decoder gave no answer"):
        probe(bad)
    assert readers() == []
    assert probe(good).frames == 900
    assert len(readers()) == 1


def test_whoever_waits_for_a_hanging_decoder_can_give_up(readers, tmp_path):
    bad = tmp_path / "x.wav"
    bad.write_bytes(looping_wav())

    def tick():
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"), opened(bad, tick=tick):
        pass
    assert readers() == []


@pytest.mark.fault(
    "the process that decodes a file is killed in the middle of it",
    promise="another takes over where it was; killed again, a sentence",
    group="files",
)
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_reader_that_is_lost_in_the_middle(name, quick, readers, tmp_path, tries):
    if not hasattr(signal, name):
        pytest.skip(f"NOT TESTED: this system has no {name}.")
    path = tmp_path / "x.mp3"
    path.write_bytes(mp3(300_000))
    whole = read(path)[0]
    for deaths in (1, 2):
        pieces = []
        with opened(path) as sound:
            blocks = sound.blocks(20_000)
            for _ in range(deaths):
                pieces += [next(blocks), next(blocks)]
                for process in readers():
                    process.send_signal(getattr(signal, name))
                if name == "SIGKILL":
                    psutil.wait_procs(readers(), timeout=10)
            if deaths == 1:
                pieces += blocks
                assert np.concatenate(pieces, axis=1).tobytes() == whole.tobytes()
            else:
                with pytest.raises(BadAudio, match="opened twice"):
                    list(blocks)
    tries(3)


def test_a_waiting_reader_that_died_is_replaced(readers, wav, rng):
    path = wav(rng.standard_normal((1, 500)).astype(np.float32), 48_000)
    assert probe(path).frames == 500
    for process in readers():
        process.kill()
        process.wait(10)
    assert probe(path).frames == 500


def test_several_files_at_once(tmp_path):
    paths = []
    for number, rate in enumerate((8_000, 16_000, 44_100)):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(written("WAV", "PCM_16", 200_000, rate))
        paths.append((path, rate))
    told = []

    def take(path, rate):
        samples, got = read(path)
        told.append((got == rate, samples.shape))

    threads = [threading.Thread(target=take, args=pair) for pair in paths * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [(True, (2, 200_000))] * 9


def test_a_reader_goes_with_whoever_started_it(tmp_path):
    """Even while its decoder loops, and even if the one that started it was killed."""
    bad = tmp_path / "x.wav"
    bad.write_bytes(looping_wav())
    code = (
        "import sys; from pathlib import Path; from engine.sound.audio import probe; "
        "probe(Path(sys.argv[1]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(bad)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    busy = []
    while not busy and time.monotonic() < deadline:
        children = psutil.Process(parent.pid).children()
        busy = [child for child in children if child.cpu_times().user > 0.6]
        time.sleep(0.05)
    assert busy
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    gone, alive = psutil.wait_procs(busy, timeout=10)
    assert gone
    assert not alive


def test_what_a_reader_writes_to_its_output_is_its_own(tmp_path, capfd):
    """libsndfile's MP3 decoder prints warnings about a tag that does not fit."""
    path = tmp_path / "x.mp3"
    path.write_bytes(mp3(100_000)[:20_000])
    assert read(path)[1] == 44_100
    assert "Warning" not in capfd.readouterr().err


def test_nothing_stays_open(readers, wav, rng):
    path = wav(rng.standard_normal((2, 500)).astype(np.float32), 44_100)
    probe(path)

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(10):
        with opened(path) as sound:
            next(sound.blocks(100))
        for process in readers():
            process.kill()
            process.wait(10)
    probe(path)
    until_equal(descriptors, before)


def test_a_program_that_is_gone_is_named(wav, rng, monkeypatch, tmp_path):
    path = wav(rng.standard_normal((1, 500)).astype(np.float32), 44_100)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone" / "python"))
    with pytest.raises(Failure, match=r"gone/python was moved or removed .* 'tweeze stop'"):
        reader._Reader()
    monkeypatch.undo()
    assert read(path)[1] == 44_100
