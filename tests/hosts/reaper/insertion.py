"""What goes wrong while clips are put into a project: nothing is lost, nothing goes in twice."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.status import JobState, Status
from tests.hosts.reaper.project import Project
from tests.hosts.reaper.scenarios import KEEP, scenario
from tests.hosts.reaper.studio import Engine, Studio

YES = 6


class RefusedError(Exception):
    """REAPER's own answer to a call, as a script sees it."""


class Killed(BaseException):
    """REAPER is gone in the middle of a script."""


def notes(studio: Studio) -> list[Path]:
    return sorted((studio.reaper.resource / "Data/Tweeze/pending").glob("*"))


def in_project(studio: Studio) -> list[str]:
    return sorted(path.name for path in studio.project.folder.glob("*.wav"))


def in_engine(studio: Studio) -> list[str]:
    ids = {status.id for status in studio.recent()}
    found = (p for p in studio.folders.clips.glob("*/*.wav") if p.parent.name in ids)
    return sorted(path.name for path in found)


@contextlib.contextmanager
def refusing(studio: Studio, *names: str, after: int = 0) -> Iterator[None]:
    """REAPER refuses these calls, but for the first `after` of them."""
    count = 0

    def hook(name: str) -> None:
        nonlocal count
        if name in names:
            count += 1
            if count > after:
                raise RefusedError(f"{name} is refused")

    studio.reaper.hook = hook
    try:
        yield
    finally:
        studio.reaper.hook = lambda name: None


def killed_when(studio: Studio, condition: Callable[[str], bool]) -> None:
    """Go on until a call at which REAPER ends, and all that it would still have done with it."""
    dead = False

    def hook(name: str) -> None:
        nonlocal dead
        dead = dead or condition(name)
        if dead:
            raise Killed

    studio.reaper.hook = hook
    with pytest.raises(Killed):
        studio.cycle_until(lambda: dead)
    studio.reaper.crash()


def saved(studio: Studio) -> Project:
    studio.project.file = str(studio.folder / "song.rpp")
    return studio.project


def another_project(studio: Studio) -> None:
    studio.reaper.projects[:] = [Project(studio.reaper.resource / "project")]
    studio.reaper.current = 0


def collected(studio: Studio, *names: str) -> None:
    """What waits goes in, once."""
    studio.wait(studio.begin("collect"))
    assert studio.names() == list(names)
    assert in_engine(studio) == []
    studio.nothing_is_left()
    studio.reaper.boxes.clear()
    studio.wait(studio.begin("collect"))
    assert studio.reaper.boxes == ["Nothing waits for this project."]
    assert studio.names() == list(names)


@scenario
def an_insertion_that_fails_is_taken_back(studio: Studio, engine: Engine) -> None:
    """At any of its steps, within a folder and with the original muted: then it can be repeated."""
    project = studio.project
    folder = project.add_track("Band")
    folder.values["I_FOLDERDEPTH"] = 1.0
    track = project.add_track("Take")
    track.values["I_FOLDERDEPTH"] = -1.0
    studio.item(studio.wav(0.25), track=track)
    studio.item(studio.wav(0.5, name="b.wav"))
    before, marked = project.state(), project.marked()
    steps = (
        ("InsertTrackAtIndex", 1),
        ("PCM_Source_CreateFromFileEx", 3),
        ("AddMediaItemToTrack", 0),
        ("SetMediaItemTake_Source", 2),
        ("GetSetMediaItemInfo_String", 1),
    )
    clips = [f"Take - {name}.wav" for name in ("dog", "without dog")]
    clips += [f"Take 3 - {name}.wav" for name in ("dog", "without dog")]
    for name, after in steps:
        with refusing(studio, name, after=after):
            if name == steps[0][0]:
                studio.wait(studio.separate("dog", *KEEP, "right", "right", "tab", " "))
            else:
                studio.wait(studio.begin("collect"))
        said = studio.box()
        assert f"{name} is refused" in said
        assert f"They lie in {studio.folders.clips}" in said
        assert 'run "Tweeze - collect" to try again' in said
        assert (project.state(), project.marked()) == (before, marked), name
        assert in_project(studio) == []
        assert in_engine(studio) == clips
        assert [path.suffix for path in notes(studio)] == [""]
    assert studio.reaper.boxes == []
    first, second, third, fourth = (name.removesuffix(".wav") for name in clips)
    collected(studio, "Band", "Take", first, second, "Take 3", third, fourth)
    assert [t.values["I_FOLDERDEPTH"] for t in project.tracks] == [1, 0, 0, -1, 0, 0, 0]
    assert [item.values["B_MUTE"] for item in project.items] == [1, 0, 0, 1, 0, 0]
    assert in_project(studio) == clips


