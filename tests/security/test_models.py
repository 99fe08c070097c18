"""Checkpoints are data: what is in them is never run, however it is wrapped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.errors import ModelBroken
from engine.models.audiosep import checkpoint
from tests.fuzz import inputs
from tests.security.conftest import Home

COUNT = len(inputs.hostile_pickles(Path("/tmp/canary")))


@pytest.mark.fault("a checkpoint asks to run code", promise="it is refused, and nothing was run")
@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors", "model.bin"])
def test_a_hostile_checkpoint_is_not_run(tmp_path: Path, number: int, name: str) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / name
    path.write_bytes(inputs.hostile_pickles(canary)[number])
    with pytest.raises(ModelBroken):
        checkpoint.read(path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.filterwarnings("ignore")  # of the files that the pickles leave open
def test_the_canary_would_sing(tmp_path: Path) -> None:
    """Unpickled as Python does it, the hostile files do leave something: they are no blanks."""
    import contextlib
    import pickle
    import zipfile

    sang = 0
    files = inputs.hostile_pickles(tmp_path / "canary")
    for number in range(COUNT):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = inputs.hostile_pickles(folder / "canary")[number]
        path = folder / "file"
        path.write_bytes(data)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as whole:
                data = whole.read("archive/data.pkl")
        with contextlib.suppress(Exception):
            pickle.loads(data)
        sang += len(list(folder.iterdir())) > 1
    assert sang >= len(files) - 4  # one kind only fetches a function, in four wrappings


@pytest.mark.fault(
    "'tweeze models add' gets a checkpoint that asks to run code",
    promise="one sentence that names what it asks for; nothing was run, nothing is left",
)
def test_adding_a_hostile_checkpoint_is_one_sentence(
    tmp_path: Path, home: Home, roberta: Path
) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "model.ckpt"
    path.write_bytes(inputs.hostile_pickles(canary)[1])
    failed = home.tweeze("models", "add", path, "--name", "evil", "--tokenizer", roberta)
    assert failed.returncode == 1
    assert "holds more than data: it asks to run" in failed.stderr
    assert "system'" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not canary.exists()
    assert not list(home.folders.models.iterdir())


@pytest.mark.fault(
    "the graph that OpenVINO reads is exchanged", promise="it is not given to OpenVINO"
)
def test_a_graph_that_tweeze_has_not_written_is_not_read(tmp_path: Path) -> None:
    from engine.models.audiosep.fast import FastForm

    form = FastForm(tmp_path)
    assert not form.has_graph()
    form.graph.write_text("<net/>")
    form.graph.with_suffix(".bin").write_bytes(b"1234")
    assert not form.has_graph()  # nobody said that it was written
    form.note_graph({})
    assert form.has_graph()
    form.graph.with_suffix(".bin").write_bytes(b"1235")
    assert not form.has_graph()


def test_nothing_in_tweeze_unpickles_freely() -> None:
    root = Path(__file__).parents[2]
    reads = re.compile(
        r"(?<!\w)(pickle\.loads?|pickle\.Unpickler|torch\.load|np\.load|exec|eval)\(.*"
    )
    calls = [
        match.group()
        for package in ("engine", "bridge", "audacity", "reaper")
        for path in (root / package).rglob("*.py")
        for match in reads.finditer(path.read_text())
        if match.group() != "eval()" and path.read_text()[match.start() - 1] != "."
    ]
    assert len(calls) > 3
    safe = ("weights_only=True", "allow_pickle=False")
    assert [call for call in calls if not any(word in call for word in safe)] == []
