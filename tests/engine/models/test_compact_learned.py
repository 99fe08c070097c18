"""Queries are drawn towards the captions that a network has learned from."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelBroken
from engine.models import compact
from engine.models.compact.learned import (
    CAPTIONS,
    RELATED,
    LearnedCaptions,
    captions_text,
    read_captions,
)
from engine.taxonomy.text import load_text_table

TABLE = load_text_table()


@pytest.fixture(scope="module")
def model() -> compact.HearingCompact:
    return compact.load()


def nearness(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other)


def test_a_word_that_was_never_heard_comes_nearer_to_what_was(
    model: compact.HearingCompact,
) -> None:
    assert model.learned is not None
    assert "trombone" not in model.learned.captions
    own, drawn = TABLE.embed("trombone"), model.embed("trombone")
    for neighbour in ("tuba", "trumpet", "sousaphone"):
        before = nearness(own, TABLE.embed(neighbour))
        assert nearness(drawn, TABLE.embed(neighbour)) > before + 0.05
    assert nearness(drawn, own) > 0.8  # and stays a word of its own
    assert nearness(drawn, TABLE.embed("trumpet")) < nearness(drawn, own)


def test_a_caption_hardly_moves(model: compact.HearingCompact) -> None:
    assert model.learned is not None
    moved = [nearness(model.embed(c), TABLE.embed(c)) for c in model.learned.captions]
    assert np.median(moved) > 0.98
    assert min(moved) > 0.9


@pytest.mark.parametrize("query", ["algebra", "democracy", "", "音"])
def test_what_has_to_do_with_no_caption_stays_where_it_is(
    model: compact.HearingCompact, query: str
) -> None:
    own = TABLE.embed(query)
    assert model.embed(query).tobytes() == own.tobytes()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("trombone", ("tuba", "trumpet", "sousaphone")),
        ("highway", ("busy road", "city traffic", "street")),
        ("dog barking loudly in the yard", ()),  # it holds "dog barking"
        ("fridge hum", ()),
        ("violin", ()),
        ("voices", ()),
        ("algebra", ()),
        ("", ()),
    ],
)
def test_what_stands_for_a_word_is_told(
    model: compact.HearingCompact, query: str, words: tuple[str, ...]
) -> None:
    assert model.instead_of(query) == words
    assert compact.Compact(model.net, model.table).instead_of(query) == ()


def test_the_mean_is_of_unit_length_and_weighs_what_is_near() -> None:
    learned = LearnedCaptions(("dog", "rain"), TABLE)
    mean = learned.mean(TABLE.embed("puppy"))
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)
    assert mean.dtype == np.float32
    assert nearness(mean, TABLE.embed("dog")) > 0.95
    both = TABLE.embed("dog") + TABLE.embed("rain")
    middle = learned.mean(both / np.linalg.norm(both))
    assert nearness(middle, both / np.linalg.norm(both)) == pytest.approx(1, abs=1e-4)
    away = TABLE.embed("rain")
    assert nearness(away, TABLE.embed("dog")) < RELATED
    assert LearnedCaptions(("dog",), TABLE).towards(away) is away


def test_other_weights_bring_their_captions_or_none(tmp_path: Path) -> None:
    folder = Path(compact.__file__).parent
    weights = folder / "weights.safetensors"
    plain = compact.from_files(weights)
    assert plain.embed("trombone").tobytes() == TABLE.embed("trombone").tobytes()
    own = tmp_path / CAPTIONS
    own.write_text(captions_text(("tuba", "dog")), encoding="utf-8")
    drawn = compact.from_files(weights, folder / "heads.safetensors", own)
    assert isinstance(drawn, compact.HearingCompact)
    assert drawn.learned is not None
    assert drawn.learned.captions == ("tuba", "dog")
    assert nearness(drawn.embed("trombone"), TABLE.embed("tuba")) > 0.85


@pytest.mark.parametrize("text", [b"", b"\n \n", b"caf\xe9\n"])
def test_a_list_that_is_none_is_named(text: bytes) -> None:
    with pytest.raises(ModelBroken, match=r"x\.txt is not a list of captions"):
        read_captions(text, "x.txt")
    assert read_captions("dog\ncafé\n".encode(), "x.txt") == ("dog", "café")
