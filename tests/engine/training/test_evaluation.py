"""What evaluation measures: known masks give known figures, and draws keep their promises."""

import csv
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import BadInput
from engine.models.base import FloatArray, FrameGrid
from engine.taxonomy.classes import SoundClass, Taxonomy, load_taxonomy
from engine.training import report
from engine.training.corpus import HELD_OUT, SAMPLE_RATE, Clip
from engine.training.evaluate import measure
from engine.training.figures import (
    Findings,
    Score,
    area_under_curve,
    kept,
    leakage,
    rows,
    write_tables,
)
from engine.training.mixing import ClipStore
from engine.training.scenes import draw, triples

TAXONOMY = Taxonomy(
    {
        "bird": SoundClass("bird", (), ("bird",)),
        "owl": SoundClass("owl", ("bird",), ("owl",)),
        "crow": SoundClass("crow", ("bird",), ("crow",)),
        "bell": SoundClass("bell", (), ("bell",)),
        "rain": SoundClass("rain", (), ("rain",)),
        "siren": SoundClass("siren", (), ("siren",)),
    }
)
NAMES = ("owl", "crow", "bell", "rain", "siren")


@pytest.fixture(scope="module")
def store() -> ClipStore:
    rng = np.random.default_rng(0)
    samples = (rng.uniform(-0.5, 0.5, 5 * SAMPLE_RATE) * 32767).astype(np.int16)
    clips = [
        Clip(name, "s", name, name, HELD_OUT, i * SAMPLE_RATE, SAMPLE_RATE)
        for i, name in enumerate(NAMES)
    ]
    return ClipStore(samples, clips)


