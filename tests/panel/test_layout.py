"""Nothing on the page covers anything else or runs out of it, and a dialog keeps the keys."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.bridge.panel_fake import Panel
from tests.panel.test_page import Visit, desk, separated, until
from tests.panel.test_steering import adjusted

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

# What is not inside what scrolls sideways by itself and ends right of the window.
OUTSIDE = """
() => [...document.querySelectorAll('body *')].filter((each) => {
  if (each.closest('.heard, .field, .overlay') || !each.checkVisibility()) return false;
  return each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5;
}).map((each) => each.outerHTML.slice(0, 80))
"""


def boxes(page: Page, selector: str) -> list[dict[str, Any]]:
    found = [each.bounding_box() for each in page.locator(selector).all()]
    return [dict(each) for each in found if each is not None]


def look(page: Page, selector: str) -> list[str]:
    """Return what tells a button's state: its colour, opacity, border and ground."""
    found: list[str] = page.eval_on_selector(
        selector,
        """(each) => {
          const style = getComputedStyle(each);
          return [style.color, style.opacity, style.borderTopColor, style.backgroundColor];
        }""",
    )
    return found


def test_places_lie_beside_each_other(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "guitar")
    desk(page, "desk.steering.add('at', '1-4'); desk.steering.add('rect', '1-3:200-4000')")
    desk(page, "desk.steering.add('never', '2-2.5')")
    adjusted(page, at="1-4", never="2-2.5", rect="1-3:200-4000")
    places = sorted(boxes(page, "#places .place"), key=lambda each: (each["y"], each["x"]))
    assert len(places) == 3
    for one, other in pairwise(places):
        beside = one["x"] + one["width"] <= other["x"]
        below = one["y"] + one["height"] <= other["y"]
        assert beside or below, "one place covers another"


@pytest.mark.parametrize("width", [480, 1280])
def test_nothing_runs_out_of_the_window(visit: Visit, panel: Panel, width: int) -> None:
    panel.add_garden()
    page = visit(width=width)
    separated(page, "bird", "guitar")
    assert page.evaluate(OUTSIDE) == []
    for menu in ("#presets", "#options", "#events-menu", "#steps-menu"):
        page.click(f"{menu} > summary")
        expect(page.locator(f"{menu} .sheet")).to_be_visible()
        assert page.evaluate(OUTSIDE) == [], menu
        left = min(each["x"] for each in boxes(page, f"{menu} .sheet"))
        assert left >= 0, menu
        page.keyboard.press("Escape")


def test_lanes_can_be_seen_in_a_narrow_window(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit(width=480)
    separated(page, "bird", "guitar")
    last = page.locator("#lanes .spectrogram").last
    last.scroll_into_view_if_needed()
    seen, bar = last.bounding_box(), page.locator("#bar").bounding_box()
    assert seen is not None
    assert bar is not None
    assert bar["y"] + bar["height"] <= 860, "the transport stays in sight"
    page.mouse.wheel(0, 2000)
    rows = page.locator("#lanes").bounding_box()
    assert rows is not None
    assert rows["y"] < bar["y"] - 200, "the lanes get most of the window"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_what_cannot_be_pressed_is_dimmed_and_nothing_else(
    visit: Visit, panel: Panel, scheme: str
) -> None:
    panel.add_garden()
    page = visit(scheme=scheme)
    separated(page, "bird")
    usual = page.evaluate("getComputedStyle(document.body).color")
    assert look(page, "#undo") == look(page, "#compare") == look(page, "#as-found")
    color, opacity, border, ground = look(page, "#compare")
    assert (color, opacity) == (usual, "1")
    color, opacity, *rest = look(page, "#redo")
    assert color != usual
    assert float(opacity) < 0.7
    page.hover("#redo", force=True)
    assert look(page, "#redo") == [color, opacity, *rest], "nothing happens there"
    page.hover("#compare")
    assert look(page, "#compare")[2] != border
    assert look(page, "#compare")[3] != ground


def test_a_dialog_keeps_the_keys_and_escape_closes_it(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.mark(1000, 50000)")
    page.click("#history-open")
    expect(page.locator("#history-list strong")).to_have_count(1)
    page.click("#history-said")  # the focus is on nothing then
    page.keyboard.press("t")
    page.keyboard.press("Control+z")
    assert desk(page, "return [desk.state.listen, desk.state.done]") == ["lanes", 1]
    page.keyboard.press("Escape")
    expect(page.locator("#history")).to_be_hidden()
    assert desk(page, "return desk.state.loop !== null"), "only the dialog is closed"
    page.keyboard.press("t")
    until(page, "desk.state.listen === 'rest'")


def test_numbers_are_short(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.steering.set('amount', '70.00')")
    expect(page.locator("#wheels .exact").nth(1)).to_have_value("70")
