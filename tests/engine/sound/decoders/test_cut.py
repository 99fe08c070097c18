"""Files of pipes, of recorders that lost their power, of copies that broke off."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from engine.sound.decoders.opening import OpenFile
from tests.engine.sound.decoders.test_exact import decode, mp3, noise, written

FRAMES = 30_000


def whole(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def wav(subtype="PCM_16", endian="LITTLE"):
    """Return a WAV file in three pieces: what is before the length of its sound, after, and it."""
    data = written("WAV", subtype, FRAMES, endian=endian)
    at = data.index(b"data") + 4
    return data[:at], data[at + 4 :], int.from_bytes(data[at : at + 4], endian.lower())


@pytest.mark.fault(
    "a WAV file comes from a pipe or a recorder that lost its power: its length is made up",
    promise="what is there is decoded, to the last whole frame",
    group="files",
)
@pytest.mark.parametrize(
    "length",
    [0, 0x7F00_0000, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FF00, 0xFFFF_FFFE, 0xFFFF_FFFF],
    ids=hex,
)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_wav_of_unknown_length(length, subtype, endian, tmp_path):
    before, after, _ = wav(subtype, endian)
    path = tmp_path / "x.wav"
    path.write_bytes(before + length.to_bytes(4, endian.lower()) + after)
    samples, _, notes = decode(path)
    there = whole(written("WAV", subtype, FRAMES, endian=endian))
    assert samples.tobytes() == there.tobytes()
    assert notes == ()


@pytest.mark.parametrize("more", [1, 2, 3])
def test_wav_whose_length_is_a_little_off(more, tmp_path):
    before, after, length = wav()
    path = tmp_path / "x.wav"
    path.write_bytes(before + struct.pack("<I", length + more) + after)
    samples, _, notes = decode(path)
    assert len(samples) == FRAMES
    assert notes == ()
    path.write_bytes(before + struct.pack("<I", 0xFFFFFFFF) + after + b"\1" * more)
    assert len(decode(path)[0]) == FRAMES


def test_wav_whose_header_was_last_written_long_before_its_end(tmp_path):
    before, after, _ = wav()
    twice = after + whole_seconds(2)
    path = tmp_path / "x.wav"
    path.write_bytes(before + struct.pack("<I", 4 * FRAMES) + twice)
    samples, _, notes = decode(path)
    assert len(samples) == FRAMES + 2 * 44_100
    assert notes == (
        "goes on after the 0.680 s that its header names. The 2.680 s that are there were used.",
    )


def whole_seconds(seconds):
    return (noise(seconds * 44_100, 2, 5) * 32_767).astype("<i2").tobytes()


def test_what_follows_the_sound_in_a_wav_is_no_sound(tmp_path):
    before, after, length = wav()
    tags = b"LIST" + struct.pack("<I", 400_000) + b"INFO" + bytes(399_996)
    path = tmp_path / "x.wav"
    path.write_bytes(before + struct.pack("<I", length) + after + tags)
    samples, _, notes = decode(path)
    assert len(samples) == FRAMES
    assert notes == ()


@pytest.mark.fault(
    "a copy of a file broke off (WAV, AIFF, RF64, W64, AU, CAF, FLAC, Ogg, MP3)",
    promise="what is there is decoded, bit by bit, and a sentence says that it was cut off",
    group="files",
)
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAVEX", "PCM_24"),
        ("WAV", "IMA_ADPCM"),
        ("AIFF", "PCM_16"),
        ("AIFF", "FLOAT"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_24"),
        ("AU", "PCM_16"),
        ("AU", "FLOAT"),
        ("CAF", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.73, 0.97])
def test_cut_off(kind, subtype, share, tmp_path):
    rate = 48_000 if subtype == "OPUS" else 44_100
    data = written(kind, subtype, 300_000, rate=rate)
    path = tmp_path / "x"
    path.write_bytes(data[: int(len(data) * share)])
    samples, _, notes = decode(path, 10_000)
    there = whole(data)
    # Codecs lose what needs more than is there: a block of ADPCM or FLAC, a page of Ogg.
    assert len(there) * share - 60_000 < len(samples) < len(there) * (share + 0.1)
    compared = len(samples) - (5_000 if kind == "OGG" else 0)
    assert samples[:compared].tobytes() == there[:compared].tobytes()
    assert len(notes) == 1
    assert "is cut off" in notes[0]
    assert f"The {len(samples) / rate:.3f} s that are there were used." in notes[0]
    if kind != "OGG":
        assert f"promises {len(there) / rate:.3f} s" in notes[0] or subtype == "IMA_ADPCM"


def test_a_cut_mp3(tmp_path):
    data = mp3(300_000)
    path = tmp_path / "x.mp3"
    path.write_bytes(data[: len(data) // 2])
    samples, _, notes = decode(path)
    there = whole(data)
    assert np.array_equal(samples[: len(samples) - 1152], there[: len(samples) - 1152])
    assert len(notes) == 1
    assert "is cut off" in notes[0]


def test_a_cut_mp3_promises_what_was_there_before(tmp_path):
    data = mp3(300_000)
    path = tmp_path / "x.mp3"
    path.write_bytes(data[: len(data) // 2])
    file = OpenFile(path, follow=True)
    try:
        assert abs(file.decoder.promised - 300_000) < 3_000
    finally:
        file.close()


def test_an_mp3_with_damage_in_the_middle_is_not_called_cut(tmp_path):
    data = mp3(300_000)
    path = tmp_path / "x.mp3"
    half = data.index(b"\xff\xfb", len(data) // 2)
    path.write_bytes(data[:half] + bytes(5_000) + data[half:])
    samples, _, notes = decode(path)
    assert abs(len(samples) - 300_000) < 3_000
    assert notes == ("holds damaged pieces, which were left out: copy it again.",)


def test_a_chain_of_which_the_first_is_cut_is_told_of(tmp_path):
    data = written("OGG", "VORBIS", 200_000)
    path = tmp_path / "x.ogg"
    path.write_bytes(data[: len(data) // 2] + data)
    samples, _, notes = decode(path)
    assert len(samples) > 250_000
    assert len(notes) == 1
    assert "is cut off: an end is missing" in notes[0]


def test_an_mp3_joined_to_one_that_is_cut_within_a_frame_begins_where_it_does_alone(tmp_path):
    data = mp3(100_000)
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    alone = decode(path)[0]
    for cut in (len(data) // 2, len(data) // 2 + 100, len(data) // 2 + 211):
        path.write_bytes(data[:cut] + data)
        samples, _, notes = decode(path)
        assert np.array_equal(samples[-100_000:], alone)
        assert len(notes) == 1


@pytest.mark.parametrize(
    ("kind", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_joined_recordings_of_which_the_last_is_cut_are_told_of_once(kind, subtype, tmp_path):
    rate = 48_000 if subtype == "OPUS" else 44_100
    data = written(kind, subtype, 200_000, rate=rate)
    path = tmp_path / "x"
    path.write_bytes(data + data[: len(data) // 2])
    samples, _, notes = decode(path)
    assert len(samples) > 250_000
    assert len(notes) == 1
    assert "is cut off" in notes[0]
    assert f"The {len(samples) / rate:.3f} s that are there were used." in notes[0]


def test_joined_mp3s_of_which_the_first_is_cut_are_told_of_once(tmp_path):
    data = mp3(200_000)
    path = tmp_path / "x.mp3"
    path.write_bytes(data[: data.index(b"\xff\xfb", len(data) // 2)] + data)
    samples, rate, notes = decode(path)
    assert len(samples) > 250_000
    assert len(notes) == 1
    assert f"The {len(samples) / rate:.3f} s that are there were used." in notes[0]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        # Where a length stands (the tag before it, bytes after that), and how it is written.
        ("AIFF", [(b"COMM", 10, ">I", 0), (b"SSND", 4, ">I", 0)]),
        ("AIFF", [(b"COMM", 10, ">I", 0), (b"SSND", 4, ">I", 8)]),
        ("AIFF", [(b"COMM", 10, ">I", 0x7FFFFFFF), (b"SSND", 4, ">I", 0x7F000008)]),
        ("AU", [(b".snd", 8, ">I", 0)]),
        ("AU", [(b".snd", 8, ">I", 0xFFFFFFFF)]),
        ("W64", [(b"data\xf3\xac", 16, "<q", 0)]),
        ("W64", [(b"data\xf3\xac", 16, "<q", 24)]),
        ("W64", [(b"data\xf3\xac", 16, "<q", -1)]),
        ("RF64", [(b"ds64", 8, "<q", 0), (b"ds64", 16, "<q", 0), (b"ds64", 24, "<q", 0)]),
        ("RF64", [(b"ds64", 16, "<q", -1)]),
        ("CAF", [(b"data", 4, ">q", -1)]),
    ],
)
def test_other_containers_of_unknown_length(kind, fields, tmp_path):
    data = bytearray(written(kind, "PCM_16", FRAMES))
    there = whole(bytes(data))
    for tag, after, form, value in fields:
        struct.pack_into(form, data, data.index(tag) + after, value)
    path = tmp_path / "x"
    path.write_bytes(data)
    samples, _, notes = decode(path)
    assert samples[: len(there)].tobytes() == there.tobytes()
    assert len(samples) - len(there) < 4
    assert notes == ()
