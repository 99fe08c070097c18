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
    from playwright.sync_api import Browser, ConsoleMessage, Page

ROOT = Path(__file__).parents[2]
AXE = "axe-core@4.14.1"
DEADLINE = 120_000.0  # milliseconds
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


class Kept:
    """A page that tests open one after another: a new window takes as long as the page itself."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._page: Page | None = None

    def open(self, width: int, scheme: Any) -> Page:
        if self._page is None:
            self._page = new_page(self._browser, width, scheme)
        self._page.set_viewport_size(size(width))
        self._page.emulate_media(color_scheme=scheme)
        return self._page

    def leave(self) -> None:
        """Have nothing of a test in the page; where that fails the next one gets another page."""
        if self._page is None:
            return
        page, self._page = self._page, None
        try:
            page.unroute_all(behavior="ignoreErrors")
            if page.url.startswith("http"):
                page.evaluate("localStorage.clear(); sessionStorage.clear()")
            page.context.clear_cookies()
            page.mouse.move(0, 0)
            page.goto("about:blank")
            self._page = page
        except Exception:
            page.context.close()


@pytest.fixture(scope="module")
def kept(browser: Browser) -> Kept:
    return Kept(browser)


def size(width: int) -> Any:
    return {"width": width, "height": 860}


def new_page(browser: Browser, width: int, scheme: Any, touch: bool = False) -> Page:
    """Return a page that shares nothing with others; with `touch`, fingers are there."""
    context = browser.new_context(viewport=size(width), color_scheme=scheme, has_touch=touch)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(DEADLINE)
    return page


@pytest.fixture
def visit(browser: Browser, kept: Kept, panel: Panel) -> Iterator[Callable[..., Page]]:
    """Open the page as `tweeze panel` does; what the page throws fails the test.

    The second visit of a test is another user's, with nothing of the first one's. With `alone` no
    later test gets the page: one that leaves a drag behind, say.
    """
    thrown: list[str] = []
    pages: list[Page] = []
    closed: list[Page] = []

    def on_error(error: object) -> None:
        thrown.append(str(error))

    def on_console(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text:
            thrown.append(said.text)

    def open_page(
        width: int = 1280,
        scheme: Any = "dark",
        code: str | None = None,
        *,
        touch: bool = False,
        alone: bool = False,
    ) -> Page:
        fresh = bool(pages) or touch or alone
        page = new_page(browser, width, scheme, touch) if fresh else kept.open(width, scheme)
        pages.append(page)
        if fresh:
            closed.append(page)
        page.on("pageerror", on_error)
        page.on("console", on_console)
        page.goto(f"{panel.address}#code={panel.fresh_code() if code is None else code}")
        return page

    yield open_page
    for page in closed:
        page.context.close()
    kept.leave()
    for page in pages:
        page.remove_listener("pageerror", on_error)
        page.remove_listener("console", on_console)
    assert not thrown


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
