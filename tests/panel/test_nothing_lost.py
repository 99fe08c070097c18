"""What was asked for outlives a reload, a closed recording, and an engine that stumbles."""

from __future__ import annotations

import pytest

from tests.bridge.panel_fake import Panel
from tests.panel.test_page import Visit, ask, desk, separated, until
from tests.panel.test_steering import adjusted

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect


def test_comparing_outlives_a_reload(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.click("#compare")
    hear = page.locator("#candidates .hear:enabled")
    expect(hear).to_have_count(5)
    page.reload()
    expect(hear).to_have_count(5)
    assert page.locator("#jobs button").count() == 1, "candidates are no answers of their own yet"
    page.click("#compare-end")
    expect(page.locator("#candidates-row")).to_be_hidden()
    until(page, "desk.state.sources[0].jobs.length === 1")
    assert [job.queries for job in source.jobs] == [["bird"]]


def test_comparing_keeps_the_other_sounds_and_where_they_may_be(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird", "guitar")
    desk(page, "desk.steering.add('at', '1-4')")
    adjusted(page, at="1-4")
    page.click("#compare")
    expect(page.locator("#candidates .hear:enabled")).to_have_count(4)
    asked = panel.posted[2:]
    assert all(len(each["queries"]) == 2 for each in asked)
    assert all(each["queries"][1] == "guitar" for each in asked)
    assert all(each["options"]["at"] == "1-4" for each in asked)


def test_undo_passes_over_a_closed_recording(visit: Visit, panel: Panel) -> None:
    panel.add_garden("one.wav")
    panel.add_garden("two.wav")
    page = visit()
    expect(page.locator("#sources > li")).to_have_count(2)
    first, second = desk(page, "return desk.state.sources.map((each) => each.id)")
    for each in (first, second):
        desk(page, f"desk.choose('{each}')")
        separated(page, "bird")
    desk(page, f"await desk.close('{second}')")
    expect(page.locator("#sources > li")).to_have_count(1)
    assert desk(page, "return [desk.state.steps.length, desk.state.done]") == [1, 1]
    page.keyboard.press("Control+z")
    expect(page.locator("#stage")).to_be_visible()
    assert desk(page, "return desk.state.chosen") == first


def test_one_request_that_fails_is_not_a_lost_engine(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.route("**/api/sources/*/jobs", lambda route: route.abort())
    desk(page, "desk.steering.set('amount', '60')")
    expect(page.locator("#banner")).to_be_visible()
    page.unroute("**/api/sources/*/jobs")
    expect(page.locator("#banner")).to_be_hidden()
    adjusted(page, amount="60")  # and what it did not get to is asked again


def test_audio_that_breaks_off_once_is_fetched_again_in_silence(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    expect(page.locator("#lanes h3")).to_have_count(1)
    broken = []

    def once(route: object) -> None:
        if broken:
            route.continue_()  # type: ignore[attr-defined]
            return
        broken.append(1)
        route.fulfill(status=404, json={"error": "It is gone."})  # type: ignore[attr-defined]

    page.route("**/clips/*/audio*", once)
    ask(page, "bird")
    until(page, "[...desk.transport.takes.values()].filter((each) => each.have.size).length === 3")
    assert broken
    assert desk(page, "return desk.state.notes") == []


def test_events_beyond_what_an_answer_can_hold_are_told(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(
        page,
        """
        const values = Array.from({length: 960}, (_, place) => (place % 8 < 2 ? 1 : 0));
        const [source] = desk.state.sources;
        const jobs = source.jobs.map((each) => ({...each, certainty: [{step: 0.1, values}]}));
        desk.store.set({sources: [{...source, jobs}]});
        """,
    )
    page.click("#events-menu summary")
    expect(page.locator("#events-menu summary")).to_have_text("Events (120)")
    page.click("#events-only")
    expect(page.locator("#notes")).to_contain_text("Of 120 events the first 100 are kept")


def test_two_pages_adjust_the_same_answer(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    first = visit()
    separated(first, "bird")
    second = visit()
    expect(second.locator("#lanes .save:not([hidden])")).to_have_count(2)
    for page, other, amount in (
        (first, second, "70"),
        (second, first, "50"),
        (first, second, "30"),
    ):
        until(page, "performance.now() - desk.steering.changedAt > 1000")
        until(other, "performance.now() - desk.steering.changedAt > 1000")
        desk(page, f"desk.steering.set('amount', '{amount}')")
        adjusted(page, amount=amount)
        expect(other.locator("#wheels .exact").nth(1)).to_have_value(amount)
        until(other, "desk.state.sources[0].jobs.length === 2")
    assert desk(first, "return desk.state.notes") == []
    assert desk(second, "return desk.state.notes") == []
    assert len(source.jobs) == 2
