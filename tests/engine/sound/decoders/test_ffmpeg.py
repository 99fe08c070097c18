"""What FFmpeg reads: through PyAV and through its commands, with the same samples."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from engine.errors import BadAudio
from engine.sound.audio import probe, read
from engine.sound.decoders import ffmpeg
from engine.sound.decoders.base import Undecodable
from tests.engine.sound.decoders.test_exact import decode, noise

pytestmark = pytest.mark.usefixtures("command")


@pytest.fixture
def command():
    if shutil.which("ffmpeg") is None:
        said = "ffmpeg is not installed (tests/install-tools installs it)"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(f"WHAT FFMPEG READS WAS NOT TESTED, {said}")


@pytest.fixture(params=["library", "commands"])
def way(request, monkeypatch):
    """Have the one or the other FFmpeg do the work."""
    if request.param == "commands":
        monkeypatch.setitem(__import__("sys").modules, "av", None)
    else:
        assert importlib.util.find_spec("av"), "the extra 'formats' is part of the extra 'test'"
    return request.param


@pytest.fixture
def encoded(tmp_path):
    """Encode a second of noise: `encoded("x.m4a", "-c:a", "aac")`."""
    source = tmp_path / "source.wav"

    def make(name, *options, rate=44_100, channels=2, seconds=1.0, before=()):
        soundfile.write(source, noise(round(seconds * rate), channels), rate, subtype="PCM_16")
        path = tmp_path / name
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", *before, "-i", source, *options, path], check=True
        )
        return path

    return make


KINDS = [
    ("x.m4a", ["-c:a", "aac"]),
    ("x.mp4", ["-c:a", "aac", "-movflags", "faststart"]),
    ("x.m4a", ["-c:a", "alac"]),
    ("x.mov", ["-c:a", "pcm_s24le"]),
    ("x.3gp", ["-c:a", "aac", "-f", "3gp"]),
    ("x.aac", ["-c:a", "aac"]),
    ("x.wma", ["-c:a", "wmav2"]),
    ("x.mkv", ["-c:a", "ac3"]),
    ("x.webm", ["-c:a", "libopus", "-ar", "48000"]),
    ("x.wv", ["-c:a", "wavpack"]),
    ("x.tta", ["-c:a", "tta"]),
    ("x.ac3", ["-c:a", "ac3"]),
    ("x.flv", ["-c:a", "aac"]),
    ("x.avi", ["-c:a", "pcm_s16le"]),
    ("x.wav", ["-c:a", "adpcm_swf"]),
]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=lambda value: str(value))
def test_each_kind_is_the_same_both_ways_and_in_any_blocks(name, options, encoded, monkeypatch):
    path = encoded(name, *options)
    said = {}
    for way in ("library", "commands"):
        with monkeypatch.context() as patched:
            if way == "commands":
                patched.setitem(__import__("sys").modules, "av", None)
            said[way] = decode(path)
            assert decode(path, 577)[0].tobytes() == said[way][0].tobytes()
    samples, rate, notes = said["library"]
    assert samples.shape == said["commands"][0].shape
    assert np.abs(samples - said["commands"][0]).max() < 1e-6
    assert rate == said["commands"][1] == (48_000 if name == "x.webm" else 44_100)
    assert notes == said["commands"][2] == ()
    assert abs(len(samples) - rate) < 3_000  # codecs add some frames at the end


@pytest.mark.parametrize("options", [["-c:a", "alac"], ["-c:a", "aac", "-b:a", "256k"]])
def test_an_m4a_is_not_shifted(options, encoded, way):
    path = encoded("x.m4a", *options)
    samples = decode(path)[0][:44_100, 0]
    source = noise(44_100, 2)[:, 0]
    lags = range(-50, 51)
    middle = slice(2_000, 42_000)
    best = max(lags, key=lambda lag: float(np.dot(np.roll(samples, lag)[middle], source[middle])))
    assert best == 0


def test_the_sound_of_a_film_begins_where_audacitys_import_puts_it(encoded, way, tmp_path):
    early = encoded("early.m4a", "-c:a", "aac")
    film = ["-f", "lavfi", "-i", "testsrc=d=1:r=25:s=64x64", "-itsoffset", "0.5"]
    late = encoded(
        "late.mp4", "-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-c:a", "aac", before=film
    )
    sound, delayed = decode(early)[0], decode(late)[0]
    # 0.476 s in ticks of 1/44,100 s, which Audacity takes for microseconds: see decoders/ffmpeg.py
    silence = len(delayed) - len(sound) - 1024
    assert silence == round(20_992 / 1_000_000 * 44_100)
    assert not delayed[:silence].any()


def test_a_cut_film_is_taken_short_and_that_is_said(encoded, way):
    path = encoded("x.m4a", "-c:a", "aac", "-movflags", "faststart", seconds=20.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples, rate, notes = decode(path)
    assert 9 < len(samples) / rate < 11
    assert len(notes) == 1
    assert notes[0].startswith(("is cut off: its header promises 20.0", "holds damaged pieces"))


@pytest.mark.parametrize("content", ["silence.mp4", "garbage"])
def test_what_holds_no_sound_gets_a_sentence(content, encoded, way, tmp_path):
    path = tmp_path / "x.m4a"
    if content == "garbage":
        path.write_bytes(
            b"\0\0\0\x20ftypM4A " + bytes(20) + b"\0\0\x13\x88moov" + os.urandom(4_992)
        )
    else:
        film = ["-f", "lavfi", "-i", "testsrc=d=1:r=25:s=64x64"]
        path = encoded("x.mp4", "-map", "0:v", "-c:v", "mpeg4", before=film)
    with pytest.raises(Undecodable, match=r"has no audio track|cannot be decoded by FFmpeg"):
        decode(path)


def test_a_film_cut_off_before_its_index_gets_a_sentence(encoded, way):
    path = encoded("x.m4a", "-c:a", "aac", seconds=5.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(Undecodable, match=r"^has no index.*it was cut off, copy it again"):
        decode(path)


def test_a_refusal_gives_the_reason_in_words(way, tmp_path):
    path = tmp_path / "x.ogg"
    path.write_bytes(b"OggS is what this text begins with\n" * 100)
    with pytest.raises(Undecodable, match="cannot be decoded by FFmpeg") as caught:
        decode(path)
    assert "Errno" not in str(caught.value)
    assert "<none>" not in str(caught.value)


def test_a_playlist_leads_nowhere(tmp_path, way):
    """FFmpeg would follow it to other files, and into the network."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, noise(4_000, 1), 8_000)
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    ):
        path = tmp_path / "x.m4a"
        path.write_text(text)
        with pytest.raises(Undecodable, match="not an audio file"):
            decode(path)


def test_without_ffmpeg_the_refusal_says_what_to_install(encoded, monkeypatch, tmp_path):
    path = encoded("x.m4a", "-c:a", "aac")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    monkeypatch.setattr(ffmpeg.shutil, "which", lambda _: None)
    with pytest.raises(Undecodable, match="is an M4A") as caught:
        decode(path)
    assert "tweeze[formats]" in str(caught.value)
    assert "install ffmpeg" in str(caught.value)


def test_through_the_reader_process(encoded):
    path = encoded("x.m4a", "-c:a", "aac")
    samples, rate = read(path)
    assert rate == probe(path).rate == 44_100
    assert samples.T.tobytes() == decode(path)[0].tobytes()
    surround = encoded("y.m4a", "-c:a", "aac", "-ac", "6")
    with pytest.raises(BadAudio, match="has 6 channels"):
        probe(surround)
