"""A separating job in the worker: drafts, and the masks that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_models import Blur, Constant
from listeners import SPEECH_LAST, TONES, NoSpeech, Tones
from steered import Leaky

from engine.errors import Failure
from engine.folders import Folders
from engine.job import Job
from engine.models.base import Model
from engine.models.cache import ModelCache
from engine.models.router import resolve
from engine.options import Options, Presence
from engine.queue.separation import DRAFT, KEPT_SECONDS, Separation
from engine.sound.audio import read
from engine.sound.kept import Kept
from engine.sound.separate import separate
from engine.status import Clip


class Moving(Constant):
    """A model that computes in one of two runtimes, of which one may be gone."""

    def __init__(self, runtime: str = "quick") -> None:
        super().__init__({"quick": 0.5, "slow": 0.75}[runtime])
        self.runtime_name = runtime

    def on(self, runtime: str) -> Moving:
        if runtime == "gone":
            raise Failure("It is no longer installed.")
        return Moving(runtime or self.runtime_name)


class Certain(Constant):
    """A model that is sure of whatever it is asked for."""

    def mask_with_presence(
        self, magnitude: np.ndarray, vectors: np.ndarray, rms: float, keep: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        blocks = -(-(keep.stop - keep.start) // self.frame_grid.block)
        sure = np.full((len(vectors), blocks), 0.9, np.float32)
        return self.mask(magnitude, vectors, rms, keep), sure


class Worded(Certain):
    """One that knows English words alone."""

    def instead_of(self, query: str) -> tuple[str, ...]:
        return ()


class Desk:
    """Carries out jobs with a slow model called 'wide' and a fast one called 'compact'."""

    def __init__(self, root: Path) -> None:
        self.folders = Folders(root)
        self.loaded: list[str] = []
        self.drafts: list[tuple[tuple[Clip, ...], list[np.ndarray]]] = []
        self.progress: list[float] = []
        self.ears = Tones()
        self.models = ModelCache(self.folders, self._load)
        self.cancelled: Callable[[], bool] = lambda: False

    def _load(self, name: str, folders: Folders) -> Model:
        self.loaded.append(name)
        known = {
            "compact": Constant(0.25),
            "wide": Blur(),
            "ears": self.ears,
            "moving": Moving(),
            "leaky": Leaky(),
            "certain": Certain(0.5),
            "worded": Worded(0.5),
        }
        return known[name]

    def fetch(self, name: str) -> Model:
        return self._load(name, self.folders)

    def drafted(self, clips: tuple[Clip, ...]) -> None:
        self.drafts.append((clips, [read(clip.path)[0] for clip in clips]))

    def do(self, job: Job, run: Callable[..., object] = separate) -> object:
        return Separation(
            job,
            self.folders.clips / job.id,
            0,
            self.folders,
            self.models,
            self.fetch,
            run,  # type: ignore[arg-type]
            self.progress.append,
            self.drafted,
            self.cancelled,
        ).finished()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "home")


def job(mixture: Path, model: str = "wide", **options: object) -> Job:
    given = Options(model=model, presence=Presence.SEPARATOR, **options)  # type: ignore[arg-type]
    return Job("job-1", mixture, ("dog",), given, answers=(model,))


def test_a_draft_is_there_before_the_answer_and_gone_after_it(
    desk: Desk, rng: np.random.Generator, wav: Callable[..., Path]
) -> None:
    x = (0.3 * rng.standard_normal((2, 40_000))).astype(np.float32)
    done = desk.do(job(wav(x, 32_000), draft=True))
    assert desk.loaded == ["wide", "compact"]
    (((draft,), (rough,)),) = desk.drafts
    np.testing.assert_allclose(rough, x / 4, rtol=0, atol=1e-6)
    (clip,) = done.clips  # type: ignore[attr-defined]
    assert clip.path.name == draft.path.name
    assert draft.path.parent.name == DRAFT
    assert not draft.path.exists()
    assert read(clip.path)[0] != pytest.approx(x / 4, abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "told", "share"),
    [("", "quick", 0.5), ("quick", "quick", 0.5), ("slow", "slow", 0.75)],
)
def test_models_compute_in_the_runtime_that_the_job_says(
    asked: str,
    told: str,
    share: float,
    desk: Desk,
    rng: np.random.Generator,
    wav: Callable[..., Path],
) -> None:
    x = (0.3 * rng.standard_normal((1, 20_000))).astype(np.float32)
    runs: list[Job] = []

    def run(job: Job, *arguments: object, **more: object) -> object:
        runs.append(job)
        return separate(job, *arguments, **more)  # type: ignore[arg-type]

    done = desk.do(replace(job(wav(x, 32_000), "moving"), runtime=asked), run)
    (clip,) = done.clips  # type: ignore[attr-defined]
    np.testing.assert_allclose(read(clip.path)[0], share * x, rtol=0, atol=1e-6)
    assert [one.runtime for one in runs] == [told]  # for its checkpoints


@pytest.mark.parametrize("resumed", ["slow", "quick"])
def test_what_was_begun_in_one_runtime_is_not_ended_in_another(
    resumed: str, desk: Desk, rng: np.random.Generator, wav: Callable[..., Path]
) -> None:
    x = (0.3 * rng.standard_normal((1, 400_000))).astype(np.float32)
    begun = replace(job(wav(x, 32_000), "moving"), runtime="quick")

    class KilledError(BaseException):
        pass

    def die(job: Job, *arguments: object, **more: object) -> object:
        def on_progress(share: float) -> None:
            if share > 0.5:
                raise KilledError

        return separate(job, *arguments, **{**more, "on_progress": on_progress})  # type: ignore[arg-type]

    shares: list[float] = []

    def go_on(job: Job, *arguments: object, **more: object) -> object:
        return separate(job, *arguments, **{**more, "on_progress": shares.append})  # type: ignore[arg-type]

    with pytest.raises(KilledError):
        desk.do(begun, die)
    done = desk.do(replace(begun, runtime=resumed), go_on)
    (clip,) = done.clips  # type: ignore[attr-defined]
    share = {"quick": 0.5, "slow": 0.75}[resumed]
    np.testing.assert_allclose(read(clip.path)[0], share * x, rtol=0, atol=1e-6)
    first = min(one for one in shares if one > 0)
    assert (first > 0.4) == (resumed == "quick")  # in the same one it goes on


def test_a_runtime_that_is_gone_is_said(desk: Desk, wav: Callable[..., Path]) -> None:
    mixture = wav(np.zeros((1, 20_000), np.float32), 32_000)
    with pytest.raises(Failure, match="no longer installed"):
        desk.do(replace(job(mixture, "moving"), runtime="gone"))
    desk.do(replace(job(mixture, "wide"), runtime="gone"))  # it has no choice


def test_a_word_that_nobody_knows_is_said_though_something_was_found(
    desk: Desk, rng: np.random.Generator, wav: Callable[..., Path]
) -> None:
    x = (0.3 * rng.standard_normal((1, 20_000))).astype(np.float32)
    asked = replace(job(wav(x, 32_000)), queries=("asdfgh",))
    alone = Options(presence=Presence.SEPARATOR)

    def notes(model: str) -> tuple[str, ...]:
        named = replace(asked, answers=(model,), options=replace(alone, model=model), id=model)
        return desk.do(named).notes  # type: ignore[attr-defined, no-any-return]

    (said,) = notes("worded")
    assert said.startswith("No word of 'asdfgh' is known")
    assert notes("certain") == ()  # which may know it


def test_compact_makes_no_draft_of_itself(
    desk: Desk, rng: np.random.Generator, wav: Callable[..., Path]
) -> None:
    x = (0.3 * rng.standard_normal((1, 20_000))).astype(np.float32)
    done = desk.do(job(wav(x, 32_000), "compact", draft=True))
    assert not desk.drafts
    assert desk.loaded == ["compact"]
    assert done.clips  # type: ignore[attr-defined]


def test_a_draft_that_fails_costs_nothing(
    desk: Desk,
    rng: np.random.Generator,
    wav: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*arguments: object) -> object:
        raise MemoryError

    monkeypatch.setattr(Constant, "mask", broken)
    x = (0.3 * rng.standard_normal((1, 20_000))).astype(np.float32)
    done = desk.do(job(wav(x, 32_000), draft=True))
    assert not desk.drafts
    assert done.clips  # type: ignore[attr-defined]


def test_masks_of_long_recordings_serve_events_and_go(
    desk: Desk,
    rng: np.random.Generator,
    wav: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.queue.separation.KEPT_SECONDS", 0.5)
    assert KEPT_SECONDS == 600
    x = (0.3 * rng.standard_normal((1, 40_000))).astype(np.float32)
    done = desk.do(job(wav(x, 32_000), events=True))
    (note,) = done.notes  # type: ignore[attr-defined]
    assert note == "Nobody estimates when 'dog' is there: its clip is not limited to events."
    assert not list(desk.folders.masks.iterdir())


def test_a_base_counts_only_where_the_same_model_is_asked(
    desk: Desk, wav: Callable[..., Path]
) -> None:
    from dataclasses import replace

    base = replace(job(wav(np.zeros((1, 100), np.float32), 32_000)), answers=("wide",))
    same = replace(base, id="job-2", base=base.id, answers=())
    other = replace(same, options=replace(base.options, model="compact"))
    assert resolve(same, desk.folders, base).answers == ("wide",)
    assert resolve(other, desk.folders, base).answers == ("compact",)


def test_what_is_adjusted_loads_no_model(
    desk: Desk, rng: np.random.Generator, wav: Callable[..., Path]
) -> None:
    from dataclasses import replace

    x = (0.3 * rng.standard_normal((1, 40_000))).astype(np.float32)
    first = job(wav(x, 32_000))
    desk.do(first)
    assert Kept.open(desk.folders.masks / first.id) is not None
    desk.loaded.clear()
    again = replace(first, id="job-2", base=first.id, options=replace(first.options, amount=50))
    done = desk.do(again)
    assert desk.loaded == []
    assert done.clips  # type: ignore[attr-defined]
    more = replace(again, id="job-3", nots=("rain",), answers=("wide", "wide"))
    desk.do(more)
    assert desk.loaded == ["wide"]


@pytest.mark.parametrize(("ears", "share"), [(NoSpeech, 0.1), (Tones, 0.05)])
def test_progress_begins_with_the_listening_for_speech(
    ears: type[Tones],
    share: float,
    desk: Desk,
    rng: np.random.Generator,
    wav: Callable[..., Path],
) -> None:
    desk.ears = ears(labels=SPEECH_LAST)
    x = (0.1 * rng.standard_normal((1, 60 * 32_000))).astype(np.float32)
    listened: list[float] = []

    def run(job: Job, *arguments: object, **more: object) -> object:
        listened.extend(desk.progress)
        return separate(job, *arguments, **more)  # type: ignore[arg-type]

    desk.do(replace(job(wav(x, 32_000)), beside="moving"), run)
    assert ("moving" in desk.loaded) == (ears is Tones), "Tones hears speech, and then no more"
    assert len(listened) > 2
    assert 0 < listened[0] < listened[-1] <= share
    assert desk.progress == sorted(desk.progress)
    assert desk.progress[-1] == pytest.approx(1.0)


def _bark_and_meow(seconds: float = 4) -> np.ndarray:
    t = np.arange(round(seconds * 32_000)) / 32_000
    bark, meow = (np.sin(2 * np.pi * TONES[name] * t) for name in ("Bark", "Meow"))
    return (0.3 * bark + 0.2 * meow).astype(np.float32)[None]


def test_the_rest_competes_once_for_a_job_and_those_that_adjust_it(
    desk: Desk, wav: Callable[..., Path]
) -> None:
    first = replace(job(wav(_bark_and_meow(), 32_000), "leaky", twice=True), queries=("bark",))
    done = desk.do(first)
    (note,) = done.notes  # type: ignore[attr-defined]
    assert note.startswith("What a first answer left of the recording competed with 'bark'")
    assert desk.loaded == ["leaky", "ears"]
    kept = Kept.open(desk.folders.masks / first.id)
    assert kept is not None
    assert kept.told is not None
    assert kept.told.rest is not None
    assert kept.told.rest.place.argmax() == 1  # the meow
    (clip,) = done.clips  # type: ignore[attr-defined]

    desk.loaded.clear()
    again = replace(first, id="job-2", base=first.id)
    redone = desk.do(again)
    assert desk.loaded == []
    assert redone.notes == done.notes  # type: ignore[attr-defined]
    (same,) = redone.clips  # type: ignore[attr-defined]
    np.testing.assert_allclose(read(same.path)[0], read(clip.path)[0], rtol=0, atol=1e-5)

    alone = replace(again, id="job-3", options=replace(first.options, twice=False))
    plain = desk.do(alone)
    assert desk.loaded == ["leaky"]  # asked without the rest: that is another answer
    assert plain.notes == ()  # type: ignore[attr-defined]
    (loud,) = plain.clips  # type: ignore[attr-defined]
    assert np.square(read(loud.path)[0]).mean() > np.square(read(clip.path)[0]).mean()


def test_the_rest_competes_for_a_job_that_adjusts_one_without(
    desk: Desk, wav: Callable[..., Path]
) -> None:
    plain = replace(job(wav(_bark_and_meow(), 32_000), "leaky"), queries=("bark",))
    desk.do(plain)
    desk.loaded.clear()
    again = replace(plain, id="job-2", base=plain.id, options=replace(plain.options, twice=True))
    done = desk.do(again)
    assert len(done.notes) == 1  # type: ignore[attr-defined]
    assert sorted(desk.loaded) == ["ears", "leaky"]
    fresh = desk.do(replace(again, id="job-3", base=""))
    (one,), (other,) = done.clips, fresh.clips  # type: ignore[attr-defined]
    np.testing.assert_allclose(read(one.path)[0], read(other.path)[0], rtol=0, atol=1e-6)


def test_where_nothing_can_compete_it_is_said(desk: Desk, wav: Callable[..., Path]) -> None:
    mixture = wav(_bark_and_meow(), 32_000)
    for asked in (
        replace(
            job(mixture, "leaky", twice=True), queries=("bark", "meow"), answers=("leaky",) * 2
        ),
        job(mixture, "wide", twice=True),
        replace(job(wav(_bark_and_meow(21), 32_000), "leaky", twice=True), queries=("bark",)),
    ):
        done = desk.do(asked)
        assert done.notes[0].startswith("Answered once: a second")  # type: ignore[attr-defined]


def test_the_rest_competes_where_a_clip_is_limited_to_events(
    desk: Desk, wav: Callable[..., Path]
) -> None:
    asked = replace(
        job(wav(_bark_and_meow(), 32_000), "leaky", twice=True, events=True), queries=("bark",)
    )
    done = desk.do(asked)
    told = [note.split(" ")[0] for note in done.notes]  # type: ignore[attr-defined]
    assert told.count("What") == 1
    (clip,) = done.clips  # type: ignore[attr-defined]
    plain = replace(asked, id="job-2", options=replace(asked.options, twice=False))
    (loud,) = desk.do(plain).clips  # type: ignore[attr-defined]
    assert np.square(read(loud.path)[0]).mean() > np.square(read(clip.path)[0]).mean()
