"""Fine-tuning an AudioSep checkpoint: it learns what separates, and stays a published layout."""

import numpy as np
import pytest
import torch

from engine import models
from engine.folders import Folders
from engine.models import catalogue
from engine.models.audiosep import AudioSep, checkpoint
from engine.models.audiosep.kind import fast_form
from engine.models.records import Entry
from engine.training.evaluate import ask
from engine.training.learners import AudioSepLearner
from engine.training.mixing import Example
from engine.training.scenes import Question, Scene


@pytest.fixture(scope="module")
def learner(entry: Entry) -> AudioSepLearner:
    return AudioSepLearner(entry)


def in_torch(entry: Entry) -> AudioSep:
    """Return the model without asking which runtime is faster, for which both would be made."""
    return AudioSep(entry.name, fast_form(entry), runtime="torch")


def test_it_separates_as_the_model_does(learner: AudioSepLearner, entry: Entry) -> None:
    rng = np.random.default_rng(0)
    mixture = 0.1 * rng.standard_normal(16_000).astype(np.float32)
    ours = learner.separate(mixture, ["a dog barking"])
    model = in_torch(entry)
    question = Question("x", "a dog barking", mixture[None])
    theirs = ask(model, Scene(mixture[None], 32_000, (question,))).targets["a dog barking"]
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_it_learns_and_becomes_a_checkpoint(
    learner: AudioSepLearner, entry: Entry, folders: Folders
) -> None:
    rng = np.random.default_rng(1)
    targets = 0.1 * rng.standard_normal((2, 10_000)).astype(np.float32)
    example = Example(targets.sum(axis=0), targets, ("dog", "rain"), ("dog", "rain"))
    losses = [learner.learn([example], ("a dog barking", "rain"), 1e-3) for _ in range(2)]
    assert losses[-1] < losses[0]
    state = learner.state()
    assert state["updates"] == 2

    (folders.models / "tuned").mkdir(parents=True)
    made = learner.publish(learner.averaged(), folders, "tuned", "formula, fine-tuned")
    try:
        found = checkpoint.read(made.main)  # strict: every name and shape
        origin = checkpoint.read(entry.main)
        changed = {k for k, v in found.separator.items() if not v.equal(origin.separator[k])}
        assert "base.encoder_block1.conv_block1.conv1.weight" in changed
        assert "film.encoder_block1->conv_block1->beta1.weight" in changed
        assert not any("running" in key or "stft" in key for key in changed)
        assert all(torch.equal(found.text[key], value) for key, value in origin.text.items())
        assert "tuned" in models.names(folders)
        assert isinstance(models.load("tuned", folders), AudioSep)
        heard = np.abs(rng.standard_normal((1, 40, 1025))).astype(np.float32)
        masks = [
            model.mask(heard, model.embed("a dog barking")[None], 0.1, slice(0, 40))
            for model in (in_torch(made), in_torch(entry))
        ]
        assert np.abs(masks[0] - masks[1]).max() > 1e-4
        assert not any(finding.problem for finding in catalogue.verify(made))
    finally:
        catalogue.remove(made.name, folders)
