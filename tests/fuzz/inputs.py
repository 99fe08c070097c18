# ruff: noqa: E501 - tables of words
"""What the fuzzers feed: seeds that are well formed, mutations of them, Hypothesis strategies."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from hypothesis import strategies as st

from engine.job import Job, Placement
from engine.options import Options
from engine.request import Request
from engine.status import Clip, ClipKind, JobState, Status
from engine.text_form import lines

NUMBERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 1 << 20)
NUMBERS += (0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (
    b"end\n", b"\n", b"\r\n", b"=", b"id=", b"../../x", b"/dev/zero", b"\0", b"\x1b[2J", b"nan",
    b"-1", b"1e999", b"inf", b"9" * 5000, "²".encode(), "\u202e".encode(), b"\xed\xa0\x80", b"\xff",
    b"$(id)", b"`id`", b'"', b"\\", b"Exit:", b"%s%n", b"[" * 2000, b"{}", b"null", b"true",
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change a few places of `data`: bits, numbers, parts left out, doubled, or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8, 30))):
        at = rng.randrange(len(changed) + 1)
        far = min(len(changed), at + rng.choice((1, 2, 4, 8, 40, 400)))
        way = rng.randrange(9)
        if way == 0 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif way == 1:
            changed[at : at + 1] = rng.randbytes(1)
        elif way == 2:
            order, size = rng.choice("<>"), rng.choice((2, 4, 8))
            number = (rng.choice(NUMBERS) + rng.choice((0, 0, -1, 1))) % (1 << 8 * size)
            changed[at : at + size] = number.to_bytes(size, "little" if order == "<" else "big")
        elif way == 3:
            del changed[at:far]
        elif way == 4:
            changed[at:at] = changed[at:far] * rng.choice((1, 1, 2, 50))
        elif way == 5:
            changed[at:at] = rng.choice(WORDS)
        elif way == 6:
            changed[at:far] = rng.choice(WORDS)
        elif way == 7:
            del changed[at:]
        elif others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            changed[at:far] = other[start : start + rng.choice((4, 40, 400))]
    return bytes(changed[: 1 << 21])


# Texts.

_CLIP = Clip(Path("/home/a/clips/j/street - dog.wav"), ClipKind.TARGET, "dog", "street - dog")
_PLACE = Placement("audacity", "a1 44100 - 0 abc def", "Track 1", 44_100, 44_100, True)
TEXTS = tuple(
    text.encode()
    for text in (
        Job("job-1", Path("/music/street.wav"), ("dog barking", "näin 🐕")).to_text(),
        Job("j2", Path("/m/a.wav"), ("a",), Options(sharpness=1.5), "Ö", _PLACE, "x").to_text(),
        Status("job-1", JobState.RUNNING, 0.25).to_text(),
        Status("job-1", JobState.DONE, 1.0, "", (_CLIP, _CLIP), 1.5, 2.0, ("Try 'bird'.",)).to_text(),
        Request("r-1", "audacity", (("action", "separate"), ("query", "dog"))).to_text(),
        Job("j3", Path("/m/a.wav"), ("a",), nots=("b",), answers=("x", "y"), beside="z", runtime="torch").to_text(),
        Request("r-2", "reaper", (("query", "dog; hi-hat - wind"), ("not", "rain"))).to_text(),
        lines([("tweeze", "1"), ("port", "9157"), ("secret", "0123456789abcdef" * 2)]),
        lines([("tweeze", "1"), ("pid", "77"), ("version", "0.1.0"), ("model", "compact"),
               ("state", "idle"), ("queue", "0"), ("running", ""), ("worker", "0"),
               ("time", "1700000000")]),
        lines([("tweeze", "1"), ("layout", "1")]),
        "a1 44100 - 0 0123 4567 89ab",
        '{"form": 1, "licence": "", "origin": "", "sources": [{"role": "separator", '
        '"path": "a.ckpt", "size": 1, "sha256": "00"}]}',
    )
)  # fmt: skip

_KEYS = (
    "tweeze", "id", "mixture", "query", "not", "answers", "beside", "runtime", "model", "keep", "stereo",
    "bandwidth", "sharpness", "compete", "auto", "twice", "precision", "context", "memory", "title",
    "client", "host", "project", "track", "start", "rate", "mute", "state", "progress", "message",
    "seconds", "loading", "bad_input", "note", "clip", "kind", "name", "port", "secret", "time",
    "job", "position", "length", "item:a", "action",
)  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(
        ["1", "2", "-1", "0.5", "1e9", "nan", "yes", "no", "done", "running", "queued", "compact",
         "target", "both", "residual", "exact", "job-1", "/a.wav", "../a", "audacity", "reaper", ""]
    ),
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip


def texts() -> st.SearchStrategy[bytes]:
    """Lines of known keys and any values, mostly whole."""
    pair = st.tuples(st.one_of(st.sampled_from(_KEYS), st.text(max_size=8)), _VALUES)
    ending = st.sampled_from(["end\n", "end\n", "end\n", "end", "", "end\nend\n", "END\n"])

    def join(pairs: list[tuple[str, str]], end: str) -> bytes:
        rows = "".join(f"{key}={value}\n" for key, value in pairs)
        return f"{rows}{end}".encode("utf-8", "surrogatepass")

    return st.builds(join, st.lists(pair, max_size=25), ending)


# Audio.


def sounds() -> tuple[bytes, ...]:
    """Small files of every kind that libsndfile writes here, and WAVs with odd chunks."""
    samples = (np.random.default_rng(3).standard_normal((600, 2)) * 0.1).astype(np.float32)
    kinds = [
        ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAVEX", "FLOAT"), ("RF64", "FLOAT"),
        ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("AU", "PCM_16"), ("CAF", "FLOAT"),
        ("CAF", "ALAC_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None),
        ("NIST", "PCM_16"), ("SVX", "PCM_16"), ("VOC", "PCM_16"), ("IRCAM", "PCM_16"),
        ("MAT4", "FLOAT"), ("MAT5", "FLOAT"), ("PVF", "PCM_16"), ("HTK", "PCM_16"),
        ("AVR", "PCM_16"), ("SDS", "PCM_16"), ("WVE", "ALAW"), ("XI", "DPCM_16"), ("PAF", "PCM_16"),
    ]  # fmt: skip
    found = []
    for kind, subtype in kinds:
        for channels in (2, 1):
            file = io.BytesIO()
            try:
                soundfile.write(file, samples[:, :channels], 48_000, subtype, format=kind)
            except (soundfile.SoundFileError, ValueError):
                try:
                    file = io.BytesIO()
                    soundfile.write(file, samples[:, :channels], 8_000, subtype, format=kind)
                except (soundfile.SoundFileError, ValueError):
                    continue
            found.append(file.getvalue())
            break
    assert len(found) > 15
    return tuple(found)


def joined() -> tuple[bytes, ...]:
    """Recordings of which several lie in one file, and MP3s within and without a tag."""
    samples = (np.random.default_rng(4).standard_normal((9_000, 2)) * 0.1).astype(np.float32)

    def written(kind: str, subtype: str, **options: object) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, 48_000, subtype, format=kind, **options)
        return file.getvalue()

    mp3 = written("MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.5)
    bare = mp3[mp3.index(b"\xff\xfb", 100) :]
    vorbis, opus = written("OGG", "VORBIS"), written("OGG", "OPUS")
    flac = bytearray(written("FLAC", "PCM_16"))
    flac[21:26] = bytes((flac[21] & 0xF0, 0, 0, 0, 0))  # of unknown length
    return (mp3 * 2, bare, mp3 + bare, vorbis * 2, opus * 2, vorbis + opus, bytes(flac))


def films() -> tuple[bytes, ...]:
    """Small files of some kinds that FFmpeg reads."""
    found = []
    for form, codec in (("mp4", "aac"), ("mov", "alac"), ("webm", "libopus"), ("adts", "aac"),
                        ("matroska", "ac3"), ("avi", "pcm_s16le"), ("tta", "tta")):  # fmt: skip
        file = io.BytesIO()
        with av.open(file, "w", format=form) as container:
            stream = container.add_stream(codec, rate=48_000, layout="stereo")
            resampler = av.AudioResampler(stream.format, "stereo", 48_000, stream.frame_size or 960)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 9_600), "<i2"), "s16", "stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            for part in (*resampler.resample(frame), *resampler.resample(None), None):
                container.mux(stream.encode(part))
        found.append(file.getvalue())
    return tuple(found)


def waves() -> st.SearchStrategy[bytes]:
    """RIFF files whose every number may be wrong."""
    number = st.one_of(st.sampled_from(NUMBERS), st.integers(0, 0xFFFFFFFF))

    def chunk(name: bytes, said: int | None, body: bytes) -> bytes:
        size = len(body) if said is None else said
        return name[:4].ljust(4) + struct.pack("<I", size) + body + b"\0" * (len(body) & 1)

    def form(tag: int, channels: int, rate: int, block: int, bits: int, more: bytes) -> bytes:
        head = struct.pack(
            "<HHIIHH", tag & 0xFFFF, channels & 0xFFFF, rate, rate, block & 0xFFFF, bits & 0xFFFF
        )
        return chunk(b"fmt ", None, head + more)

    forms = st.builds(
        form,
        st.one_of(st.sampled_from([1, 3, 6, 7, 2, 17, 0xFFFE]), number),
        st.one_of(st.sampled_from([1, 2]), number),
        st.one_of(st.sampled_from([8000, 44100, 768000]), number),
        st.one_of(st.sampled_from([1, 2, 4, 8]), number),
        st.one_of(st.sampled_from([8, 16, 24, 32, 64]), number),
        st.binary(max_size=30),
    )
    names = st.sampled_from(
        [b"LIST", b"fact", b"JUNK", b"PEAK", b"bext", b"cue ", b"smpl", b"ds64"]
    )
    others = st.builds(chunk, names, st.one_of(st.none(), number), st.binary(max_size=60))
    data = st.builds(chunk, st.just(b"data"), st.one_of(st.none(), number), st.binary(max_size=300))
    bodies = st.lists(st.one_of(forms, others, data), max_size=6).map(b"".join)
    usual = st.tuples(forms, bodies, data).map(b"".join)
    heads = st.sampled_from([b"RIFF", b"RIFX", b"RF64", b"FORM"])
    return st.builds(
        lambda head, size, body: head + struct.pack("<I", size) + b"WAVE" + body,
        heads,
        number,
        st.one_of(usual, bodies),
    )


# OSC.


def packet(address: str, tags: str, *values: bytes) -> bytes:
    """Return a message's bytes, whether or not it makes sense."""

    def padded(text: bytes) -> bytes:
        return text + b"\0" * (4 - len(text) % 4)

    return (
        padded(address.encode("utf-8", "replace")) + padded(f",{tags}".encode()) + b"".join(values)
    )


