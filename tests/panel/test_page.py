"""The panel's page in a real Chromium: what a user sees, hears, and can reach without a mouse."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.bridge.panel_fake import Panel, Sound

pytest.importorskip("playwright", reason="NO REAL BROWSER WAS TESTED: playwright is not installed")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

Visit = Callable[..., "Page"]
Audio = npt.NDArray[np.float32]
RATE = 44100
DESK = "const {desk} = await import('/main.js');"
VIEW = "const {view, width} = desk.state; return [view.start, view.scale, width];"
# Records what the mixer gives to the loudspeakers.
TAP = """
class Tap extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0].length) this.port.postMessage(inputs[0].map((channel) => channel.slice()));
    return true;
  }
}
registerProcessor('tap', Tap);
"""
expect.set_options(timeout=120_000)


def desk(page: Page, script: str) -> Any:
    """Run a script that sees the page's `desk`."""
    return page.evaluate(f"async () => {{ {DESK} {script} }}")


def until(page: Page, condition: str) -> None:
    """Wait until a condition on the page's `desk` holds."""
    desk(
        page,
        f"""
        const end = performance.now() + 120000;
        while (!({condition})) {{
          if (performance.now() > end) throw new Error('It never came to that.');
          await new Promise((resolve) => setTimeout(resolve, 5));
        }}
        """,
    )


def ask(page: Page, *sounds: str) -> None:
    page.fill("#typed", "; ".join(sounds))
    page.press("#typed", "Enter")


def lanes(page: Page) -> list[str]:
    return page.locator("#lanes h3").all_text_contents()


def separated(page: Page, *sounds: str) -> None:
    ask(page, *sounds)
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(len(sounds) + 1)


def settled(page: Page) -> None:
    page.wait_for_selector("#lanes[data-settled=true]", state="attached")


def held(page: Page, pattern: str, after: int = 0) -> Callable[[], Route]:
    """Hold one request, `after` so many others; what is returned waits for it."""
    passed: list[Route] = []

    def hold(route: Route) -> None:
        passed.append(route)
        if len(passed) != after + 1:
            route.continue_()

    page.route(pattern, hold)

    def one() -> Route:
        for _ in range(1500):
            if len(passed) > after:
                return passed[after]
            page.wait_for_timeout(20)
        raise AssertionError(f"The page does not ask for {pattern}.")

    return one


def answered(page: Page, route: Route, **answer: Any) -> None:
    """Answer what was held, and wait until the page has dealt with it."""
    with page.expect_response(lambda response: response.request == route.request) as late:
        route.fulfill(**answer)
    late.value.finished()
    frame = "await new Promise((resolve) => requestAnimationFrame(resolve));"
    desk(page, 4 * frame)


