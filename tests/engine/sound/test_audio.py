from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import BadAudio
from engine.sound.audio import AudioInfo, FrameWriter, probe, read, wav_header


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [1_000, 44_100, 768_000])
def test_what_is_written_is_read_back_bit_by_bit(channels, rate, rng, tmp_path):
    x = rng.standard_normal((channels, 3_001)).astype(np.float32)
    x[0, :3] = [np.float32(-0.0), np.float32(1e-44), np.float32(3.5)]
    info = AudioInfo(rate, channels, 3_001)
    path = tmp_path / "x.wav"
    writer = FrameWriter(path, info)
    writer.write(x[:, :1_000])
    writer.write(x[:, 1_000:])
    writer.flush(to_disk=True)
    writer.close()
    assert probe(path) == info
    y, got_rate = read(path)
    assert got_rate == rate
    assert y.tobytes() == x.tobytes()
    assert soundfile.info(path).subtype == "FLOAT"


def test_a_writer_goes_on_from_a_frame(rng, tmp_path):
    x = rng.standard_normal((2, 500)).astype(np.float32)
    info = AudioInfo(48_000, 2, 500)
    for name, cut in (("whole.wav", 0), ("again.wav", 123)):
        path = tmp_path / name
        if cut:
            first = FrameWriter(path, info)
            first.write(x[:, : cut + 50])  # more than was noted: it is cut off again
            first.close()
            assert FrameWriter.holds(path, info, cut)
            assert not FrameWriter.holds(path, info, cut + 51)
        writer = FrameWriter(path, info, frame=cut)
        writer.write(x[:, cut:])
        writer.close()
    assert (tmp_path / "whole.wav").read_bytes() == (tmp_path / "again.wav").read_bytes()


def test_from_4_gib_on_the_header_is_rf64(tmp_path):
    info = AudioInfo(192_000, 2, 600_000_000)
    header = wav_header(info)
    assert header[:4] == b"RF64"
    path = tmp_path / "long.wav"
    with path.open("wb") as file:  # a sparse file: takes no room
        file.write(header)
        file.truncate(len(header) + info.frames * 8)
    assert probe(path) == info
    assert wav_header(AudioInfo(192_000, 2, 536_870_000))[:4] == b"RIFF"


def pcm(path, *, rate=44_100, channels=1, frames=100, claimed=None, data=None):
    """Write a 16-bit WAV file by hand, lies included."""
    data = b"\1\0" * frames * channels if data is None else data
    size = len(data) if claimed is None else claimed
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    path.write_bytes(
        struct.pack("<4sI4s4sI", b"RIFF", (36 + size) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16)
        + form
        + struct.pack("<4sI", b"data", size)
        + data
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("not a sound at all\n" * 50), "not an audio file"),
        (lambda p: p.write_bytes(os.urandom(4096)), "not an audio file"),
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: os.mkfifo(p), "is a device or a pipe"),
        (lambda p: p.symlink_to("/dev/zero"), "is a device or a pipe"),
        (lambda p: None, "does not exist"),
        (lambda p: p.symlink_to(p), "cannot be opened"),
        (lambda p: pcm(p, frames=0), "0 frames"),
        (lambda p: pcm(p, channels=7), "7 channels"),
        (lambda p: pcm(p, rate=3), "sample rate of 3 Hz"),
        (lambda p: pcm(p, rate=2_000_000), "sample rate of 2,000,000 Hz"),
    ],
)
def test_what_cannot_be_separated_gets_one_sentence(make, says, tmp_path):
    path = tmp_path / "x.wav"
    make(path)
    with pytest.raises(BadAudio, match=says) as caught:
        probe(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 160 + len(str(path))


def test_nothing_stays_open_after_an_error(tmp_path):
    pcm(tmp_path / "x.wav", channels=7)
    (tmp_path / "y.wav").write_bytes(b"noise" * 99)

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(20):
        for name in ("x.wav", "y.wav", "gone.wav", "."):
            with pytest.raises(BadAudio):
                probe(tmp_path / name)
    assert descriptors() == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_damaged_sample_is_named_by_its_time(value, wav):
    x = np.zeros((2, 200_000), np.float32)
    x[1, 132_300] = value
    path = wav(x, 44_100)
    assert probe(path).frames == 200_000
    with pytest.raises(BadAudio, match=r"3\.000000 s \(channel 2"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("FLAC", "PCM_24"),
        ("AIFF", "PCM_16"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_usual_formats_are_read(kind, subtype, rng, tmp_path):
    path = tmp_path / f"x.{kind.lower()}"
    x = (0.1 * rng.standard_normal((44_100, 2))).clip(-1, 1)
    soundfile.write(path, x, 44_100, format=kind, subtype=subtype)
    y, rate = read(path)
    assert rate == 44_100
    assert y.shape[0] == 2
    assert abs(y.shape[1] - 44_100) < 3_000
