"""Adjusting an answer on the page while it plays: heard soon, without a click, and undone."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.bridge.panel_fake import Panel
from tests.panel.test_page import (
    Visit,
    desk,
    heard,
    play_until,
    press_until,
    separated,
    tapped,
    until,
)

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

HEAD = "desk.state.sources[0].jobs.filter((each) => each.state === 'done').at(-1)"


def adjusted(page: Page, **options: str) -> None:
    """Wait until the lanes are those of a job with such options, and heard."""
    for name, text in options.items():
        until(page, f"({HEAD}.options['{name}'] ?? '') === '{text}'")
    until(page, "desk.transport.coming.size === 0")


def values(page: Page) -> Any:
    return desk(page, "return desk.steering.values(desk.steering.root())")


def box(page: Page, selector: str) -> Any:
    found = page.locator(selector).bounding_box()
    assert found
    return found


def drag(page: Page, selector: str, first: tuple[float, float], last: tuple[float, float]) -> None:
    """Drag with the mouse between two places, each as shares of an element's width and height."""
    field = box(page, selector)
    at = [
        (field["x"] + x * field["width"], field["y"] + y * field["height"])
        for x, y in (first, last)
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move((at[0][0] + at[1][0]) / 2, (at[0][1] + at[1][1]) / 2)
    page.mouse.move(*at[1])
    page.mouse.up()


def test_a_change_is_heard_while_it_plays_without_a_click(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "guitar")
    start = 20000
    desk(page, f"desk.match(false); desk.only(2); desk.seek({start})")
    tapped(page, panel)
    desk(page, "desk.play()")
    play_until(page, start + 20000)
    desk(page, "desk.steering.set('amount', '50')")
    adjusted(page, amount="50")
    desk(page, "desk.pause()")
    until(page, "!desk.transport.last.playing")
    length = desk(page, "return desk.transport.last.position") - start - 1024
    # A slow machine makes the mixer wait, and a wait is silence: what sounds is compared.
    captured = heard(page)
    captured = captured[:, captured.any(axis=0)]
    guitar = source.parts["guitar"][:, start : start + length]
    guitar = guitar[:, guitar.any(axis=0)]
    captured = captured[:, : guitar.shape[1]]
    before = np.abs(captured - guitar).max(axis=0) < 2e-7
    after = np.abs(captured - guitar / 2).max(axis=0) < 2e-7
    change = int(np.argmin(before))
    assert change > 20000, "the first answer plays on until the second is here"
    loud = np.abs(guitar).max(axis=0) > 1e-4
    assert after[change + 1024 :][loud[change + 1024 :]].all(), "and then it is heard at once"
    # In between, one fades into the other: no step is larger than the sound's own.
    step = np.abs(np.diff(captured, axis=1)).max()
    assert step <= np.abs(np.diff(guitar, axis=1)).max() + 1e-4
    assert len(source.jobs) == 2, "the job, and its adjusted one"


def test_a_change_is_heard_long_before_its_job_is_done(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "guitar")
    panel.pace = 4.0
    desk(page, "desk.only(2); desk.play()")
    desk(page, "desk.steering.took = 0; desk.steering.set('amount', '50')")
    until(page, "desk.steering.took > 0")
    assert "previews" in desk(page, "return desk.transport.takes.get('job-1/0').path")
    assert not any(job.clips for job in source.jobs if job.base), "it is not done"
    until(page, "Object.keys(desk.state.previews).length === 0")
    until(page, "desk.transport.coming.size === 0")
    assert "clips" in desk(page, "return desk.transport.takes.get('job-1/0').path")


def test_where_masks_do_not_serve_the_job_is_heard(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "guitar")
    panel.serves = False
    desk(page, "desk.steering.set('amount', '50')")
    adjusted(page, amount="50")
    assert desk(page, "return desk.state.previews") == {}


def test_many_changes_leave_one_job(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "guitar")
    for amount in range(90, 50, -1):
        desk(page, f"desk.steering.set('amount', '{amount}')")
        time.sleep(0.02)
    adjusted(page, amount="51")
    until(page, "desk.state.sources[0].jobs.length === 2")
    assert len(source.jobs) == 2
    labels = [step["label"] for step in desk(page, "return desk.state.steps")]
    assert (labels[0], labels[-1]) == ("Ask for guitar", "Amount: 51")
    assert len(labels) < 20, (
        "what changes bit by bit is one step, as long as the hand does not rest"
    )
    assert page.locator("#jobs button").count() == 1, "an adjusted job is no other answer"


def test_spans_are_drawn_with_the_mouse(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.click("#tools [data-tool=at]")
    drag(page, "#ruler", (0.2, 0.5), (0.4, 0.5))
    adjusted(page, at=values(page)["at"])
    first, last = map(float, values(page)["at"].split("-"))
    assert (first, last) == pytest.approx((2.0, 4.0), abs=0.03)
    page.click("#tools [data-tool=never]")
    drag(page, ".lane.target .spectrogram", (0.25, 0.4), (0.3, 0.5))
    never = values(page)["never"]
    adjusted(page, never=never)
    assert page.locator("#spans .span.at").count() == 1
    assert page.locator("#spans .span.never").count() == 1
    ruler, bar = box(page, "#ruler"), box(page, "#spans .span.at")
    assert bar["x"] - ruler["x"] == pytest.approx(0.2 * ruler["width"], abs=2)
    clip = source.jobs[-1].clips[0][1].audio
    rate = source.sound.rate
    assert not clip[:, : round(first * rate)].any()
    assert not clip[:, round(last * rate) :].any()
    page.click("#places .never button")
    adjusted(page, never="")
    assert page.locator("#places li").count() == 1
    page.keyboard.press("Escape")
    assert desk(page, "return desk.state.tool") == "range"


def test_places_are_said_to_hold_for_all_sounds_where_there_are_several(
    visit: Visit, panel: Panel
) -> None:
    panel.add_garden()
    page = visit()
    said = page.locator("#places-of")
    separated(page, "bird", "guitar")
    expect(said).to_be_hidden()
    desk(page, "desk.steering.set('never', '2-2.5')")
    expect(said).to_have_text("for all sounds")
    expect(said).to_be_visible()
    page.click("#places .never button")
    expect(said).to_be_hidden()
    separated(page, "bird")
    desk(page, "desk.steering.set('at', '1-3')")
    expect(page.locator("#places li")).to_have_count(1)
    expect(said).to_be_hidden()


def test_a_rectangle_is_drawn_on_the_spectrogram(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.locator("#ruler").focus()
    page.keyboard.press("r")
    drag(page, ".lane.target .spectrogram", (0.1, 0.25), (0.3, 0.75))
    found = re.fullmatch(r"([\d.]+)-([\d.]+):(\d+)-(\d+)", values(page)["rect"])
    assert found
    start, stop, low, high = map(float, found.groups())
    assert (start, stop) == pytest.approx((1.0, 3.0), abs=0.05)
    # The field shows 50 Hz to half the rate, in octaves.
    assert (low, high) == pytest.approx([50 * 441**share for share in (0.25, 0.75)], rel=0.05)
    drawn, lane = box(page, ".lane.target .rect"), box(page, ".lane.target .spectrogram")
    assert drawn["y"] - lane["y"] == pytest.approx(0.25 * lane["height"], abs=4)
    assert drawn["height"] == pytest.approx(0.5 * lane["height"], abs=6)


def test_a_marked_range_becomes_a_span_by_a_key(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.mark(44100, 88200)")
    page.locator("#ruler").focus()
    page.keyboard.press("o")
    assert values(page)["at"] == "1-2"
    assert desk(page, "return desk.state.loop") is None


def test_numbers_are_typed_and_wrong_ones_are_said(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.fill("#wheels input[aria-label='Sharpness, typed']", "1.37")
    page.press("#wheels input[aria-label='Sharpness, typed']", "Enter")
    assert values(page)["sharpness"] == "1.37"
    desk(page, "desk.steering.add('at', '1-2')")
    place = page.locator("#places .at input")
    place.fill("2.5-1")
    place.press("Enter")
    expect(page.locator("#place-wrong")).to_contain_text(
        "'2.5-1' is no such place: write start-end"
    )
    assert values(page)["at"] == "1-2"
    place.fill("1.25 - 3")
    place.press("Enter")
    assert values(page)["at"] == "1.25-3"
    expect(page.locator("#place-wrong")).to_be_hidden()


def test_sliders_have_fine_steps_and_a_way_back(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    slider = page.locator("#wheels input[type=range][aria-label=Sharpness]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert values(page)["sharpness"] == "1.05"
    page.keyboard.press("Shift+ArrowRight")
    assert values(page)["sharpness"] == "1.055"
    assert slider.get_attribute("aria-valuetext") == "1.055"
    slider.dblclick()
    assert "sharpness" not in values(page)


def test_steps_are_undone_and_done_again(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.steering.set('amount', '70')")
    desk(page, "desk.steering.set('at', '1-2')")
    adjusted(page, amount="70", at="1-2")
    page.locator("#ruler").focus()
    page.keyboard.press("Control+z")
    adjusted(page, amount="70", at="")
    page.keyboard.press("Control+z")
    adjusted(page, amount="", at="")
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+Shift+Z")
    adjusted(page, amount="70", at="1-2")
    page.click("#steps-menu summary")
    assert page.locator("#steps button").all_text_contents() == [
        "At first",
        "Ask for bird",
        "Amount: 70",
        "Only here: 1-2",
    ]
    page.click("#steps button >> nth=2")
    adjusted(page, amount="70", at="")
    # Whatever comes next takes the place of what was undone.
    desk(page, "desk.steering.set('sharpness', '2')")
    labels = [step["label"] for step in desk(page, "return desk.state.steps")]
    assert labels == ["Ask for bird", "Amount: 70", "Sharpness: 2"]


def test_an_answer_is_undone_too(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    separated(page, "guitar")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("guitar")
    page.click("#undo")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("bird")
    page.click("#redo")
    expect(page.locator("#lanes h3").nth(1)).to_have_text("guitar")


def test_a_reload_keeps_the_steps(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.steering.set('amount', '70')")
    adjusted(page, amount="70")
    page.reload()
    until(page, "desk.state.link === 'open' && desk.state.steps.length === 2")
    assert values(page) == {"amount": "70"}
    page.click("#undo")
    adjusted(page, amount="")


def test_what_is_sent_is_what_was_heard(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden(host="audacity")
    page = visit()
    separated(page, "guitar")
    desk(page, "desk.steering.set('amount', '50')")  # and at once, before anything came of it
    page.click("text=Send to Audacity")
    expect(page.locator(".note.good")).to_contain_text("new tracks")
    (sent,) = [job for job in source.jobs if job.sent]
    assert sent.options["amount"] == "50"


def test_all_of_it_by_keyboard(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    press_until(page, "#wheels input[type=range]")
    page.keyboard.press("ArrowLeft")
    press_until(page, "#tools [data-tool=at]")
    desk(page, "desk.mark(44100, 88200)")
    page.keyboard.press("Enter")
    press_until(page, "#places .at input")
    page.keyboard.press("Control+a")
    page.keyboard.type("1-1.5")
    page.keyboard.press("Enter")
    adjusted(page, at="1-1.5")
    press_until(page, "#undo")
    page.keyboard.press("Enter")
    adjusted(page, at="1-2")
