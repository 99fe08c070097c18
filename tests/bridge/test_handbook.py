"""The README and docs/: their links lead somewhere, and each page is found from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bridge.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found[plain] = found.get(plain, -1) + 1
        if count:
            found[f"{plain}-{count}"] = 0
    return set(found)


def links(page: Path) -> list[str]:
    return [to for to in LINK.findall(CODE.sub("", page.read_text("utf-8"))) if "://" not in to]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for to in links(page):
        path, _, anchor = to.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {to}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {to}"


def test_every_page_is_found_from_the_readme() -> None:
    named = {to.partition("#")[0] for to in links(ROOT / "README.md")}
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= named


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150
