"""Whatever is decoded: block by block gives the samples of decoding whole, and all there is."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sound.decoders import mpeg
from engine.sound.decoders.base import Layout, Part, Undecodable
from engine.sound.decoders.opening import OpenFile
from engine.sound.decoders.sndfile import SndfileDecoder

# What cannot be opened without being told its rate and channels (RAW), has its sound in another
# file (SD2), or cannot be written here.
_NOT = {"RAW", "SD2"}


def _pairs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (kind, subtype)
            for kind in soundfile.available_formats()
            if kind not in _NOT
            for subtype in soundfile.available_subtypes(kind)
        ]


def noise(frames, channels, seed=1):
    """Noise whose loudness changes, so that a variable bit rate varies."""
    rng = np.random.default_rng(seed)
    loud = 0.02 + 0.3 * np.abs(np.sin(np.arange(frames) / 9_000.0))
    return (rng.standard_normal((frames, channels)) * loud[:, None]).clip(-1, 1).astype("float32")


def written(kind, subtype, frames=30_000, rate=44_100, channels=2, **options):
    """Return a file's bytes, or None where libsndfile does not write that combination."""
    file = io.BytesIO()
    try:
        soundfile.write(
            file, noise(frames, channels), rate, format=kind, subtype=subtype, **options
        )
    except (soundfile.SoundFileError, ValueError):
        return None
    return file.getvalue()


def same(samples, others):
    """Whether two decodings of an MP3 are equal to float rounding.

    `soundfile.read` goes back to the start before it reads, after which libsndfile's decoder rounds
    differently.
    """
    return samples.shape == others.shape and np.abs(samples - others).max() < 1e-6


def decode(path, block=1 << 16):
    """Return all samples, the rate, and the notes."""
    file = OpenFile(path, follow=True)
    try:
        pieces = []
        while len(piece := file.decoder.read(block)):
            assert len(piece) <= block
            pieces.append(piece)
        return np.concatenate(pieces), file.decoder.rate, tuple(file.decoder.notes)
    finally:
        file.close()


@pytest.mark.parametrize(("kind", "subtype"), _pairs())
def test_every_format_block_by_block(kind, subtype, tmp_path):
    path = tmp_path / "x"
    for rate, channels, frames, blocks in (
        (8_000, 1, 3_001, (1, 577)),
        (44_100, 2, 30_000, (577, 4_096)),
        (48_000, 1, 30_000, (10_007,)),
        (48_000, 2, 70_000, (1 << 16,)),
    ):
        data = written(kind, subtype, frames, rate, channels)
        if data is None:
            continue  # no such file can be made here: there is nothing to read
        path.write_bytes(data)
        whole, got, notes = decode(path, 1 << 20)
        assert got == soundfile.info(path).samplerate
        assert notes == ()
        if "DWVW" not in subtype:  # `soundfile.read` cannot read what it cannot go back in
            expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
            exact = "MPEG" not in subtype
            assert whole.tobytes() == expected.tobytes() if exact else same(whole, expected)
        for block in blocks:
            assert decode(path, block)[0].tobytes() == whole.tobytes(), f"in blocks of {block}"


@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
@settings(max_examples=8, deadline=None)
@given(
    frames=st.integers(1_153, 150_000),
    rate=st.sampled_from([16_000, 22_050, 32_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
    blocks=st.lists(st.integers(90, 70_000), min_size=1, max_size=5),
)
def test_mp3_in_blocks_of_any_size(mode, frames, rate, channels, blocks):
    data = written(
        "MP3", "MPEG_LAYER_III", frames, rate, channels, bitrate_mode=mode, compression_level=0.6
    )

    def decoded(sizes):
        decoder = SndfileDecoder(data, Layout((Part(0, len(data)),)))
        pieces = []
        while len(piece := decoder.read(sizes[len(pieces) % len(sizes)])):
            pieces.append(piece)
        return np.concatenate(pieces)

    whole = decoded([1 << 20])
    assert decoded(blocks).tobytes() == whole.tobytes()
    assert same(whole, soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0])


def first_frame(data):
    """Return where the first MPEG frame begins and how long it is: the encoder's tag."""
    at = data.index(b"\xff\xfb")
    assert data[at : at + 200].find(b"Xing") > 0 or data[at : at + 200].find(b"Info") > 0
    return at, data.index(b"\xff\xfb", at + 100) - at


def mp3(frames=150_000, mode="VARIABLE", **options):
    return written(
        "MP3", "MPEG_LAYER_III", frames, bitrate_mode=mode, compression_level=0.5, **options
    )


def untagged(data):
    at, size = first_frame(data)
    return data[at + size :]


@pytest.mark.fault(
    "a VBR MP3 has no Xing header (libsndfile stops at a guess, in the middle)",
    promise="all frames are decoded",
    group="files",
)
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_mp3_without_its_tag(mode, tmp_path):
    """Only the first 1,105 frames are more: the tag says how many of the encoder's to drop."""
    data = mp3(mode=mode)
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    tagged = decode(path)[0]
    assert len(tagged) == 150_000
    path.write_bytes(untagged(data))
    bare, _, notes = decode(path)
    assert len(bare) == -(-(150_000 + 1_105) // 1152) * 1152
    assert np.allclose(bare[1_105 + 2_000 : 150_000], tagged[2_000 : 150_000 - 1_105], atol=1e-6)
    assert notes == ()


@pytest.mark.fault(
    "a file holds several recordings, one joined to the other (MP3, Ogg Vorbis, Opus)",
    promise="all of them are decoded, one after the other",
    group="files",
)
@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 48_000),
    ],
)
def test_joined_recordings(kind, subtype, rate, tmp_path):
    parts = [written(kind, subtype, frames, rate=rate) for frames in (60_000, 31_234, 90_000)]
    path = tmp_path / "x"
    single = []
    for part in parts:
        path.write_bytes(part)
        single.append(decode(path)[0])
    path.write_bytes(b"".join(parts))
    samples, _, notes = decode(path, 5_000)
    assert samples.tobytes() == np.concatenate(single).tobytes()
    assert notes == ()


