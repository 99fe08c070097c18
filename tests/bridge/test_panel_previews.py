"""What is heard before a job is done: stretches of an adjusted answer, from the kept masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import Page

from tests.bridge.test_panel import opened

CHANGES: tuple[dict[str, str], ...] = (
    {"sharpness": "2", "amount": "70"},
    {"at": "0.1-0.4", "never": "0.2-0.25"},
    {"rect": "0.1-0.5:500-4000"},
)


@pytest.fixture(scope="module")
def page(home: Any, short_wav: Path) -> Page:
    return opened(home, short_wav)


@pytest.fixture(scope="module")
def job(page: Page) -> dict[str, Any]:
    return page.job(["dog", "rain"], options={"keep": "both"})


def preview(page: Page, job: dict[str, Any], options: dict[str, str]) -> Any:
    body = {"options": {"keep": "both", **options}}
    return page.ask("POST", f"/api/jobs/{job['id']}/previews", body)


@pytest.mark.parametrize("change", CHANGES)
def test_a_preview_is_what_the_job_will_be(page: Page, job: dict[str, Any], change: Any) -> None:
    answer = preview(page, job, change)
    assert answer.status == 201, answer.body
    assert answer.json["clips"] == 3
    name = answer.json["preview"]
    done = page.job(["dog", "rain"], options={"keep": "both", **change}, base=job["id"])
    frames = page.get("/api/state").json["sources"][0]["frames"]
    for start, stop in ((0, frames), (1000, 5000), (frames - 10, frames)):
        for index in range(3):
            stretch = f"audio?start={start}&stop={stop}"
            heard = page.get(f"/api/jobs/{job['id']}/previews/{name}/{index}/{stretch}").floats
            clip = page.get(f"/api/jobs/{done['id']}/clips/{index}/{stretch}").floats
            np.testing.assert_array_equal(heard, clip)


def test_what_a_preview_cannot_be_is_said(page: Page, job: dict[str, Any]) -> None:
    answer = preview(page, job, {"stereo": "linked"})
    assert (answer.status, answer.error) == (409, "With another 'stereo' the model is asked anew.")
    assert preview(page, job, {"at": "900-901"}).status == 409
    assert preview(page, job, {"at": "2-1"}).status == 400
    assert preview(page, job, {"volume": "11"}).status == 400
    assert page.ask("POST", "/api/jobs/none/previews", {"options": {}}).status == 404
    assert page.ask("POST", f"/api/jobs/{job['id']}/previews", {"options": 3}).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("{name}/3/audio?start=0&stop=10", 404),
        ("0000000000000000/0/audio?start=0&stop=10", 404),
        ("{name}/0/audio?start=10&stop=10", 416),
        ("{name}/0/audio?start=-1&stop=10", 416),
        ("{name}/0/audio?start=0&stop=99999999", 416),
        ("{name}/0/audio?start=x", 416),
    ],
)
def test_what_is_no_stretch_is_refused(
    page: Page, job: dict[str, Any], path: str, status: int
) -> None:
    name = preview(page, job, {"amount": "50"}).json["preview"]
    answer = page.ask("GET", f"/api/jobs/{job['id']}/previews/{path.format(name=name)}")
    assert answer.status == status, answer.body


def test_the_oldest_preview_goes(home: Any, page: Page, job: dict[str, Any]) -> None:
    names = [preview(page, job, {"amount": str(n)}).json["preview"] for n in range(10, 16)]
    stretch = "0/audio?start=0&stop=10"
    said = [page.ask("GET", f"/api/jobs/{job['id']}/previews/{n}/{stretch}").status for n in names]
    assert said == [404, 404, 200, 200, 200, 200]
    assert len(list(home.folders.masks.glob(".excerpt-*"))) == 4


def test_a_preview_needs_a_token(page: Page, job: dict[str, Any]) -> None:
    name = preview(page, job, {"amount": "50"}).json["preview"]
    stranger = Page(page.port)
    assert preview(stranger, job, {}).status == 401
    path = f"/api/jobs/{job['id']}/previews/{name}/0/audio?start=0&stop=10"
    assert stranger.ask("GET", path).status == 401
