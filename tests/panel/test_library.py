"""The library on the page: searched, played, and opened at the moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bridge.panel_fake import Panel
from tests.panel.test_page import Visit, desk, until, violations

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect


def test_without_an_index_there_is_no_library(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    until(page, "desk.state.link === 'open'")
    expect(page.locator("#library-open")).to_be_hidden()


def test_a_moment_is_found_and_opened_where_it_is(visit: Visit, panel: Panel) -> None:
    panel.add_library()
    page = visit()
    page.click("#library-open")
    expect(page.locator("#library-said")).to_contain_text("1,840 files, 6.9 hours")
    page.keyboard.type("bird")
    rows = page.locator("#library-list li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("93 % sure · 0:42.0 to 0:43.5 · field/may")
    expect(page.locator("#library-said")).to_have_text("2 moments of 'bird', the surest first.")
    page.locator("#library-sure").fill("70")
    expect(rows).to_have_count(1)
    rows.first.get_by_text("Open").click()
    expect(page.locator("#library")).to_be_hidden()
    expect(page.locator("#sources .title")).to_have_text(["dawn.wav"])
    until(page, "desk.state.position === 42 * 44100")
    view = desk(page, "return [desk.state.view.start, desk.state.view.scale * desk.state.width]")
    assert view[0] < 42 * 44100 < view[0] + view[1] < 60 * 44100, "the view is around it"


def test_moments_are_played_one_at_a_time(visit: Visit, panel: Panel) -> None:
    panel.add_library()
    page = visit()
    page.click("#library-open")
    page.fill("#library-search", "bird")
    play = page.locator("#library-list .hear")
    expect(play).to_have_count(2)
    play.nth(1).focus()
    page.keyboard.press("Enter")
    expect(play.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(play.nth(1)).to_have_text("Stop")
    play.nth(0).click()
    expect(play.nth(0)).to_have_attribute("aria-pressed", "true")
    expect(play.nth(1)).to_have_attribute("aria-pressed", "false")
    play.nth(0).click()
    expect(play.nth(0)).to_have_text("Play")
    assert [played[0] for played in panel.played][:1] == ["7"]
    assert panel.played[0][1:] == pytest.approx((4.6, 6.4))


def test_what_goes_wrong_is_said(visit: Visit, panel: Panel) -> None:
    panel.add_library()
    page = visit()
    page.click("#library-open")
    page.fill("#library-search", "brid")
    expect(page.locator("#library-said")).to_contain_text("No sound is called 'brid'")
    page.locator("#library-near button").click()
    expect(page.locator("#library-list li")).to_have_count(2)
    expect(page.locator("#library-search")).to_have_value("bird")
    page.fill("#library-search", "dog")
    row = page.locator("#library-list li")
    expect(row).to_have_count(1)
    row.get_by_text("Open").click()
    expect(page.locator("#library-said")).to_have_text("File 8 is no longer where it was.")
    row.get_by_text("Play").click()
    expect(row.locator(".hear")).to_have_text("Play")
    expect(page.locator("#library")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (480, "light")])
def test_everybody_can_use_it(
    visit: Visit, panel: Panel, axe: str, width: int, scheme: str, tmp_path: Path
) -> None:
    panel.add_library()
    page = visit(width, scheme)
    page.click("#library-open")
    page.fill("#library-search", "bird")
    expect(page.locator("#library-list li")).to_have_count(2)
    assert violations(page, axe) == [], "found"
    page.fill("#library-search", "brid")
    expect(page.locator("#library-near button")).to_be_visible()
    assert violations(page, axe) == [], "suggestions"
    assert desk(page, "return document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")  # empties the box, as browsers have it
    page.keyboard.press("Escape")
    expect(page.locator("#library")).to_be_hidden()
