from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from known_models import Blur, WaveBlur
from steered import Leaky

from engine.job import Job
from engine.options import Options
from engine.queue.teams import assemble, hears_rest
from engine.sound.team import Rest, Sought, Traits

SEPARATORS = {"wide": Blur(), "talker": WaveBlur()}


def job(
    *queries: str, nots: tuple[str, ...] = (), answers: tuple[str, ...], beside: str = ""
) -> Job:
    return Job(
        "job-1", Path("/tmp/a.wav"), queries, Options(), nots=nots, answers=answers, beside=beside
    )


def test_masks_lead_and_each_model_gets_its_sounds():
    asked = job("speech", "dog", nots=("rain",), answers=("talker", "wide", "wide"))
    made = assemble(asked, SEPARATORS)
    assert made.team.texts == ("speech", "dog", "rain")
    assert [(m.separator.name, m.sounds) for m in made.team.members] == [
        ("blur", (1, 2)),
        ("waveform", (0,)),
    ]
    assert made.team.competition.rivals == ((), (0, 2))  # a specialist goes first
    assert made.team.competition.parts == ((), (0,))
    assert made.notes == ("talker answered for 'speech'.",)


def test_speech_beside_is_one_sound_more():
    asked = job("dog", "crowd", answers=("wide", "wide"), beside="talker")
    made = assemble(asked, SEPARATORS, beside=True)
    assert made.team.texts == ("dog", "crowd", "speech")
    assert made.team.members[1].sounds == (2,)
    assert made.team.competition.rivals == ((1, 2), (0,))
    (note,) = made.notes
    assert note == (
        "Speech is in the recording, too, and competed with 'dog' (talker); --no-auto leaves it "
        "alone."
    )
    assert assemble(asked, SEPARATORS).team.texts == ("dog", "crowd")


def test_the_rest_is_one_sound_more():
    asked = job("bark", answers=("leaky",))
    rest = Rest(np.eye(1, 128, 1, dtype=np.float32)[0])
    made = assemble(asked, {"leaky": Leaky()}, rest=rest)
    assert made.team.texts == ("bark", rest.text, "bark")
    (member,) = made.team.members
    assert member.sought == (
        Sought("bark", (rest.text,)),
        Sought(rest.text, ("bark",)),
        Sought("bark", ()),
    )
    assert made.team.competition.again == (2,)
    assert made.team.competition.rivals == ((1,),)
    assert made.notes == (
        "What a first answer left of the recording competed with 'bark' in the second.",
    )
    fresh = assemble(asked, {"leaky": Leaky()}).team.beside_rest(rest)
    assert fresh.texts == made.team.texts
    assert fresh.competition == made.team.competition
    assert fresh.members[0].sought == member.sought


def test_where_the_rest_is_heard():
    traits = {name: Traits.of(one) for name, one in {**SEPARATORS, "leaky": Leaky()}.items()}

    def heard(*queries, beside=False, **more):
        given = {name: more.pop(name) for name in ("twice", "compete", "like") if name in more}
        options = Options(**{"twice": True, **given})
        return hears_rest(replace(job(*queries, **more), options=options), traits, beside=beside)

    assert heard("bark", answers=("leaky",))
    assert not heard("bark", answers=("leaky",), twice=False)
    assert not heard("bark", answers=("leaky",), compete=False)
    assert not heard("bark", answers=("leaky",), like="/tmp/a.wav")
    assert not heard("bark", answers=("leaky",), beside=True)
    assert not heard("bark", answers=("wide",))
    assert not heard("bark", answers=("talker",))
    assert not heard("bark", answers=("unknown",))
    assert not heard("bark", "meow", answers=("leaky", "leaky"))
    assert not heard("bark", nots=("meow",), answers=("leaky", "leaky"))


def test_sharing_is_said():
    made = assemble(job("dog", "animal", answers=("wide", "wide")), SEPARATORS)
    assert made.notes == ("'dog' is a kind of 'animal': the two share what both claim.",)


def test_what_takes_nothing_from_a_specialist_is_said():
    made = assemble(job("speech", nots=("dog",), answers=("talker", "wide")), SEPARATORS)
    assert made.notes == (
        "talker answered for 'speech'.",
        "'dog' takes nothing from 'speech': talker tells the two apart.",
    )
    assert made.team.texts == ("speech",)  # and nobody is asked for the dog
    assert [m.separator.name for m in made.team.members] == ["waveform"]


def test_who_is_left_moves_up():
    asked = job("speech", "rain", nots=("people talking", "wind"), answers=("talker", "wide") * 2)
    made = assemble(asked, SEPARATORS)
    assert made.team.texts == ("speech", "rain", "people talking", "wind")
    asked = job("speech", nots=("dog", "talking"), answers=("talker", "wide", "talker"))
    made = assemble(asked, SEPARATORS)
    assert made.team.texts == ("speech", "talking")
    assert made.team.competition.sharers == ((1,),)


class Knowing(Blur):
    """Knows a few words."""

    def instead_of(self, query: str) -> tuple[str, ...]:
        return {"trombone": ("tuba", "trumpet")}.get(query, ())


def test_what_a_model_goes_by_instead_of_a_word_is_said():
    separators = {"wide": Knowing(), "talker": WaveBlur()}
    asked = job("trombone", "dog", answers=("wide", "wide"))
    assert assemble(asked, separators).notes == (
        "wide has not learned 'trombone' and goes by the nearest that it knows: 'tuba' and "
        "'trumpet'.",
    )
    assert assemble(replace(asked, answers=("talker", "talker")), separators).notes[1:] == ()
    shown = replace(asked, options=Options(like="/tmp/example.wav"))
    assert not any("learned" in note for note in assemble(shown, separators).notes)