def press_until(page: Page, wanted: str, limit: int = 80) -> None:
    """Press Tab until the element that matches has the focus; each stop has a name and a ring."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """(wanted) => {
              const at = document.activeElement;
              const style = getComputedStyle(at.closest('.box input') ? at.closest('.box') : at);
              return {
                there: at.matches(wanted),
                ring: at === document.body || style.outlineStyle !== 'none',
                tag: at.outerHTML.slice(0, 80),
              };
            }""",
            wanted,
        )
        assert stop["ring"], f"no focus is seen on {stop['tag']}"
        if stop["there"]:
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


# -- open ---------------------------------------------------------------------------------------


def test_a_code_opens_the_page_once(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit(code=panel.fresh_code())
    expect(page.locator("#engine")).to_have_text("Engine ready")
    assert page.url == panel.address  # the code is gone from the address and the history
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("#sources .title")).to_have_text("garden.wav")

    other = visit(code="the-code")
    expect(other.locator("#empty-title")).to_have_text("This page has no access to Tweeze")
    expect(other.locator(".note")).to_contain_text("open the panel again")
    expect(other.locator("#stage")).to_be_hidden()


def test_an_empty_panel_says_what_to_do(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#empty")).to_contain_text("tweeze panel recording.wav")
    expect(page.locator("#bar")).to_be_hidden()


def test_names_of_files_are_never_markup(visit: Visit, panel: Panel) -> None:
    title = "<img src=x onerror=alert(1)>.wav"
    panel.add_garden(title)
    page = visit()
    expect(page.locator("#sources .title")).to_have_text(title)
    ask(page, "<b>bird</b>")
    expect(page.locator("#jobs")).to_contain_text("<b>bird</b>")
    assert page.locator("main img, main b:not(.chip b)").count() == 0


def test_files_are_dropped_or_chosen(visit: Visit, panel: Panel, tmp_path: Path) -> None:
    page = visit()
    expect(page.locator("#empty")).to_be_visible()
    file = io.BytesIO()
    noise = np.random.default_rng(1).normal(0, 0.1, (22050, 1))
    soundfile.write(file, noise, 22050, format="WAV", subtype="FLOAT")
    page.evaluate(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
          const files = new DataTransfer();
          files.items.add(new File([bytes], 'Klänge & Töne.wav', {type: 'audio/wav'}));
          for (const kind of ['dragenter', 'dragover', 'drop'])
            document.body.dispatchEvent(
              new DragEvent(kind, {dataTransfer: files, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode(file.getvalue()).decode(),
    )
    expect(page.locator("#sources .title")).to_have_text("Klänge & Töne.wav")
    expect(page.locator("#sources .hint")).to_have_text("0:01.0, mono")
    expect(page.locator("#drop")).to_be_hidden()

    wrong = tmp_path / "letter.wav"
    wrong.write_text("Dear all,")
    page.set_input_files("#file", wrong)
    expect(page.locator(".note")).to_contain_text("'letter.wav' is no audio file")
    page.click(".note .away")
    page.click("#sources .away")
    expect(page.locator("#empty")).to_be_visible()
    assert not panel.sources


# -- see ----------------------------------------------------------------------------------------


def test_only_tiles_that_are_seen_are_fetched(visit: Visit, panel: Panel) -> None:
    panel.add_garden("an hour.wav", again=360)
    page = visit()
    settled(page)
    tiles = [path for path in panel.asked if "/tile?" in path]
    assert 1 <= len(tiles) <= 8
    zooms = {re.search(r"zoom=(\d+)", path).group(1) for path in tiles}  # type: ignore[union-attr]
    assert len(zooms) == 1

    box = page.locator("#lanes .spectrogram").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.keyboard.down("Control")
    for _ in range(30):
        page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(page.locator("#span-seen")).to_contain_text("ms shown")
    settled(page)
    half = desk(
        page, "const {view, width} = desk.state; return view.start + width * view.scale / 2"
    )
    assert half == pytest.approx(1800 * RATE, abs=9 * RATE)  # a pixel was 4 s
    page.click("#zoom-all")
    expect(page.locator("#span-seen")).to_have_text("1:00:00 shown")


def test_a_pixel_of_the_spectrogram_is_where_the_sound_is(visit: Visit, panel: Panel) -> None:
    at = np.arange(4 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 1000 * at) * (at >= 2)
    panel.add("tone.wav", Sound(tone[None].astype(np.float32), RATE))
    page = visit()
    settled(page)
    bright = page.evaluate(
        """() => {
          const canvas = document.querySelector('#lanes .spectrogram');
          const {width, height} = canvas;
          const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
          const up = Math.log(1000 / 50) / Math.log(22050 / 50);
          const row = Math.round((1 - up) * height);
          const light = (column) => {
            const place = 4 * (row * width + Math.round(column * width));
            return pixels[place] + pixels[place + 1] + pixels[place + 2];
          };
          return [0.25, 0.48, 0.52, 0.75].map(light);
        }"""
    )
    assert max(bright[:2]) < 100 < 350 < min(bright[2:])


def test_a_drag_marks_a_range_and_a_click_sets_the_playhead(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    settled(page)
    box = page.locator("#lanes .spectrogram").bounding_box()
    assert box
    y = box["y"] + 10
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.up()
    expect(page.locator("#range")).to_have_text(re.compile(r"Range 0:02\.0\d\d to 0:05\.0\d\d"))
    page.mouse.click(box["x"] + box["width"] * 0.4, y)
    expect(page.locator("#time")).to_have_text(re.compile(r"0:04\.0\d\d / 0:10\.000"))
    page.keyboard.press("Escape")
    expect(page.locator("#range")).to_have_text("No range marked")


def test_one_finger_scrolls_and_two_zoom(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit(touch=True)
    settled(page)
    box = page.locator("#lanes .spectrogram").bounding_box()
    assert box
    session = page.context.new_cdp_session(page)

    def fingers(*paths: tuple[float, float]) -> None:
        """Move fingers, each from one place to another, in shares of the spectrogram's width."""
        steps = 10
        for step in range(steps + 2):
            kind = "touchStart" if step == 0 else "touchMove" if step <= steps else "touchEnd"
            points = [
                {
                    "x": box["x"] + box["width"] * (a + (b - a) * min(step, steps) / steps),
                    "y": box["y"] + 20 + 10 * number,
                    "id": number,
                }
                for number, (a, b) in enumerate(paths)
            ]
            said = {"type": kind, "touchPoints": [] if kind == "touchEnd" else points}
            session.send("Input.dispatchTouchEvent", said)

    def view() -> tuple[float, float]:
        """Return the seconds at the left edge, and those that are shown."""
        start, scale, width = desk(page, VIEW)
        return start / RATE, scale * width / RATE

    assert view() == (0, pytest.approx(10, abs=0.01))
    fingers((0.4, 0.2), (0.6, 0.8))  # three times as far apart, around 5 seconds
    start, shown = view()
    assert shown == pytest.approx(10 / 3, rel=0.02)
    assert start + shown / 2 == pytest.approx(5, abs=0.1)
    fingers((0.7, 0.4))
    assert view() == (pytest.approx(start + 0.3 * shown, abs=0.1), pytest.approx(shown))
    fingers((0.2, 0.4), (0.8, 0.6))
    assert view()[1] == pytest.approx(10, rel=0.02)
    assert page.evaluate("[visualViewport.scale, scrollX, scrollY]") == [1, 0, 0]
    expect(page.locator("#range")).to_have_text("No range marked")