@scenario
def what_cannot_be_taken_back_is_asked_for(studio: Studio, engine: Engine) -> None:
    studio.item(studio.wav(0.25))
    with refusing(studio, "AddMediaItemToTrack", "DeleteTrack"):
        studio.wait(studio.separate())
    (said,) = studio.reaper.boxes
    assert "undo what is there. They lie in" in said
    assert str(studio.project.folder) in said
    assert [path.suffix for path in notes(studio)] == [".claimed"]
    assert in_project(studio) == ["Take 1 - dog.wav"]
    studio.project.tracks.pop()  # the user undoes it
    studio.reaper.answers = [YES]
    collected(studio, "Take 1", "Take 1 - dog")
    assert in_project(studio) == ["Take 1 - dog.wav"]


def _shows(studio: Studio, other: Project, looks: int) -> Callable[[str], None]:
    """The user goes to another tab at that look for the project, once a clip was moved into it."""
    project, count = studio.project, 0

    def hook(name: str) -> None:
        nonlocal count
        if name == "ValidatePtr2" and project is studio.project:
            count += bool(list(project.folder.glob("*.wav")))
            if count == looks:
                studio.reaper.open(other)

    return hook


@scenario
def the_project_goes_away_before_the_insertion(studio: Studio, engine: Engine) -> None:
    """The clips were moved: they go back, and come again when the project does."""
    # The script looks for its project before each piece of work: as it brings the clip, and after.
    for how, looks in (("closed", 1), ("closed", 2), ("script ended", 2)):
        project = saved(studio)
        studio.item(studio.wav(0.25))
        other = Project(studio.folder / "other")

        studio.reaper.hook = _shows(studio, other, looks)
        script = studio.separate()
        studio.cycle_until(lambda other=other: studio.project is other)
        studio.reaper.hook = lambda name: None
        if how == "closed":
            studio.reaper.close(project)
            studio.wait(script)
        else:
            script.end()
        assert not list(project.folder.glob("*.wav"))
        assert in_engine(studio) == ["Take 1 - dog.wav"]
        if how == "closed":
            studio.reaper.open(project.reopened())
        else:
            studio.reaper.current = studio.reaper.projects.index(project)
        collected(studio, "Take 1", "Take 1 - dog")
        shutil.rmtree(project.folder)
        another_project(studio)
    assert studio.reaper.boxes == ["Nothing waits for this project."]


@scenario
def reaper_is_killed_before_the_insertion(studio: Studio, engine: Engine) -> None:
    """Its clips have been moved, the first of two or both: they are found where they are."""
    for moved in (1, 2):
        project = saved(studio)
        studio.item(studio.wav(0.25))
        studio.separate("dog; rain")
        killed_when(studio, lambda name, n=moved: len(in_project(studio)) == n)
        assert [path.suffix for path in notes(studio)] == [".claimed"]
        studio.reaper.open(project.reopened())
        # The same again meanwhile: clips of the same names and sizes.
        studio.project.items[0].values["B_UISEL"] = 1.0
        studio.wait(studio.separate("rain"))
        assert studio.names() == ["Take 1", "Take 1 - rain"]
        taken = studio.project.tracks[1].items[0].take.source
        assert taken is not None
        studio.reaper.answers = [YES]
        studio.wait(studio.begin("collect"))
        assert studio.names() == ["Take 1", "Take 1 - dog", "Take 1 - rain", "Take 1 - rain"]
        used = [item.take.source.path for item in studio.project.items[1:]]  # type: ignore[union-attr]
        assert len(set(used)) == 3, "two items play one clip"
        assert len(in_project(studio)) == 3
        assert in_engine(studio) == []
        studio.nothing_is_left()
        studio.reaper.close(studio.project)
        shutil.rmtree(project.folder)
        another_project(studio)
        studio.reaper.boxes.clear()


@scenario
def reaper_is_killed_in_the_insertion(studio: Studio, engine: Engine) -> None:
    """With it went what had been put in; the clip is where it was brought to."""
    project = saved(studio)
    studio.item(studio.wav(0.25))
    studio.separate()
    killed_when(studio, lambda name: name == "AddMediaItemToTrack")
    assert [path.name for path in project.folder.glob("*.wav")] == ["Take 1 - dog.wav"]
    del project.tracks[1:]
    studio.reaper.open(project.reopened())
    studio.reaper.answers = [YES]
    collected(studio, "Take 1", "Take 1 - dog")
    assert in_project(studio) == ["Take 1 - dog.wav"]


