"""A real Chromium with the page in it, served by a fake that keeps the server's contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.bridge.panel_fake import Panel

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
AXE = "axe-core@4.14.1"
DEADLINE = 60_000.0  # milliseconds
FLAGS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio")


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(f"NO REAL BROWSER WAS TESTED: {what}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed (the extra 'test' brings it)")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        _missing("chromium is not installed (tests/install-tools installs it)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def panel() -> Iterator[Panel]:
    made = Panel()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def visit(browser: Browser, panel: Panel) -> Iterator[Callable[..., Page]]:
    """Open the page as `tweeze panel` does; what the page throws fails the test."""
    thrown: list[str] = []
    contexts = []

    def open_page(
        width: int = 1280, scheme: Any = "dark", code: str | None = None, *, touch: bool = False
    ) -> Page:
        size: Any = {"width": width, "height": 860}
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=touch)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.on("console", lambda said: _policy(said.text, thrown))
        page.goto(f"{panel.address}#code={panel.fresh_code() if code is None else code}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not thrown


def _policy(text: str, thrown: list[str]) -> None:
    if "Content Security Policy" in text:
        thrown.append(text)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm's registry, kept in build/."""
    place = ROOT / "build" / "axe"
    source = place / f"{AXE}.js"
    if not source.exists():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("ACCESSIBILITY WAS NOT TESTED: npm, which fetches axe-core, is missing")
        place.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(
            [npm, "pack", AXE, "--pack-destination", str(place), "--silent"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if got.returncode:
            pytest.skip(f"ACCESSIBILITY WAS NOT TESTED: npm cannot fetch axe-core: {got.stderr}")
        with tarfile.open(place / got.stdout.strip()) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member is not None
            source.write_bytes(member.read())
    return source.read_text("utf-8")
