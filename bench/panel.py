"""How quick the panel is: a real engine, a real Chromium (`pip install 'tweeze[test]'`).

    python -m bench.panel [--minutes 60]

Prints, for ten seconds of stereo with the engine warm, the seconds from Enter until the first
samples of the answer are with the mixer, and what they go to; those from a change of its sharpness
until that is heard, there and in five minutes; what 500 changes cost the page and the engine in
memory; and for a long recording the seconds to its first view and of each tile, how long frames
take while it is scrolled and zoomed, and what memory both take.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.engine import recording
from bench.machine import machine
from bridge import launch
from engine.folders import Folders
from engine.queue.heartbeat import Heartbeat

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

FLAGS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
SCROLLED = 10.0  # seconds
CALM = 1000.0  # milliseconds in which what belongs to the last answer arrives
SOUNDS = ("rain", "dog barking", "guitar", "siren", "engine", "birds", "drums", "wind", "bell")
# Frames as the page draws them, and tiles as it fetches them.
WATCH = """
(seconds) => new Promise((resolve) => {
  const frames = [];
  const began = performance.now();
  let last = began;
  const next = (now) => {
    frames.push(now - last);
    last = now;
    if (now - began < seconds * 1000) requestAnimationFrame(next);
    else resolve(frames.slice(1));
  };
  requestAnimationFrame(next);
})
"""
MANY = """
async (count) => {
  const {desk} = await import('/main.js');
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  desk.play();
  for (let number = 0; number < count; number += 1) {
    desk.steering.set('amount', String(10 + (number % 80)));
    await wait(number % 25 ? 30 : 700);
  }
  desk.pause();
  await wait(3000);
}
"""
HEARD = """
(sound) => [...document.querySelectorAll('#lanes [data-lane]')].some((row) =>
  row.querySelector('h3')?.textContent === sound && row.querySelector('.save:not([hidden])'))
"""
# When what an answer takes was first seen, in milliseconds since Enter.
STEPS = """
async () => {
  const {desk} = await import('/main.js');
  let began = 0, wanted = '', id = '';
  const seen = (name) => { window.steps[name] ??= performance.now() - began; };
  document.getElementById('typed').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    [began, wanted, id] = [performance.now(), event.target.value, ''];
    window.steps = {};
  }, {capture: true});
  const happened = desk.happened.bind(desk);
  desk.happened = (event) => {
    if (event.job?.queries[0] === wanted) {
      id = event.job.id;
      seen(event.job.state);
      if (event.job.progress > 0) seen('first piece');
    }
    happened(event);
  };
  const order = desk.transport.order.bind(desk.transport);
  desk.transport.order = (said) => {
    order(said);
    if (said.kind === 'chunk' && id && said.lane.startsWith(id)) seen('heard');
  };
}
"""
TILES = """
() => performance.getEntriesByType('resource').filter((each) => each.name.includes('/tile'))
  .map((each) => each.duration / 1000)
"""


def opened(root: Path, page: Page, file: Path) -> float:
    """Open a recording in the panel; returns the seconds until its spectrogram is drawn."""
    environment = {**os.environ, "TWEEZE_HOME": str(root)}
    words = [sys.executable, "-m", "bridge.cli", "panel", str(file), "--no-browser"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    began = time.perf_counter()
    page.goto(f"file://{done.stdout.strip()}")
    page.wait_for_selector("#lanes[data-settled=true]", state="attached")
    return time.perf_counter() - began


def asked(page: Page, sound: str) -> dict[str, float]:
    """Ask for a sound; returns the seconds from Enter to each step, the last being `heard`."""
    page.wait_for_timeout(CALM)
    page.fill("#typed", sound)
    page.press("#typed", "Enter")
    page.wait_for_function(HEARD, arg=sound)
    page.wait_for_function("() => window.steps.heard && window.steps.done")
    steps: dict[str, float] = page.evaluate("window.steps")
    return {name: at / 1000 for name, at in steps.items()}


def steered(page: Page, rounds: int) -> list[float]:
    """Change the sharpness while it plays; returns the seconds until each change is heard."""
    return page.evaluate(  # type: ignore[no-any-return]
        """async (rounds) => {
          const {desk} = await import('/main.js');
          const wait = (ms) => new Promise((done) => setTimeout(done, ms));
          desk.seek(0);
          desk.play();
          const took = [];
          for (let round = 0; round < rounds; round += 1) {
            await wait(700);
            desk.steering.took = 0;
            desk.steering.set('sharpness', String(1 + ((round % 7) + 1) / 10));
            const began = performance.now();
            while (!desk.steering.took && performance.now() - began < 30000) await wait(4);
            took.push(desk.steering.took / 1000);
          }
          desk.pause();
          return took;
        }""",
        rounds,
    )


def memory(session: CDPSession) -> float:
    """Return the megabytes of the page's scripts, after what nobody uses was collected."""
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "JSHeapUsedSize")) / 1e6


