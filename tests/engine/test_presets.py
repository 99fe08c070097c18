"""What stands where a preset is named: in a request, in a job, among words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput, BadJob
from engine.job import Job
from engine.option_types import table
from engine.options import Keep, Options, Stereo
from engine.places import Span
from engine.presets import (
    NAME_LIMIT,
    OPTIONS,
    Preset,
    clean_name,
    in_job,
    in_request,
    in_words,
    lasting,
    same,
)
from engine.request import Request

BIRDS = Preset(
    "Birds", ("bird song", "cricket"), ("wind",), (("sharpness", "2"), ("stereo", "linked"))
)
PLAIN = Preset("quick", options=(("draft", "yes"),))
MIX = Path("/m/a.wav")


def find(name: str) -> Preset:
    """The two presets, and one of a newer Tweeze."""
    newer = Preset("newer", ("dog",), options=(("shimmer", "3"),))
    for preset in (BIRDS, PLAIN, newer):
        if same(preset.name, name):
            return preset
    raise BadInput(f"There is no preset '{name}'.")


def asked(*fields: tuple[str, str], action: str = "separate") -> Request:
    return Request("r1", "reaper", (("action", action), *fields))


def test_a_preset_holds_what_is_the_same_for_every_recording() -> None:
    names = {option.name for option in table(Options)}
    assert names - set(OPTIONS) == {"at", "never", "rect", "like", "masks"}


def test_it_is_kept_in_a_clean_form() -> None:
    made = Preset(" My\t birds ", ("a  dog", "a dog"), ("rain",), (("sharpness", "1.5"),)).checked()
    assert made == Preset("My birds", ("a dog",), ("rain",), (("sharpness", "1.50"),))
    assert made.checked() == made
    assert BIRDS.words == "bird song; cricket; not wind; sharpness: 2; channels: with one mask"


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        (Preset("  ", ("dog",)), "The preset has no name"),
        (Preset("n" * 61, ("dog",)), "The preset's name has 61 characters, and 60 is the most"),
        (Preset("a\x07b", ("dog",)), "The preset's name holds the control character U+0007"),
        (Preset("a"), "The preset 'a' would hold nothing: name a sound or an option."),
        (Preset("a", ("dog\x00",)), "The query holds the control character U+0000"),
        (Preset("a", ("dog",), ("dogs",)), "'dog' is both wanted and not wanted"),
        (Preset("a", ("@b",)), "A preset cannot name another one: write out what @b holds."),
        (Preset("a", tuple(map(str, range(17)))), "The preset 'a' has 17 sounds, and 16 is the"),
        (Preset("a", options=(("at", "1-2"),)), "A preset cannot hold 'at': that belongs to one"),
        (Preset("a", options=(("like", "/x"),)), "A preset cannot hold 'like': that belongs to"),
        (Preset("a", options=(("base", "j1"),)), "The preset 'a' has the option 'base', which"),
        (Preset("a", options=(("shimmer", "1"),)), "The preset 'a' has the option 'shimmer', wh"),
        (Preset("a", options=(("amount", "200"),)), "'amount' of the preset 'a' must be a number"),
        (Preset("a", options=(("model", "m" * 301),)), "'model' of the preset 'a' is longer than"),
        (Preset("a", options=(("model", "a\nb"),)), "'model' of the preset 'a' is longer than"),
    ],
)
def test_what_cannot_be_a_preset_is_said(preset: Preset, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        preset.checked()
    assert str(refused.value).startswith(said)
    assert not isinstance(refused.value, BadJob)  # the door of jobs would not answer that


@given(st.text(max_size=80))
def test_names(text: str) -> None:
    try:
        name = clean_name(text)
    except BadInput:
        return
    assert 1 <= len(name) <= NAME_LIMIT
    assert clean_name(name) == name
    assert same(name, f" {name} ")
    assert same("Vögel " + name.upper(), "vo\u0308gel " + name.upper().casefold())


def test_a_request_gets_what_it_leaves_open() -> None:
    got = in_request(asked(("preset", "BIRDS"), ("mute", "yes")), find)
    assert (got.queries(), got.nots()) == (("bird song", "cricket"), ("wind",))
    assert got.options() == Options(sharpness=2, stereo=Stereo.LINKED)
    assert got.one("mute") == "yes"
    assert not got.all("preset")
    # nothing is left to what an editor remembers
    assert {"model", "keep", "stereo", "bandwidth"} <= {name for name, _ in got.fields}


def test_what_a_request_names_counts_first() -> None:
    typed = (("query", "dog; cat"), ("sharpness", "1"), ("keep", "both"), ("at", "1-2"))
    got = in_request(asked(("preset", "birds"), *typed), find)
    assert (got.queries(), got.nots()) == (("dog", "cat"), ("wind",))
    wanted = Options(keep=Keep.BOTH, stereo=Stereo.LINKED, at=(Span(1, 2),))
    assert got.options() == wanted
    for nots in (("query", "dog - rain"), ("not", "rain")):
        assert in_request(asked(("preset", "birds"), nots), find).nots() == ("rain",)


def test_asked_again_it_changes_what_was_asked_for() -> None:
    got = in_request(asked(("preset", "quick"), action="again"), find)
    assert got.fields == (("action", "again"), ("draft", "yes"))
    last = Request("r0", "audacity", (("query", "dog"), ("not", "rain"), ("amount", "50.00")))
    assert last.changed(got.fields[1:]).fields == (*last.fields, ("draft", "yes"))
    other = last.changed(in_request(asked(("preset", "birds"), action="again"), find).fields[1:])
    assert (other.queries(), other.nots()) == (("bird song", "cricket"), ("wind",))
    assert other.options() == Options(sharpness=2, stereo=Stereo.LINKED, amount=50)
    assert last.changed([("query", "cat")]).nots() == ()


@pytest.mark.parametrize(
    ("fields", "action", "said"),
    [
        ([("preset", "none")], "again", "There is no preset 'none'."),
        ([("preset", "quick")], "separate", "The preset 'quick' names no sound: name one beside"),
        ([("preset", "quick"), ("query", "- dog")], "separate", "The preset 'quick' names no"),
        ([("preset", "newer")], "separate", "The preset 'newer' has the option 'shimmer', which"),
        (
            [("preset", "birds")],
            "insert",
            "A preset goes with separate or again, not with 'insert'",
        ),
        ([("preset", "birds"), ("preset", "quick")], "again", "There are two presets"),
        ([("preset", "birds"), ("query", "a; @quick")], "separate", "There are two presets"),
    ],
)
def test_a_request_that_cannot_have_it_is_refused(
    fields: list[tuple[str, str]], action: str, said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        in_request(asked(*fields, action=action), find)
    assert str(refused.value).startswith(said)


def test_without_a_preset_all_is_as_it_was() -> None:
    request = asked(("query", "dog"), action="insert")
    assert in_request(request, find) is request
    job = Job("j1", MIX, ("dog @ home",))
    assert in_job(job, find) is job
    assert in_words(["dog"], ["rain"], find) == (None, ("dog",), ("rain",))


def test_a_query_stands_for_a_preset() -> None:
    job = Job("j1", MIX, ("cow", "@birds", "cricket"), Options(amount=50), nots=("rain",))
    got = in_job(job, find)
    assert got.queries == ("cow", "bird song", "cricket")
    assert got.nots == ("wind", "rain")
    assert got.options == Options(amount=50, sharpness=2, stereo=Stereo.LINKED)
    assert Job.from_text(got.to_text()) == got
    # an option that is not as usual was chosen
    assert in_job(Job("j1", MIX, ("@birds",), Options(sharpness=3)), find).options.sharpness == 3
    assert in_job(Job("j1", MIX, ("dog", "@ quick")), find).options == Options(draft=True)


@pytest.mark.parametrize(
    ("queries", "nots", "said"),
    [
        (("@none",), (), "There is no preset 'none'."),
        (("@birds", "@quick"), (), "@birds and @quick are two presets: name one at a time."),
        (("@quick",), (), "The preset 'quick' names no sound: name one beside it, like '@quick; d"),
        (("dog",), ("@birds",), "@birds is a preset, not a sound: say which sound is not wanted."),
        (("@birds", "winds"), (), "'winds' is both wanted and not wanted"),
        (("@birds", *map(str, range(14))), (), "There are 17 sounds, wanted or not, and 16 is"),
    ],
)
def test_a_job_that_cannot_have_it_is_refused(
    queries: tuple[str, ...], nots: tuple[str, ...], said: str
) -> None:
    job = Job("j1", MIX, queries, nots=nots)
    with pytest.raises(BadInput) as refused:
        in_job(job, find)
    assert str(refused.value).startswith(said)
    assert not isinstance(refused.value, BadJob)


def test_a_preset_does_not_adjust() -> None:
    with pytest.raises(BadInput, match="@Birds is a preset, and does not adjust a job"):
        in_job(Job("j1", MIX, ("@birds",), base="j0"), find)


def test_what_a_job_asked_for_becomes_a_preset() -> None:
    options = Options("m", sharpness=1.5, at=(Span(0, 1),), masks=False, like="/a.wav")
    assert lasting(options) == (("model", "m"), ("sharpness", "1.50"))
