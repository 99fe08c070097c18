"""What bad input gets, through the real command line and a real engine: one sentence each."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.job import Job, new_id
from engine.sound.decoders.base import Undecodable
from engine.sound.decoders.opening import OpenFile
from engine.status import JobState


def sound(path: Path, samples: np.ndarray, rate: int = 16_000) -> None:
    soundfile.write(path, samples.astype(np.float32), rate, subtype="FLOAT")


def noise(frames: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((frames, channels)) * 0.1


def with_sample(value: float) -> np.ndarray:
    samples = noise(16_000)
    samples[12_000] = value
    return samples


def claims_ten_hours(path: Path) -> None:
    data = 10 * 3600 * 44_100 * 2
    path.write_bytes(
        struct.pack("<4sI4s4sIHHIIHH", b"RIFF", data + 36, b"WAVE", b"fmt ", 16, 1, 1, 44_100,
                    44_100 * 2, 2, 16)
        + struct.pack("<4sI", b"data", data)
        + bytes(1024)
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file to make, what is asked of it, and what must be said then."""

    name: str
    make: Callable[[Path], object]
    said: str
    queries: tuple[str, ...] = ("dog barking",)
    options: tuple[str, ...] = ()
    code: int = 2


def good(path: Path) -> None:
    sound(path, noise(16_000, 2))


CASES = [
    Case("text", lambda p: p.write_text("once upon a time " * 99), "not an audio file"),
    Case("random", lambda p: p.write_bytes(os.urandom(5000)), "not an audio file"),
    Case("empty", lambda p: p.touch(), "is empty (0 bytes)"),
    Case("no_frames", lambda p: sound(p, noise(0)), "holds no sound (0 frames)"),
    Case("nan", lambda p: sound(p, with_sample(np.nan)), "damaged sample at 0.750000 s"),
    Case("inf", lambda p: sound(p, with_sample(np.inf)), "damaged sample at 0.750000 s"),
    Case("channels", lambda p: sound(p, noise(16_000, 7)), "has 7 channels"),
    Case("rate", lambda p: sound(p, noise(30), 3), "sample rate of 3 Hz"),
    Case("folder", lambda p: p.mkdir(), "is a folder"),
    Case("fifo", lambda p: os.mkfifo(p), "not a file"),
    Case("gone", lambda p: None, "does not exist"),
    Case("link_to_nothing", lambda p: p.symlink_to("nowhere.wav"), "does not exist"),
    Case("link_to_itself", lambda p: p.symlink_to(p), "cannot be opened"),
    Case("empty_query", good, "The query is empty", ("",)),
    Case("blank_query", good, "The query is empty", (" \n\t ",)),
    Case("long_query", good, "10,000 characters", ("a" * 10_000,)),
    Case("escape", good, "control character U+001B", ("dog\x1b[2J",)),
    Case("bell", good, "control character U+0007", ("dog", "cat\x07")),
    Case("queries", good, "17 sounds", tuple(f"sound {n}" for n in range(17))),
    Case("model", good, "no model named 'gpt'", options=("--model", "gpt")),
    Case("keep", good, "--keep must be target, residual or both", options=("--keep", "everything")),
    Case("option", good, "tweeze separate --help", options=("--loudly",)),
    Case("sharpness", good, "sharpness", options=("--sharpness", "99")),
    Case("out_is_a_file", good, "--out names a folder", options=("--out", "{file}")),
    Case("out_in_a_file", good, "cannot be written to", options=("--out", "{file}/clips")),
    Case("out_in_proc", good, "cannot be written to", options=("--out", "/proc/clips")),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_is_one_sentence_and_the_next_job_works(
    home: Any, tmp_path: Path, short_wav: Path, case: Case
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = folder / "street.wav"
    case.make(file)
    out = tmp_path / "out"
    options = [option.format(file=file) for option in case.options]
    if "--out" not in options:
        options += ["--out", str(out)]
    failed = home.tweeze("separate", file, *case.queries, *options)
    assert failed.stdout == ""
    assert case.said in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.endswith(".\n")
    assert "Traceback" not in failed.stderr
    assert failed.returncode == case.code
    assert not out.exists()
    assert [path.name for path in folder.iterdir()] == [file.name] * (case.name != "gone")
    works(home, short_wav)


def works(home: Any, wav: Path) -> None:
    """Check that the engine does the next job, and holds nothing of the one before."""
    status = home.client.separate(Job(new_id(), wav, ("dog",)))
    assert status.state is JobState.DONE, status
    for clip in status.clips:
        clip.path.unlink()
        clip.path.parent.rmdir()
    assert home.leftovers() == []


@pytest.mark.parametrize(
    ("samples", "rate"), [(noise(1), 16_000), (noise(1, 2), 44_100), (noise(76_800, 2), 768_000)]
)
def test_odd_audio_works_and_keeps_its_shape(
    home: Any, tmp_path: Path, samples: np.ndarray, rate: int
) -> None:
    file = tmp_path / "odd.wav"
    sound(file, samples, rate)
    done = home.tweeze("separate", file, "dog", "--keep", "both", "--out", tmp_path / "out")
    assert (done.returncode, home.complaints(done)) == (0, [])
    for path in done.stdout.splitlines():
        info = soundfile.info(path)
        assert (info.frames, info.channels, info.samplerate) == (*samples.shape, rate)


def test_silence_is_called_silence_and_gets_no_other_advice(home: Any, tmp_path: Path) -> None:
    file = tmp_path / "take 3.wav"
    said = "'take 3' is silent: no sample reaches -90 dBFS.\n"
    steps = np.zeros((16_000, 2), np.float32)
    steps[::7] = 2**-15  # the last bit of 16
    for samples in (np.zeros((16_000, 1)), steps):
        sound(file, samples)
        done = home.tweeze("separate", file, "bell", "--out", tmp_path / "out")
        assert (done.returncode, done.stderr) == (0, said)
        heard = home.tweeze("listen", file)
        assert (heard.returncode, heard.stdout, heard.stderr) == (0, "", said)
    sound(file, steps * 4)  # very soft, and not silent
    done = home.tweeze("separate", file, "bell", "--out", tmp_path / "out")
    assert "silent" not in done.stderr


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("a dog\nbarking \t loudly", "street - a dog barking loudly.wav"),
        ("\"dog\" and 'cat'; $(touch /tmp/x) `id` & %PATH%", None),
        ("🐕 barking 🧑‍🎤", "street - 🐕 barking 🧑‍🎤.wav"),
        ("../../../etc/passwd", "street - .._.._.._etc_passwd.wav"),
        ("[red]dog[/red] [/]", None),
        ("--keep", "street - --keep.wav"),
        ("x" * 300, None),
    ],
)
def test_odd_queries_are_just_text(
    home: Any, tmp_path: Path, short_wav: Path, query: str, name: str | None
) -> None:
    done = home.tweeze("separate", "--out", tmp_path, "--", short_wav, query, cwd=tmp_path)
    assert (done.returncode, home.complaints(done)) == (0, [])
    (clip,) = tmp_path.iterdir()
    assert done.stdout == f"{clip}\n"
    assert name in (None, clip.name)


