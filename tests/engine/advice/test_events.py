"""What is named of known scores, and when."""

from __future__ import annotations

import numpy as np
import pytest

from engine.advice.events import EVENTS, Scores, sounds
from engine.models.base import HearingGrid
from engine.status import Event, Heard
from engine.taxonomy.ontology import ancestors, heard_as, load_ontology

GRID = HearingGrid(16_000, window=16_000, hop=8_000, context=0)


def heard(rows: dict[str, list[float]], grid: HearingGrid = GRID) -> tuple[Heard, ...]:
    """Return what is named of scores that come in two parts."""
    values = np.array(list(rows.values()), np.float32).T
    scores = Scores(list(rows))
    half = len(values) // 2
    scores.add(values[:half])
    scores.add(values[half:])
    hop, window = grid.hop / grid.sample_rate, grid.window / grid.sample_rate
    return sounds(scores, grid, (len(values) - 1) * hop + window)


def test_a_sound_goes_on_below_what_it_began_with() -> None:
    (dog,) = heard({"Bark": [0, 0.05, 0.15, 0.6, 0.55, 0.15, 0.12, 0.05, 0, 0]})
    assert dog == Heard("dog barking", 0.6, (Event(1.25, 3.75, 0.6),), "Bark")


def test_at_the_ends_it_reaches_the_ends() -> None:
    (rain,) = heard({"Rain": [0.9, 0.8, 0, 0, 0, 0.6, 0.7]})
    assert rain.times == ((0.0, 1.25), (2.75, 4.0))
    assert [event.probability for event in rain.events] == [0.9, 0.7]


def test_a_single_window_counts_where_it_is_sure_and_a_single_gap_does_not() -> None:
    assert heard({"Rain": [0, 0, 0, 0.3, 0, 0, 0]})[0].events == ()
    assert heard({"Rain": [0, 0, 0, 0.8, 0, 0, 0]})[0].times == ((1.75, 2.25),)
    assert heard({"Rain": [0, 0.6, 0.6, 0, 0.6, 0.6, 0]})[0].times == ((0.75, 3.25),)


def test_the_most_specific_name_stands_for_all_above_it() -> None:
    rows = {
        "Animal": [0.9, 0.9, 0, 0, 0, 0],
        "Domestic animals, pets": [0.9, 0.9, 0, 0, 0, 0],
        "Dog": [0.85, 0.85, 0, 0, 0, 0],
        "Bark": [0.6, 0.6, 0, 0, 0, 0],
        "Music": [0, 0, 0, 0.8, 0.8, 0.8],
    }
    assert [one.name for one in heard(rows)] == ["music", "dog barking"]
    rows["Bark"] = [0.31, 0.31, 0, 0, 0, 0]  # a guess: it does not account for a sure dog
    assert [one.name for one in heard(rows)] == ["music", "dog", "dog barking"]


def test_a_parent_keeps_the_stretches_that_its_kind_does_not_account_for() -> None:
    rows = {
        "Animal": [0.9, 0.9, 0, 0, 0, 0, 0.7, 0.7, 0],
        "Bark": [0.8, 0.8, 0, 0, 0, 0, 0, 0, 0],
    }
    dog, animal = heard(rows)
    assert (dog.name, animal.name) == ("dog barking", "animal")
    assert dog.times == ((0.0, 1.25),)
    assert animal.times == ((3.25, 4.25),)
    assert animal.probability == 0.7


def test_names_of_one_sound_are_taken_together() -> None:
    rows = {"Bark": [0.5, 0.5, 0, 0], "Bow-wow": [0, 0, 0.8, 0.8]}
    assert heard(rows) == (Heard("dog barking", 0.8, (Event(0.0, 2.5, 0.8),), "Bow-wow"),)


def test_where_nothing_is_likely_the_five_likeliest_are_named_without_times() -> None:
    rows = {
        "Animal": [0.19, 0.1],
        "Dog": [0.1, 0.1],
        "Rain": [0.09, 0.09],
        "Silence": [0.9, 0.9],
        "Engine": [0.05, 0.0],
        "Wind": [0.0, 0.02],
        "Bell": [0.01, 0.0],
        "Choir": [0.0, 0.0],
    }
    found = heard(rows)
    assert [one.name for one in found] == ["dog", "rain", "engine", "wind", "bell"]
    assert all(one.events == () for one in found)


def test_beside_one_likely_sound_others_are_named_that_are_possible() -> None:
    rows = {
        "Bark": [0.9, 0.9, 0.0, 0.0],
        "Dog": [0.1, 0.0, 0.15, 0.0],
        "Animal": [0.1, 0.0, 0.15, 0.0],
        "Wind": [0.0, 0.0, 0.12, 0.0],
        "Rain": [0.0, 0.0, 0.04, 0.0],
    }
    dog, wind = heard(rows)
    assert (dog.name, len(dog.events)) == ("dog barking", 1)
    assert wind == Heard("wind", 0.12, (), "Wind")


def test_beside_a_general_name_kinds_of_it_are_possible_but_nothing_above_it() -> None:
    rows = {
        "Domestic animals, pets": [0.8, 0.8],
        "Animal": [0.8, 0.8],
        "Dog": [0.19, 0.1],
        "Bark": [0.15, 0.0],
        "Cat": [0.06, 0.0],
    }
    pet, bark, cat = heard(rows)
    assert (pet.name, len(pet.events)) == ("pet", 1)
    assert (bark.name, bark.events) == ("dog barking", ())
    assert (cat.name, cat.events) == ("cat", ())


def test_what_lasts_stands_before_what_is_over_at_once() -> None:
    rows = {"Rain": [0.6] * 12, "Bark": [0.9, 0.9] + [0.0] * 10}
    assert [one.name for one in heard(rows)] == ["rain", "dog barking"]


def test_of_very_many_events_the_nearest_are_taken_together() -> None:
    row = np.zeros(4 * 700 + 10)
    row[: 4 * 700 : 4] = 0.9
    row[4 * 350 + 1 : 4 * 700 : 4] = 0.9  # from the middle on they are nearer to each other
    (dog,) = heard({"Bark": row.tolist()})
    assert len(dog.events) == EVENTS
    assert all(a.stop < b.start for a, b in zip(dog.events, dog.events[1:], strict=False))


def test_every_name_of_the_ontology_is_said_in_plain_words() -> None:
    ontology = load_ontology()
    for name in ontology:
        said = heard_as(name)
        assert said == said.strip().lower()
        assert not set(said) & set(",()/")
    with_terms = [name for name in ontology if heard_as(name)]
    assert len(with_terms) > 550
    assert heard_as("Domestic animals, pets") == "pet"


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("Bark", {"Dog", "Domestic animals, pets", "Animal"}),
        ("Animal", set()),
        ("no such name", set()),
    ],
)
def test_what_is_above_a_name(name: str, above: set[str]) -> None:
    assert ancestors(name, load_ontology()) == above