def osc_text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return data + b"\0" * (4 - len(data) % 4)


SECRET = "0123456789abcdef" * 2


def packets(secret: str = SECRET) -> st.SearchStrategy[bytes]:
    """Messages with the secret: known verbs, any arguments."""
    argument = st.one_of(
        st.tuples(st.just("s"), st.text(max_size=30).map(osc_text)),
        st.tuples(
            st.just("s"),
            st.sampled_from(["dog; rain", "reaper", "audacity", "both", "../x", ";", "job-1"]).map(
                osc_text
            ),
        ),
        st.tuples(st.just("i"), st.integers(-(1 << 31), (1 << 31) - 1).map(
            lambda n: struct.pack(">i", n))),
        st.tuples(st.just("f"), st.floats(width=32).map(lambda n: struct.pack(">f", n))),
        st.floats().map(lambda n: ("d", struct.pack(">d", n))),
        st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: ("h", struct.pack(">q", n))),
        st.sampled_from([
            ("T", b""), ("F", b""), ("N", b""), ("i", b"\0"), ("s", b"abc"), ("b", bytes(8)),
            ("t", bytes(8)), ("[", b""), ("]", b""), ("I", b""), ("\0", b""),
        ]),
    )  # fmt: skip
    verbs = st.sampled_from(["separate", "again", "cancel", "status", "subscribe", "play", "*"])

    def build(verb: str, arguments: list[tuple[str, bytes]]) -> bytes:
        tags = "s" + "".join(tag for tag, _ in arguments)
        values = (osc_text(secret), *(value for _, value in arguments))
        return packet(f"/tweeze/{verb}", tags, *values)

    single = st.builds(build, verbs, st.lists(argument, max_size=6))
    due = st.one_of(st.sampled_from([0, 1, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1))
    return st.recursive(
        single, lambda parts: st.builds(bundle, st.lists(parts, max_size=3), due), max_leaves=4
    )


def bundle(elements: Sequence[bytes], due: int = 1) -> bytes:
    """Return a bundle's bytes; the time tag 1 means immediately."""
    sized = (len(element).to_bytes(4, "big") + element for element in elements)
    return b"#bundle\0" + due.to_bytes(8, "big") + b"".join(sized)


def osc_seeds(secret: str = SECRET) -> tuple[bytes, ...]:
    text = osc_text
    return (
        packet("/tweeze/separate", "ssss", text(secret), text("dog; rain"), text("reaper"), text("both")),
        packet("/tweeze/separate", "sssi", text(secret), text("dog"), text(""), bytes(4)),
        packet("/tweeze/again", "ss", text(secret), text("reaper")),
        packet("/tweeze/cancel", "ss", text(secret), text("job-1")),
        packet("/tweeze/cancel", "s", text(secret)),
        packet("/tweeze/status", "s", text(secret)),
        packet("/tweeze/subscribe", "si", text(secret), struct.pack(">i", 9000)),
        packet("/tweeze/subscribe", "sf", text(secret), struct.pack(">f", float("nan"))),
        b"#bundle\0" + bytes(7) + b"\1" + (24).to_bytes(4, "big") + bytes(24),
        bundle([packet("/tweeze/status", "s", text(secret)), bundle([packet("/tweeze/cancel", "s", text(secret))])]),
        bundle([packet("/tweeze/cancel", "s", text(secret))], due=(1 << 64) - 1),
        packet("/tweeze/separate", "ssNNh", text(secret), text("dog"), struct.pack(">q", 1)),
        packet("/tweeze/cancel", "sd", text(secret), struct.pack(">d", 1.0)),
    )  # fmt: skip


# Audacity.

REPLIES = (
    b'[{"track":0,"start":0,"end":3,"color":0},{"track":0,"start":4.5,"end":6,"color":0}]\n'
    b"BatchCommand finished: OK\n\n",
    b'[{"name":"Track 1","focused":1,"selected":1,"kind":"wave","start":0,"end":3,"pan":0,'
    b'"gain":1,"channels":2,"solo":0,"mute":0},\n{"name":"Labels","kind":"label"}]\n'
    b"BatchCommand finished: OK\n\n",
    b"BatchCommand finished: OK\n\n",
    b"BatchCommand finished: Failed!\n\n",
    b"\n",
    b"6\nBatchCommand finished: OK\n\n",
    b"Syntax error!\n\n",
    b'[[1,[[0.25,1.25,"+ dog here"],[2,2,"- point"]]]]\nBatchCommand finished: OK\n\n',
)
CUT = b"\n<cut>\n"  # between the replies of one input


def conversations() -> st.SearchStrategy[bytes]:
    """Replies of Audacity, one after the other: JSON of any shape, and what else it may say."""
    leaf = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just(0)
    )
    keys = st.sampled_from(
        ["name", "kind", "channels", "selected", "mute", "solo", "pan", "track", "start", "end"]
    )
    track = st.fixed_dictionaries(
        {"kind": st.sampled_from(["wave", "label", 3]), "selected": leaf, "channels": leaf},
        optional={"name": leaf, "mute": leaf, "solo": leaf, "pan": leaf},
    )
    clip = st.fixed_dictionaries({"track": leaf, "start": leaf, "end": leaf})
    rows = st.lists(st.one_of(track, clip, st.dictionaries(keys, leaf), leaf), max_size=4)
    import json

    good = rows.map(lambda r: json.dumps(r).encode() + b"\nBatchCommand finished: OK\n\n")
    reply = st.one_of(good, st.sampled_from(REPLIES), st.binary(max_size=40))
    return st.lists(reply, max_size=8).map(CUT.join)


