"""The panel from REAPER: what is selected opens there, and clips come back to where it was."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.client import Client
from engine.job import new_id
from engine.request import Request
from engine.status import JobState
from tests.hosts.reaper.project import Item
from tests.hosts.reaper.studio import Engine, Studio, copy_scripts, engine, until
from tests.support.panels import Answer, Page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A browser that keeps the pages it is to show."""
    folder = tmp_path_factory.mktemp("browser")
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\ncp "${{1#file://}}" {folder}/page.html\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, browser: Path) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "BROWSER", f"{browser}/browser %s")
        with engine(tmp_path_factory.mktemp("panel") / "home", "stand-in") as made:
            yield made


@pytest.fixture
def studio(tmp_path: Path, running: Engine, browser: Path) -> Studio:
    (browser / "page.html").unlink(missing_ok=True)
    for name in ("alive", *(f"wishes/{path.name}" for path in _wishes(running))):
        (running.folders.spool / "reaper" / name).unlink(missing_ok=True)
    return Studio(tmp_path, running.folders, copy_scripts(tmp_path / "scripts"))


def _wishes(running: Engine) -> list[Path]:
    return list((running.folders.spool / "reaper" / "wishes").glob("*"))


def listens(studio: Studio) -> None:
    studio.begin("listen")
    alive = studio.folders.spool / "reaper" / "alive"
    studio.cycle_until(alive.exists, "the listener's sign of life")


def opened(studio: Studio, browser: Path) -> Page:
    studio.wait(studio.begin("panel"))
    assert studio.reaper.boxes == []
    return Page.opened(browser / "page.html")