class LowOrHigh:
    """Separates at 4 kHz: "low" keeps what is below, "high" what is above, the rest nothing."""

    name = "split"
    frame_grid = FrameGrid(SAMPLE_RATE, 2048, 640, block=4, context=0)

    def embed(self, query: str) -> FloatArray:
        return np.array([query == "low", query == "high"], np.float32)

    def mask(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> FloatArray:
        bands = np.zeros((2, magnitude.shape[-1]), np.float32)
        bands[0, :256] = bands[1, 256:] = 1
        return np.broadcast_to(
            (vectors @ bands)[:, None, None], (len(vectors), *magnitude.shape)
        ).copy()


class Certain(LowOrHigh):
    def mask_with_presence(
        self, magnitude: FloatArray, vectors: FloatArray, rms: float, keep: slice
    ) -> tuple[FloatArray, FloatArray]:
        blocks = -(-(keep.stop - keep.start) // self.frame_grid.block)
        presence = np.repeat(vectors.max(axis=1, keepdims=True) * 0.9, blocks, axis=1)
        return self.mask(magnitude, vectors, rms, keep), presence


def tone(hertz: float, rate: int = SAMPLE_RATE, seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype("f4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A low and a high tone, stereo at 44.1 kHz, and a sound that is not there."""
    low, high = (np.stack([tone(hz, 44_100)] * 2) for hz in (500, 9000))
    for name, samples in (("mix", low + high), ("low", low), ("high", high), ("no", 0 * low)):
        soundfile.write(tmp_path / f"{name}.wav", samples.T, 44_100, subtype="FLOAT")
    (tmp_path / "triples.csv").write_text(
        "mixture,target,caption\nmix.wav,low.wav,low\nmix.wav,high.wav,high\nmix.wav,no.wav,none\n"
    )
    return tmp_path


class TestOwnMixtures:
    def test_figures_of_a_mask_that_is_known(self, folder: Path) -> None:
        found = measure(Certain(), triples(folder))
        low, high = found.scores
        assert (low.caption, low.wrong_caption, high.wrong_caption) == ("low", "high", "low")
        for item in found.scores:
            assert item.before == pytest.approx(0, abs=0.1)
            assert item.right > 30
            assert item.wrong == -30
            assert item.leakage < -35
            assert item.kept == pytest.approx(0, abs=0.2)
            assert item.presence == pytest.approx(0.9)
        (absent,) = found.absent
        assert (absent.level, absent.presence) == (-80, 0)
        figures = found.figures()
        assert figures["SI-SDRi median"] > 30
        assert figures["margin mean"] > 60
        assert figures["presence AUC far"] == figures["presence AUC"] == 1
        assert math.isnan(figures["presence AUC near"])

    def test_a_model_that_tells_no_presence(self, folder: Path) -> None:
        found = measure(LowOrHigh(), triples(folder))
        assert math.isnan(found.figures()["presence AUC"])
        assert found.figures()["absent level mean"] == -80

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            (None, "holds no 'triples.csv'"),
            ("", "has no column 'mixture'"),
            ("mixture,target\n", "has no column 'caption'"),
            ("mixture,target,caption\n", "names no mixture"),
            ("mixture,target,caption\nmix.wav,gone.wav,x\n", "line 2: there is no file"),
            ("mixture,target,caption\nmix.wav,low.wav,\n", "line 2: there is no caption"),
            ("mixture,target,caption\nmix.wav\n", "line 2: there is no target"),
        ],
    )
    def test_a_wrong_table_is_one_sentence(
        self, folder: Path, table: str | None, said: str
    ) -> None:
        (folder / "triples.csv").unlink()
        if table is not None:
            (folder / "triples.csv").write_text(table)
        with pytest.raises(BadInput, match=said) as raised:
            triples(folder)
        assert "\n" not in str(raised.value)

    def test_a_target_of_another_length_is_refused(self, folder: Path) -> None:
        soundfile.write(folder / "low.wav", tone(500), 44_100)
        with pytest.raises(BadInput, match="does not fit its mixture"):
            list(triples(folder).scenes())


class TestDraws:
    def test_two_sounds_at_equal_level(self, store: ClipStore) -> None:
        for scene in islice(draw(store, store, TAXONOMY, 3), 20):
            first, second = (question.truth for question in scene.questions)
            np.testing.assert_allclose(first + second, scene.mixture, atol=1e-6)
            assert np.std(first) == pytest.approx(np.std(second), rel=1e-3)
            a, b = scene.questions
            assert (a.wrong, b.wrong) == (b.caption, a.caption)
            assert a.name != b.name

    def test_a_target_below_two_others(self, store: ClipStore) -> None:
        for scene in islice(draw(store, store, TAXONOMY, 3, interferers=2, snr=-5), 20):
            (asked,) = scene.questions
            rest = scene.mixture - asked.truth
            assert 20 * np.log10(np.std(asked.truth) / np.std(rest)) == pytest.approx(-5, abs=0.1)

    def test_absent_captions_fit_nothing_that_is_there(self, store: ClipStore) -> None:
        kinds = set()
        for scene in islice(draw(store, store, TAXONOMY, 3), 40):
            names = {question.name for question in scene.questions}
            for caption, near in scene.absent:
                assert not any(TAXONOMY.fits(caption, name) for name in names)
                relatives = TAXONOMY.lineage(caption) & TAXONOMY.lineage(scene.questions[0].name)
                assert bool(relatives) == near
                kinds.add(near)
        assert kinds == {True, False}

    def test_a_seed_decides_all(self, store: ClipStore) -> None:
        def two(seed: int) -> list[tuple[str, ...]]:
            return [scene.captions for scene in islice(draw(store, store, TAXONOMY, seed), 8)]

        assert two(1) == two(1)
        assert two(1) != two(2)

    def test_sounds_that_cannot_be_told_apart_end_in_a_sentence(self, store: ClipStore) -> None:
        owls = ClipStore(np.ones(SAMPLE_RATE, np.int16), store.by_class["owl"])
        with pytest.raises(BadInput, match="no two sounds"):
            next(draw(owls, owls, TAXONOMY, 1))


def test_what_is_kept_is_the_loudness_of_the_sound() -> None:
    rng = np.random.default_rng(3)
    truth, rest = rng.standard_normal((2, 1, SAMPLE_RATE)).astype(np.float32)
    assert kept(truth, truth) == pytest.approx(0, abs=1e-3)
    assert kept(truth, 0.1 * truth) == pytest.approx(-20, abs=1e-3)
    assert kept(truth, truth + 3 * rest) == pytest.approx(0, abs=0.5)
    assert kept(truth, 0 * truth) == -80


def test_leakage_is_what_is_left_of_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = tone(500)
    rest = 0.1 * rng.standard_normal(SAMPLE_RATE).astype("f4")
    for share in (1.0, 0.5, 0.1):
        left = leakage(truth + rest, truth, share * (truth + rest))
        assert left == pytest.approx(20 * np.log10(share), abs=0.1)
    assert leakage(truth + rest, truth, 0 * truth) == -80
    assert math.isnan(leakage(truth, truth, truth))


def test_area_under_curve() -> None:
    assert area_under_curve([0.9, 0.8], [0.1]) == 1
    assert area_under_curve([0.1], [0.9, 0.8]) == 0
    assert area_under_curve([0.5], [0.5]) == 0.5
    assert math.isnan(area_under_curve([math.nan], [0.5]))


def test_groups_and_subgroups() -> None:
    taxonomy = load_taxonomy()
    scores = [Score(name, 0, 1, 0) for name in ("violin", "speech", "owl", "orchestral music")]
    found = rows(scores, taxonomy)
    assert {name: len(members) for name, members in found.items()} == {
        "all": 4, "animal": 1, "music": 2, "voice": 1, "instrument": 1, "speech": 1,
    }  # fmt: skip


def test_tables_and_charts(tmp_path: Path) -> None:
    scores = (
        Score("owl", -1.0, 3.0, -7.5, "owl hooting", "bell", "a bell", -12.0),
        Score("owl", 0.0, 2.0, 1.0, "owl", "rain", "rain"),
    )
    found = [Findings("heldout", "held-out", scores), Findings("none", "nothing", ())]
    write_tables(tmp_path, found)
    with (tmp_path / "clips.csv").open() as table:
        first, second = csv.DictReader(table)
    assert first["class"] == "owl"
    assert [float(first[key]) for key in ("before", "right", "wrong", "improvement", "margin")] == [
        -1, 3, -7.5, 4, 10.5,
    ]  # fmt: skip
    assert second["leakage"] == ""
    assert (tmp_path / "knowledge.csv").read_text() == "class,si_sdri,n\nowl,3.00,2\n"
    with (tmp_path / "classes.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert (row["n"], float(row["SI-SDRi mean"]), float(row["SI-SDRi median"])) == ("2", 3, 3)
    report.draw_chart(tmp_path, "x", found, load_taxonomy())
    assert (tmp_path / "chart.png").stat().st_size > 5000
    assert (tmp_path / "classes.png").stat().st_size > 3000
    text = "\n".join(report.lines(found[0], load_taxonomy()))
    assert "3.00" in text
    assert "nan" not in text
