"""Kept masks: how exactly they are stored, and jobs that go on from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from known_models import BLUR, Blur, WaveBlur

from engine.job import Job
from engine.mask_room import prune, size
from engine.models.base import WaveformSeparator
from engine.options import Keep, Options
from engine.places import Span
from engine.queue.teams import assemble
from engine.sound.audio import read
from engine.sound.kept import Kept, Recorder, Told
from engine.sound.mask_codes import decoded, encoded
from engine.sound.segments import Segment
from engine.sound.separate import Keeping, separate
from engine.sound.team import Sought
from engine.status import Certainty

RATE = 44_100


def noise(rng, seconds=2.0, channels=2):
    return (0.3 * rng.standard_normal((channels, int(RATE * seconds)))).astype(np.float32)


def db(error, reference):
    power = np.sum(error.astype(float) ** 2)
    return 10 * np.log10(max(power, 1e-30) / np.sum(reference.astype(float) ** 2))


@settings(deadline=None)
@given(arrays.arrays(np.float32, (2, 3, 5), elements=st.floats(0, 1, width=32)))
def test_real_masks_are_stored_to_96_db(mask):
    again = decoded(encoded(mask))
    assert again.dtype == np.float32
    assert np.abs(again - mask).max() <= 2.0**-15.9
    assert (again[mask == 0] == 0).all()
    assert (again[mask == 1] == 1).all()
    # what a power below 1 magnifies is stored more finely
    assert np.abs(np.sqrt(again) - np.sqrt(mask)).max() <= 2.0**-16.9


@settings(deadline=None)
@given(
    arrays.arrays(
        np.complex64,
        (2, 3, 5),
        elements=st.complex_numbers(max_magnitude=1, allow_nan=False, width=64),
    )
)
def test_complex_masks_keep_magnitude_and_phase(mask):
    again = decoded(encoded(mask))
    assert again.dtype == np.complex64
    assert np.abs(again - mask).max() <= 2.0**-14.4
    assert (again[mask == 0] == 0).all()


@pytest.mark.parametrize(
    "mask", [np.full((2, 2), 1.5, np.float32), np.full((2, 2), 1.5j, np.complex64)]
)
def test_what_does_not_fit_is_stored_as_it_is(mask):
    assert decoded(encoded(mask)).tobytes() == mask.tobytes()


def job_of(wav, x, *queries, nots=(), base="", **options):
    answers = ("model",) * len((*queries, *nots))
    id_ = f"job-{len(queries)}-{len(nots)}" + ("-again" if base else "")
    path = wav(x, RATE, "mixture.wav")
    return Job(id_, path, queries, Options(**options), nots=nots, answers=answers, base=base)


def kept_of(job, model, folder):
    """Separate a job and keep its masks."""
    team = assemble(job, {"model": model}).team
    separate(job, team, folder / "first", keeping=Keeping(folder / "masks" / job.id))
    kept = Kept.open(folder / "masks" / job.id)
    assert kept is not None
    return kept


def deaf(model):
    """Return the model as one that fails where it is asked."""

    def asked(*arguments):
        raise AssertionError("the model was asked")

    name = "sources_of" if isinstance(model, WaveformSeparator) else "mask"
    object.__setattr__(model, name, asked)
    return model


CHANGES = {
    "sharper": {"sharpness": 2.5},
    "softer": {"sharpness": 0.4},
    "spans": {"at": (Span(0.3, 1.2),), "never": (Span(0.5, 0.6),)},
    "amount": {"amount": 40.0},
    "no competition": {"compete": False},
    "one clip": {"merge": True},
}


@pytest.mark.parametrize("kind", BLUR)
@pytest.mark.parametrize("change", CHANGES)
def test_adjusting_is_a_fresh_job_to_90_db(kind, change, rng, wav, tmp_path):
    x = noise(rng)
    first = job_of(wav, x, "dog", "rain", keep=Keep.BOTH)
    kept = kept_of(first, BLUR[kind](), tmp_path)
    job = replace(
        first, id="again", base=first.id, options=replace(first.options, **CHANGES[change])
    )
    fresh = separate(job, assemble(job, {"model": BLUR[kind]()}).team, tmp_path / "fresh")
    team = assemble(job, {}, kept=kept).team
    again = separate(job, team, tmp_path / "again", kept=kept)
    assert [clip.name for clip in again] == [clip.name for clip in fresh]
    total = 0.0
    for one, other in zip(fresh, again, strict=True):
        wanted, got = read(one.path)[0], read(other.path)[0]
        assert db(got - wanted, x) < -90
        total = total + got.astype(float)
    assert np.abs(total - x).max() <= 2**-21


def test_without_a_change_the_model_is_not_asked(rng, wav, tmp_path):
    first = job_of(wav, noise(rng), "dog", nots=("rain",))
    kept = kept_of(first, Blur(), tmp_path)
    made = assemble(first, {"model": deaf(Blur())}, kept=kept)
    assert made.missing == ()
    assert separate(first, made.team, tmp_path / "again", kept=kept)


@pytest.mark.parametrize("kind", BLUR)
def test_a_new_word_is_asked_for_alone(kind, rng, wav, tmp_path):
    x = noise(rng)
    first = job_of(wav, x, "dog", keep=Keep.BOTH)
    kept = kept_of(first, BLUR[kind](), tmp_path)
    job = replace(first, id="again", nots=("rain",), answers=("model",) * 2)
    # of two sounds of a waveform model neither takes anything from the other
    assert assemble(job, {}, kept=kept).missing == (("model",) if "mask" in kind else ())
    model = BLUR[kind]()
    made = assemble(job, {"model": model}, kept=kept)
    asked = [one for one in made.team.members if hasattr(one, "separator")]
    texts = [made.team.texts[place] for one in asked for place in one.sounds]
    assert texts == (["rain"] if "mask" in kind else [])
    again = separate(job, made.team, tmp_path / "again", kept=kept)
    fresh = separate(job, assemble(job, {"model": BLUR[kind]()}).team, tmp_path / "fresh")
    for one, other in zip(fresh, again, strict=True):
        assert db(read(one.path)[0] - read(other.path)[0], x) < -90


def test_masks_of_several_models_go_together(rng, wav, tmp_path):
    x = noise(rng)
    job = Job("job-1", wav(x, RATE), ("dog", "speech"), answers=("wide", "talker"))
    separators = {"wide": Blur(), "talker": WaveBlur()}
    plain = separate(job, assemble(job, separators).team, tmp_path / "plain")
    separate(
        job, assemble(job, separators).team, tmp_path / "a", keeping=Keeping(tmp_path / "masks")
    )
    kept = Kept.open(tmp_path / "masks")
    assert set(kept.traits) == {"wide", "talker"}
    again = separate(job, assemble(job, {}, kept=kept).team, tmp_path / "b", kept=kept)
    for one, other in zip(plain, again, strict=True):
        assert db(read(one.path)[0] - read(other.path)[0], x) < -90


def test_an_adjusted_job_can_be_adjusted_after_the_first_is_gone(rng, wav, tmp_path):
    import shutil

    x = noise(rng)
    first = job_of(wav, x, "dog")
    kept = kept_of(first, Blur(), tmp_path)
    second = replace(first, id="second", nots=("rain",), answers=("model",) * 2)
    made = assemble(second, {"model": Blur()}, kept=kept)
    keeping = Keeping(tmp_path / "masks" / "second")
    separate(second, made.team, tmp_path / "b", kept=kept, keeping=keeping)
    assert size(tmp_path / "masks") < 2.2 * size(keeping.path)  # the mixture lies there once
    shutil.rmtree(kept.folder)
    first.mixture.unlink()
    kept = Kept.open(keeping.path)
    third = replace(second, id="third", options=Options(sharpness=2))
    made = assemble(third, {}, kept=kept)
    assert made.missing == ()
    assert separate(third, made.team, tmp_path / "c", kept=kept)


@pytest.mark.parametrize("kind", BLUR)
def test_a_job_that_was_killed_keeps_all_its_masks(kind, rng, wav, tmp_path):
    x = noise(rng, 8)
    job = job_of(wav, x, "dog", "rain")

    class KilledError(BaseException):
        pass

    def dies(share):
        if share > 0.6:
            raise KilledError

    keeping = Keeping(tmp_path / "masks")
    folder = tmp_path / "out"
    team = assemble(job, {"model": BLUR[kind]()}).team
    with pytest.raises(KilledError):
        separate(job, team, folder, keeping=keeping, on_progress=dies)
    assert not keeping.path.exists()
    assert list((folder / "work" / "masks").glob("*.npz"))
    separate(job, assemble(job, {"model": BLUR[kind]()}).team, folder, keeping=keeping)
    kept = Kept.open(keeping.path)
    again = separate(job, assemble(job, {}, kept=kept).team, tmp_path / "again", kept=kept)
    plain = separate(job, assemble(job, {"model": BLUR[kind]()}).team, tmp_path / "plain")
    for one, other in zip(plain, again, strict=True):
        assert db(read(one.path)[0] - read(other.path)[0], x) < -90


def test_no_masks_of_what_is_too_long(rng, wav, tmp_path):
    job = job_of(wav, noise(rng), "dog")
    team = assemble(job, {"model": Blur()}).team
    separate(job, team, tmp_path / "out", keeping=Keeping(tmp_path / "masks", seconds=1.9))
    assert not (tmp_path / "masks").exists()


def test_a_disk_that_refuses_costs_the_masks_alone(rng, wav, tmp_path, monkeypatch):
    job = job_of(wav, noise(rng, 4), "dog")

    def full(path, mask):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.sound.kept._write", full)
    team = assemble(job, {"model": Blur()}).team
    (clip,) = separate(job, team, tmp_path / "out", keeping=Keeping(tmp_path / "masks"))
    assert clip.path.exists()
    assert not (tmp_path / "masks").exists()
    assert not (tmp_path / "out" / "work").exists()


@pytest.mark.parametrize(("free", "kept"), [(33 << 20, False), (10 << 30, True)])
def test_masks_leave_the_disk_to_the_clips(free, kept, rng, wav, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("engine.sound.kept.shutil.disk_usage", lambda path: usage)
    job = job_of(wav, noise(rng, 4), "dog")  # whose clip takes 1.4 MB
    team = assemble(job, {"model": Blur()}).team
    (clip,) = separate(job, team, tmp_path / "out", keeping=Keeping(tmp_path / "masks"))
    assert clip.path.exists()
    assert (tmp_path / "masks").exists() == kept


def test_masks_that_cannot_be_kept_make_room(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "masks", [("blur", Sought("dog"))])
    masks = [np.ones((10, 4), np.float32)]
    recorder.add(0, Segment(0, 10, 0, 10), masks)
    recorder.flush()
    assert list((tmp_path / "masks").iterdir())

    def full(path, mask):
        path.write_bytes(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.sound.kept._write", full)
    recorder.add(0, Segment(10, 20, 10, 20), masks)
    recorder.flush()
    recorder.close()
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("damage", ["kept.json", "mixture.f32", "cut", "version"])
def test_what_is_damaged_is_not_kept(damage, rng, wav, tmp_path):
    kept = kept_of(job_of(wav, noise(rng), "dog"), Blur(), tmp_path)
    if damage == "cut":
        with (kept.folder / "mixture.f32").open("r+b") as file:
            file.truncate(100)
    elif damage == "version":
        text = (kept.folder / "kept.json").read_text()
        (kept.folder / "kept.json").write_text(text.replace('"version": "', '"version": "0.0.'))
    else:
        (kept.folder / damage).unlink()
    assert Kept.open(kept.folder) is None


def test_a_damaged_file_of_masks_is_said(rng, wav, tmp_path):
    from engine.errors import Failure

    job = job_of(wav, noise(rng), "dog")
    kept = kept_of(job, Blur(), tmp_path)
    kept.files(0)[0].write_bytes(b"PK\3\4 nothing")
    with pytest.raises(Failure, match="kept masks of job job-1-0 are damaged"):
        separate(job, assemble(job, {}, kept=kept).team, tmp_path / "again", kept=kept)


def test_what_was_told_is_kept(rng, wav, tmp_path):
    kept = kept_of(job_of(wav, noise(rng), "dog"), Blur(), tmp_path)
    assert kept.told is None
    told = Told(beside=True, certainty=(Certainty(0.16, (0.1, 0.9)),))
    kept.tell(told)
    assert Kept.open(kept.folder).told == told


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=6), room=st.integers(0, 200))
def test_the_oldest_go_first(sizes, room, tmp_path_factory):
    import os

    root = tmp_path_factory.mktemp("masks")
    for number, count in enumerate(sizes):
        folder = root / f"job-{number}"
        folder.mkdir()
        (folder / "kept.json").write_bytes(b"")
        (folder / "masks.npz").write_bytes(b"x" * count)
        os.utime(folder / "kept.json", (1000 + number, 1000 + number))
    prune(root, room)
    left = sorted(int(folder.name.removeprefix("job-")) for folder in root.iterdir())
    kept = [n for n in range(len(sizes)) if sum(sizes[n:]) <= room]
    assert left == kept
    assert size(root) <= room