def while_reaper_runs(studio: Studio, work: Callable[[], Any]) -> Any:
    """Do in a thread what waits for REAPER, and return what comes of it."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    studio.cycle_until(lambda: not thread.is_alive(), "the answer")
    return found[0]


def sent(studio: Studio, page: Page, job: str, **said: Any) -> Answer:
    answer = while_reaper_runs(studio, lambda: page.ask("POST", f"/api/jobs/{job}/send", said))
    assert isinstance(answer, Answer)
    return answer


def samples(page: Page, path: str) -> np.ndarray:
    return page.get(path).floats


def test_what_is_selected_opens(studio, browser):
    one = studio.item(studio.wav(name="one.wav"), 1.0)
    studio.item(studio.wav(name="two.wav", channels=1, rate=44_100), 2.5)
    studio.project.markers = [(1.1, 1.2, "+ only here")]
    before = studio.project.state()
    page = opened(studio, browser)
    known = page.get("/api/state").json["sources"]
    assert [source["title"] for source in known] == ["Take 1", "Take 2"]
    assert [(s["rate"], s["channels"], s["host"]) for s in known] == [
        (32_000, 2, "reaper"),
        (44_100, 1, "reaper"),
    ]
    assert known[0]["frames"] == round(one.length * 32_000)
    assert studio.project.state() == before
    until(lambda: not list(studio.folders.mixtures.iterdir()), "the audio is the panel's now")
    assert not list((studio.folders.spool / "reaper" / "opened").iterdir())


def test_clips_go_where_the_selection_was(studio, browser):
    track = studio.project.add_track("Street")
    item = studio.item(studio.wav(), 1.25, track=track)
    studio.project.add_track("Below")
    page = opened(studio, browser)
    job = page.job(["dog", "rain"])
    listens(studio)
    item.selected = False
    undone = len(studio.project.undo)
    answer = sent(studio, page, job["id"])
    assert answer.status == 200, answer.body
    assert "2 clips inserted" in answer.body.decode()
    assert studio.names() == ["Street", "Street - dog", "Street - rain", "Below"]
    new = [track.items[0] for track in studio.project.tracks[1:3]]
    assert {(one.start, one.length) for one in new} == {(item.start, item.length)}
    assert len(studio.project.undo) == undone + 1
    for number, one in enumerate(new):
        kept = Path(studio.recent()[-1].clips[number].path)
        assert np.array_equal(studio.clip(one), soundfile.read(kept, always_2d=True)[0])
    again = sent(studio, page, job["id"])
    assert again.status == 409, "once is enough"
    assert len(studio.project.tracks) == 4
    assert sent(studio, page, job["id"], again=True).status == 200
    assert len(studio.project.tracks) == 6
    assert not list((studio.reaper.resource / "Data/Tweeze/pending").glob("*"))


def test_another_project_gets_nothing(studio, browser):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    mine = studio.reaper.project
    studio.reaper.open(type(mine)(studio.folder / "other"))
    listens(studio)
    answer = sent(studio, page, job["id"])
    assert answer.status == 400
    assert "came from another project than the one in front" in answer.error
    assert studio.reaper.project is not mine
    assert not studio.reaper.project.tracks
    studio.reaper.current = 0
    assert sent(studio, page, job["id"]).status == 200, "nothing was lost"
    assert len(mine.tracks) == 2


def test_nobody_listens_in_reaper(studio, browser):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    answer = page.ask("POST", f"/api/jobs/{job['id']}/send", {})
    assert answer.status >= 400
    assert 'run its action "Tweeze - listen" once' in answer.error
    listens(studio)
    assert sent(studio, page, job["id"]).status == 200, "nothing was claimed for good"


def test_the_note_of_the_place_is_gone(studio, browser):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    for note in (studio.reaper.resource / "Data/Tweeze/places").iterdir():
        note.unlink()
    listens(studio)
    answer = sent(studio, page, job["id"])
    assert "download the clips" in answer.error


def test_nothing_is_selected(studio, browser):
    studio.wait(studio.begin("panel"))
    assert "Nothing is selected" in studio.box()
    assert not (browser / "page.html").exists()


def test_it_is_given_up_with_escape(studio, browser):
    studio.item(studio.wav(seconds=30.0))
    script = studio.begin("panel", "escape")
    studio.wait(script)
    assert studio.reaper.boxes == []
    until(lambda: not list(studio.folders.mixtures.iterdir()), "the removal of the audio")


def test_no_browser_is_a_sentence(studio, browser):
    studio.item()
    (browser / "browser").rename(browser / "elsewhere")
    try:
        studio.wait(studio.begin("panel"))
    finally:
        (browser / "elsewhere").rename(browser / "browser")
    assert "in yours within a minute" in studio.box()


def test_a_path_elsewhere_is_not_opened(studio, running):
    id_ = new_id()
    text = (
        f"tweeze=1\nid={id_}\nproject=p\nfile=/etc/passwd\ntitle=t\nstart=0\nrate=1\nnote=n\nend\n"
    )
    (running.folders.spool / "reaper" / "opened" / id_).write_text(text)
    request = Request(id_, "reaper", (("action", "panel"),))
    (running.folders.requests / id_).write_text(request.to_text())
    status = running.folders.request_status / id_
    until(lambda: status.exists() and "state=failed" in status.read_text(), "the refusal")
    assert "not among the mixtures" in status.read_text()


def test_old_notes_of_places_go(studio, browser):
    places = studio.reaper.resource / "Data/Tweeze/places"
    places.mkdir(parents=True)
    for name in ("20200101-000000-abc-1", "mine.txt"):
        (places / name).write_text("end\n")
    studio.item()
    opened(studio, browser)
    left = sorted(path.name for path in places.iterdir())
    assert "20200101-000000-abc-1" not in left
    assert "mine.txt" in left
    assert len(left) == 2


def test_what_was_adjusted_goes_in(studio, running):
    item: Item = studio.item(None, 0.75)
    studio.do("dog")
    first = studio.jobs()[-1]
    listens(studio)
    client = Client(running.folders)
    fields = (("action", "adjust"), ("job", first.id), ("amount", "50"), ("into", "editor"))
    status = while_reaper_runs(studio, lambda: client.request(Request(new_id(), "", fields)))
    assert status.state is JobState.DONE, status.message
    studio.cycle_until(lambda: len(studio.project.tracks) == 3, "the new track")
    new = studio.project.tracks[1].items[0]
    assert (new.start, new.length) == (item.start, item.length)