# -- ask ----------------------------------------------------------------------------------------


def test_suggestions_say_how_well_each_does(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    page.click("#typed")  # it is there once the page knows a recording
    page.keyboard.type("bir")
    options = page.locator("#terms li")
    expect(options.first).to_contain_text("separates very well (+9.1 dB)")
    expect(options.nth(2)).to_contain_text("separates poorly (+2.2 dB)")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.keyboard.type("guitar; -rain")
    page.keyboard.press("Enter")
    expect(page.locator("#jobs button")).to_have_count(1)
    assert panel.posted[0]["queries"] == ["birdsong", "guitar"]
    assert panel.posted[0]["nots"] == ["rain"]
    assert panel.posted[0]["options"]["keep"] == "both"


def test_what_was_heard_is_asked_for_by_a_click(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    chip = page.locator(".chip", has_text="bird")
    expect(chip).to_contain_text("88 % 0:00.6–0:01.3, 0:02.3–0:03.0 +2")
    chip.locator("button").first.hover()
    expect(page.locator("#events .event")).to_have_count(4)
    chip.locator("button").first.click()
    page.click(".chip >> text=not >> nth=0")
    page.click("#separate")
    expect(page.locator("#jobs")).to_contain_text("bird, not river")


@pytest.mark.parametrize("way", ["keys", "mouse"])
def test_asking_twice_at_once_is_asking_once(visit: Visit, panel: Panel, way: str) -> None:
    source = panel.add_garden()
    page = visit()
    question = held(page, "**/jobs")
    page.fill("#typed", "bird")
    if way == "keys":
        page.press("#typed", "Enter")
        page.press("#typed", "Enter")
    else:
        page.dblclick("#separate")
    question().continue_()
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)
    assert [job.queries for job in source.jobs] == [["bird"]]
    expect(page.locator("#words li")).to_have_count(0)


def test_what_is_typed_before_an_answer_comes_is_asked_for_next(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    question = held(page, "**/jobs")
    ask(page, "bird")
    question()
    page.fill("#typed", "river;")
    ask(page, "guitar")
    expect(page.locator("#words li")).to_have_count(3)
    question().continue_()
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)
    expect(page.locator("#words li")).to_have_text(["river", "guitar"])
    page.click("#separate")
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(3)
    assert [job.queries for job in source.jobs] == [["bird"], ["river", "guitar"]]


def test_two_recordings_are_asked_at_once(visit: Visit, panel: Panel) -> None:
    sources = [panel.add_garden("dawn.wav"), panel.add_garden("dusk.wav")]
    page = visit()
    until(page, "desk.state.sources.length === 2")
    desk(page, f"desk.choose('{sources[0].id}')")
    question = held(page, "**/jobs")
    ask(page, "bird")
    question()
    desk(page, f"desk.choose('{sources[1].id}')")
    page.click("#separate")
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)
    question().continue_()
    until(page, "desk.state.sources.every(({jobs}) => jobs[0]?.state === 'done')")
    assert [[job.queries for job in source.jobs] for source in sources] == [[["bird"]]] * 2


