from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.advice.suggestions import Adviser, Relation, adviser, suggest
from engine.job import clean_query
from engine.models.knowledge import Knowledge


@pytest.fixture
def unmeasured() -> Adviser:
    return replace(adviser(), knowledge={})


def terms(query: str, of: Adviser | None = None) -> list[str]:
    return [one.term for one in (of or adviser()).suggest(query)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("pheasant", {"bird"}),
        ("gong", {"percussion", "bell"}),
        ("mandolin", {"guitar", "banjo"}),
        ("bantam", {"chicken", "rooster", "bird", "cuckoo"}),
        ("dagger", {"sword"}),
        # words with another sense, which must not come first
        ("bass drum", {"drums", "percussion", "snare drum"}),  # no fish, no bass guitar
        ("python", {"snake"}),  # no programming
        ("seal", {"wild animal", "sea lion", "animal"}),  # nothing that is closed
        ("mouse", {"wild animal", "mice", "rat", "animal"}),  # no click
        ("bat", {"bat squeaking", "wild animal", "animal"}),  # no ball
        ("mallet", {"xylophone", "percussion", "hammer"}),
    ],
)
def test_the_first_term_has_the_right_sense(
    query: str, first: set[str], unmeasured: Adviser
) -> None:
    assert terms(query, unmeasured)[0] in first
    assert terms(query)[0] in first


def test_what_is_broader_is_called_so(unmeasured: Adviser) -> None:
    found = {one.term: one.relation for one in unmeasured.suggest("a pheasant")}
    assert found["bird"] is Relation.BROADER
    assert found["chicken"] is Relation.NEARBY
    assert found["grouse"] is Relation.SAME


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(adviser().taxonomy.captions) | st.text(min_size=1, max_size=30))
def test_whatever_is_asked_the_query_itself_is_not_suggested(query: str) -> None:
    found = suggest(query)
    assert len(found) <= 5
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.term != query
        assert clean_query(one.term) == one.term


@pytest.mark.parametrize("query", ["Dog", "dogs", "a dog", "DOG!"])
def test_the_query_in_other_letters_or_number_is_the_query(query: str) -> None:
    assert not {"dog", "dogs"} & set(terms(query))


def test_nonsense_and_other_languages_get_nothing_rather_than_anything() -> None:
    assert suggest("zxqw") == ()
    assert suggest("小鳥") == ()
    assert suggest("Hund bellt") == ()
    assert suggest("chat qui miaule") == ()
    assert suggest("?") == ()


def test_what_the_model_does_well_goes_before_what_it_does_badly(unmeasured: Adviser) -> None:
    before = terms("blackbird", unmeasured)
    names = [one.name for one in unmeasured.suggest("blackbird")]
    gains = {name: Knowledge(-6.0, 20) for name in names[:2]} | {
        name: Knowledge(9.0, 20) for name in names[2:]
    }
    after = terms("blackbird", replace(unmeasured, knowledge=gains))
    assert after.index(before[2]) < after.index(before[0])


@pytest.mark.parametrize(("tries", "is_before"), [(1, False), (50, True)])
def test_a_single_try_says_little(unmeasured: Adviser, tries: int, is_before: bool) -> None:
    names = [one.name for one in unmeasured.suggest("blackbird")]
    gains = {name: Knowledge(0.0, 100) for name in names} | {names[4]: Knowledge(8.0, tries)}
    after = [one.name for one in replace(unmeasured, knowledge=gains).suggest("blackbird")]
    assert (after.index(names[4]) < after.index(names[3])) is is_before


def test_no_quality_brings_another_sense_to_the_front(unmeasured: Adviser) -> None:
    assert terms("python", unmeasured)[:2] == ["snake", "bison"]
    gains = {"snake": Knowledge(-10.0, 50), "bison": Knowledge(20.0, 50)}
    assert terms("python", replace(unmeasured, knowledge=gains))[0] == "snake"


def test_the_last_place_is_for_a_term_that_works(unmeasured: Adviser) -> None:
    more = [one.name for one in unmeasured.suggest("pheasant", 12)]
    good = "peacock"  # of which none of the others is a kind
    assert more.index(good) > 2
    gains = {name: Knowledge(2.9, 9) for name in more} | {good: Knowledge(3.1, 9)}
    found = replace(unmeasured, knowledge=gains).suggest("pheasant", 3)
    assert [one.name for one in found] == [*more[:2], good]


def test_those_below_a_class_count_with_it(unmeasured: Adviser) -> None:
    known = {"bird": Knowledge(-7.0, 8), "crow": Knowledge(2.0, 10), "owl": Knowledge(8.0, 30)}
    measured = replace(unmeasured, knowledge=known)
    assert measured.gain("bird") == pytest.approx((-56 + 20 + 240) / 48)
    assert measured.gain("owl") == 8.0


def test_a_class_that_was_not_measured_is_as_good_as_those_below_it(unmeasured: Adviser) -> None:
    known = {"crow": Knowledge(2.0, 10), "owl": Knowledge(8.0, 30)}
    measured = replace(unmeasured, knowledge=known)
    assert measured.gain("owl") == 8.0
    assert measured.gain("bird") == pytest.approx(6.5)
    assert measured.gain("engine") is None
    by_term = {one.term: one for one in measured.suggest("pheasant")}
    assert by_term["bird"].separates_well is True
    assert by_term["chicken"].separates_well is None


def test_suggestions_need_no_model() -> None:
    script = (
        "import sys; from engine.advice.suggestions import suggest; assert suggest('pheasant');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
