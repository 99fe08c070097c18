"""Standard input as a recording and standard output for a clip, in pipes as a user types them."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

DEADLINE = 180.0
TWEEZE = [sys.executable, "-m", "bridge.cli"]


def piped(
    home: Any, data: bytes, *arguments: str | Path, cwd: Path
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*TWEEZE, *map(str, arguments)],
        input=data, env=home.environment, cwd=cwd, capture_output=True, timeout=DEADLINE,
    )  # fmt: skip


def only_advice(stderr: bytes) -> bool:
    return all(b"was barely detected" in line for line in stderr.splitlines())


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF"])
def test_a_pipe_in_and_a_pipe_out_give_what_files_give(
    home: Any, short_wav: Path, tmp_path: Path, name: str, kind: str
) -> None:
    samples, rate = soundfile.read(short_wav, dtype="float32")
    soundfile.write(tmp_path / "a", samples, rate, format=kind)
    words = ("separate", name, "dog", "--out", "-")
    data = (tmp_path / "a").read_bytes()
    pipe = functools.partial(piped, home) if kind == "WAV" else home.piped
    done = pipe(data, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert only_advice(done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    home.tweeze("separate", tmp_path / "a", "dog", "--out", tmp_path / "out")
    (clip,) = (tmp_path / "out").iterdir()
    assert done.stdout == clip.read_bytes()
    assert home.leftovers() == []


def test_a_wav_of_unknown_length_is_no_cut_one(home: Any, short_wav: Path, tmp_path: Path) -> None:
    """Programs that write to a pipe cannot go back and fill in the length."""
    data = bytearray(short_wav.read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    words = ("separate", "-", "dog", "--keep", "residual", "--out", "-")
    done = home.piped(bytes(data), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert only_advice(done.stderr)
    assert soundfile.info(io.BytesIO(done.stdout)).frames == 16_000


def test_clips_of_standard_input_are_named_after_it(
    home: Any, short_wav: Path, tmp_path: Path
) -> None:
    data = short_wav.read_bytes()
    done = home.piped(data, "separate", "-", short_wav, "dog", cwd=tmp_path)
    assert done.stdout.decode().splitlines() == [
        str(tmp_path / "stdin - dog.wav"),
        str(tmp_path / "street - dog.wav"),
    ]
    facts = json.loads(home.piped(data, "listen", "-", "--json", cwd=tmp_path).stdout)
    assert facts["file"] == "-"
    assert facts["heard"]


@pytest.mark.parametrize(
    ("data", "arguments", "said"),
    [
        (b"", ("separate", "-", "dog"), "Standard input is empty"),
        (b"once upon a time", ("separate", "-", "dog"), "Standard input is a text file"),
        (b"once upon a time", ("listen", "-"), "Standard input is a text file"),
        (b"", ("separate", "-", "dog", "cat", "--out", "-"), "this command makes 2"),
        (b"", ("separate", "-", "{wav}", "dog", "--out", "-"), "this command makes 2"),
        (b"", ("separate", "-", "dog", "--keep", "both", "--out", "-"), "this command makes 2"),
        (b"", ("separate", "-", "dog", "--json", "--out", "-"), "both write to standard output"),
    ],
)
def test_what_cannot_go_through_a_pipe_is_refused(
    home: Any, short_wav: Path, tmp_path: Path, data: bytes, arguments: Any, said: str
) -> None:
    words = [word.format(wav=short_wav) for word in arguments]
    done = home.piped(data, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert home.leftovers() == []


def test_a_terminal_is_neither_read_nor_written(home: Any, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        done = subprocess.run([*TWEEZE, "separate", "-", "dog"], stdin=theirs, cwd=tmp_path,
                              env=home.environment, capture_output=True,
                              timeout=DEADLINE)  # fmt: skip
        assert done.returncode == 2
        assert b"is a terminal: pipe" in done.stderr
        assert done.stderr.count(b"\n") == 1
        done = subprocess.run([*TWEEZE, "separate", "-", "dog", "--out", "-"], stdin=ours,
                              stdout=theirs, stderr=subprocess.PIPE, env=home.environment,
                              timeout=DEADLINE)  # fmt: skip
        assert done.returncode == 2
        assert b"terminal" in done.stderr
    finally:
        for descriptor in (ours, theirs):
            os.close(descriptor)
    assert home.leftovers() == []


def test_a_reader_that_goes_ends_it_quietly(home: Any, tmp_path: Path) -> None:
    samples = np.random.default_rng(3).standard_normal(320_000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*TWEEZE, "separate", "a.wav", "dog", "--out", "-"],
        stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, env=home.environment,
    ) as process:  # fmt: skip
        os.close(writing)
        assert os.read(reading, 4) == b"RIFF"
        os.close(reading)
        _, said = process.communicate(timeout=DEADLINE)
    assert only_advice(said)
    assert process.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert home.leftovers() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: there is no full disk.")
@pytest.mark.parametrize("frames", [800, 64_000])  # all in Python's buffer, and more than fits
def test_a_full_disk_behind_standard_output_gets_one_sentence(
    home: Any, tmp_path: Path, frames: int
) -> None:
    samples = np.random.default_rng(4).standard_normal(frames).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*TWEEZE, "separate", "a.wav", "dog", "--keep", "residual", "--out", "-"],
            stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=home.environment,
            timeout=DEADLINE,
        )  # fmt: skip
    said = done.stderr.decode()
    assert "could not be written to standard output (No space left on device)" in said
    assert said.count("\n") == 1
    assert done.returncode == 1
    (folder,) = home.folders.clips.iterdir()
    assert f"The clip is in {folder}." in said
    assert len(list(folder.iterdir())) == 1
    shutil.rmtree(folder)


def test_interrupted_while_it_reads_it_leaves_nothing(
    home: Any, tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    home.tweeze("start")
    with subprocess.Popen(
        [*TWEEZE, "separate", "-", "dog"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=home.environment,
    ) as process:  # fmt: skip
        until(lambda: list(home.folders.mixtures.iterdir()))
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE)
        assert process.stderr is not None
        assert process.stderr.read() == b"Cancelled.\n"
    assert process.returncode == 130
    assert home.leftovers() == []


def test_a_file_called_dash_is_still_a_file(home: Any, short_wav: Path, tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes(short_wav.read_bytes())
    done = home.tweeze("separate", "./-", "dog", cwd=tmp_path)
    assert done.stdout == f"{tmp_path / '- - dog.wav'}\n"