def test_a_draft_is_there_until_the_exact_answer(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    panel.go_on.clear()
    page = visit()
    ask(page, "bird", "guitar")
    expect(page.locator(".badge:visible")).to_have_count(3)
    expect(page.locator("#progress")).to_contain_text("You hear a draft until then.")
    expect(page.locator("#progress progress")).to_have_attribute("value", "0.4")
    panel.go_on.set()
    expect(page.locator(".badge:visible")).to_have_count(0)
    assert lanes(page) == ["Recording", "bird", "guitar", "The rest"]
    expect(page.locator("#lanes .target .sure").first).to_have_text("91 % sure it is there")
    curve = page.locator("#lanes .certainty").first
    expect(curve).to_have_attribute("aria-label", re.compile("bird is likely at 0:00.6"))


def test_a_job_is_cancelled_and_asked_again(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    panel.go_on.clear()
    page = visit()
    ask(page, "bird")
    page.click("text=Cancel")
    expect(page.locator("#progress")).to_contain_text("This was cancelled.")
    page.click("text=Ask again")
    expect(page.locator(".word")).to_have_text("bird")


def test_a_failure_is_a_sentence(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    panel.fails = "The model ran out of memory: try 'memory: little' in the options."
    page = visit()
    ask(page, "bird")
    expect(page.locator("#progress")).to_contain_text(panel.fails)
    expect(page.locator(".note")).to_contain_text(panel.fails)


# -- hear ---------------------------------------------------------------------------------------


def tapped(page: Page, panel: Panel) -> None:
    """Record what plays from now on, when all that is about to play is there."""
    panel.more["tap.js"] = TAP
    desk(
        page,
        """
        const {transport} = desk;
        await transport.context.audioWorklet.addModule('/tap.js');
        await transport.context.resume();
        const tap = new AudioWorkletNode(transport.context, 'tap', {numberOfOutputs: 0});
        window.taken = [];
        tap.port.onmessage = (event) => window.taken.push(event.data);
        transport.node.connect(tap);
        """,
    )
    until(
        page,
        """[...desk.transport.takes.keys()].every((lane) => desk.transport.wanted().every(
             (index) => desk.transport.takes.get(lane)?.have.has(index)))""",
    )


def heard(page: Page) -> Audio:
    """What was recorded, `(channels, frames)`, from the first sample that is not zero."""
    data = page.evaluate(
        """() => {
          const blocks = window.taken;
          const size = 128;
          const all = new Float32Array(2 * size * blocks.length);
          blocks.forEach((block, place) => {
            for (let frame = 0; frame < size; frame += 1)
              for (let channel = 0; channel < 2; channel += 1)
                all[2 * (place * size + frame) + channel] = block[channel][frame];
          });
          const bytes = new Uint8Array(all.buffer);
          let text = '';
          for (let at = 0; at < bytes.length; at += 32768)
            text += String.fromCharCode(...bytes.subarray(at, at + 32768));
          return btoa(text);
        }"""
    )
    audio = np.frombuffer(base64.b64decode(data), np.float32).reshape(-1, 2).T
    return audio[:, np.flatnonzero(audio.any(axis=0))[0] :]


def play_until(page: Page, frame: int) -> None:
    until(page, f"desk.transport.last.position >= {frame}")


def test_what_plays_is_the_recording_and_the_clips_to_the_sample(
    visit: Visit, panel: Panel
) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "guitar")
    desk(page, "desk.match(false); desk.only(1); desk.seek(20000)")
    tapped(page, panel)
    start = 20000
    desk(page, "desk.play()")
    play_until(page, start + 12000)
    desk(page, "desk.only(2)")  # the guitar alone
    play_until(page, start + 36000)
    desk(page, "desk.listen('rest')")  # the recording without it
    play_until(page, start + 60000)
    desk(
        page, "desk.mute('job-1/0'); desk.solo('job-1/0'); desk.listen('lanes')"
    )  # the rest's lane
    play_until(page, start + 84000)
    desk(page, "desk.pause()")
    until(page, "!desk.transport.last.playing")
    length = desk(page, "return desk.transport.last.position") - start - 1024
    captured = heard(page)
    mixture = source.sound.audio[:, start:]
    guitar = source.parts["guitar"][:, start:]
    rest = mixture - guitar
    got = captured[:, :length]
    wanted = {"recording": mixture, "guitar": guitar, "rest": rest}
    # Each block of 512 frames is one of the three at the very same frames, but while gains glide.
    heard_as = []
    for first in range(0, length - 512, 512):
        block = got[:, first : first + 512]
        fits = [
            name
            for name, audio in wanted.items()
            if np.abs(block - audio[:, first : first + 512]).max() < 2e-7
        ]
        heard_as.append(fits[0] if fits else "")
    order = [
        name for name, before in zip(heard_as, ["", *heard_as], strict=False) if name != before
    ]
    named = [name for name in order if name]
    assert named[:3] == ["recording", "guitar", "rest"]
    assert set(named[3:]) <= {"rest"}
    assert heard_as.count("") <= 2 * 3  # three changes, each of at most two blocks
    first = heard_as.index("guitar") - 2
    np.testing.assert_array_equal(got[:, : 512 * first], mixture[:, : 512 * first])  # bit by bit


def test_a_loop_is_gapless_to_the_sample(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    settled(page)
    # Across the border of two chunks.
    start, stop = 30001, 30001 + 5003
    desk(page, f"desk.match(false); desk.setLoop({{start: {start}, stop: {stop}, on: true}})")
    desk(page, f"desk.seek({start})")
    tapped(page, panel)
    desk(page, "desk.play()")
    # On a slow machine the first blocks are silent.
    sounding = "window.taken.filter((block) => block[0].some((sample) => sample)).length"
    until(page, f"{sounding} > 5 * 5003 / 128 + 1")
    desk(page, "desk.pause()")
    captured = heard(page)[:, : 5 * 5003]
    wanted = np.tile(source.sound.audio[:, start:stop], 5)
    assert captured.shape == wanted.shape
    np.testing.assert_array_equal(captured, wanted)


def test_ab_is_equally_loud(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    desk(page, "desk.only(1)")
    bird = Sound(source.parts["bird"], RATE).loudness
    whole = source.sound.loudness
    assert bird is not None
    assert whole is not None
    expect(page.locator("#match")).to_have_text(f"{bird - whole:.1f} dB")
    page.press("#ruler", "a")
    expect(page.locator("#match")).to_have_text("")  # the quieter one is left as it is
    expect(page.locator("[data-listen=lanes]")).to_have_attribute("aria-pressed", "true")
    gains = desk(page, "return [...desk.transport.gains]")
    assert gains[1] == ["job-1/0", 1]
    assert gains[0][1] == 0


def test_playing_goes_on_past_what_was_fetched_first(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    settled(page)
    desk(page, f"desk.seek({8.5 * RATE}); desk.play()")
    until(page, "!desk.state.playing")  # it ends by itself
    assert desk(page, "return desk.state.position") == pytest.approx(10 * RATE, abs=RATE / 4)
    held = desk(page, "return [...desk.transport.takes.values()].map((each) => each.have.size)")
    assert max(held) <= 7


# -- send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("editor", ["Audacity", "REAPER"])
def test_clips_are_sent_once_unless_asked_again(visit: Visit, panel: Panel, editor: str) -> None:
    panel.add_garden(host=editor.lower())
    page = visit()
    separated(page, "bird")
    page.click(f"text=Send to {editor}")
    expect(page.locator(".note.good")).to_contain_text("Audacity has 2 new tracks.")
    page.reload()
    page.click(f"text=Send to {editor}")
    expect(page.locator(".note:not(.good)")).to_contain_text("in Audacity already")
    page.click(f"text=Send to {editor} again")
    expect(page.locator(".note.good")).to_contain_text("Audacity has 2 new tracks.")
    assert panel.jobs["job-1"].sent == 2


@pytest.mark.parametrize(("title", "subtype"), [("32-bit float", "FLOAT"), ("24-bit", "PCM_24")])
def test_a_clip_is_saved_as_wav(
    visit: Visit, panel: Panel, tmp_path: Path, title: str, subtype: str
) -> None:
    source = panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.click("#lanes .target .save summary")
    with page.expect_download() as waiting:
        page.click(f"text=Save WAV, {title}")
    assert waiting.value.suggested_filename == "bird.wav"
    waiting.value.save_as(tmp_path / "bird.wav")
    assert soundfile.info(tmp_path / "bird.wav").subtype == subtype
    audio, _ = soundfile.read(tmp_path / "bird.wav", dtype="float32")
    assert np.abs(audio.T - source.parts["bird"]).max() <= 2**-23


def test_a_clip_is_dragged_out(visit: Visit, panel: Panel) -> None:
    source = panel.add_garden()
    page = visit(alone=True)
    separated(page, "bird")
    session = page.context.new_cdp_session(page)
    dragged: list[dict[str, Any]] = []
    session.on("Input.dragIntercepted", lambda event: dragged.append(event["data"]))
    session.send("Input.setInterceptDrags", {"enabled": True})
    page.evaluate(
        """() => {
          window.made = new Map();
          const create = URL.createObjectURL;
          URL.createObjectURL = (blob) => {
            const url = create(blob);
            made.set(url, blob);
            return url;
          };
        }"""
    )
    page.click("#lanes .target .save summary")
    handle = page.locator("#lanes .target .drag")
    handle.hover()
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + 10, box["y"] + box["height"] / 2

    def mouse(kind: str, off: float) -> None:
        at = {"x": x + off, "y": y + off, "button": "left", "buttons": 1, "clickCount": 1}
        session.send("Input.dispatchMouseEvent", {"type": f"mouse{kind}", **at})

    for _ in range(100):  # the clip is made ready while the mouse is over the handle
        mouse("Pressed", 0)
        for off in (5, 10, 20):
            mouse("Moved", off)
        page.wait_for_timeout(50)
        if dragged:
            break
        mouse("Released", 20)
    (item,) = dragged[0]["items"]
    kind, name, url = item["data"].split(":", 2)
    assert (item["mimeType"].lower(), kind, name) == ("downloadurl", "audio/wav", "bird.wav")
    encoded = page.evaluate(
        """async (url) => {
          const bytes = new Uint8Array(await made.get(url).arrayBuffer());
          return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
        }""",
        url,
    )
    found, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="float32")
    assert rate == RATE
    assert np.array_equal(found.T, source.parts["bird"])


def test_the_command_line_is_copied(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    separated(page, "bird")
    page.click("text=Copy the command line")
    expect(page.locator(".note.good")).to_have_text("The command line is copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "tweeze separate garden.wav bird --keep both"


# -- access -------------------------------------------------------------------------------------


def test_all_of_it_by_keyboard(visit: Visit, panel: Panel) -> None:
    panel.add_garden(host="audacity")
    page = visit()
    expect(page.locator(".chip")).to_have_count(4)
    press_until(page, "#typed")
    page.keyboard.type("bird")
    expect(page.locator("#terms li").first).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)
    press_until(page, "[aria-label='Mute bird']")
    page.keyboard.press("Space")
    expect(page.locator("[aria-label='Mute bird']")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("m")
    expect(page.locator("[aria-label='Mute bird']")).to_have_attribute("aria-pressed", "false")
    press_until(page, "[aria-label='Save bird']")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-label='Save bird']")).to_be_focused()
    press_until(page, "#scroll")
    press_until(page, "#play")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    expect(page.locator("#range")).to_have_text("Range 0:02.000 to 0:03.000")
    page.keyboard.press("z")
    expect(page.locator("#span-seen")).to_have_text("0:01.10 shown")
    page.keyboard.press("1")
    expect(page.locator("[data-listen=mixture]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("t")
    expect(page.locator("[data-listen=rest]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    press_until(page, "#letters")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("0")  # no command any more
    expect(page.locator("#span-seen")).to_have_text("0:01.10 shown")
    press_until(page, "#progress button")
    page.keyboard.press("Enter")
    expect(page.locator(".note.good")).to_contain_text("Audacity has")


def violations(page: Page, axe: str) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"]
    ]


# Colours depend on the scheme and places on the width, and neither on the other.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (480, "light")])
def test_axe_finds_nothing(visit: Visit, panel: Panel, axe: str, width: int, scheme: str) -> None:
    locked = visit(width, scheme, code="used")
    expect(locked.locator("#empty-title")).to_contain_text("no access")
    assert violations(locked, axe) == [], "locked"
    page = visit(width, scheme)
    expect(page.locator("#empty")).to_be_visible()
    assert violations(page, axe) == [], "empty"
    panel.add_garden(host="audacity")
    expect(page.locator(".chip")).to_have_count(4)
    settled(page)
    assert violations(page, axe) == [], "opened"
    page.click("#typed")  # it is there once the page knows a recording
    page.keyboard.type("bir")
    expect(page.locator("#terms li").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert violations(page, axe) == [], "suggestions"
    panel.go_on.clear()
    ask(page, "bird", "guitar", "-rain")
    expect(page.locator(".badge:visible")).to_have_count(3)
    assert violations(page, axe) == [], "draft"
    panel.go_on.set()
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(3)
    assert violations(page, axe) == [], "lanes"
    desk(page, "desk.steering.set('at', '1-3'); desk.steering.set('never', '2-2.5')")
    desk(page, "desk.steering.set('rect', '1-3:1000-8000'); desk.steering.set('amount', '80')")
    page.fill("#places .at input", "3-1")
    page.press("#places .at input", "Enter")
    assert violations(page, axe) == [], "adjusted"
    for menu in ("#events-menu", "#steps-menu", "#presets"):
        page.click(f"{menu} summary")
        assert violations(page, axe) == [], menu
        page.keyboard.press("Escape")
    page.click("#compare")
    expect(page.locator("#candidates .hear:enabled")).to_have_count(4)
    assert violations(page, axe) == [], "candidates"
    page.click("#compare-end")
    page.click("#history-open")
    expect(page.locator("#history-list li").first).to_be_visible()
    assert violations(page, axe) == [], "history"
    page.keyboard.press("Escape")
    page.click("#options summary")
    assert violations(page, axe) == [], "options"
    page.keyboard.press("Escape")
    page.click("#keys-open")
    assert violations(page, axe) == [], "keys"
    page.keyboard.press("Escape")
    panel.stop()
    expect(page.locator("#banner")).to_be_visible()
    assert violations(page, axe) == [], "engine gone"


def test_the_engine_goes_and_comes_back(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    settled(page)
    panel.go_on.clear()
    ask(page, "bird")
    expect(page.locator(".badge:visible")).to_have_count(2)
    port = panel.port
    panel.stop()
    expect(page.locator("#banner")).to_contain_text("The engine is gone")
    expect(page.locator("#engine")).to_have_text("Engine gone")
    panel.go_on.set()
    page.wait_for_timeout(100)
    panel.start(port)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator(".note.good")).to_have_text("The engine is back.")
    # What became of the job meanwhile is seen without a reload.
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)


def test_an_engine_that_knows_the_page_no_more_says_so(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    page = visit()
    settled(page)
    port = panel.port
    panel.stop()
    expect(page.locator("#banner")).to_be_visible()
    panel.token = "another"
    panel.start(port)
    expect(page.locator("#empty-title")).to_have_text("This page has no access to Tweeze")


def test_a_reload_in_the_middle_of_a_job_loses_nothing(visit: Visit, panel: Panel) -> None:
    panel.add_garden()
    panel.go_on.clear()
    page = visit()
    ask(page, "bird")
    expect(page.locator(".badge:visible")).to_have_count(2)
    page.reload()
    expect(page.locator("#progress")).to_contain_text("Separating bird")
    panel.go_on.set()
    expect(page.locator("#lanes .save:not([hidden])")).to_have_count(2)


def test_a_narrow_page_scrolls_in_no_direction_but_down(visit: Visit, panel: Panel) -> None:
    panel.add_garden(host="audacity")
    page = visit(480)
    separated(page, "bird")
    assert page.evaluate("document.documentElement.scrollWidth") == 480
    page.click("#rail-switch")
    expect(page.locator("#sources .title")).to_be_visible()
