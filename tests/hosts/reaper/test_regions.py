"""Regions in REAPER where a sound is likely, at the panel's word."""

from __future__ import annotations

import pytest

from tests.hosts.reaper.fake import Script
from tests.hosts.reaper.test_panel import (
    browser,
    listens,
    opened,
    running,
    studio,
    while_reaper_runs,
)

__all__ = ["browser", "running", "studio"]


def marked(studio, page, job, events, name="dog barking"):
    said = {"events": events, "name": name}
    return while_reaper_runs(
        studio, lambda: page.ask("POST", f"/api/jobs/{job['id']}/events", said)
    )


def test_regions_lie_where_the_events_are(studio, browser):
    studio.item(studio.wav(), 1.25)
    page = opened(studio, browser)
    job = page.job(["dog"])
    listens(studio)
    undone = len(studio.project.undo)
    answer = marked(studio, page, job, [[1, 1.5], [0.123456, 0.5]], 'dög "x" %s')
    assert answer.status == 200, answer.body
    assert answer.json == {"said": "2 regions 'dög \"x\" %s'."}
    assert [name for _, _, name in studio.project.markers] == ['dög "x" %s'] * 2
    times = [time for start, stop, _ in studio.project.markers for time in (start, stop)]
    assert times == pytest.approx([1.373456, 1.75, 2.25, 2.75], abs=1e-6)
    assert [label for label, *_ in studio.project.undo[undone:]] == ['Tweeze: regions, dög "x" %s']
    assert len(studio.project.tracks) == 1
    # Now, and again: what is asked for twice is there twice, as in the editor itself.
    assert marked(studio, page, job, [[1, 1.5]]).json == {"said": "1 region 'dog barking'."}
    assert len(studio.project.markers) == 3


def test_another_project_gets_no_regions(studio, browser):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    mine = studio.reaper.project
    studio.reaper.open(type(mine)(studio.folder / "other"))
    listens(studio)
    answer = marked(studio, page, job, [[0, 1]])
    assert answer.status == 400
    assert "came from another project" in answer.error
    assert not studio.reaper.project.markers
    assert not mine.markers


def test_a_refusal_in_the_middle_leaves_nothing(studio, browser, monkeypatch):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    listens(studio)
    add = Script.api_AddProjectMarker2

    def refuse(self, project, *rest):
        return -1 if len(project.markers) == 2 else add(self, project, *rest)

    monkeypatch.setattr(Script, "api_AddProjectMarker2", refuse)
    answer = marked(studio, page, job, [[0, 1], [1, 2], [2, 3]])
    assert "so none was" in answer.error
    assert not studio.project.markers


@pytest.mark.parametrize(
    ("events", "name"),
    [
        ([], "dog"),
        ([[0, 1]] * 1001, "dog"),
        ([[1, 1]], "dog"),
        ([[-1, 1]], "dog"),
        ([[0, 1e9]], "dog"),
        ([[0, 1, 2]], "dog"),
        ([["0", "1"]], "dog"),
        ([[True, 2]], "dog"),
        ("0-1", "dog"),
        (None, "dog"),
        ([[0, 1]], ""),
        ([[0, 1]], None),
        ([[0, 1]], "do\x1bg"),
        ([[0, 1]], "d" * 301),
    ],
)
def test_what_is_no_event_is_refused(studio, browser, events, name):
    studio.item()
    page = opened(studio, browser)
    job = page.job(["dog"])
    answer = page.ask("POST", f"/api/jobs/{job['id']}/events", {"events": events, "name": name})
    assert answer.status == 400, answer.body