def private(pid: int) -> float:
    """Return the megabytes that a process has to itself."""
    return float(psutil.Process(pid).memory_full_info().uss) / 1e6


def main() -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60, help="0: the first sound alone")
    minutes = parser.parse_args().minutes
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("There is no Chromium: tests/install-tools installs it.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder)
        folders = Folders(root / "home")
        os.environ["TWEEZE_HOME"] = str(folders.root)
        launch.ensure(folders)
        print(machine())
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            _measure(
                folders, root, browser.new_page(viewport={"width": 1280, "height": 860}), minutes
            )
        finally:
            browser.close()
            launch.stop(folders)


def _measure(folders: Folders, root: Path, page: Any, minutes: int) -> None:
    page.set_default_timeout(300_000)
    beat = Heartbeat.of_living(folders)
    assert beat is not None
    alone = private(beat.pid)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    opened(folders.root, page, recording(root / "short.wav", 10))
    page.evaluate(STEPS)
    first = asked(page, "piano")["heard"]
    page.wait_for_selector(".chip")  # listening is over: nothing else is at work
    rows = [asked(page, sound) for sound in SOUNDS]
    named = ("running", "first piece", "done", "heard")
    steps = {name: statistics.median(row[name] for row in rows) for name in named}
    parts = ", ".join(f"{name} {at:.2f}" for name, at in steps.items())
    print(
        f"10 s: a lane is heard {steps['heard']:.2f} s after Enter (the first, which loads the "
        f"model: {first:.2f} s); {parts}",
        flush=True,
    )
    if not minutes:
        return
    took = steered(page, 20)
    print(
        f"10 s: a change is heard {statistics.median(took):.3f} s later, {max(took):.3f} s at most"
    )
    before = memory(session), private(beat.pid)
    page.evaluate(MANY, 500)
    after = memory(session), private(beat.pid)
    print(
        f"500 changes: page {before[0]:.1f} -> {after[0]:.1f} MB of scripts, engine "
        f"{before[1]:.0f} -> {after[1]:.0f} MB"
    )
    opened(folders.root, page, recording(root / "song.wav", 300))
    page.evaluate(STEPS)
    asked(page, "piano")
    took = steered(page, 5)
    print(
        f"5 min: a change is heard {statistics.median(took):.2f} s later, {max(took):.2f} s at most"
    )
    first = opened(folders.root, page, recording(root / "long.wav", 60 * minutes))
    page.mouse.move(640, 200)
    page.evaluate(f"() => {{ window.watched = ({WATCH.strip()})({SCROLLED}); }}")
    end = time.perf_counter() + SCROLLED
    step = 0
    while time.perf_counter() < end:
        if step % 8 == 0:
            page.keyboard.down("Control")
            page.mouse.wheel(0, -240 if step % 64 < 40 else 240)
            page.keyboard.up("Control")
        else:
            page.mouse.wheel(300, 0)
        step += 1
    frames = page.evaluate("window.watched")
    tiles = page.evaluate(TILES)
    frames.sort()
    print(
        f"{minutes} min: first view {first:.2f} s, {len(tiles)} tiles, median "
        f"{statistics.median(tiles):.3f} s; frames {statistics.median(frames):.1f} ms, 99 % under "
        f"{frames[int(0.99 * len(frames))]:.1f} ms, longest {frames[-1]:.1f} ms ({step} turns of "
        "the wheel)"
    )
    print(
        f"page {memory(session):.1f} MB of scripts; "
        f"engine {alone:.0f} -> {private(beat.pid):.0f} MB"
    )


if __name__ == "__main__":
    main()
