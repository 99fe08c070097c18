"""The panel's history: nothing but this user's jobs, by their ids, to whoever has a token."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from panels import Page

from tests.hosts.reaper.studio import Engine
from tests.security.test_panel import panel, wav
from tests.security.test_text import EVERY


@pytest.fixture(scope="module")
def page(live: Engine, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("audio") / "street.wav"
    path.write_bytes(wav())
    return Page.opened(panel(live.folders, ("file", str(path))))


@pytest.fixture(scope="module")
def kept(page: Page) -> str:
    return str(page.job(["dog"])["id"])


ROUTES = (
    ("GET", "/api/history"),
    ("POST", "/api/history/20260101-000000-000-abcdef/open"),
    ("DELETE", "/api/history/20260101-000000-000-abcdef"),
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_history_needs_a_token(page: Page, method: str, path: str) -> None:
    stranger = Page(page.port)
    assert stranger.ask(method, path).status == 401
    assert page.ask(method, path, headers={"Origin": "http://evil.example"}).status == 403
    assert page.ask(method, path, headers={"Host": f"evil.example:{page.port}"}).status in (
        403,
        421,
    )


@EVERY
def test_history_takes_ids_and_words_only(page: Page, kept: str, text: str) -> None:
    word = quote(text.encode("utf-8", "surrogatepass"), safe="")
    assert page.ask("GET", f"/api/history?q={word}").status == 200
    for method, path in (
        ("GET", f"/api/history?before={word}"),
        ("POST", f"/api/history/{word}/open"),
        ("DELETE", f"/api/history/{word}"),
    ):
        assert page.ask(method, path).status in (400, 404, 405), path
    assert page.get(f"/api/jobs/{kept}").json["state"] == "done"


def test_forgetting_stays_in_its_folders(live: Engine, page: Page, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "take.wav").write_bytes(b"kept")
    job = page.job(["dog"])["id"]
    masks = live.folders.masks / job
    for path in masks.iterdir():
        path.unlink()
    masks.rmdir()
    masks.symlink_to(precious)
    assert page.ask("DELETE", f"/api/history/{job}").status == 200
    assert (precious / "take.wav").read_bytes() == b"kept"
    assert not masks.is_symlink()
    (live.folders.clips / "innocent").mkdir()
    for id_ in ("innocent", "..", "%2e%2e%2fclips", "."):
        assert page.ask("DELETE", f"/api/history/{id_}").status in (400, 404, 405)
    assert (live.folders.clips / "innocent").is_dir()


def test_an_answer_holds_no_path(live: Engine, page: Page) -> None:
    page.job(["dog"])
    said = page.get("/api/history").body.decode()
    assert str(live.folders.root) not in said
    assert "street.wav" in said
    assert "/street.wav" not in said