@scenario
def the_project_folder_cannot_be_written(studio: Studio, engine: Engine) -> None:
    folder = studio.project.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(b"in the way")
    studio.item(studio.wav(0.25))
    studio.wait(studio.separate())
    (said,) = studio.reaper.boxes
    assert f"could not be put into {folder}" in said
    assert f"They lie in {studio.folders.clips}" in said
    folder.unlink()
    collected(studio, "Take 1", "Take 1 - dog")


@scenario
def a_failed_insertion_on_another_disk(studio: Studio, engine: Engine) -> None:
    """Nothing of the copies is left, and the clips are where they were."""
    other = Path("/dev/shm") / f"tweeze-{studio.folder.name}-{id(studio)}"
    other.mkdir()
    try:
        studio.project.folder = other
        studio.item(studio.wav(2.0))
        with refusing(studio, "AddMediaItemToTrack"):
            studio.wait(studio.separate())
        assert list(other.iterdir()) == []
        assert in_engine(studio) == ["Take 1 - dog.wav"]
        collected(studio, "Take 1", "Take 1 - dog")
        assert in_project(studio) == ["Take 1 - dog.wav"]
    finally:
        shutil.rmtree(other)


def finished(studio: Studio, project: Project) -> list[Status]:
    """Separate two items, close the project, and let the engine finish."""
    script = studio.separate("hold")
    studio.cycle_until(lambda: any(s.id.endswith("-2") for s in studio.recent()))
    studio.reaper.close(project)
    studio.wait(script)
    (studio.folders.root / "hold").unlink(missing_ok=True)
    studio.cycle_until(lambda: all(s.state is JobState.DONE for s in studio.recent()))
    studio.reaper.open(project.reopened())
    return studio.recent()


@scenario
def clips_that_are_gone(studio: Studio, engine: Engine) -> None:
    """The engine's clean-up took them: a sentence, and what is left goes in."""
    for gone in (1, 2):
        project = saved(studio)
        studio.item(studio.wav(0.25))
        studio.item(studio.wav(0.5, name="b.wav"))
        for status in finished(studio, project)[:gone]:
            shutil.rmtree(studio.folders.clips / status.id)
        studio.wait(studio.begin("collect"))
        assert studio.reaper.boxes == [
            "The clips of 'hold' are gone: the engine keeps for some weeks what nobody fetches. "
            "Separate the sound again."
        ]
        expected = ["Take 1", "Take 2", "Take 2 - hold"] if gone == 1 else ["Take 1", "Take 2"]
        assert studio.names() == expected
        studio.nothing_is_left()
        studio.reaper.boxes.clear()
        studio.forget_statuses()
        another_project(studio)
        shutil.rmtree(project.folder, ignore_errors=True)


@scenario
def a_status_that_is_lost(studio: Studio, engine: Engine) -> None:
    """While the clips are there the note stays, and they go in once the engine tells of them."""
    studio.reaper.speed = 40.0
    project = saved(studio)
    studio.item(studio.wav(0.25))
    studio.item(studio.wav(0.5, name="b.wav"))
    lost, _ = finished(studio, project)
    path = studio.folders.status / lost.id
    path.unlink()
    studio.wait(studio.begin("collect"))
    (said,) = studio.reaper.boxes
    assert f"Its clips lie in {studio.folders.clips}" in said
    assert len(notes(studio)) == 1
    path.write_text(lost.to_text())
    collected(studio, "Take 1", "Take 1 - hold", "Take 2", "Take 2 - hold")


@scenario
def a_note_that_cannot_be_claimed(studio: Studio, engine: Engine) -> None:
    (studio.folders.root / "hold").touch()
    studio.item(studio.wav(0.25))
    script = studio.separate("hold")
    studio.cycle_until(lambda: notes(studio))
    (note,) = notes(studio)
    in_the_way = note.with_name(f"{note.name}.claimed")
    in_the_way.mkdir()
    (studio.folders.root / "hold").unlink()
    studio.wait(script)
    assert len(studio.reaper.boxes) == 1
    (said,) = studio.reaper.boxes
    assert f"The note {note} cannot be renamed" in said
    in_the_way.rmdir()
    collected(studio, "Take 1", "Take 1 - hold")
