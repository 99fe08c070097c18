"""Stretches of an adjusted answer, made without a job: the adjusted job's samples, bit by bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_models import BLUR

from engine.errors import BadInput
from engine.folders import Folders
from engine.job import Job
from engine.mask_room import prune
from engine.options import Keep, Options
from engine.places import Rectangle, Span
from engine.queue.excerpts import Excerpts
from engine.queue.teams import assemble
from engine.sound.audio import read
from engine.sound.kept import Kept, Told
from engine.sound.separate import Keeping, separate

RATE = 44_100
CHANGES = {
    "sharper": {"sharpness": 2.5},
    "spans": {"at": (Span(0.3, 1.2),), "never": (Span(0.5, 0.6),)},
    "rectangle": {"rect": (Rectangle.from_text("0.5-1.5:500-4000"),)},
    "amount": {"amount": 40.0},
    "no competition": {"compete": False},
}


@pytest.fixture(params=sorted(BLUR))
def kept_job(request, rng, wav, tmp_path):
    folders = Folders(tmp_path / "home")
    folders.make()
    folders.masks.mkdir()
    x = (0.3 * rng.standard_normal((2, 2 * RATE))).astype(np.float32)
    job = Job(
        "first",
        wav(x, RATE),
        ("dog", "rain"),
        Options(model="model", keep=Keep.BOTH),
        answers=("model", "model"),
    )
    model = BLUR[request.param]()
    keeping = Keeping(folders.masks / job.id)
    separate(job, assemble(job, {"model": model}).team, tmp_path / "first", keeping=keeping)
    kept = Kept.open(keeping.path)
    kept.tell(Told(beside=False, certainty=()))
    return folders, job


@pytest.mark.parametrize("change", CHANGES)
def test_a_stretch_has_the_bits_of_the_job(change, kept_job, tmp_path):
    folders, job = kept_job
    options = replace(job.options, **CHANGES[change])
    kept = Kept.open(folders.masks / job.id)
    again = replace(job, id="again", base=job.id, options=options)
    clips = separate(again, assemble(again, {}, kept=kept).team, tmp_path / "again", kept=kept)
    whole = [read(clip.path)[0] for clip in clips]
    excerpts = Excerpts(folders, job, options)
    try:
        assert excerpts.count == len(whole) == 3
        for start, stop in ((0, 5000), (30_000, 62_768), (2 * RATE - 100, 2 * RATE), (0, 2 * RATE)):
            got = excerpts.of(start, stop)
            for index, clip in enumerate(whole):
                np.testing.assert_array_equal(got[index], clip[:, start:stop])
    finally:
        excerpts.close()
    assert not list(folders.masks.glob(".excerpt-*"))


def test_making_room_leaves_a_preview_alone(kept_job):
    folders, job = kept_job
    excerpts = Excerpts(folders, job, replace(job.options, amount=50.0))
    try:
        before = excerpts.of(0, 5000)
        prune(folders.masks, 0)
        assert not (folders.masks / job.id).exists()
        assert list(folders.masks.glob(".excerpt-*"))
        np.testing.assert_array_equal(excerpts.of(0, 5000), before)
    finally:
        excerpts.close()


def test_what_the_masks_do_not_serve_for_is_said(kept_job):
    folders, job = kept_job
    with pytest.raises(BadInput, match="With another 'merge'"):
        Excerpts(folders, job, replace(job.options, merge=True))
    with pytest.raises(BadInput, match="No masks of job other"):
        Excerpts(folders, replace(job, id="other"), job.options)
    with pytest.raises(BadInput, match="9"):
        Excerpts(folders, job, replace(job.options, at=(Span(9.0, 10.0),)))
    assert not list(folders.masks.glob(".excerpt-*"))
