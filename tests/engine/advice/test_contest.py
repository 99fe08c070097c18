from __future__ import annotations

from engine.advice.contest import competition, sharing
from engine.sound.masks import Rule

RULE = Rule(0.5)


def test_queries_compete_with_each_other_and_with_what_is_not_wanted():
    found = competition(("dog", "rain"), ("wind",), rule=RULE)
    assert found.rivals == ((1, 2), (0, 2))
    assert not any((*found.parts, *found.sharers))
    assert found.rule is RULE


def test_without_competing_only_what_is_not_wanted_does():
    found = competition(("dog", "rain"), ("wind",), rule=RULE, compete=False)
    assert found.rivals == ((2,), (2,))


def test_kinds_of_each_other_share():
    found = competition(("dog", "animal"), (), rule=RULE)
    assert found.rivals == ((), ())
    (said,) = sharing(("dog", "animal"), (), compete=True)
    assert said == "'dog' is a kind of 'animal': the two share what both claim."
    assert list(sharing(("dog", "animal"), (), compete=False)) == []


def test_what_is_not_wanted_and_part_of_a_query_is_taken_out_without_a_word():
    found = competition(("animal",), ("dog",), rule=RULE)
    assert (found.rivals, found.parts, found.sharers) == (((),), ((1,),), ((),))
    assert list(sharing(("animal",), ("dog",), compete=True)) == []


def test_what_is_not_wanted_and_holds_a_query_shares_with_it():
    found = competition(("dog",), ("animal",), rule=RULE)
    assert (found.rivals, found.parts, found.sharers) == (((),), ((),), ((1,),))
    (said,) = sharing(("dog",), ("animal",), compete=True)
    assert said == "'dog' is a kind of 'animal': the two share what both claim."
    (said,) = sharing(("puppy", "puppies"), (), compete=True)
    assert "mean the same sound" in said


def test_speech_beside_competes_with_those_that_it_may_and_is_taken_out():
    found = competition(("dog", "crowd"), ("wind",), rule=RULE, beside=(True, False))
    assert found.rivals == ((1, 2, 3), (0, 2))
    assert found.parts == ((3,), ())


def test_what_a_specialist_answers_for_goes_first():
    first = (True, False, False, True)
    found = competition(("speech", "dog"), ("rain", "vocals"), rule=RULE, first=first)
    assert found.rivals == ((), (0, 2, 3))
    assert found.parts == ((), (0, 3))


def test_opposites_and_what_no_word_says_are_apart():
    found = competition(("speech", "everything but speech"), (), rule=RULE)
    assert found.rivals == ((1,), (0,))
    assert list(sharing(("speech", "everything but speech"), (), compete=True)) == []
    assert competition(("rain",), ("🐕",), rule=RULE).rivals == ((1,),)
