"""Candidates, events, presets and the history on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bridge.panel_fake import Panel
from tests.panel.test_page import (
    Visit,
    answered,
    ask,
    desk,
    held,
    lanes,
    press_until,
    separated,
    until,
)
from tests.panel.test_steering import adjusted, values

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect


def compared(page: Any, count: int) -> None:
    page.click("#compare")
    expect(page.locator("#candidates .hear:enabled")).to_have_count(count)


def test_candidates_are_heard_at_the_same_playhead_and_one_is_kept(
    visit: Visit, panel: Panel
) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.seek(44100)")
    compared(page, 5)
    labels = page.locator("#candidates strong").all_text_contents()
    assert labels[0] == "1  bird"
    assert labels[3:] == ["4  bird, sharper", "5  bird, asked twice"]
    assert source.jobs[-1].options["twice"] == "yes"
    assert "91 % sure" in page.locator("#candidates .hint").nth(1).text_content()
    assert page.locator("#jobs button").count() == 1, "candidates are no answers yet"
    before = lanes(page)
    page.locator("#ruler").focus()
    page.keyboard.press("Shift+Digit2")
    expect(page.locator("#candidates .hear").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#lanes h3").nth(1)).to_have_text(labels[1].split()[1])
    assert lanes(page)[1] != before[1]
    assert desk(page, "return desk.state.position") == 44100
    assert desk(page, "return desk.state.listen") == "lanes"
    kept = lanes(page)[1]
    page.locator("#candidates .keep").nth(1).click()
    expect(page.locator("#candidates-row")).to_be_hidden()
    assert lanes(page)[1] == kept
    until(page, "desk.state.sources[0].jobs.length === 2")
    assert [job.queries[0] for job in source.jobs] == ["bird", kept], "the others are forgotten"
    page.click("#undo")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("bird")


def test_two_are_pinned_and_switched_between(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    compared(page, 5)
    for place in (1, 2, 3):
        page.locator("#candidates .pin").nth(place).click()
    pinned = [each["pinned"] for each in desk(page, "return desk.state.candidates")]
    assert pinned == [False, False, True, True, False], "two at most, the last ones"
    page.locator("#ruler").focus()
    page.keyboard.press("x")
    shown = desk(page, "return desk.state.shown[desk.state.chosen]")
    page.keyboard.press("x")
    assert desk(page, "return desk.state.shown[desk.state.chosen]") != shown
    page.keyboard.press("x")
    assert desk(page, "return desk.state.shown[desk.state.chosen]") == shown


def test_comparing_is_left_as_it_was(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    compared(page, 5)
    page.click("#compare-end")
    until(page, "desk.state.sources[0].jobs.length === 1")
    assert [job.queries for job in source.jobs] == [["bird"]]
    expect(page.locator("#compare")).to_be_visible()


def test_comparing_that_is_left_before_all_is_asked_leaves_nothing(
    visit: Visit, panel: Panel
) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    question = held(page, "**/jobs", after=1)
    page.click("#compare")
    question()
    page.click("#compare-end")
    question().continue_()
    expect(page.locator("#compare")).to_be_enabled()
    until(page, "desk.state.sources[0].jobs.length === 1")
    assert desk(page, "return desk.state.candidates") == []
    assert [job.queries for job in source.jobs] == [["bird"]]
    assert len(panel.posted) == 3, "and what was not asked for yet is not asked for"
    expect(page.locator("#lanes h3").nth(1)).to_have_text("bird")


def test_events_are_ticked_played_kept_and_sent(visit: Visit, panel: Panel) -> None:
    panel.add_garden(host="audacity")
    page = visit()
    separated(page, "bird")
    page.click("#events-menu summary")
    rows = page.locator("#event-list li")
    count = rows.count()
    assert count >= 4
    assert page.locator("#events-menu summary").text_content() == f"Events ({count})"
    rows.nth(0).locator("button").click()
    loop = desk(page, "return desk.state.loop")
    assert loop["start"] < loop["stop"]
    assert desk(page, "return desk.state.playing")
    desk(page, "desk.pause()")
    rows.nth(1).locator("input").uncheck()
    page.click("#events-send")
    expect(page.locator(".note.good")).to_contain_text(f"{count - 1} new labels")
    ((job, said),) = panel.labels
    assert (job, said["name"], len(said["events"])) == ("job-1", "bird", count - 1)
    page.click("#events-only")
    adjusted(page, at=values(page)["at"])
    assert len(values(page)["at"].split(",")) == count - 1


def test_events_are_saved_as_labels(visit: Visit, panel: Panel, tmp_path: Path) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.click("#events-menu summary")
    expect(page.locator("#events-send")).to_be_hidden()
    with page.expect_download() as download:
        page.click("#events-save")
    assert download.value.suggested_filename == "bird.txt"
    download.value.save_as(tmp_path / "bird.txt")
    rows = [line.split("\t") for line in (tmp_path / "bird.txt").read_text().splitlines()]
    assert len(rows) == page.locator("#event-list li").count()
    assert all(float(start) < float(stop) and name == "bird" for start, stop, name in rows)


def test_a_preset_is_saved_and_fills_the_box(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    page.fill("#typed", "bird; -river;")
    desk(page, "desk.add('bird; -river'); desk.setting('sharpness', '1.5')")
    page.click("#presets summary")
    page.fill("#preset-name", "Dawn chorus")
    page.press("#preset-name", "Enter")
    expect(page.locator("#preset-list strong")).to_have_text("Dawn chorus")
    assert panel.presets["Dawn chorus"] == {
        "name": "Dawn chorus",
        "queries": ["bird"],
        "nots": ["river"],
        "options": {"sharpness": "1.5"},
    }
    page.reload()
    page.click("#presets summary")
    page.click("#preset-list .wide")
    expect(page.locator("#words li")).to_have_count(2)
    page.click("#separate")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("bird")
    assert panel.posted[-1]["options"]["sharpness"] == "1.5"
    page.click("#presets summary")
    page.click("#preset-list .away")
    expect(page.locator("#preset-none")).to_be_visible()
    assert not panel.presets


def test_a_list_of_presets_that_comes_late_does_not_hide_a_new_one(
    visit: Visit, panel: Panel
) -> None:
    panel.add_garden()
    page = visit()
    page.fill("#typed", "bird;")
    listing = held(page, "**/api/presets")
    page.click("#presets summary")
    old = listing().fetch()
    page.fill("#preset-name", "Dawn chorus")
    page.press("#preset-name", "Enter")
    expect(page.locator("#preset-list strong")).to_have_text("Dawn chorus")
    assert "Dawn" not in old.text()
    answered(page, listing(), response=old)
    expect(page.locator("#preset-list strong")).to_have_text("Dawn chorus")


def test_a_list_of_presets_that_comes_late_does_not_hide_what_the_engine_told(
    visit: Visit, panel: Panel
) -> None:
    panel.add_garden()
    page = visit()
    listing = held(page, "**/api/presets")
    page.click("#presets summary")
    old = listing().fetch()
    preset = {"name": "Dawn chorus", "queries": ["bird"], "nots": [], "options": {}}
    panel.tell({"presets": [preset]})
    expect(page.locator("#preset-list strong")).to_have_text("Dawn chorus")
    answered(page, listing(), response=old)
    assert page.locator("#preset-list strong").all_text_contents() == ["Dawn chorus"]


def test_the_next_preset_is_named_while_one_is_saved(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    page.fill("#typed", "bird;")
    saving = held(page, "**/api/presets/*")
    page.click("#presets summary")
    page.fill("#preset-name", "Dawn chorus")
    page.press("#preset-name", "Enter")
    saving()
    page.fill("#preset-name", "Dusk")
    saving().continue_()
    expect(page.locator("#preset-list strong")).to_have_text("Dawn chorus")
    assert page.input_value("#preset-name") == "Dusk"
    page.press("#preset-name", "Enter")
    expect(page.locator("#preset-list strong")).to_have_text(["Dawn chorus", "Dusk"])
    assert page.input_value("#preset-name") == ""


def test_the_history_is_searched_opened_and_deleted(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    ask(page, "guitar")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("guitar")
    until(page, "desk.state.sources[0].jobs.every((each) => each.state === 'done')")
    page.click("#history-open")
    expect(page.locator("#history-list strong")).to_have_text(["guitar", "bird"])
    expect(page.locator("#history-said")).to_contain_text("14 MB of clips and 5 MB of masks")
    page.fill("#history-search", "bird")
    expect(page.locator("#history-list strong")).to_have_text(["bird"])
    page.click("#history-list button >> text=Open")
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("#lanes h3").nth(1)).to_have_text("bird")
    page.click("#history-open")
    expect(page.locator("#history-list strong")).to_have_text(["guitar", "bird"])
    delete = page.locator("#history-list button", has_text="Delete").first
    delete.click()
    assert len(source.jobs) == 2, "the first press only asks"
    page.locator("#history-list button", has_text="Delete for good?").click()
    expect(page.locator("#history-list strong")).to_have_text(["bird"])
    assert [job.queries for job in source.jobs] == [["bird"]]


def test_a_search_of_the_history_that_fails_late_says_nothing(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    search = held(page, "**/api/history*")
    page.click("#history-open")
    search()
    page.fill("#history-search", "bird")
    expect(page.locator("#history-list strong")).to_have_text(["bird"])
    said = page.locator("#history-said").text_content()
    assert "of clips" in (said or "")
    answered(page, search(), status=400, json={"error": "The history cannot be read."})
    assert page.locator("#history-said").text_content() == said


def test_all_of_that_by_keyboard(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    press_until(page, "#events-menu summary")
    page.keyboard.press("Enter")
    press_until(page, "#events-only")
    page.keyboard.press("Enter")
    adjusted(page, at=values(page)["at"])
    page.keyboard.press("Escape")
    press_until(page, "#compare")
    page.keyboard.press("Enter")
    expect(page.locator("#candidates .hear:enabled")).to_have_count(5)
    press_until(page, "#candidates .keep")
    page.keyboard.press("Enter")
    expect(page.locator("#candidates-row")).to_be_hidden()
