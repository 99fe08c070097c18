"""Lessons say what is there, a step teaches, and a run goes on where it was."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models import ears
from engine.models.ears.listener import GRID
from engine.models.ears.network import FEATURES
from engine.models.ears.weights import load_labels
from engine.taxonomy.classes import load_taxonomy
from engine.taxonomy.text import load_text_table
from engine.training.corpus import SAMPLE_RATE, TRAIN, Clip
from engine.training.ears import (
    SURE,
    Captions,
    Course,
    Knowledge,
    Run,
    calibrate,
    dominant,
    work,
)
from engine.training.lessons import FRAMES, WINDOWS, Lessons, kept_back, read_lessons, write
from engine.training.mixing import ClipStore
from engine.training.naming import Tally, _pairs, listed, right_names, shown
from engine.training.teacher import load_meanings
from engine.training.train import launch

LABELS = load_labels()
NAMES = tuple(load_taxonomy().classes)


class Doubtful:
    """A teacher who hears a little of everything."""

    labels = LABELS

    def judge(self, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert patches.shape[1:] == (96, 64)
        scores = np.full((len(patches), len(LABELS)), 0.1, np.float32)
        return scores, np.ones((len(patches), 1024), np.float32)


def store() -> ClipStore:
    rng = np.random.default_rng(0)
    samples = (rng.uniform(-0.5, 0.5, 6 * SAMPLE_RATE) * 32767).astype(np.int16)
    clips = [
        Clip(name, "s", f"{name}{n}", f"{name}{n}", TRAIN, (2 * i + n) * SAMPLE_RATE, SAMPLE_RATE)
        for i, name in enumerate(("dog", "rain", "punch"))
        for n in range(2)
    ]
    return ClipStore(samples, clips)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    (made / "lessons").mkdir()
    for name, number in (("lesson-000", 0), ("back-000", 1)):
        write(made / "lessons" / f"{name}.npz", store(), Doubtful(), number, 6)  # type: ignore[arg-type]
    return made


def test_a_lesson(folder: Path, tmp_path: Path) -> None:
    lessons = read_lessons(folder / "lessons" / "lesson-000.npz")
    assert lessons.heard.shape == (6, FRAMES, 64)
    assert lessons.scores.shape == (6, WINDOWS, 521)
    assert {NAMES[p] for p in lessons.parts.flat if p >= 0} <= {"dog", "rain", "punch"}
    alone = (lessons.parts[:, 1] < 0).nonzero()[0]
    assert (lessons.share[alone, :, 0] <= 1).all()
    assert lessons.own.max() == 0
    write(tmp_path / "again.npz", store(), Doubtful(), 0, 6)  # type: ignore[arg-type]
    again = read_lessons(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.heard, lessons.heard)


def lesson(*names: str, share: tuple[int, ...]) -> Lessons:
    parts = np.full((1, 3), -1, np.int16)
    parts[0, : len(names)] = [NAMES.index(name) for name in names]
    shares = np.full((1, WINDOWS, 3), -60, np.int8)
    shares[..., : len(names)] = share
    return Lessons(
        np.zeros((1, FRAMES, 64), np.float16),
        np.full((1, WINDOWS, 521), 0.1, np.float16),
        np.zeros((1, WINDOWS, 1024), np.uint8),
        parts,
        shares,
        np.where(shares > -60, 0, -60).astype(np.int8),
    )


def test_labels_overrule_the_teacher() -> None:
    target = Knowledge(LABELS).targets(lesson("dog", "rain", share=(-1, -30)))[0, 0]
    said = dict(zip(LABELS, target.tolist(), strict=True))
    assert said["Dog"] == said["Animal"] == pytest.approx(SURE)
    assert said["Bark"] == pytest.approx(0.1, abs=0.01)  # the teacher's own
    assert said["Rain"] == pytest.approx(0.1, abs=0.01)  # too quiet to be sure
    assert said["Piano"] == pytest.approx(0.05, abs=0.01)  # nobody's name


def test_a_class_without_a_name_lifts_what_is_related() -> None:
    target = Knowledge(LABELS).targets(lesson("punch", share=(0,)))[0, 0]
    said = dict(zip(LABELS, target.tolist(), strict=True))
    assert 0.4 < said["Slap, smack"] <= 0.61
    assert said["Piano"] < 0.1


def test_what_dominates_a_window() -> None:
    assert (dominant(lesson("dog", "rain", share=(-1, -9))) == NAMES.index("dog")).all()
    assert (dominant(lesson("dog", "rain", share=(-3, -3))) == -1).all()


def test_captions_that_fit_do_not_repel() -> None:
    captions = Captions()
    dog, rain = NAMES.index("dog"), NAMES.index("rain")
    rng = np.random.default_rng(0)
    right = captions.loss(captions.centres[[dog, rain]], np.array([dog, rain]), rng)
    wrong = captions.loss(captions.centres[[rain, dog]], np.array([dog, rain]), rng)
    assert right < wrong
    same = captions.loss(captions.centres[[dog, dog]], np.array([dog, dog]), rng)
    assert same < wrong


def test_a_run_learns_and_goes_on(folder: Path) -> None:
    torch.manual_seed(0)
    run = Run(folder, seed=3)
    run.train(steps=2, peak=1e-3, mixtures=2, every=2)
    assert run.step == 2
    again = Run(folder, seed=3)
    assert again.step == 2
    for key, value in run.average.state.items():
        torch.testing.assert_close(again.average.state[key], value)
    again.train(steps=3, peak=1e-3, mixtures=2, every=10)
    listener = ears.from_file(folder / "weights.safetensors")
    assert listener.labels == LABELS


def test_two_processes_end_together(folder: Path) -> None:
    run = folder / "two"
    run.mkdir()
    (run / "lessons").symlink_to(folder / "lessons")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launch(
        argparse.Namespace(
            run=run, seed=1, start=None, processes=2, port=port,
            steps=1000, rate=1e-3, mixtures=2, every=1000, minutes=0.05,
        ),
        work,
    )  # fmt: skip
    alone = Run(run, seed=1)
    assert 0 < alone.step < 1000  # the clock ended both, at the same step, or one would wait
    assert (run / "weights.safetensors").is_file()


def test_a_step_lowers_the_loss(folder: Path) -> None:
    run = Run(folder / "other", seed=1)
    run.course = Course(folder / "lessons", run.knowledge)
    run.course.refresh()
    batch = run.course.draw(4, np.random.default_rng(0), changed=False)
    for group in run.optimizer.param_groups:
        group["lr"] = 2e-3
    losses = [sum(run.learn(batch, np.random.default_rng(0))) for _ in range(6)]
    assert losses[-1] < losses[0]


def test_calibration_lowers_the_loss(folder: Path) -> None:
    run = Run(folder / "third", seed=1)
    lessons = read_lessons(folder / "lessons" / "back-000.npz")
    figures = calibrate(run.net.eval(), lessons, run.knowledge, run.captions)
    assert figures["loss after"] < figures["loss before"]


def test_calibration_changes_no_more_than_scale_and_shift(folder: Path) -> None:
    net = Run(folder / "fourth", seed=1).net.eval()
    lessons = read_lessons(folder / "lessons" / "back-000.npz")
    windows = torch.randn(7, FEATURES)
    with torch.no_grad():
        before = net.judge(windows)[0]
        calibrate(net, lessons, Knowledge(LABELS), Captions())
        after = net.judge(windows)[0]
    spread = [(said - said.mean(0)).flatten() for said in (before, after)]
    factor = (spread[0] @ spread[1]) / (spread[0] @ spread[0])
    torch.testing.assert_close(spread[1], factor * spread[0], rtol=1e-3, atol=1e-3)


def test_what_is_placed_at_a_name_is_called_by_it(folder: Path) -> None:
    net = Run(folder / "fifth", seed=1).net
    placed = np.stack([load_text_table().embed(name) for name in ("rain", "violin", "dog barking")])
    with torch.no_grad():
        likeliest = net.named(torch.from_numpy(placed)).argmax(1)
    assert [LABELS[number] for number in likeliest] == ["Rain", "Violin, fiddle", "Bark"]


def test_few_recordings_are_kept_back() -> None:
    back = [kept_back(Clip("dog", "s", "p", f"group {n}", TRAIN, 0, 1)) for n in range(2000)]
    assert 0.03 < np.mean(back) < 0.09


def test_specific_names_are_listed_before_their_parents() -> None:
    said = {"Animal": 0.9, "Dog": 0.8, "Bark": 0.5, "Rain": 0.3, "Silence": 0.95, "Cat": 0.2}
    scores = np.array([said.get(label, 0.01) for label in LABELS], np.float32)
    assert listed(scores, LABELS, 3)[:3] == ["Bark", "Rain", "Cat"]


def test_what_listen_shows_of_the_same_scores_is_measured() -> None:
    said = {"Animal": 0.9, "Dog": 0.8, "Bark": 0.7, "Rain": 0.15, "Silence": 0.95}
    scores = np.array([said.get(label, 0.01) for label in LABELS], np.float32)

    def heard(audio: np.ndarray) -> np.ndarray:
        return np.tile(scores, (GRID.windows(audio.size), 1))

    assert shown(heard, np.zeros(3 * GRID.sample_rate, np.float32), LABELS) == ["Bark", "Rain"]


def test_where_no_two_sounds_can_be_told_apart_there_are_no_mixtures() -> None:
    noise = np.ones(16000, np.float32)
    assert _pairs([("dog", noise)] * 3, 2, load_meanings()) == []
    mixed = _pairs([("dog", noise), ("rain", noise)], 2, load_meanings())
    assert [set(kinds) for kinds, _ in mixed] == [{"dog", "rain"}] * 2


def test_what_is_right() -> None:
    meanings = load_meanings()
    assert "Water" not in right_names(meanings["rain"], strict=True)
    assert "Rain on surface" in right_names(meanings["rain"], strict=True)
    assert "Animal" not in right_names(meanings["dog"], strict=False)
    tally = Tally()
    tally.add(["Cat", "Bark"], right_names(meanings["dog"], strict=True))
    assert (tally.first, tally.three) == (0, 1)
