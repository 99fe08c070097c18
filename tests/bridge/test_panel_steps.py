"""Steps of adjusting in the panel: each job takes the place of the one before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from panels import Page

from bridge import launch
from engine.job import new_id
from engine.queue.lock import holder

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def page(home: Any, short_wav: Path) -> Page:
    return opened(home, short_wav)


def opened(home: Any, *arguments: str | Path) -> Page:
    done = home.tweeze("panel", *arguments, "--no-browser")
    assert done.returncode == 0, done.stderr
    return Page.opened(done.stdout.strip())


def ask(page: Page, **more: Any) -> dict[str, Any]:
    answer = page.ask("POST", f"/api/sources/{page.source}/jobs", {"queries": ["dog"], **more})
    assert answer.status == 202, answer.body
    return answer.json  # type: ignore[no-any-return]


def jobs(page: Page) -> list[dict[str, Any]]:
    """The jobs of the page's recording, as a page that is opened now sees them."""
    state = page.get("/api/state").json
    (source,) = (one for one in state["sources"] if one["id"] == page.source)
    return source["jobs"]  # type: ignore[no-any-return]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def journal(home: Any) -> set[str]:
    with closing(sqlite3.connect(f"file:{home.folders.journal}?mode=ro", uri=True)) as database:
        return {id_ for (id_,) in database.execute("SELECT id FROM jobs")}


def everywhere(home: Any, page: Page) -> list[set[str]]:
    """What there is of jobs, by the places where something can be."""
    f = home.folders
    drawn = {name for name in names(f.panel / "sources" / page.source) if "-clip-" in name}
    return [journal(home), names(f.clips), names(f.masks), names(f.status), drawn]


def test_a_step_takes_the_place_of_the_one_before(home: Any, page: Page, until: Until) -> None:
    base = page.job(["dog"])
    first = page.job(["dog"], base=base["id"], options={"amount": "80"}, instead="")
    assert first["instead"] == ""
    page.get(f"/api/jobs/{first['id']}/clips/0/peaks?start=0&stop=900&count=9")
    with page.events() as socket:
        second = page.job(["dog"], base=base["id"], options={"amount": "50"}, instead=first["id"])
        while json.loads(socket.recv(90)) != {"forgotten": first["id"]}:
            pass
    assert second["state"] == "done"
    assert second["instead"] == first["id"]
    assert [one["id"] for one in jobs(page)][-2:] == [base["id"], second["id"]]
    until(lambda: not any(first["id"] in "".join(place) for place in everywhere(home, page)))
    assert page.ask("GET", f"/api/jobs/{first['id']}").status == 404
    assert page.ask("GET", f"/api/jobs/{first['id']}/clips/0/wav").status == 404
    # The masks that both came from stay, and so do those of the newest.
    assert {base["id"], second["id"]} <= names(home.folders.masks)
    third = page.job(["dog"], base=second["id"], options={"amount": "20"})
    assert not any("anew" in note for note in third["notes"])


def test_fifty_quick_changes_leave_one_job(home: Any, page: Page, until: Until) -> None:
    base = page.job(["dog"])
    before = [set(place) for place in everywhere(home, page)]
    engine = psutil.Process(home.beat().pid)

    def change(count: int, instead: str) -> str:
        for number in range(count):
            options = {"amount": str(30 + number)}
            instead = ask(page, base=base["id"], options=options, instead=instead)["id"]
            if number % 7 == 3:  # now and then the hand rests until it is heard
                page.ended(instead)
        assert page.ended(instead)["state"] == "done"
        until(lambda: [one["id"] for one in jobs(page)][-2:] == [base["id"], instead])
        return instead

    last = change(50, "")
    settled = engine.memory_info().rss
    last = change(50, last)
    added = [now - then for now, then in zip(everywhere(home, page), before, strict=True)]
    assert added[:4] == [{last}] * 4
    there = tuple(one["id"] for one in jobs(page))
    until(lambda: all(name.startswith(there) for name in everywhere(home, page)[4]))
    assert engine.memory_info().rss - settled < 16 << 20
    assert not any(one["state"] != "done" for one in jobs(page))


