"""The panel's history: jobs of the past, found, opened, sent and forgotten."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from panels import Page

from engine.job import Job, Placement, new_id
from engine.queue.history import past, records
from engine.queue.journal import Journal
from engine.status import JobState

Until = Callable[[Callable[[], object]], None]


def opened(home: Any, *arguments: str | Path) -> Page:
    done = home.tweeze("panel", *arguments, "--no-browser")
    assert done.returncode == 0, done.stderr
    return Page.opened(done.stdout.strip())


@pytest.fixture(scope="module")
def page(home: Any, short_wav: Path) -> Page:
    return opened(home, short_wav)


@pytest.fixture(scope="module")
def job(page: Page) -> dict[str, Any]:
    return page.job(["Church bell", "dog"], nots=["rain"], options={"keep": "both"})


def found(page: Page, search: str = "") -> list[str]:
    said = page.get(f"/api/history?limit=200&q={search}").json
    return [one["id"] for one in said["jobs"]]


def captured(home: Any, **more: Any) -> str:
    """Do a job as an editor's part sends it: of a file that goes when the job ends."""
    home.folders.make()
    path = home.folders.mixtures / f"{new_id()}.wav"
    noise = np.random.default_rng(9).standard_normal((16_000, 2)) * 0.1
    soundfile.write(path, noise.astype(np.float32), 16_000, subtype="FLOAT")
    place = Placement("audacity", "fingerprint", "Vocals", 0, 16_000)
    job = Job(new_id(), path, ("dog",), title="Vocals", placement=place, client="test", **more)
    assert home.client.separate(job).state is JobState.DONE
    return job.id


def test_a_job_of_the_past_is_described(home: Any, page: Page, job: dict[str, Any]) -> None:
    said = page.get("/api/history?q=church").json
    (one,) = said["jobs"]
    when = one.pop("when")
    assert abs(
        time.mktime(time.strptime(when, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time()
    ) < (4000)
    assert one == {
        "id": job["id"],
        "title": "street",
        "file": "street.wav",
        "queries": ["Church bell", "dog"],
        "nots": ["rain"],
        "options": {"keep": "both"},
        "seconds": 1.0,
        "clips": 3,
        "bytes": sum(p.stat().st_size for p in (home.folders.clips / job["id"]).iterdir()),
        "host": "",
        "open": page.source,
        "inserted": False,
        "recording": True,
    }
    assert said["more"] is False
    assert said["bytes"] >= one["bytes"]
    assert said["masks"] > 0
    assert said["limit_days"] == 30


def test_all_words_must_be_found(page: Page, job: dict[str, Any]) -> None:
    day = time.strftime("%Y-%m-%d")
    for search in ("CHURCH", "street", "rain+dog", f"{day}+bell", "STREET.wav", "%20%20"):
        assert job["id"] in found(page, search), search
    for search in ("church+cat", "2019-01-01", "%25", "_", "street/"):
        assert job["id"] not in found(page, search), search


def test_the_latest_come_first_and_the_others_after_them(page: Page, job: dict[str, Any]) -> None:
    newer = [page.job(["cat"])["id"] for _ in range(2)]
    assert found(page)[:2] == newer[::-1]
    first = page.get("/api/history?limit=1").json
    assert ([one["id"] for one in first["jobs"]], first["more"]) == ([newer[1]], True)
    rest = page.get(f"/api/history?limit=1&before={newer[1]}").json
    assert [one["id"] for one in rest["jobs"]] == [newer[0]]


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=201", 400), ("limit=x", 400), ("limit=-1", 400),
     ("before=../x", 400), ("before=none", 404), ("q=" + "a" * 201, 400)],
)  # fmt: skip
def test_a_search_that_cannot_be_is_said(page: Page, query: str, status: int) -> None:
    assert page.ask("GET", f"/api/history?{query}").status == status


