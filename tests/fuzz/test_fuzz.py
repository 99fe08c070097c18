"""A short run of every fuzz target, always the same; and what the long runs have found.

`make fuzz` goes on for minutes, each time with other inputs.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from audacity.timeline import Fingerprint, OtherProject
from engine.errors import BadAudio
from engine.models.audiosep import FastForm
from engine.sound.audio import opened, probe
from tests.fuzz import __main__ as runner
from tests.fuzz import inputs, targets
from tests.fuzz.targets import TARGETS, Target

SHARE = {"osc-socket": 4, "checkpoints": 60, "commands": 25}  # inputs of each kind; else 120
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with targets.opened(request.param) as made:
        yield made


@pytest.mark.fault(
    "bad input of every kind, in bulk", promise="understood or refused in a sentence"
)
@pytest.mark.filterwarnings("ignore")  # of libraries, at what they are given
def test_no_input_does_harm(target: Target, tries: Callable[[int], None]) -> None:
    count = SHARE.get(target.name, 120)
    tries(2 * count + len(target.seeds))
    for data in target.seeds:
        target.check(data)
    rng = random.Random(20)
    for _ in range(count):
        target.check(target.make(rng))

    @seed(20)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.strategy())
    def explore(data: bytes) -> None:
        target.check(data)

    explore()


# The runner itself: it must see what it is there for.


FAULTS = {
    "raises": ("raise KeyError('boom')", "KeyError: 'boom'"),
    "crashes": ("import os; os.abort()", "the process ended with -6"),
    "spins": ("while True: pass", "of a processor"),
    "sleeps": ("import time; time.sleep(600)", "slept for"),
    "grows": ("x = bytearray(3 << 30)", "MemoryError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_runner_notices(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of harm is a finding, its input is kept, and the command that reruns it said."""
    harm, said = FAULTS[fault]
    child = tmp_path / "child.py"
    child.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from tests.fuzz import __main__ as runner, targets\n"
        "class Faulty(targets.Target):\n"
        "    name, seeds = 'texts', (b'seed',)\n"
        "    def check(self, data):\n"
        f"        if data == b'seed': exec({harm!r})\n"
        "targets.TARGETS['texts'] = Faulty\n"
        f"runner.FOUND = runner.ROOT = Path({str(tmp_path)!r})\n"
        "sys.exit(runner._child('texts', 1, 1.0, Path(sys.argv[1])))\n"
    )
    monkeypatch.setattr(runner, "FOUND", tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "STUCK", 2.0)
    monkeypatch.setattr(runner, "SLOW", 2.0)
    real = subprocess.Popen
    monkeypatch.setattr(
        runner.subprocess,
        "Popen",
        lambda command, **more: real(
            [sys.executable, str(child), command[-1]], **{**more, "cwd": ROOT}
        ),
    )
    cases, failures, _ = runner._run_process("texts", 1, 1.0)
    assert (cases, failures) == (1, 1)
    told = capsys.readouterr().out
    assert said in told
    (found,) = [path for path in tmp_path.glob("texts-*") if not path.suffix]
    assert found.read_bytes() == b"seed"
    assert f"-m tests.fuzz --replay {found.name}" in told


# What was found.


@pytest.mark.fault("a WAV of millions of empty chunks", promise="it is refused at once")
def test_a_file_of_chunks_is_no_sound(tmp_path: Path) -> None:
    """Where all were read, by Tweeze or by FFmpeg after it, three million took a reader's life."""
    path = tmp_path / "chunks.wav"
    chunk = struct.pack("<4sI", b"JUNK", 0)
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 0, b"WAVE") + chunk * 3_000_000)
    with pytest.raises(BadAudio, match="10,000 chunks"):
        probe(path)


def test_a_file_yields_what_its_header_says_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(inputs.sounds()[2])
    assert probe(path).frames == 600
    for size in (1, 7, 599, 600, 601):
        with opened(path) as sound:
            assert sum(block.shape[1] for block in sound.blocks(size)) == 600


@pytest.mark.fault("a project's fingerprint of odd digits", promise="it is no fingerprint")
@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "-1", ""])
def test_a_fingerprint_of_odd_digits_is_none(number: str) -> None:
    for text in (f"a1 {number} - 0 x y", f"a1 44100 - {number} x y"):
        with pytest.raises(OtherProject):
            Fingerprint.from_text(text)


