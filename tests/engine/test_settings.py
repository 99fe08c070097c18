"""What the environment can set, and what it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.folders import Folders, xdg_folder
from engine.settings import Settings

VARIABLES = {
    "TWEEZE_OSC_PORT": ("osc_port", "0", "65535", ("-1", "65536", "99999", "91.57", "1e3")),
    "TWEEZE_IDLE_MINUTES": ("idle_minutes", "0", "0.5", ("-1", "1e9")),
    "TWEEZE_KEEP_DAYS": ("keep_days", "2", "1000", ("-1", "0", "1e9")),
    "TWEEZE_KEEP_GB": ("keep_gb", "0.5", "8", ("-1", "0", "1e9")),
}
NO_NUMBERS = ("nan", "inf", "-inf", "many", "9157x", "ten", "1;2", "0x10", "\x1b[2J")


@pytest.mark.parametrize("variable", VARIABLES)
def test_values_that_can_be(variable: str) -> None:
    field, one, other, _ = VARIABLES[variable]
    for text in (one, other, f" {one} "):
        assert getattr(Settings.of_environment({variable: text}), field) == float(text)
    for nothing in ("", "  "):
        assert Settings.of_environment({variable: nothing}) == Settings()


@pytest.mark.parametrize("variable", VARIABLES)
def test_values_that_cannot_be_are_one_sentence(variable: str) -> None:
    for text in (*VARIABLES[variable][3], *NO_NUMBERS):
        with pytest.raises(BadInput, match=f"^{variable} is ") as caught:
            Settings.of_environment({variable: text})
        said = str(caught.value)
        assert "from 0" in said
        assert said.isprintable()


@pytest.mark.parametrize("named", ["", "relative/data", ".", "~/data"])
def test_xdg_variables_that_say_nothing(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TWEEZE_HOME", raising=False)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, named)
    assert xdg_folder("XDG_CONFIG_HOME", ".config") == tmp_path / ".config"
    assert Folders.of_user().root == tmp_path / ".local/share/tweeze"
    from audacity import places
    from bridge import login
    from reaper import install as reaper

    settings, plugins = places._user_files()
    assert settings == tmp_path / ".config/audacity/audacity.cfg"
    assert plugins == tmp_path / ".local/share/audacity/Plug-Ins"
    assert login._place() == tmp_path / ".config/systemd/user/tweeze.service"
    assert tmp_path / ".config/REAPER" in reaper._usual_places()


def test_an_absolute_xdg_folder_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TWEEZE_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert Folders.of_user().root == tmp_path / "data/tweeze"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is no unit elsewhere")
def test_a_unit_that_is_a_link_stays_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bridge import login

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemd hears of it
    folders = Folders(tmp_path / "home")
    place = login._place()
    place.parent.mkdir(parents=True)
    dotfile = tmp_path / "dotfiles.service"
    dotfile.write_text("old")
    dotfile.chmod(0o640)
    place.symlink_to(dotfile)
    login.enable(folders)
    assert place.is_symlink()
    assert b"ExecStart" in dotfile.read_bytes()
    assert dotfile.stat().st_mode & 0o777 == 0o640
    assert login.is_current(folders)
    assert login.enabled()
    login.disable()
    assert place.is_symlink()
    assert not dotfile.exists()
    assert not login.enabled()
    login.enable(folders)
    assert place.is_symlink()
    assert b"ExecStart" in dotfile.read_bytes()