def test_a_query_given_as_such_is_text_where_it_names_a_file(
    home: Any, tmp_path: Path, short_wav: Path
) -> None:
    done = home.tweeze("separate", short_wav, "--out", tmp_path, "--query=/etc/passwd")
    assert (done.returncode, home.complaints(done)) == (0, [])
    assert [path.name for path in tmp_path.iterdir()] == ["street - _etc_passwd.wav"]


@pytest.mark.parametrize(
    "name", ["a 'b' \"c\" 🎸 [red] $(id).wav", "two\nlines.wav", "caf\udce9.wav", "-take.wav"]
)
def test_a_file_with_an_odd_name_just_works(home: Any, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good(folder / "good.wav")  # soundfile itself cannot write all of these names
    (folder / "good.wav").rename(folder / name)
    done = home.tweeze("separate", name, "dog", "--out", "../out", cwd=folder)
    assert (done.returncode, home.complaints(done)) == (0, [])
    (clip,) = (tmp_path / "out").iterdir()
    assert clip.name.isprintable()
    assert clip.name.endswith(" - dog.wav")
    assert soundfile.info(clip).frames == 16_000
    heard = home.tweeze("listen", name, cwd=folder)
    assert heard.returncode == 0, heard.stderr
    assert [path.name for path in folder.iterdir()] == [name]
    assert home.leftovers() == []


def test_what_is_wrong_with_an_odd_name_is_said_by_that_name(home: Any, tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.wav").write_text("once upon a time " * 99)
    os.mkfifo(tmp_path / "pi\npe.wav")
    for name, said in (
        ("caf\udce9.wav", f"{tmp_path}/caf\\udce9.wav is a text file, not an audio file"),
        (
            "pi\npe.wav",
            "pi\\x0ape.wav has a name that Tweeze cannot use, and is not a regular file",
        ),
    ):
        failed = home.tweeze("separate", tmp_path / name, "dog", "--out", tmp_path / "out")
        assert failed.returncode == 2
        assert said.replace("\\x0a", "\\n") in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert home.leftovers() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="permissions work otherwise here")
@pytest.mark.fault(
    "a WAV file claims ten hours and holds some hundred samples",
    promise="those are separated, and a sentence says that it was cut off",
    group="files",
)
def test_a_cut_file_is_taken_short_and_that_is_said(home: Any, tmp_path: Path) -> None:
    claims_ten_hours(file := tmp_path / "street.wav")
    done = home.tweeze("separate", file, "dog barking", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "'street.wav' is cut off: its header promises 36,000.000 s." in done.stderr
    assert soundfile.info(done.stdout.strip()).frames == 512


def test_an_unreadable_file_is_said(home: Any, tmp_path: Path) -> None:
    file = tmp_path / "street.wav"
    good(file)
    file.chmod(0)
    if os.geteuid():
        failed = home.tweeze("separate", file, "dog", "--out", tmp_path / "out")
        assert failed.returncode == 2
        assert "check its permissions" in failed.stderr
        return
    # Nothing is unreadable for root, so a process that gives its rights up must look.
    shutil.move(
        file, shared := Path(f"/tmp/tweeze-unreadable-{new_id()}.wav")
    )  # another disk, perhaps
    try:
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=_probe_as_nobody, args=(shared, theirs)
        )
        child.start()
        assert ours.poll(30)
        assert "Permission denied): check its permissions" in ours.recv()
        child.join(30)
    finally:
        shared.unlink()


def _probe_as_nobody(path: Path, pipe: Any) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        OpenFile(path, follow=True).close()
    except Undecodable as error:
        pipe.send(str(error))


def test_debug_shows_where_and_otherwise_nobody_sees_it(home: Any, tmp_path: Path) -> None:
    failed = home.tweeze("--debug", "separate", tmp_path / "gone.wav", "dog")
    assert failed.returncode == 2
    assert "Traceback" in failed.stderr
    assert failed.stderr.splitlines()[-1].endswith("check the path.")
