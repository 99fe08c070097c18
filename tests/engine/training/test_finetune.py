"""Fine-tuning: what is learned is kept, goes on where it stopped, and becomes a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine import models
from engine.errors import BadInput, Failure, ModelBroken
from engine.folders import Folders
from engine.models import catalogue, compact
from engine.models.base import PresenceSeparator
from engine.models.compact.weights import save_weights
from engine.models.records import Entry
from engine.training import finetune as module
from engine.training.finetune import Settings, finetune
from engine.training.learners import CompactLearner
from engine.training.mixing import Example


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "home")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A hum and a whistle, five recordings each."""
    rng = np.random.default_rng(0)
    for name, lowest in (("hum", 200), ("whistle", 4000)):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(5):
            hertz = lowest * (1 + 0.1 * number)
            tone = np.sin(2 * np.pi * hertz * np.arange(48_000) / 32_000)
            noisy = 0.2 * tone + 0.002 * rng.standard_normal(48_000)
            soundfile.write(tmp_path / "own" / name / f"{number}.wav", noisy, 32_000)
    return tmp_path / "own"


class Knob:
    """A learner with one weight: how much of the wrong tone it takes away."""

    usual_rate = 0.3
    seconds = 1.0

    def __init__(self, direction: int = 1) -> None:
        self.weight = torch.zeros(1)
        self.direction = direction
        self.seen: list[float] = []

    def learn(self, examples: Sequence[Example], captions: Sequence[str], rate: float) -> float:
        assert len(captions) == 2 * len(examples)
        self.seen.append(float(np.abs(examples[0].mixture).sum()))
        self.weight += self.direction * rate * (1 - self.weight)
        return float(1 - self.weight)

    def separate(
        self, mixture: np.ndarray[Any, Any], captions: Sequence[str]
    ) -> np.ndarray[Any, Any]:
        spectrum = np.fft.rfft(mixture)
        middle = len(spectrum) // 16  # 1 kHz
        out = []
        for caption in captions:
            kept = spectrum.copy()
            wrong = slice(middle, None) if caption == "hum" else slice(0, middle)
            kept[wrong] *= 1 - float(self.weight)
            out.append(np.fft.irfft(kept, mixture.size))
        return np.stack(out).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight.clone()}

    def resume(self, state: Mapping[str, Any]) -> None:
        self.weight = state["weight"]

    def averaged(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight.clone()}

    def publish(
        self, weights: Mapping[str, torch.Tensor], folders: Folders, name: str, origin: str
    ) -> Entry:
        self.published = float(weights["weight"])
        return Entry(name, folders.models / name, "knob")


@pytest.fixture
def knob(monkeypatch: pytest.MonkeyPatch) -> Knob:
    made = Knob()
    monkeypatch.setattr(module, "_learner", lambda *_: (made, "knob"))
    return made


SHORT = Settings(steps=6, every=2, mixtures=1, pairs=3)


def test_the_best_step_is_kept(knob: Knob, own: Path, folders: Folders) -> None:
    said: list[str] = []
    made = finetune(own, "mine", folders, settings=SHORT, say=said.append)
    assert made.before == pytest.approx(0, abs=0.1)
    assert made.after > 0.5
    assert knob.published == pytest.approx(float(knob.weight))
    assert made.step == 6
    assert "hum: 4 recordings to learn from, 1 held out." in said
    work = folders.models / "mine" / "training"
    assert (work / "curve.png").is_file()
    assert not (work / "checkpoint.pt").exists()
    assert len((work / "validation.csv").read_text().splitlines()) == 5  # head, 0, 2, 4, 6