def test_a_closed_recording_opens_with_its_job(
    home: Any, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    page = opened(home, noise(tmp_path / "lane.wav", 1.0, channels=2))
    job = page.job(["dog"])
    clip = f"/api/jobs/{job['id']}/clips/0/audio?start=0&stop=900"
    before = page.get(clip).body
    page.ask("DELETE", f"/api/sources/{page.source}")
    assert page.ask("GET", clip).status == 404
    with page.events() as socket:
        source = page.ask("POST", f"/api/history/{job['id']}/open").json
        heard: dict[str, Any] = {}
        while heard.get("source", {}).get("id") != source["id"] or not heard["source"]["jobs"]:
            heard = json.loads(socket.recv(90))
    assert source["title"] == "lane"
    assert job["id"] in [one["id"] for one in source["jobs"]]
    assert page.get(clip).body == before
    # Again, and with another job of the same file: nothing more is opened.
    assert page.ask("POST", f"/api/history/{job['id']}/open").json["id"] == source["id"]
    assert page.get("/api/history?q=dog").json["jobs"][0]["open"] == source["id"]
    adjusted = page.job(["dog"], source=source["id"], base=job["id"], options={"amount": "50"})
    assert not any("anew" in note for note in adjusted["notes"])
    page.ask("DELETE", f"/api/sources/{source['id']}")


def test_a_capture_that_is_gone_opens_from_its_masks(home: Any, page: Page) -> None:
    id_ = captured(home)
    one = page.get("/api/history?q=vocals").json["jobs"][0]
    assert (one["id"], one["host"], one["file"]) == (id_, "audacity", "")
    assert one["recording"]
    answer = page.ask("POST", f"/api/history/{id_}/open")
    assert answer.status == 200, answer.body
    source = answer.json
    assert (source["title"], source["host"], source["frames"]) == ("Vocals", "audacity", 16_000)
    clip = page.get(f"/api/jobs/{id_}/clips/0/audio?start=0&stop=16000").floats
    recording = page.get(f"/api/sources/{source['id']}/audio?start=0&stop=16000").floats
    wanted = np.random.default_rng(9).standard_normal((16_000, 2)) * 0.1
    assert recording == pytest.approx(wanted.astype(np.float32).ravel(), abs=0)
    assert clip.size == recording.size
    # It can be adjusted from its masks, and what comes of that belongs to the same recording.
    step = page.job(["dog"], source=source["id"], base=id_, options={"amount": "50"})
    assert step["state"] == "done"
    assert not any("anew" in note for note in step["notes"])
    half = page.get(f"/api/jobs/{step['id']}/clips/0/audio?start=0&stop=16000").floats
    assert half == pytest.approx(clip / 2, abs=1e-5)
    assert page.ask("POST", f"/api/history/{step['id']}/open").json["id"] == source["id"]
    page.ask("DELETE", f"/api/sources/{source['id']}")
    assert page.ask("POST", f"/api/history/{step['id']}/open").status == 200
    # Its clips can go in again; here no Audacity runs to take them.
    sent = page.ask("POST", f"/api/jobs/{id_}/send", {"again": True})
    assert sent.status in (400, 500)
    assert "Audacity" in sent.error


def test_a_recording_that_is_gone_for_good_is_said(home: Any, page: Page) -> None:
    id_ = captured(home)
    shutil.rmtree(home.folders.masks / id_)
    assert page.get("/api/history?q=vocals").json["jobs"][0]["recording"] is False
    answer = page.ask("POST", f"/api/history/{id_}/open")
    assert answer.status == 409
    assert "no longer there" in answer.error


def test_another_recording_at_that_path_is_not_taken_for_it(
    home: Any, page: Page, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    path = noise(tmp_path / "take.wav", 1.0)
    old = opened(home, path)
    job = old.job(["dog"])["id"]
    old.ask("DELETE", f"/api/sources/{old.source}")
    noise(path, 2.0)
    count = len(page.get("/api/state").json["sources"])
    shutil.rmtree(home.folders.masks / job)
    answer = page.ask("POST", f"/api/history/{job}/open")
    assert answer.status == 409
    assert "was changed since" in answer.error
    assert len(page.get("/api/state").json["sources"]) == count


def test_a_job_is_forgotten(home: Any, page: Page) -> None:
    job = page.job(["cat"])["id"]
    other = page.job(["cat"])["id"]
    with page.events() as socket:
        assert page.ask("DELETE", f"/api/history/{job}").json == {"forgotten": job}
        while json.loads(socket.recv(90)) != {"forgotten": job}:
            pass
    f = home.folders
    assert not any((place / job).exists() for place in (f.clips, f.masks, f.status))
    assert job not in found(page)
    assert other in found(page)
    for method, path in (("GET", f"/api/jobs/{job}"), ("DELETE", f"/api/history/{job}")):
        assert page.ask(method, path).status == 404
    assert page.ask("POST", f"/api/history/{job}/open").status == 404


def test_what_goes_on_is_not_forgotten(home: Any, page: Page, long_wav: Path, until: Until) -> None:
    source = opened(home, long_wav).source
    base = page.job(["dog"], source=source)["id"]
    (home.root / "hold").touch()
    try:
        said = {"queries": ["dog hold"], "base": base}
        running = page.ask("POST", f"/api/sources/{source}/jobs", said).json["id"]
        answer = page.ask("DELETE", f"/api/history/{running}")
        assert answer.status == 409
        assert "cancel it first" in answer.error
        answer = page.ask("DELETE", f"/api/history/{base}")
        assert answer.status == 409
        assert f"adjusts job {base}" in answer.error
    finally:
        (home.root / "hold").unlink()
    page.ended(running)
    assert page.ask("DELETE", f"/api/history/{base}").status == 200
    page.ask("DELETE", f"/api/sources/{source}")


def test_the_command_line_lists_and_forgets(home: Any, page: Page, job: dict[str, Any]) -> None:
    listed = home.tweeze("history", "church")
    assert listed.returncode == 0, listed.stderr
    when, file, sounds, clips, size, id_ = listed.stdout.rstrip("\n").split("\t")
    assert when.startswith(time.strftime("%Y-"))
    assert (file, sounds) == ("street.wav", "Church bell, dog, - rain")
    assert (clips, id_) == ("3", job["id"])
    assert size.endswith(" MB")
    one = json.loads(home.tweeze("history", "church", "--json").stdout)
    assert one[0]["queries"] == ["Church bell", "dog"]
    assert home.tweeze("history", "nothing like that").stdout == ""
    gone = page.job(["cat"])["id"]
    done = home.tweeze("forget", gone)
    assert (done.returncode, done.stdout) == (0, f"Job {gone} is forgotten.\n")
    assert gone not in found(page)
    again = home.tweeze("forget", gone)
    assert again.returncode == 2
    assert again.stderr == f"There is no job {gone}: see 'tweeze history' for those there are.\n"
    assert home.tweeze("forget", "../etc").returncode == 2


def test_without_a_journal_there_is_no_history(tmp_path: Path) -> None:
    from engine.folders import Folders

    folders = Folders(tmp_path / "home")
    with records(folders) as kept:
        assert past(kept, folders) == ([], False)
    folders.make()
    Journal(folders.journal).close()
    with records(folders) as kept:  # no engine runs
        assert past(kept, folders) == ([], False)
