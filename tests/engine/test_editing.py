"""Files of others are changed through links, with their mode and owner, and no byte beside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import editing
from engine.errors import HostError


@given(st.text(st.sampled_from("ab=[]\r\n\x0b\x0c\x85\u2028\ufeff\udcff"), max_size=30))
def test_rows_are_the_text_and_end_only_where_a_line_ends(text: str) -> None:
    found = editing.rows(text)
    assert "".join(line + ending for line, ending in found) == text
    assert all(ending for _, ending in found[:-1])
    assert not any("\r" in line or "\n" in line for line, _ in found)


def test_a_link_stays_and_what_it_leads_to_is_changed(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(dotfiles / "real")
    for text in ("made through a dangling link\n", "and changed\n"):
        editing.rewrite(tmp_path / "first", text)
        assert (tmp_path / "first").readlink() == Path("second")
        assert (tmp_path / "second").readlink() == dotfiles / "real"
        assert (dotfiles / "real").read_text() == text
        assert [path.name for path in dotfiles.iterdir()] == ["real"]
    editing.remove(tmp_path / "first")
    assert (tmp_path / "first").is_symlink()
    assert not (dotfiles / "real").exists()


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        editing.rewrite(tmp_path / "loop", "x")
    assert (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o444, 0o664])
def test_mode_owner_and_other_names_are_kept(tmp_path: Path, bits: int) -> None:
    file, other = tmp_path / "file", tmp_path / "other name"
    file.write_text("before, and longer than what comes after\n")
    os.link(file, other)
    file.chmod(bits)
    if os.geteuid() == 0:
        os.chown(file, 65534, 65533)
    owner = (file.stat().st_uid, file.stat().st_gid)
    for number in range(2):
        editing.rewrite(file, f"after {number}\n")
        assert file.read_text() == f"after {number}\n"
        assert stat.S_IMODE(file.stat().st_mode) == bits
        assert (file.stat().st_uid, file.stat().st_gid) == owner
        if not number:
            assert other.read_text() == "after 0\n", "a second name got a file of its own"
            other.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_utf_16_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("[A]\r\n".encode("utf-16"))
    with pytest.raises(HostError, match="UTF-16"):
        editing.read(tmp_path / "file")