# Models.


class _Runs:
    """Pickles as a call that leaves a file."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self._call = (call, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def hostile_pickles(canary: Path) -> tuple[bytes, ...]:
    """Checkpoints that make the file `canary` when they are unpickled as Python does it."""
    import os

    import torch

    touch = f"touch '{canary}'"
    things: Iterable[object] = (
        _Runs(os.system, touch),
        _Runs(exec, f"open({str(canary)!r}, 'w')"),
        _Runs(eval, f"__import__('pathlib').Path({str(canary)!r}).touch()"),
        _Runs(open, str(canary), "w"),
        _Runs(os.makedirs, str(canary)),
        _Runs(np.save, str(canary), np.zeros(1)),
        _Runs(torch.save, {}, str(canary)),
    )
    found = []
    for thing in things:
        for form in ({"state_dict": {"ss_model.a": thing}}, thing):
            found.append(pickle.dumps(form))
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as whole:  # torch's own layout
                whole.writestr("archive/data.pkl", pickle.dumps(form, protocol=2))
                whole.writestr("archive/version", "3\n")
                whole.writestr("archive/byteorder", "little")
            found.append(file.getvalue())
    return tuple(found)


def checkpoints(canary: Path) -> tuple[bytes, ...]:
    """Small checkpoints in each layout, and hostile ones."""
    import torch
    from safetensors.torch import save as save_safetensors

    state = {
        "ss_model.base.a": torch.arange(12.0).reshape(3, 4),
        "ss_model.film.b": torch.zeros(2, dtype=torch.int64),
        "query_encoder.model.text_branch.c": torch.ones(5).half(),
    }
    found = [save_safetensors(state)]
    for new in (True, False):
        for form in ({"epoch": 3, "state_dict": state, "x": np.float64(1)}, state):
            file = io.BytesIO()
            torch.save(form, file, _use_new_zipfile_serialization=new)
            found.append(file.getvalue())
    return (*found, *hostile_pickles(canary))
