"""A run on a device: its mixtures, losses, clock and files; the device is this processor."""

import argparse
import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.models.compact import from_files
from engine.taxonomy.classes import Taxonomy, load_taxonomy
from engine.taxonomy.text import TextTable, load_text_table
from engine.training import device as device_module
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, TRAIN, Clip
from engine.training.device import Reporter, Settings, Stages, Trainer, WallSchedule, parse
from engine.training.losses import QUERIES
from engine.training.mixing import COMPACT, LEVEL, TEMPLATES, ClipStore, Mixer
from engine.training.planning import Plan, Planner, Plans
from engine.training.rendering import Renderer
from engine.training.shown import QUERY_SHARE
from engine.training.train import Run, Team

CPU = torch.device("cpu")
NAMES = ("speech", "dog", "owl", "rain", "bell", "music")
FRAMES = 16000


@pytest.fixture(scope="module")
def samples() -> NDArray[np.int16]:
    rng = np.random.default_rng(0)
    return (rng.uniform(-0.5, 0.5, 40 * SAMPLE_RATE) * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Clips of 0.2 to 2 seconds; the last two of each class are held out."""
    found = []
    for number in range(36):
        split = HELD_OUT if number >= 24 else TRAIN
        length = (6400, 20000, 64000)[number % 3] + number
        name = NAMES[(number // 2) % len(NAMES)]
        found.append(Clip(name, "s", f"{number}", f"g{number}", split, number * 33000, length))
    return found


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="module")
def table() -> TextTable:
    return load_text_table()


@pytest.fixture(scope="module")
def planner(clips: list[Clip], taxonomy: Taxonomy, table: TextTable) -> Planner:
    options = replace(COMPACT, samples=FRAMES)
    return Planner([c for c in clips if c.split == TRAIN], taxonomy, table, options)


def plan_of(planner: Planner, mixtures: int, seed: int = 0, **options: float) -> Plan:
    """Draw a plan with other options."""
    other = Planner.__new__(Planner)
    other.__dict__.update(planner.__dict__)
    other.options = replace(planner.options, **options)  # type: ignore[arg-type]
    other.move(planner.clips)
    return other.plan(mixtures, np.random.default_rng(seed))


def rendered_alone(plan: Plan, source: int, samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return a source as NumPy makes it from its plan; no room."""
    start, length = int(plan.start[source]), int(plan.length[source])
    audio = samples[start : start + length] / 32768
    if plan.speed[source] != 1:
        places = np.arange(0, length - 1, plan.speed[source])
        audio = np.interp(places, np.arange(length), audio)
    out = np.zeros(FRAMES)
    for onset, gain in zip(plan.onsets[source], plan.gains[source], strict=True):
        part = audio[max(-onset, 0) :][: max(0, FRAMES - max(onset, 0))] * gain
        out[max(onset, 0) :][: part.size] += part
    return out * plan.level[source] / np.sqrt(np.mean(out**2))


def test_a_batch_is_what_its_plan_says(planner: Planner, samples: NDArray[np.int16]) -> None:
    plan = plan_of(planner, 12, augment=0.5, noise=0.0)
    plan = replace(
        plan, tone=np.zeros_like(plan.tone), room=np.zeros_like(plan.room), size=plan.heard
    )
    assert (plan.speed != 1).any()
    assert (plan.onsets < 0).any()
    assert ((plan.onsets < FRAMES).sum(1) > 1).any()
    batch, truth = Renderer(torch.from_numpy(samples), FRAMES).render(plan)
    sources = np.stack([rendered_alone(plan, i, samples) for i in range(len(plan.start))])
    for number in range(12):
        expected = sources[plan.mixture == number].sum(0)
        np.testing.assert_allclose(batch.mixtures[number], expected, atol=2e-5)
    for item in range(12 * QUERIES):
        if item in plan.whole:
            expected = batch.mixtures[item // QUERIES].numpy()
        else:
            expected = sources[plan.fitting[plan.fitting[:, 0] == item, 1]].sum(0)
        np.testing.assert_allclose(batch.targets[item], expected, atol=2e-5)
        assert bool(truth.present[item]) == bool(batch.targets[item].any())


def test_targets_of_what_a_mixture_holds_and_of_the_rest_add_up(
    planner: Planner, samples: NDArray[np.int16]
) -> None:
    """Two sounds, each asked for against nothing, neither fitting the other's caption."""
    plan = plan_of(
        planner, 40, counts=(0.0, 1.0), absent=0.0, unknown=0.0, against=0.0, noise=0.0, speech=1.0
    )
    batch, _ = Renderer(torch.from_numpy(samples), FRAMES).render(plan)
    alone = 0
    for number in range(40):
        asked = [{int(s) for i, s in plan.fitting if i == number * 2 + q} for q in range(2)]
        if not asked[0] & asked[1]:
            alone += 1
            both = batch.targets[2 * number] + batch.targets[2 * number + 1]
            torch.testing.assert_close(both, batch.mixtures[number], atol=1e-5, rtol=0)
    assert alone > 15


def test_changes_are_those_of_the_mixer(planner: Planner, samples: NDArray[np.int16]) -> None:
    """An equaliser follows its curve; a room adds an echo that is over at its end."""
    plan = plan_of(planner, 1, augment=0.0, noise=0.0, counts=(1.0,))
    click = np.zeros(40000, np.int16)
    click[1000] = 16384
    tone = np.array([[6.0, 6, 6, 6, -6, -6, -6]], np.float32)
    one = {
        "start": np.array([0]),
        "length": np.array([9000]),
        "heard": np.array([9000]),
        "size": np.array([9000]),
        "onsets": np.array([[0]]),
        "gains": np.ones((1, 1), np.float32),
    }
    renderer = Renderer(torch.from_numpy(click), FRAMES)
    plain = renderer.render(replace(plan, **one))[0].mixtures[0]
    toned = renderer.render(replace(plan, **{**one, "tone": tone}))[0].mixtures[0]
    difference = 20 * np.log10(np.abs(np.fft.rfft(toned)) / np.abs(np.fft.rfft(plain)))
    bins = FRAMES / SAMPLE_RATE
    assert difference[int(200 * bins)] - difference[int(9000 * bins)] == pytest.approx(12, abs=0.1)
    room = {"room": np.array([3200]), "wet": np.array([0.5], np.float32)}
    size = {"size": np.array([9000 + 1600])}
    echoed = renderer.render(replace(plan, **{**one, **room, **size}))[0].mixtures[0]
    echoed = echoed / echoed[1000]
    assert echoed[:1000].abs().max() < 1e-4
    assert float(echoed[1001:4200].norm()) == pytest.approx(0.5, abs=0.02)
    assert float(echoed[1001:1400].norm()) > 10 * float(echoed[3400:4200].norm())
    assert echoed[4200:].abs().max() < 1e-4


def test_noise_is_as_quiet_as_its_plan(planner: Planner, samples: NDArray[np.int16]) -> None:
    plan = plan_of(planner, 6, noise=1.0, augment=0.0)
    renderer = Renderer(torch.from_numpy(samples), FRAMES)
    noisy = renderer.render(plan)[0].mixtures
    clean = renderer.render(replace(plan, noise=np.zeros_like(plan.noise)))[0].mixtures
    ratio = (noisy - clean).square().mean(1).sqrt() / clean.square().mean(1).sqrt()
    np.testing.assert_allclose(ratio, plan.noise, rtol=1e-3)
    assert (plan.noise > 10 ** (-35.1 / 20)).all()
    assert (plan.noise < 10 ** (-9.9 / 20)).all()


def test_plans_follow_the_mixers_distributions(
    planner: Planner, clips: list[Clip], taxonomy: Taxonomy
) -> None:
    plan = plan_of(planner, 1500)
    counts = Counter(np.bincount(plan.mixture).tolist())
    for number, share in enumerate(COMPACT.counts, 1):
        assert counts[number] / 1500 == pytest.approx(share, abs=0.04)
    assert len(plan.whole) / 3000 == pytest.approx(COMPACT.unknown, abs=0.015)
    items = set(plan.fitting[:, 0].tolist()) | set(plan.whole.tolist())
    assert 1 - len(items) / 3000 == pytest.approx(COMPACT.absent, abs=0.04)
    named = plan.vectors[:, 128:].any(1)
    # vain ones, and those that fit the wanted sound, too, are left out
    assert 0.2 < named.mean() < COMPACT.against
    train = [clip for clip in clips if clip.split == TRAIN]
    mixer = Mixer(ClipStore(np.zeros(0, np.int16), train), taxonomy, COMPACT)
    rng = np.random.default_rng(1)
    expected = Counter(name for _ in range(1500) for name in mixer.draw_classes(rng))
    of_start = {clip.start: clip.name for clip in train}
    drawn = Counter(of_start[int(start)] for start in plan.start)
    for name in NAMES:
        assert drawn[name] / len(plan.start) == pytest.approx(
            expected[name] / sum(expected.values()), abs=0.03
        )
    first = np.flatnonzero(np.diff(plan.mixture, prepend=-1))
    np.testing.assert_allclose(plan.level[first], LEVEL, rtol=1e-6)
    decibels = 20 * np.log10(np.delete(plan.level, first) / LEVEL)
    assert decibels.min() > -15.01
    assert decibels.max() < 10.01


def test_captions_fit_and_what_is_named_against_is_left_out(
    planner: Planner, taxonomy: Taxonomy, table: TextTable
) -> None:
    """Told from the vectors alone: they must be those of captions with these truths."""
    captions = sorted(taxonomy.captions)
    phrases = [(c, table.embed(t.format(c))) for c in captions for t in set(TEMPLATES)]
    known = np.stack([vector for _, vector in phrases])
    plan = plan_of(planner, 60, unknown=0.0)
    of_start = {clip.start: clip.name for clip in planner.clips}
    names = [of_start[int(start)] for start in plan.start]

    def meanings(vector: NDArray[np.float32]) -> set[str]:
        return {phrases[i][0] for i in np.flatnonzero(known @ vector > 0.99999)}

    excluded = 0
    for item, vector in enumerate(plan.vectors):
        here = np.flatnonzero(plan.mixture == item // QUERIES)
        fitting = {int(s) for i, s in plan.fitting if i == item}
        against = meanings(vector[128:]) if vector[128:].any() else {""}
        truths = []
        for caption in meanings(vector[:128]):
            for other in against:
                left = {
                    int(s)
                    for s in here
                    if taxonomy.fits(caption, names[s])
                    and not (other and taxonomy.fits(other, names[s]))
                }
                excluded += bool(other) and any(taxonomy.fits(other, names[s]) for s in here)
                truths.append(left)
        assert fitting in truths
    assert excluded > 5


def test_sounds_stand_for_some_words_where_they_are_placed(
    planner: Planner, clips: list[Clip], taxonomy: Taxonomy, table: TextTable
) -> None:
    trained = [clip for clip in clips if clip.split == TRAIN]
    rng = np.random.default_rng(0)
    places = rng.standard_normal((len(trained), 128))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    placed = Planner(trained, taxonomy, table, planner.options, places.astype(np.float16))
    words, some = (one.plan(300, np.random.default_rng(4)) for one in (planner, placed))
    assert words.vectors.shape == some.vectors.shape
    known = {table.embed(p.format(c)).tobytes() for c in taxonomy.captions for p in set(TEMPLATES)}
    meant = some.vectors[some.meant, :128]
    strange = np.array([vector.tobytes() not in known for vector in meant])
    # general words ("animal") are no class's own, and no sound stands for them
    assert 0.5 * QUERY_SHARE < strange.mean() <= QUERY_SHARE + 0.03
    assert {vector.tobytes() for vector in words.vectors[words.meant, :128]} <= known
    elsewhere = Plans(placed, 3, 1)
    try:
        there = elsewhere.take(0, 20)
    finally:
        elsewhere.close()
    np.testing.assert_array_equal(there.vectors, Plans(placed, 3, 0).take(0, 20).vectors)


def test_plans_depend_on_seed_and_step_and_workers_draw_the_same(planner: Planner) -> None:
    here, elsewhere = Plans(planner, 3, 0), Plans(planner, 3, 1)
    try:
        for step, mixtures in ((0, 2), (1, 2), (1, 1), (2, 1), (7, 1)):
            one, other = here.take(step, mixtures), elsewhere.take(step, mixtures)
            for name, value in vars(one).items():
                np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
        assert here.take(0, 2).seed != here.take(1, 2).seed
    finally:
        elsewhere.close()


class Clock:
    """A clock that goes on by a fixed amount whenever somebody looks."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


SMALL = Settings(minutes=1, mixtures=2, warmup=2, seconds=0.5, pairs=0, rate=1e-3)


def trainer(
    samples: NDArray[np.int16],
    clips: list[Clip],
    folder: Path,
    settings: Settings = SMALL,
    clock: Clock | None = None,
    said: list[str] | None = None,
    start: Path | None = None,
) -> Trainer:
    say = (lambda _: None) if said is None else said.append
    return Trainer(samples, clips, folder, CPU, settings, clock=clock, say=say, start=start)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


@pytest.fixture
def store(tmp_path: Path, samples: NDArray[np.int16], clips: list[Clip]) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "audio.i16").write_bytes(samples.tobytes())
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["name", "source", "path", "group", "split", "start", "length"])
        writer.writerows(vars(clip).values() for clip in clips)
    return folder


def test_a_steps_loss_is_that_of_training_on_the_processor(
    samples: NDArray[np.int16],
    clips: list[Clip],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same weights and sounds through both programs: losses, and the gradients' effect."""
    from engine.training import losses

    def exactly(device: str = "cpu") -> torch.autocast:
        return torch.autocast(device, torch.bfloat16, enabled=False)

    monkeypatch.setattr(losses, "precision", exactly)
    ours = trainer(samples, clips, tmp_path / "device")
    theirs = Run(store, tmp_path / "run", 1, 1, Team())
    theirs.net.load_state_dict(ours.net.state_dict())
    theirs.heads.load_state_dict(ours.heads.state_dict())
    plan = ours.plans.take(0, 2)
    batch, truth = ours.renderer.render(plan)
    meant = torch.zeros(4, dtype=torch.bool)
    meant[truth.meant] = True
    torch.manual_seed(plan.seed)
    theirs.heads.train()
    theirs_losses = theirs._learn(batch, replace(truth, meant=meant), theirs.net.analyse)
    ours.net.train()
    ours.heads.train()
    ours_losses = ours._learn(plan, 0.0)
    np.testing.assert_allclose(ours_losses, theirs_losses, atol=1e-4, rtol=0)
    torch.nn.utils.clip_grad_norm_(theirs.parameters, 5.0)
    for mine, other in zip(ours.parameters.values(), theirs.parameters, strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-3)


def test_the_rate_falls_to_nothing_when_the_time_is_up() -> None:
    schedule = WallSchedule(peak=1.0, warmup=4, seconds=100.0, decay=0.5)
    assert schedule.rate(0, 20.0) == 0.25
    assert schedule.rate(3, 20.0) == 1.0
    assert schedule.rate(9, 50.0) == 1.0
    assert schedule.rate(9, 75.0) == pytest.approx(0.5)
    assert schedule.rate(9, 100.0) == 0.0
    assert schedule.rate(9, 170.0) == 0.0


def test_a_run_keeps_to_its_time_and_writes_what_ships(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    settings = replace(
        SMALL, minutes=1.5, pairs=2, say_every=0.5, save_every=40.0, validate_every=50.0
    )
    clock, said = Clock(4.0), list[str]()
    run = trainer(samples, clips, tmp_path, settings, clock, said)
    saved: list[float] = []
    monkey = run.save
    run.save = lambda: (saved.append(clock.now), monkey())[1]  # type: ignore[method-assign]
    run.train()
    log = rows(tmp_path / "log.csv")
    assert [int(row["step"]) for row in log] == list(range(1, run.step + 1))
    assert float(log[-1]["seconds"]) <= 90 + 2 * clock.tick
    assert all(np.isfinite(float(row["dB"])) for row in log)
    rates = [float(row["rate"]) for row in log]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 3e-4
    assert len(saved) >= 2
    assert len(rows(tmp_path / "validation.csv")) == 2
    assert "heldout SI-SDRi mean" in rows(tmp_path / "validation.csv")[0]
    model = from_files(tmp_path / "weights.safetensors", tmp_path / "heads.safetensors")
    assert model.net.config == run.net.config
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(files) <= 8
    assert max(path.stat().st_size for path in files) <= 16 * 2**20
    assert sum(path.stat().st_size for path in files) <= 64 * 2**20
    assert any("the time is up" in line for line in said)


def test_a_run_goes_on_where_it_was(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    """Two steps and two more after a restart are four steps; only the averages are rounded."""

    def steps(run: Trainer, count: int) -> None:
        run.net.train()
        run.heads.train()
        for _ in range(count):
            assert run._step(1e-3) is not None

    straight = trainer(samples, clips, tmp_path / "straight")
    steps(straight, 4)
    broken = trainer(samples, clips, tmp_path / "broken")
    steps(broken, 2)
    broken.save()
    resumed = trainer(samples, clips, tmp_path / "broken")
    assert resumed.step == 2
    steps(resumed, 2)
    for key, value in straight.net.state_dict().items():
        torch.testing.assert_close(resumed.net.state_dict()[key], value, atol=1e-6, rtol=1e-5)
    for key, value in straight.average.state.items():
        torch.testing.assert_close(resumed.average.state[key], value, atol=2e-3, rtol=2e-3)


def test_a_state_of_two_steps_is_not_mixed(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    run = trainer(samples, clips, tmp_path)
    run.net.train()
    run._step(1e-3)
    run.save()
    kept = (tmp_path / "state-1.safetensors").read_bytes()
    run._step(1e-3)
    run.save()
    (tmp_path / "state-1.safetensors").write_bytes(kept)
    said: list[str] = []
    again = trainer(samples, clips, tmp_path, said=said)
    assert again.step == 0
    assert "no whole state" in said[0]
    assert "beginning with" in said[1]
    expected = run.average.state["unet.last.bias"]
    torch.testing.assert_close(
        again.net.state_dict()["unet.last.bias"], expected, atol=1e-3, rtol=0
    )


def test_a_run_can_begin_with_weights(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    first = trainer(samples, clips, tmp_path / "first")
    with torch.no_grad():
        first.average.state["unet.last.bias"].fill_(0.75)
    first.save()
    start = tmp_path / "first" / "weights.safetensors"
    second = trainer(samples, clips, tmp_path / "second", start=start)
    assert float(second.net.state_dict()["unet.last.bias"][0]) == 0.75
    assert float(second.average.state["unet.last.bias"][0]) == 0.75


def test_too_little_memory_halves_the_batch(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    said: list[str] = []
    run = trainer(samples, clips, tmp_path, replace(SMALL, mixtures=4), said=said)
    learn = run._learn

    def small(plan: Plan, rate: float) -> torch.Tensor:
        if len(plan.jitter) > 1:
            raise torch.OutOfMemoryError("too much")
        return learn(plan, rate)

    run._learn = small  # type: ignore[method-assign]
    assert run._step(0.0) is None
    assert run._step(0.0) is None
    assert run.mixtures == 1
    assert run._step(0.0) is not None
    assert run.step == 1
    assert "2 mixtures" in said[0]
    run._learn = lambda plan, rate: (_ for _ in ()).throw(torch.OutOfMemoryError())  # type: ignore[assignment,method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        run._step(0.0)


def test_a_compiler_that_fails_does_not_cost_the_run(
    samples: NDArray[np.int16],
    clips: list[Clip],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(function: object, **_: object) -> object:
        def fails(*_: object) -> None:
            raise RuntimeError("no compiler here\nat line 1")

        return fails

    monkeypatch.setattr(torch, "compile", broken)
    said: list[str] = []
    run = trainer(samples, clips, tmp_path, replace(SMALL, compiler="default"), said=said)
    run.net.train()
    assert run._step(1e-3) is not None
    assert said == ["compiling failed (RuntimeError: no compiler here); going on without it"]
    run._analyse = fail_always  # what fails without a compiler fails for good
    with pytest.raises(RuntimeError, match="always"):
        run._step(1e-3)


def fail_always(*_: object) -> tuple[torch.Tensor, torch.Tensor]:
    raise RuntimeError("always")


def test_losses_that_are_no_numbers_take_a_run_back(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    said: list[str] = []
    settings = replace(SMALL, minutes=1.2, say_every=0.5, save_every=15.0)
    run = trainer(samples, clips, tmp_path, settings, Clock(4.0), said)
    learn = run._learn

    def spoilt(plan: Plan, rate: float) -> torch.Tensor:
        if run.step == 3:
            with torch.no_grad():
                run.net.unet.last.bias.fill_(float("nan"))
        return learn(plan, rate)

    run._learn = spoilt  # type: ignore[method-assign]
    run.train()
    assert any("back to what was saved" in line for line in said)
    assert all(torch.isfinite(value).all() for value in run.net.state_dict().values())
    assert all(torch.isfinite(value).all() for value in run.average.state.values())
    assert run.step > 4
    with pytest.raises(BadInput, match="lower --rate"):
        trainer(samples, clips, tmp_path / "other")._rewind()


def test_clips_without_any_for_training_are_refused(
    samples: NDArray[np.int16], clips: list[Clip], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="no clip for training"):
        trainer(samples, clips[24:], tmp_path)


def test_stages_are_measured_where_wanted() -> None:
    off, on = Stages(CPU, wanted=False), Stages(CPU, wanted=True)
    for stages in (off, on):
        with stages("mix"):
            torch.ones(3).sum()
    assert off.seconds == {}
    assert on.table().startswith("mix ")


def test_a_long_silence_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    import threading

    with Reporter(longest=0.1) as say:
        say("compiling")
        deadline = threading.Event()
        for _ in range(100):
            if deadline.wait(0.1) or "still" in (out := capsys.readouterr().out):
                break
    assert "still: compiling" in out


def test_the_command_trains_from_a_store(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = f"device {store} --out {out} --device cpu --minutes 0.001 --mixtures 1 --workers 0"
    monkeypatch.setattr("sys.argv", [*line.split(), "--pairs", "1", "--stages"])
    device_module.main()
    assert (out / "weights.safetensors").exists()
    assert "the time is up" in capsys.readouterr().out
    assert isinstance(parse(["x", "--out", "y"]), argparse.Namespace)
    assert json.dumps(parse(["x", "--out", "y"]).compiler) == '"none"'