def test_it_goes_on_where_it_stopped(
    knob: Knob, own: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetune(own, "whole", folders, settings=SHORT)
    first = Knob()
    monkeypatch.setattr(module, "_learner", lambda *_: (first, "knob"))

    def interrupt(sentence: str) -> None:
        if sentence.startswith("Step 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(own, "parts", folders, settings=SHORT, say=interrupt)
    second = Knob()
    monkeypatch.setattr(module, "_learner", lambda *_: (second, "knob"))
    said: list[str] = []
    parts = finetune(own, "parts", folders, settings=SHORT, say=said.append)
    assert "Going on from step 2." in said
    assert first.seen + second.seen == knob.seen
    assert (parts.before, parts.after, parts.step) == (whole.before, whole.after, whole.step)


def test_an_unfinished_training_of_something_else_is_not_gone_on_with(
    knob: Knob, own: Path, folders: Folders
) -> None:
    knob.direction = 0
    with pytest.raises(Failure, match=r"No step was better.*more recordings"):
        finetune(own, "mine", folders, settings=SHORT)
    assert catalogue.added(folders) == ()
    (own / "hum" / "0.wav").unlink()
    with pytest.raises(BadInput, match="began with another recordings"):
        finetune(own, "mine", folders, settings=SHORT)


def test_it_stops_when_nothing_gets_better(knob: Knob, own: Path, folders: Folders) -> None:
    knob.direction = 0
    settings = Settings(steps=1000, every=1, patience=2, mixtures=1, pairs=1)
    with pytest.raises(Failure):
        finetune(own, "mine", folders, settings=settings)
    assert len(knob.seen) == 2


def test_names_are_checked_before_anything_is_done(own: Path, folders: Folders) -> None:
    with pytest.raises(BadInput, match="not a valid name for a model"):
        finetune(own, "A B", folders)
    with pytest.raises(BadInput, match="bundled model's name"):
        finetune(own, "compact", folders)
    with pytest.raises(BadInput, match="is not a corpus"):
        finetune(own, "mine", folders, store=own)
    with pytest.raises(BadInput, match="no model named 'x'"):
        finetune(own, "mine", folders, base="x")
    assert not (folders.models / "mine").exists()


def examples(seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    targets = 0.05 * rng.standard_normal((2, 16_000)).astype(np.float32)
    return [Example(targets.sum(axis=0), targets, ("a", "b"), ("a", "b"))]


class TestCompact:
    def test_a_learner_learns_and_resumes(self) -> None:
        whole = CompactLearner(compact.load())
        losses = [whole.learn(examples(0), ("hum", "whistle"), 1e-3) for _ in range(3)]
        assert losses[-1] < losses[0]
        started = compact.load()
        before = torch.nn.ModuleDict({"net": started.net, "heads": started.heads}).state_dict()
        after = whole.averaged()
        moved = [key for key in before if not torch.equal(before[key], after[key])]
        assert "net.unet.last.weight" in moved
        assert "heads.presence.2.weight" in moved
        assert not any("running" in key or "tags" in key for key in moved)
        parts = CompactLearner(compact.load())
        parts.learn(examples(0), ("hum", "whistle"), 1e-3)
        rest = CompactLearner(compact.load())
        rest.resume(parts.state())
        for _ in range(2):
            rest.learn(examples(0), ("hum", "whistle"), 1e-3)
        for key, value in rest.averaged().items():
            torch.testing.assert_close(value, after[key])

    @pytest.mark.usefixtures("no_specialists")
    def test_the_result_is_a_model_like_any_other(self, folders: Folders) -> None:
        folders.make()
        learner = CompactLearner(compact.load())
        learner.learn(examples(0), ("hum", "whistle"), 1e-2)
        (folders.models / "mine").mkdir()
        made = learner.publish(learner.averaged(), folders, "mine", "compact, fine-tuned")
        assert models.names(folders) == ("compact", "mine")
        assert catalogue.added(folders) == (made,)
        model = models.load("mine", folders)
        assert model.name == "mine"
        rng = np.random.default_rng(0)
        heard = rng.uniform(0, 1, (1, 40, 1025)).astype(np.float32)
        vectors = model.embed("hum")[None]
        masks = [
            each.mask(heard, vectors, 0.1, slice(0, 40))
            for each in (model, models.load("compact", folders))
        ]
        assert np.abs(masks[0] - masks[1]).max() > 1e-3
        assert isinstance(model, PresenceSeparator)
        kept = slice(0, 40)
        again, presence = model.mask_with_presence(heard, vectors, 0.1, kept)
        np.testing.assert_array_equal(again, masks[0])
        bundled = compact.load().mask_with_presence(heard, vectors, 0.1, kept)[1]
        assert np.abs(presence - bundled).max() > 1e-4
        assert [finding.problem for finding in catalogue.verify(made)] == [""] * 3
        weights = made.folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        assert [finding.problem for finding in catalogue.verify(made)] == ["was changed", "", ""]
        with pytest.raises(ModelBroken, match="was changed; remove it"):
            models.load("mine", folders)
        catalogue.remove("mine", folders)
        assert models.names(folders) == ("compact",)

    def test_what_has_no_heads_can_learn_too(self, folders: Folders) -> None:
        folders.make()
        learner = CompactLearner(compact.Compact(compact.load().net, compact.load().table))
        learner.learn(examples(0), ("hum", "whistle"), 1e-2)
        (folders.models / "mine").mkdir()
        learner.publish(learner.averaged(), folders, "mine", "compact, fine-tuned")
        assert not isinstance(models.load("mine", folders), PresenceSeparator)

    def test_weights_of_another_network_are_refused(self, folders: Folders, tmp_path: Path) -> None:
        (tmp_path / "w.safetensors").write_bytes(b"no weights")
        with pytest.raises(ModelBroken, match="safetensors"):
            catalogue.add(folders, "mine", "compact", tmp_path / "w.safetensors")
        save_weights(compact.load().net.state_dict(), tmp_path / "w.safetensors")
        (tmp_path / "h.safetensors").write_bytes(b"no heads")
        with pytest.raises(ModelBroken, match="does not fit compact"):
            catalogue.add(
                folders,
                "mine",
                "compact",
                tmp_path / "w.safetensors",
                also={"heads": tmp_path / "h.safetensors"},
            )
        assert catalogue.added(folders) == ()
