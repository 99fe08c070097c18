"""The panel's library against a real engine: only what the index names, by its number there."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from panels import Page

from engine.library.content import Content, Happening
from engine.library.hearing import listener_mark, quantised
from engine.library.index import Index
from engine.library.searching import Library

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("field") / "may" / "dawn"
    folder.mkdir(parents=True)
    samples = np.linspace(-0.5, 0.5, 10 * RATE, dtype=np.float32)
    for name in ("birds.wav", "gone.wav", "link.wav"):
        soundfile.write(folder / name, samples, RATE, subtype="FLOAT")
    (folder / "secret.wav").write_bytes((folder / "birds.wav").read_bytes())
    return folder


@pytest.fixture(scope="module")
def page(home: Any, folder: Path) -> Page:
    done = home.tweeze("panel", "--no-browser")
    assert done.returncode == 0, done.stderr
    page = Page.opened(done.stdout.strip())
    assert page.get("/api/state").json["library"] is False
    assert page.ask("GET", "/api/library").status == 400, "there is no index yet"
    with Index(home.folders.index, listener_mark()) as index:
        for number, name in enumerate(("birds.wav", "gone.wav", "link.wav")):
            heard = (Happening("Bird", 200, 400, 90 - number), Happening("Bark", 500, 600, 30))
            content = Content(
                bytes([number]) * 32, 10 * RATE, RATE, 1, listener_mark(), heard,
                quantised(np.eye(3, 128, dtype=np.float32)),
            )  # fmt: skip
            index.add(folder / name, 1, 1, content)
    (folder / "gone.wav").unlink()
    (folder / "link.wav").unlink()
    (folder / "link.wav").symlink_to(folder / "secret.wav")
    return page


def number(page: Page, name: str) -> int:
    moments = page.get("/api/library?q=bird&sure=0").json["moments"]
    return next(one["file"] for one in moments if one["name"] == name)


def test_moments_are_found_and_described(page: Page) -> None:
    assert page.get("/api/state").json["library"] is True
    assert page.get("/api/library").json == {"moments": [], "files": 3, "hours": 0.01}
    said = page.get("/api/library?q=Birds&limit=1").json
    assert said["moments"] == [
        {
            "file": 1,
            "number": 1,
            "name": "birds.wav",
            "place": "/".join(Path(said["moments"][0]["place"]).parts),
            "sound": "bird",
            "start": 2.0,
            "end": 4.0,
            "certainty": 0.9,
            "open": "",
        }
    ]
    assert said["moments"][0]["place"].endswith("may/dawn")
    assert (said["more"], said["understood"]) == (True, "birds")
    assert page.get("/api/library?q=dog").json["moments"] == []
    assert len(page.get("/api/library?q=dog&sure=0.3").json["moments"]) == 3
    assert "thunder" in page.get("/api/library?q=thundr").json["suggestions"]


def test_an_answer_names_no_whole_path(page: Page, folder: Path) -> None:
    assert str(folder.parent.parent.parent) not in page.get("/api/library?q=bird").body.decode()


def test_a_stretch_is_heard_to_the_sample(page: Page, folder: Path) -> None:
    which = number(page, "birds.wav")
    answer = page.get(f"/api/library/{which}/audio?start=2&end=4.5")
    heard, rate = soundfile.read(io.BytesIO(answer.body), dtype="float32")
    whole, _ = soundfile.read(folder / "birds.wav", dtype="float32")
    assert rate == RATE
    assert np.array_equal(heard, whole[2 * RATE : round(4.5 * RATE)])
    long = soundfile.info(io.BytesIO(page.get(f"/api/library/{which}/audio?start=0&end=9999").body))
    assert long.frames == 10 * RATE
    for start, end in ((3, 2), (2, 2), (-1, 2), ("x", 2), ("nan", 2), (0, "inf"), (11, 12)):
        asked = f"/api/library/{which}/audio?start={start}&end={end}"
        assert page.ask("GET", asked).status == 416, asked


def test_a_moment_opens_as_a_recording_and_only_once(page: Page) -> None:
    which = number(page, "birds.wav")
    opened = page.ask("POST", f"/api/library/{which}/open")
    assert opened.status == 200
    source = opened.json
    assert (source["title"], source["frames"]) == ("birds", 10 * RATE)
    assert page.ask("POST", f"/api/library/{which}/open").json["id"] == source["id"]
    assert page.get("/api/library?q=bird").json["moments"][0]["open"] == source["id"]
    assert page.ask("DELETE", f"/api/sources/{source['id']}").status == 200


def test_only_files_that_the_index_names_are_read(page: Page, folder: Path) -> None:
    for name in ("gone.wav", "link.wav"):
        which = number(page, name)
        for method, path in (("POST", "open"), ("GET", "audio?start=0&end=1")):
            answer = page.ask(method, f"/api/library/{which}/{path}")
            assert answer.status == 409, name
            assert "is no longer where it was" in answer.error
    secret = quote(str(folder / "secret.wav"), safe="")
    for name in ("99", "-1", "1e3", "..", "%2e%2e", secret, "9" * 30):
        for method, path in (("POST", "open"), ("GET", "audio?start=0&end=1")):
            status = page.ask(method, f"/api/library/{name}/{path}").status
            assert status in (400, 404, 405), (name, path)


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=201", 400), ("limit=x", 400), ("sure=2", 400), ("sure=nan", 400),
     ("sure=x", 400), ("q=" + "a" * 201, 400), ("q=" + quote('dog" OR 1=1; --'), 200),
     ("q=" + quote("dog* NEAR(a b) phrase:x"), 200), ("q=%25_%00", 200), ("q=%ff", 200)],
)  # fmt: skip
def test_a_search_is_words_and_nothing_else(page: Page, query: str, status: int) -> None:
    assert page.ask("GET", f"/api/library?{query}").status == status


def test_the_library_needs_a_token(page: Page) -> None:
    for method, path in (
        ("GET", "/api/library?q=bird"),
        ("POST", "/api/library/1/open"),
        ("GET", "/api/library/1/audio?start=0&end=1"),
    ):
        assert Page(page.port).ask(method, path).status == 401
        elsewhere = {"Origin": "http://evil.example"}
        assert page.ask(method, path, headers=elsewhere).status == 403


def test_an_index_that_is_none_gets_a_sentence(home: Any, page: Page) -> None:
    """Last: it takes the index away."""
    index = home.folders.index
    kept = index.read_bytes()
    with Library(index):
        pass
    os.truncate(index, 0)
    index.write_bytes(b"nonsense" * 1000)
    answer = page.ask("GET", "/api/library?q=bird")
    assert answer.status == 400
    assert "is no index of Tweeze's" in answer.error
    index.write_bytes(kept)