def test_what_has_no_clips_goes_at_once(home: Any, long_wav: Path, until: Until) -> None:
    page = opened(home, long_wav)
    kept = page.job(["dog"])
    (home.root / "hold").touch()
    try:
        running = ask(page, queries=["dog hold"], instead=kept["id"])
        until(lambda: (home.root / "held").exists())
        waiting = ask(page, queries=["cat"], instead=running["id"])
        newest = ask(page, queries=["cat"], instead=waiting["id"])
        until(lambda: waiting["id"] not in journal(home))
        # It takes the place of what the others were to replace, which stays until then.
        assert [one["id"] for one in jobs(page)] == [kept["id"], running["id"], newest["id"]]
        newest = page.get(f"/api/jobs/{newest['id']}").json
        assert (newest["state"], newest["instead"]) == ("queued", running["id"])
        assert kept["id"] in names(home.folders.clips)
    finally:
        (home.root / "hold").unlink()
        (home.root / "held").unlink(missing_ok=True)
    assert page.ended(newest["id"])["state"] == "done"
    until(lambda: [one["id"] for one in jobs(page)] == [newest["id"]])
    assert not {kept["id"], running["id"], waiting["id"]} & journal(home)
    page.ask("DELETE", f"/api/sources/{page.source}")


def test_a_failed_step_costs_nothing(home: Any, long_wav: Path, until: Until) -> None:
    page = opened(home, long_wav)
    kept = page.job(["dog"])
    failed = page.job(["dog bug"], instead=kept["id"])
    assert failed["state"] == "failed"
    assert [one["id"] for one in jobs(page)] == [kept["id"], failed["id"]]
    assert page.get(f"/api/jobs/{kept['id']}/clips/0/audio?start=0&stop=9").floats.size
    newest = page.job(["dog"], instead=failed["id"])
    until(lambda: [one["id"] for one in jobs(page)] == [newest["id"]])
    page.ask("DELETE", f"/api/sources/{page.source}")


def test_the_base_of_a_step_stays(home: Any, page: Page) -> None:
    base = page.job(["dog"])
    step = page.job(["dog"], base=base["id"], instead=base["id"], options={"amount": "50"})
    assert step["instead"] == ""
    next_ = page.job(["dog"], base=step["id"], instead=step["id"], options={"amount": "40"})
    assert {base["id"], step["id"], next_["id"]} <= {one["id"] for one in jobs(page)}
    assert {base["id"], step["id"], next_["id"]} <= names(home.folders.clips)


def test_only_the_recordings_own_job_is_replaced(home: Any, page: Page, short_wav: Path) -> None:
    other = opened(home, short_wav)
    foreign = other.job(["dog"])
    path = f"/api/sources/{page.source}/jobs"
    for wrong in (foreign["id"], new_id(), "../../etc", 7, None, ["x"]):
        answer = page.ask("POST", path, {"queries": ["dog"], "instead": wrong})
        assert answer.status == 404, wrong
        assert "none of this recording's" in answer.error
    assert other.get(f"/api/jobs/{foreign['id']}").json["state"] == "done"
    other.ask("DELETE", f"/api/sources/{other.source}")


def test_what_an_engine_did_not_get_to_the_next_one_does(
    fresh_home: Any, short_wav: Path, until: Until
) -> None:
    home = type(fresh_home)(fresh_home.root, standin=True)
    assert home.tweeze("start").returncode == 0
    try:
        page = opened(home, short_wav)
        old, new = page.job(["dog"]), page.job(["cat"])
        psutil.Process(home.beat().pid).kill()
        until(lambda: holder(home.folders.lock) is None)
        note = home.folders.panel / "sources" / page.source / "source.json"
        said = json.loads(note.read_text())
        note.write_text(json.dumps({**said, "instead": {new["id"]: old["id"]}}))
        assert home.tweeze("start").returncode == 0
        again = opened(home)
        again.source = page.source
        until(lambda: [one["id"] for one in jobs(again)] == [new["id"]])
        until(lambda: names(home.folders.clips) == {new["id"]})
    finally:
        launch.stop(home.folders)
