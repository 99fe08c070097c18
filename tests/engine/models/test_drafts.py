"""AudioSep's drafts in 8 bits: tried once, refused where they are rough or slow, remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.errors import BadJob, Failure
from engine.job import Job
from engine.models import int8, router, runtime_choice
from engine.models.audiosep import AudioSep, FastForm, drafts, network, runtimes, separator
from engine.options import Options, Precision

SITE = "__module.encoder.4/aten::_convolution/Convolution"
DRAFT = Options(precision=Precision.DRAFT)


@pytest.fixture
def form(entry, measured) -> Iterator[FastForm]:
    """The fast form, as if OpenVINO had been found the faster, and no draft had been tried."""
    record = measured.folder / "form.json"
    before = record.read_text()
    facts = {"openvino": runtime_choice.openvino(), "seconds_openvino": 1.0, "seconds_torch": 2.0}
    measured.note_graph(facts)
    yield measured
    record.write_text(before)
    (measured.folder / "draft.safetensors").unlink(missing_ok=True)


class Made:
    """In the place of a trial: what it would find, and how often it was asked."""

    def __init__(self, plan: int8.Plan | None, facts: dict[str, object] | None = None) -> None:
        self.plan, self.facts, self.asked = plan, facts or {}, 0
        self.rest = "bf16" if runtimes.has_bf16() else "f32"

    def __call__(self, *_: object) -> Made:
        return self

    def made(self) -> tuple[int8.Plan | None, dict[str, object]]:
        self.asked += 1
        return self.plan, {**self.facts, **({"plan": self.plan.record()} if self.plan else {})}


@pytest.fixture
def plan() -> int8.Plan:
    rng = np.random.default_rng(0)
    weights = {SITE: rng.integers(-127, 128, (384, 256, 3, 3)).astype(np.int8)}
    return int8.Plan({SITE: "8"}, {SITE: int8.Range.over(-0.2, 16)}, weights)


def model(form: FastForm, **options) -> AudioSep:
    return AudioSep("formula", form, **options).tuned(DRAFT)


def test_only_who_tunes_has_drafts_in_8_bits(entry, form, plan, monkeypatch):
    trial = Made(plan)
    monkeypatch.setattr(drafts, "Trial", trial)
    assert model(form).on("").runtime_name == "openvino"
    assert runtime_choice.chosen(entry, Precision.DRAFT) == "openvino"
    assert trial.asked == 0, "a trial of minutes comes unasked"
    found = model(form).try_drafts()
    assert found["plan"] == plan.record()
    assert (load_file(form.folder / "draft.safetensors")[SITE] == plan.weights[SITE]).all()
    assert form.damaged() == ()

    again = model(FastForm(form.folder))
    assert runtime_choice.chosen(entry, Precision.DRAFT) == "openvino-int8"
    assert runtime_choice.chosen(entry, Precision.EXACT) == "openvino"
    assert again.on("").runtime_name == "openvino-int8"
    assert trial.asked == 1
    assert isinstance(again.runtime, runtimes.OpenVino)

    monkeypatch.setattr(runtime_choice, "version", lambda _: "another")
    assert drafts.plan_of(form) is None


def test_eight_bits_are_computed_and_exact_answers_stay(form, plan, monkeypatch, rng):
    heard = np.abs(rng.standard_normal((1, 64, 1025))).astype(np.float32)
    vectors = rng.standard_normal((1, 512)).astype(np.float32) / 22

    def mask(one: AudioSep) -> np.ndarray:
        return one.mask(heard, vectors, 0.1, slice(0, 64))

    exact = mask(AudioSep("formula", form, runtime="openvino"))
    monkeypatch.setattr(drafts, "Trial", Made(replace(plan, weights={})))
    model(form).try_drafts()
    draft = mask(model(form, runtime="openvino-int8"))
    plain = mask(model(form, runtime="openvino"))
    assert not np.array_equal(draft, plain)
    assert 0 < np.square(np.abs(draft - exact)).sum() < 1e-2 * np.square(np.abs(exact)).sum()
    same = AudioSep("formula", form, runtime="openvino-int8")
    assert same.runtime_name == "openvino"  # 8 bits are for drafts
    assert np.array_equal(mask(same), exact)


def test_what_a_job_was_told_is_kept(entry, form, folders, plan, monkeypatch):
    job = Job("one", Path("/tmp/a.wav"), ("dog",), replace(DRAFT, model="formula"))
    assert router.resolve(job, folders).runtime == "openvino"
    monkeypatch.setattr(drafts, "Trial", Made(plan))
    model(form).try_drafts()
    told = router.resolve(job, folders)
    assert told.runtime == "openvino-int8"
    exact = replace(job, id="two", options=Options(model="formula"))
    assert router.resolve(exact, folders).runtime == "openvino"
    assert router.resolve(replace(exact, base="one"), folders, told).runtime == "openvino"
    drafts.settled(form, Made(None, {"why": "another answer"}))
    assert model(form).on(told.runtime).runtime_name == "openvino-int8"
    with pytest.raises(Failure, match="how is no longer known: ask again"):
        model(form).on(told.runtime).runtime  # noqa: B018
    with pytest.raises(BadJob, match="torch, openvino or openvino-int8"):
        model(form).on("int8")


def test_what_is_refused_takes_an_earlier_plan_away(entry, form, plan, monkeypatch):
    monkeypatch.setattr(drafts, "Trial", Made(plan))
    model(form).try_drafts()
    why = "drafts are hardly faster with parts in 8 bits"
    monkeypatch.setattr(drafts, "Trial", Made(None, {"why": why}))
    assert model(form).try_drafts() == {"why": why}
    assert model(FastForm(form.folder)).on("").runtime_name == "openvino"
    assert runtime_choice.chosen(entry, Precision.DRAFT) == "openvino"
    assert not (form.folder / "draft.safetensors").exists()


def test_a_trial_that_fails_is_no_error(form, monkeypatch):
    trial = Made(None)
    monkeypatch.setattr(drafts, "Trial", trial)
    monkeypatch.setattr(trial, "made", _no_memory)
    assert model(form).try_drafts() == {"why": "the trial failed: no room"}
    assert model(form).on("").runtime_name == "openvino"


def _no_memory() -> None:
    raise MemoryError("no room")


def test_a_trial_that_ends_the_process_leaves_all_as_it_was(entry, form, plan, monkeypatch):
    trial = Made(plan)
    monkeypatch.setattr(drafts, "Trial", trial)
    monkeypatch.setattr(trial, "made", _killed)
    record = (form.folder / "form.json").read_bytes()
    with pytest.raises(SystemExit):
        model(FastForm(form.folder)).try_drafts()
    assert (form.folder / "form.json").read_bytes() == record
    assert model(form).on("").runtime_name == "openvino"


def _killed() -> None:
    raise SystemExit


def test_where_the_disk_is_full_nothing_changes(entry, form, plan, monkeypatch):
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    trial = Made(plan)
    monkeypatch.setattr(drafts, "Trial", trial)
    record = (form.folder / "form.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            model(form).try_drafts()
    assert (form.folder / "form.json").read_bytes() == record
    assert not list(form.folder.glob("*.part"))
    assert runtime_choice.chosen(entry, Precision.DRAFT) == "openvino"


@pytest.mark.parametrize("damage", [b"", b"no tensors", None])
def test_damaged_weights_mean_drafts_as_before(form, plan, monkeypatch, damage):
    trial = Made(plan)
    monkeypatch.setattr(drafts, "Trial", trial)
    model(form).try_drafts()
    path = form.folder / "draft.safetensors"
    path.unlink() if damage is None else path.write_bytes(damage)
    assert drafts.plan_of(form) is None
    assert model(FastForm(form.folder)).on("").runtime_name == "openvino"
    model(form).try_drafts()
    assert drafts.plan_of(form) is not None


def test_another_processor_s_plan_does_not_serve(form, plan, monkeypatch):
    trial = Made(plan)
    monkeypatch.setattr(drafts, "Trial", trial)
    model(form).try_drafts()
    other = not runtimes.has_bf16()
    monkeypatch.setattr(runtimes, "has_bf16", lambda: other)
    assert drafts.plan_of(form) is None


@pytest.fixture
def small_trial(form, folded, formula, monkeypatch) -> drafts.Trial:
    """A real trial of one part of the network, on short stretches."""
    monkeypatch.setattr(drafts, "_FRAMES", network.BLOCK)
    monkeypatch.setattr(drafts, "_CHOOSING", drafts._CHOOSING[:1])
    monkeypatch.setattr(drafts, "_CHECKING", drafts._CHECKING[:1])
    sites = int8.sites
    monkeypatch.setattr(
        int8, "sites", lambda *given: [one for one in sites(*given) if one.name == SITE]
    )
    resident = separator._Resident(form)
    condition = formula.condition()[None]
    if not form.has_graph():
        runtimes.write_graph(folded, form.graph)
    return drafts.Trial(form.graph, resident.normalised, lambda _: resident.shifts(condition)[0])


def test_a_draft_below_the_wanted_quality_is_refused(form, small_trial, monkeypatch):
    monkeypatch.setattr(drafts, "WANTED", 200.0)
    plan, facts = small_trial.made()
    assert plan is None
    assert facts == {"why": "parts in 8 bits are less than 200 dB from exact"}
    assert drafts.settled(form, small_trial) == facts


def test_a_draft_has_to_be_faster(small_trial, monkeypatch):
    monkeypatch.setattr(drafts, "WANTED", 10.0)
    monkeypatch.setattr(drafts, "GAIN", 1e9)
    plan, facts = small_trial.made()
    assert plan is None
    assert "hardly faster" in str(facts["why"])
    assert float(str(facts["decibels"])) >= 10
    monkeypatch.setattr(drafts, "GAIN", 1e-9)
    plan, facts = small_trial.made()
    assert plan is not None
    assert list(plan.forms) == [SITE]
    assert facts["plan"] == plan.record()
