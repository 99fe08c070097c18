"""Training steps, averages, checkpoints and scores, on noise."""

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import BadInput
from engine.models.compact.heads import Heads, heads_from
from engine.models.compact.network import CompactNet
from engine.models.compact.weights import new_network
from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import SAMPLE_RATE, TRAIN, build
from engine.training.evaluate import Pair, evaluate
from engine.training.figures import group_of, score, summary
from engine.training.instruments import midi_file, phrase
from engine.training.losses import (
    NEAR_DB,
    QUERIES,
    Batch,
    Truth,
    mask_losses,
    presence_loss,
    spectra_of,
)
from engine.training.train import Average, Run, Schedule, Team, work


def small_batch(seed: int = 0, *, against: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    mixtures = 0.1 * torch.randn(1, 9000, generator=generator)
    targets = torch.stack([mixtures[0] * 0.5, torch.zeros(9000)])
    width = 256 if against else 128
    vectors = torch.nn.functional.normalize(torch.randn(QUERIES, width, generator=generator))
    return Batch(mixtures, targets, vectors, torch.ones(1))


def losses(net: CompactNet, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    spectra = spectra_of(batch)
    return mask_losses(net(spectra.magnitude, batch.vectors, spectra.rms), spectra)


def test_schedule() -> None:
    schedule = Schedule(peak=1.0, warmup=10, steps=100, decay=20)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[50] == 1.0
    assert rates[90] == pytest.approx(0.5)
    assert rates[100] == 0.0


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    net = new_network().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    batch = small_batch()
    totals = []
    for _ in range(4):
        magnitude, decibels = losses(net, batch)
        loss = magnitude + decibels
        totals.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert totals[-1] < totals[0] - 0.1


def test_a_silent_target_is_scored_by_what_comes_out() -> None:
    net = new_network().eval()
    batch = small_batch()
    with torch.no_grad():
        net.unet.last.weight.zero_()
        net.unet.last.bias.fill_(-20.0)
        _, quiet = losses(
            net, Batch(batch.mixtures, batch.targets * 0, batch.vectors, batch.jitter)
        )
        net.unet.last.bias.fill_(20.0)
        _, loud = losses(net, Batch(batch.mixtures, batch.targets * 0, batch.vectors, batch.jitter))
    assert float(quiet) == pytest.approx(-25, abs=0.1)
    assert float(loud) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_what_is_not_there_weighs_as_much_as_what_is(share: float) -> None:
    """Knowing nothing, the best probability is a half however many queries are in vain."""
    heads = Heads(4, 128)
    with torch.no_grad():
        heads.presence[-1].weight.zero_()
        heads.presence[-1].bias.zero_()
    present = (torch.arange(20) >= 20 * share).float()
    loss = presence_loss(
        heads, torch.zeros(20, 2, 8), torch.zeros(20, 2, 2), torch.zeros(20, 128), present, share
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(np.log(2), abs=1e-5)
    assert float(heads.presence[-1].bias.grad) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("quieter", [0.5, 0.1, 0.02, 0.002])
def test_the_right_sound_at_the_wrong_level_costs_and_can_be_mended(quieter: float) -> None:
    rng = torch.Generator().manual_seed(2)
    sounds = 0.1 * torch.randn(2, 9000, generator=rng)
    sounds[0, 4500:] = 0
    sounds[1, :4500] = 0
    mixture = sounds.sum(0, keepdim=True)
    spectra = spectra_of(Batch(mixture, sounds, torch.zeros(QUERIES, 128), torch.ones(1)))
    ideal = (spectra.target.abs() / (spectra.magnitude + 1e-9)).clamp(0, 1)
    share = torch.tensor(quieter, requires_grad=True)
    _, right = mask_losses(ideal, spectra)
    _, quiet = mask_losses(share * ideal, spectra)
    quiet.backward()  # type: ignore[no-untyped-call]
    _, about = mask_losses(0.8 * ideal, spectra)
    assert float(about) == pytest.approx(float(right), abs=0.1)
    too_quiet = -20 * np.log10(quieter) - NEAR_DB
    assert float(quiet.detach()) > float(right) + 0.2 * too_quiet
    assert share.grad is not None
    assert float(share.grad * quieter) < -0.5  # dB that the loss falls for e times as loud


def test_average_follows_the_network() -> None:
    net = new_network()
    average = Average(net, decay=0.5)
    with torch.no_grad():
        net.unet.last.bias.fill_(4.0)
    for step in range(100, 140):
        average.update(net, step)
    assert float(average.state["unet.last.bias"][0]) == pytest.approx(4.0, abs=1e-3)


class TestScores:
    def test_scale_does_not_matter(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.standard_normal(4000).astype(np.float32)
        guess = truth + 0.1 * rng.standard_normal(4000).astype(np.float32)
        assert score(truth, guess) == pytest.approx(20, abs=0.5)
        assert score(truth, 7 * guess) == pytest.approx(score(truth, guess), abs=1e-3)

    def test_never_below_the_floor(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.standard_normal(4000).astype(np.float32)
        assert score(truth, np.zeros(4000, np.float32)) == -30
        assert score(truth, np.roll(truth, 100) * 0) == -30

    def test_a_mask_of_ones_gains_nothing(self) -> None:
        rng = np.random.default_rng(0)
        sources = rng.standard_normal((2, SAMPLE_RATE)).astype(np.float32)
        net = new_network().eval()
        with torch.no_grad():
            net.unet.last.weight.zero_()
            net.unet.last.bias.fill_(30.0)
        pair = Pair(("dog", "rain"), ("dog", "rain"), sources)
        scores = evaluate(net, lambda _: np.zeros(128, np.float32), [pair])
        assert len(scores) == 2
        figures = summary(scores)
        assert figures["SI-SDRi mean"] == pytest.approx(0, abs=1e-3)
        assert figures["margin mean"] == 0


def test_groups() -> None:
    taxonomy = load_taxonomy()
    assert group_of("owl", taxonomy) == "animal"
    assert group_of("violin", taxonomy) == "music"
    assert group_of("thud", taxonomy) == "other"


@pytest.mark.parametrize("program", ["0", "33", "drums"])
def test_phrases_are_midi_files(program: str) -> None:
    import random

    data = phrase(program, random.Random(0))
    assert data == phrase(program, random.Random(0))
    assert data[:4] == b"MThd"
    assert data[14:18] == b"MTrk"
    assert int.from_bytes(data[18:22], "big") == len(data) - 22
    assert data[-3:] == b"\xff\x2f\x00"
    assert midi_file([(200, b"\x90\x40\x40")], 500_000)[29:32] == b"\x81\x48\x90"


def noises(folder: Path) -> Path:
    """Build a corpus of noise in the layout of ESC-10, and return its store."""
    folders = {"001 - Dog bark": "dog", "002 - Rain": "rain", "007 - Helicopter": "x"}
    rng = np.random.default_rng(0)
    for name in folders:
        (folder / "raw" / name).mkdir(parents=True)
        for number in range(8):
            file = folder / "raw" / name / f"{1 + number % 4}-{number}-A.ogg"
            noise = 0.1 * np.cumsum(rng.standard_normal(24000)) / 50
            soundfile.write(file, noise, 32000)
    clips = build({"esc-10": folder / "raw"}, folder / "store")
    assert {clip.split for clip in clips} >= {TRAIN}
    return folder / "store"


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = noises(tmp_path)

    def arguments(folder: str, steps: int) -> argparse.Namespace:
        return argparse.Namespace(
            store=store, run=tmp_path / folder, steps=steps, decay=1, rate=1e-3,
            mixtures=1, every=1, validation_pairs=1, seed=1, processes=1, port=0, compile=False,
            start=None,
        )  # fmt: skip

    work(0, arguments("whole", 2))
    work(0, arguments("parts", 1))
    work(0, arguments("parts", 2))
    whole, parts = (
        torch.load(tmp_path / folder / "checkpoint.pt", weights_only=True)
        for folder in ("whole", "parts")
    )
    assert whole["step"] == parts["step"] == 2
    with (tmp_path / "parts" / "validation.csv").open() as table:
        assert [row["step"] for row in csv.DictReader(table)] == ["1", "2"]
    assert (tmp_path / "parts" / "weights.safetensors").stat().st_size < 7e6
    for part in ("net", "heads"):
        for key, value in whole[part].items():
            torch.testing.assert_close(value, parts[part][key], rtol=1e-4, atol=1e-4)
    heads = heads_from((tmp_path / "whole" / "heads.safetensors").read_bytes(), "heads", 160)
    assert not heads.labels


def test_masks_and_presence_are_learned_together(tmp_path: Path) -> None:
    torch.manual_seed(0)
    store = noises(tmp_path)
    run = Run(store, tmp_path / "run", 1, 1, Team())
    batch = small_batch(against=True)
    truth = Truth(torch.tensor([1.0, 0.0]), torch.tensor([True, True]))
    before = [p.detach().clone() for p in run.parameters]
    steps = []
    for _ in range(4):
        run.optimizer.zero_grad(set_to_none=True)
        steps.append(run._learn(batch, truth, run.net.analyse))
        run.optimizer.step()
    for figure in range(3):
        assert steps[-1][figure] < steps[0][figure], figure
    moved = [bool((p != old).any()) for p, old in zip(run.parameters, before, strict=True)]
    assert all(moved)


def test_a_run_of_an_older_tweeze_is_refused(tmp_path: Path) -> None:
    store = noises(tmp_path)
    Run(store, tmp_path / "run", 1, 1, Team()).save()
    path = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    torch.save({key: value for key, value in state.items() if "heads" not in key}, path)
    with pytest.raises(BadInput, match=r"begin a new run, with --start .*weights.safetensors"):
        Run(store, tmp_path / "run", 1, 1, Team())


def test_what_is_spoken_against_steers_once_it_was_learned() -> None:
    net = new_network().eval()
    batch = small_batch(against=True)
    spectra = spectra_of(batch)

    def mask(vectors: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = net(spectra.magnitude, vectors, spectra.rms)
        return found

    plain = mask(batch.vectors[:, :128])
    torch.testing.assert_close(mask(batch.vectors), plain)  # as weights from before it know nothing
    torch.nn.init.normal_(net.against.weight)
    assert (mask(batch.vectors) - plain).abs().max() > 1e-3
    named_nothing = torch.cat([batch.vectors[:, :128], torch.zeros(QUERIES, 128)], 1)
    torch.testing.assert_close(mask(named_nothing), plain)


def test_queries_that_mean_nothing_teach_no_presence(tmp_path: Path) -> None:
    run = Run(noises(tmp_path), tmp_path / "run", 1, 1, Team())
    batch = small_batch()

    def presence(meant: tuple[bool, bool], present: tuple[float, float]) -> float:
        run.net.eval()
        run.heads.eval()
        truth = Truth(torch.tensor(present), torch.tensor(meant))
        return run._learn(batch, truth, run.net.analyse)[2]

    assert presence((True, False), (1.0, 0.0)) == presence((True, False), (1.0, 1.0))
    assert presence((True, True), (1.0, 0.0)) != presence((True, True), (1.0, 1.0))
