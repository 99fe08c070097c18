from __future__ import annotations

from pathlib import Path

from known_models import Blur, WaveBlur

from engine.job import Job
from engine.options import Options
from engine.queue.teams import assemble

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