def test_a_joined_recording_of_another_kind_is_left_out_and_that_is_said(tmp_path):
    path = tmp_path / "x.ogg"
    first = written("OGG", "VORBIS", 44_100)
    path.write_bytes(first + written("OGG", "OPUS", 48_000, rate=48_000))
    samples, _, notes = decode(path)
    assert len(samples) == 44_100
    assert len(notes) == 1
    assert "goes on from 1.000 s with another sample rate" in notes[0]
    assert "48,000 Hz" in notes[0]


def test_an_mp3_that_holds_more_than_its_tag_says(tmp_path):
    """Joined without the second one's tag, or lengthened by an editor that left the tag alone."""
    data = mp3(40_000, "CONSTANT")
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    whole = decode(path)[0]
    path.write_bytes(data + untagged(data))
    samples = decode(path)[0]
    assert len(samples) > 79_000
    assert np.array_equal(samples[:38_000], whole[:38_000])


def test_tags_around_and_within_an_mp3(tmp_path):
    data = mp3(40_000)
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    alone = decode(path)[0]
    picture = b"\xff\xfb\x90\x64" * 9_000  # what looks like frames, within a tag
    size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\4\0\0" + size + picture
    for before, between, after in (
        (tag, b"", b""),
        (b"", tag, b""),
        (tag, tag, b"TAG" + bytes(125)),
    ):
        path.write_bytes(before + data + between + data + after)
        assert decode(path)[0].tobytes() == np.concatenate([alone, alone]).tobytes()


@pytest.mark.fault(
    "an MP3 lies in a WAV file, with constant or variable bit rate",
    promise="all of it is decoded, as from an MP3 file",
    group="files",
)
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("tagged", [True, False])
def test_mp3_in_wav(mode, tagged, tmp_path):
    data = mp3(mode=mode)
    data = data if tagged else untagged(data)
    bare, path = tmp_path / "x.mp3", tmp_path / "x.wav"
    bare.write_bytes(data)
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 2, 44_100, 16_000, 1, 0, 12, 1, 2, 417, 1, 1393)
    after = b"LIST" + struct.pack("<I", 4) + b"INFO"
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) + after
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert decode(path)[0].tobytes() == decode(bare)[0].tobytes()


def test_a_flac_of_unknown_length(tmp_path):
    data = bytearray(written("FLAC", "PCM_16"))
    data[21] &= 0xF0  # the number of samples: 36 bits from here on
    data[22:26] = bytes(4)
    path = tmp_path / "x.flac"
    path.write_bytes(data)
    file = OpenFile(path, follow=True)
    assert file.decoder.promised is None
    file.close()
    samples, _, notes = decode(path)
    assert len(samples) == 30_000
    assert notes == ()


def test_what_is_damaged_in_the_middle_is_refused_with_the_place(tmp_path):
    data = bytearray(written("FLAC", "PCM_16", 400_000))
    middle = len(data) // 2
    data[middle : middle + 3_000] = b"\x55" * 3_000
    path = tmp_path / "x.flac"
    path.write_bytes(data)
    with pytest.raises(Undecodable, match=r"cannot be decoded from \d\.\d{3} s on"):
        decode(path)


def test_who_opens_a_long_mp3_hears_that_it_comes_on():
    """Ten hours have 1.4 million frames, and counting them is no decoder that hangs."""
    data = mp3(40_000, "CONSTANT")
    _, size = first_frame(data)
    body = untagged(data)
    told = []
    long = body * (200_000 * size // len(body))
    found = mpeg.layout(long, 0, len(long), lambda: told.append(1))
    assert len(told) >= 2
    assert sum(part.frames for part in found.parts) > 131_072 * 1152
