"""What a first answer leaves of a mixture competes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_models import Constant, WaveBlur
from listeners import TONES, Tones
from steered import GAIN, LEAK, Leaky

from engine.errors import Cancelled
from engine.job import Job
from engine.models.base import Listener
from engine.options import Keep
from engine.sound.audio import read
from engine.sound.mixture import ArrayMixture
from engine.sound.rest import LONGEST, heard_rest, is_heard
from engine.sound.separate import separate
from engine.sound.team import Rest, Team, Traits

RATE = 32_000


def tones(seconds: float, *levels: float, rate: int = RATE) -> np.ndarray:
    """Return bark, meow and rain at some levels, ``(1, frames)``."""
    t = np.arange(round(seconds * rate)) / rate
    found = [
        level * np.sin(2 * np.pi * hertz * t)
        for level, hertz in zip(levels, TONES.values(), strict=False)
    ]
    return np.sum(found, axis=0, dtype=np.float64).astype(np.float32)[None]


def share(clip: np.ndarray, tone: str, rate: int) -> float:
    """Return the amplitude of a tone in a clip's first channel."""
    part = clip[0, rate // 2 : -(rate // 2)].astype(np.float64)
    t = np.arange(part.size) / rate
    return float(np.abs(part @ np.exp(-2j * np.pi * TONES[tone] * t)) * 2 / part.size)


def test_the_rest_is_what_the_first_answer_left() -> None:
    mixture = ArrayMixture(tones(4, 0.3, 0.2), RATE, RATE)
    rest = heard_rest(mixture, Team.of_one(Leaky(), ("bark",)), Tones())
    assert rest is not None
    assert rest.place.argmax() == 1  # the meow
    other = heard_rest(mixture, Team.of_one(Leaky(), ("meow",)), Tones())
    assert other is not None
    assert other.place.argmax() == 0
    assert rest.text != other.text
    assert rest.text == Rest(rest.place.copy()).text


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_it_competes_and_all_else_stays_exact(
    rate: int, wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    x = np.concatenate([tones(5, 0.3, 0.2, rate=rate), tones(5, 0.3, 0.1, rate=rate)])
    model, rests = Leaky(), []
    asked = make_job(wav(x, rate), "bark", keep=Keep.BOTH)
    plain, _ = separate(asked, model, tmp_path / "plain")
    clip, left = separate(asked, model, tmp_path / "rest", hearer=Tones, on_rest=rests.append)
    target, residual = read(clip.path)[0], read(left.path)[0]
    before = read(plain.path)[0]
    assert len(rests) == 1
    assert share(before, "Meow", rate) == pytest.approx(LEAK * 0.2, rel=0.05)
    assert share(target, "Meow", rate) < 0.7 * share(before, "Meow", rate)
    assert share(target, "Bark", rate) > 0.85 * share(before, "Bark", rate)
    assert target.shape == x.shape
    np.testing.assert_allclose(target + residual, x, rtol=0, atol=2e-7)


def test_a_model_that_can_be_told_what_else_is_there_is_told(
    wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    model = Leaky()
    separate(make_job(wav(tones(4, 0.3, 0.2), RATE), "bark"), model, tmp_path / "a", hearer=Tones)
    first, last = model.told[0], model.told[-1]
    assert first.shape == (1, 128)
    assert last.shape == (3, 256)
    np.testing.assert_array_equal(last[0, :128], last[1, 128:])  # the query, and beside the rest
    np.testing.assert_array_equal(last[0, 128:], last[1, :128])
    np.testing.assert_array_equal(last[2], np.pad(first[0], (0, 128)))  # and once without it


def test_of_a_long_mixture_nothing_competes(
    wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    x = np.pad(tones(4, 0.3, 0.2), ((0, 0), (0, round(LONGEST * RATE) - 4 * RATE)))
    whole = ArrayMixture(x, RATE, RATE)
    assert heard_rest(whole, Team.of_one(Leaky(), ("bark",)), Tones()) is not None
    longer = np.pad(x, ((0, 0), (0, 1)))
    team = Team.of_one(Leaky(), ("bark",))
    assert heard_rest(ArrayMixture(longer, RATE, RATE), team, Tones()) is None

    def hearer() -> Listener:
        raise AssertionError

    asked = make_job(wav(longer, RATE), "bark")
    (clip,) = separate(asked, Leaky(), tmp_path / "a", hearer=hearer)
    (plain,) = separate(asked, Leaky(), tmp_path / "b")
    assert clip.path.read_bytes() == plain.path.read_bytes()


def test_channels_that_cancel_each_other_are_heard() -> None:
    x = tones(4, 0.3, 0.2)
    team = Team.of_one(Leaky(), ("bark",))
    rest = heard_rest(ArrayMixture(np.concatenate([x, -x]), RATE, RATE), team, Tones())
    assert rest is not None
    assert rest.place.argmax() == 1


def test_in_silence_nobody_listens(
    wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    def hearer() -> Listener:
        raise AssertionError

    asked = make_job(wav(np.zeros((1, 40_000), np.float32), RATE), "bark")
    (clip,) = separate(asked, Leaky(), tmp_path / "a", hearer=hearer)
    assert not read(clip.path)[0].any()


def test_a_listener_that_fails_costs_nothing(
    wav: Callable[..., Path],
    make_job: Callable[..., Job],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hearer() -> Listener:
        raise MemoryError("no room for ears")

    asked = make_job(wav(tones(4, 0.3, 0.2), RATE), "bark")
    (clip,) = separate(asked, Leaky(), tmp_path / "a", hearer=hearer)
    (plain,) = separate(asked, Leaky(), tmp_path / "b")
    assert clip.path.read_bytes() == plain.path.read_bytes()
    assert "no room for ears" in caplog.text


def test_a_job_that_goes_on_does_not_listen_again_and_ends_in_the_same_bytes(
    wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    class KilledError(BaseException):
        pass

    asked = make_job(wav(tones(LONGEST, 0.3, 0.2), RATE), "bark")
    (whole,) = separate(asked, Leaky(), tmp_path / "whole", hearer=Tones)

    def die(part: float) -> None:
        if part > 0.7:
            raise KilledError

    with pytest.raises(KilledError):
        separate(asked, Leaky(), tmp_path / "job", hearer=Tones, on_progress=die)

    def deaf() -> Listener:
        raise AssertionError

    shares: list[float] = []
    (clip,) = separate(
        asked, Leaky(), tmp_path / "job", hearer=deaf, on_progress=shares.append, reduction=1
    )
    assert clip.path.read_bytes() == whole.path.read_bytes()
    rests: list[Rest] = []
    (again,) = separate(asked, Leaky(), tmp_path / "c", hearer=Tones, on_rest=rests.append)
    assert again.path.read_bytes() == whole.path.read_bytes()
    assert len(rests) == 1


def test_progress_grows_through_both_answers_and_cancelling_ends_either(
    wav: Callable[..., Path], make_job: Callable[..., Job], tmp_path: Path
) -> None:
    asked = make_job(wav(tones(LONGEST, 0.3, 0.2), RATE), "bark")
    shares: list[float] = []
    separate(asked, Leaky(), tmp_path / "a", hearer=Tones, on_progress=shares.append)
    assert shares == sorted(shares)
    assert any(0.02 < part < 0.25 for part in shares)
    assert shares[-1] == 1.0
    for last in (0.1, 0.6):
        seen: list[float] = []
        with pytest.raises(Cancelled):
            separate(
                asked,
                Leaky(),
                tmp_path / "b",
                hearer=Tones,
                on_progress=seen.append,
                cancelled=lambda seen=seen, last=last: seen[-1] > last,  # type: ignore[misc]
            )
        assert not (tmp_path / "b").exists()


def test_where_it_is_heard() -> None:
    leaky = Traits.of(Leaky())  # type: ignore[arg-type]
    assert is_heard(("bark",), (), leaky)
    assert not is_heard(("bark", "meow"), (), leaky)
    assert not is_heard(("bark",), ("meow",), leaky)
    assert not is_heard(("bark",), (), Traits.of(Constant()))
    assert not is_heard(("bark",), (), Traits.of(WaveBlur()))
    assert Traits.from_json(leaky.to_json()) == leaky
    assert replace(leaky, steered=False) != leaky
    assert GAIN + LEAK < 1