def test_an_audacity_that_answers_well_gets_its_selection_captured(tmp_path: Path) -> None:
    """Else the others would be refused for another reason than the one that they are there for."""
    target = targets.Audacity(tmp_path)
    for seed_ in target.seeds[:2]:
        target.check(seed_)
        assert [(one.frames, one.track) for one in target.captured] == [(600, "Track 1")]


@pytest.mark.fault(
    "Audacity's lists are of another shape", promise="one sentence; nothing is left behind"
)
@pytest.mark.parametrize(
    "row",
    [
        '{"kind":"wave","selected":1,"channels":null}', '{"kind":"wave","channels":1e400}',
        '{"kind":"wave","channels":NaN}', '{"kind":"wave","channels":"2"}',
        '{"kind":"wave","selected":1,"channels":2,"pan":[]}', '{"kind":"wave","pan":-Infinity}',
        '{"kind":"wave","selected":1,"channels":1,"name":"\\ud800"}', "[" * 100_000,
    ],
)  # fmt: skip
def test_odd_tracks_are_refused(tmp_path: Path, row: str) -> None:
    end = b"\nBatchCommand finished: OK\n\n"
    clips = b'[{"track":0,"start":0,"end":1}]' + end
    target = targets.Audacity(tmp_path)
    target.check(inputs.CUT.join((clips, f"[{row}]".encode() + end)))


@pytest.mark.parametrize("clip", ["{}", '{"track":"0"}', '{"track":0,"start":null,"end":1}'])
def test_odd_clips_are_refused(tmp_path: Path, clip: str) -> None:
    end = b"\nBatchCommand finished: OK\n\n"
    tracks = b'[{"kind":"wave","selected":1,"channels":1}]' + end
    target = targets.Audacity(tmp_path)
    target.check(inputs.CUT.join((f"[{clip}]".encode() + end, tracks)))


@pytest.mark.fault("Audacity's export setting is no number", promise="one sentence")
@pytest.mark.parametrize("setting", ["ä", "6\n7", "x" * 2000, ""])
def test_an_odd_export_setting_is_refused(tmp_path: Path, setting: str) -> None:
    end = b"\nBatchCommand finished: OK\n\n"
    target = targets.Audacity(tmp_path)
    clips = b'[{"track":0,"start":0,"end":1}]' + end
    pcm16 = inputs.sounds()[0]
    tracks = b'[{"kind":"wave","selected":1,"channels":1}]' + end
    target.check(inputs.CUT.join((clips, tracks, b"OK" + end, pcm16, setting.encode() + end)))


@pytest.mark.fault("a model's record is nested without end", promise="it is no record")
def test_a_record_nested_without_end_is_none(tmp_path: Path) -> None:
    with targets.opened("texts") as texts:
        texts.check(b"[" * 200_000)
    with targets.opened("graphs") as graphs:
        graphs.check(b"[" * 400)
    assert FastForm(tmp_path)._record() == {}
    (tmp_path / "form.json").write_text("[" * 200_000)
    assert FastForm(tmp_path)._record() == {}


@pytest.mark.parametrize(
    "text",
    [
        "tweeze=1\nid=b1\njob=b1-1\nend\n",
        "id=b1\njob=j\ntrack=t\ntitle=x\nposition=1e999\nlength=1\nend\n",
        "id=b1\njob=j\ntrack=t\ntitle=x\nposition=0\nend\n",
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\xfe\xff\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0",
        b"RIFF\0\0\0\0WAVEdata\0\0\0\0fmt \x10\0\0\0",
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0data\4\0\0\0abcd",
        "tweeze=1\nstate=done\nprogress=7\nclip=/a.wav\nend\n",
        "tweeze=1\nstate=done\nprogress=-1e999\nclip=/a.wav\nkind=other\nname=x\nend\n",
    ],
)
def test_lua_takes_nothing_by_halves(tmp_path: Path, text: str | bytes) -> None:
    targets.Lua(tmp_path).check(text if isinstance(text, bytes) else text.encode())
