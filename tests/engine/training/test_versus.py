"""Candidates are compared on the same sounds, and their mean is one."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import BadInput
from engine.models import compact
from engine.models.compact import HearingCompact
from engine.models.compact.heads import save_heads
from engine.models.compact.learned import CAPTIONS
from engine.models.compact.weights import new_network, save_weights
from engine.training import versus
from engine.training.scenes import Question, Scene, SceneSet
from engine.training.versus import candidates, compare, keep_mean, mean_of, table

FOLDER = Path(compact.__file__).parent


def scenes() -> Iterator[Scene]:
    rng = np.random.default_rng(0)
    for _ in range(3):
        one, other = 0.1 * rng.standard_normal((2, 1, 16000)).astype(np.float32)
        questions = (
            Question("rain", "rain", one),
            Question("dog", "dog barking", other),
        )
        yield Scene(one + other, 32000, questions)


def test_the_bundled_weights_against_themselves_and_a_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = tmp_path / "weights.safetensors"
    save_weights(new_network().state_dict(), file)
    models = candidates([tmp_path, FOLDER], 0.25, plain=True)
    assert list(models) == [
        f"{FOLDER}, queries as they are",
        "0.25 of the first, 0.75 of the second, queries as they are",
        "0.25 of the first, 0.75 of the second",
        str(tmp_path),
        str(FOLDER),
    ]
    assert [model.learned is not None for model in models.values()] == [
        False,
        False,
        True,
        False,
        True,
    ]
    found = compare(models, [SceneSet("noise", "noise", 3, scenes)])
    assert found["noise"].shape == (5, 6, 2)
    assert np.isfinite(found["noise"]).all()
    text = table(list(models), found)
    assert text.startswith("noise, 6 sounds\n")
    last = text.splitlines()[-1]
    assert "difference  +0.00 +- 0.00" in last
    assert last.endswith(str(FOLDER))
    assert "+0.00 +- 0.00" not in text.splitlines()[3]  # other weights answer otherwise


def test_a_mean_lies_between() -> None:
    first, second = new_network(), compact.load().net
    mean = mean_of(first, second, 0.25).state_dict()
    one, other = first.state_dict(), second.state_dict()
    for key, value in mean.items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, 0.25 * one[key] + 0.75 * other[key])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no file .*weights\.safetensors"):
        candidates([tmp_path])
    with pytest.raises(BadInput, match="takes two candidates"):
        candidates([FOLDER], 0.5)
    assert candidates([FOLDER / "weights.safetensors"])[str(FOLDER / "weights.safetensors")].learned
    assert (FOLDER / CAPTIONS).is_file()


def test_the_command_prints_and_keeps_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[int, int]] = []

    def sets(store: Path, taxonomy: object, pairs: int, seed: int) -> tuple[SceneSet, ...]:
        asked.append((pairs, seed))
        return tuple(SceneSet(key, key, 3, scenes) for key in ("noise", "more"))

    monkeypatch.setattr(versus, "corpus_sets", sets)
    kept = tmp_path / "mean"
    words = [str(tmp_path), str(FOLDER), str(FOLDER / "weights.safetensors"), "--mean", "0.5"]
    words += ["--sets", "noise", "--keep", str(kept), "--pairs", "3"]
    monkeypatch.setattr("sys.argv", ["versus", *words])
    versus.main()
    assert asked == [(3, versus.SEED)]
    said = capsys.readouterr().out
    assert "noise, 6 sounds" in said
    assert "more" not in said
    own = compact.load().net.state_dict()
    for key, value in compact.load_network(kept / "weights.safetensors").state_dict().items():
        torch.testing.assert_close(value, own[key])


def test_a_mean_without_a_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "mean"
    monkeypatch.setattr("sys.argv", ["versus", "store", "one", "other", "--keep", str(kept)])
    with pytest.raises(SystemExit):
        versus.main()
    assert "say its share with --mean" in capsys.readouterr().err
    assert not kept.exists()


def test_a_mean_takes_heads_and_captions_along(tmp_path: Path) -> None:
    other, kept = tmp_path / "other", tmp_path / "mean"
    other.mkdir()
    shutil.copy(FOLDER / "weights.safetensors", other)
    own = compact.load()
    changed = copy.deepcopy(own.heads)
    with torch.no_grad():
        for value in changed.parameters():
            value.add_(1.0)
    save_heads(changed, other / "heads.safetensors")
    (other / CAPTIONS).write_text("a sound that nobody knows\n", "utf-8")
    keep_mean(FOLDER, other, 0.75, kept)
    found = compact.from_files(
        *(kept / name for name in ("weights.safetensors", "heads.safetensors"))
    )
    assert isinstance(found, HearingCompact)
    for mean, first in zip(found.heads.parameters(), own.heads.parameters(), strict=True):
        torch.testing.assert_close(mean, first + 0.25, atol=2e-3, rtol=2e-3)  # kept in 16 bits
    assert own.learned is not None
    listed = set((kept / CAPTIONS).read_text("utf-8").splitlines())
    assert listed == {*own.learned.captions, "a sound that nobody knows"}
    (other / "heads.safetensors").unlink()
    keep_mean(FOLDER, other, 0.75, tmp_path / "bare")
    assert not (tmp_path / "bare" / "heads.safetensors").exists()
