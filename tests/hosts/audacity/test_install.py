"""Installing into a home and taking it out again; no Audacity runs here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audacity import install as installer
from audacity import places
from audacity.host import AudacityHost
from audacity.install import SHORTCUTS, AudacityRuns, check, install, installed, uninstall
from audacity.places import Editor
from audacity.settings import Settings, escape
from bridge import login
from engine import models
from engine.errors import HostError
from engine.folders import Folders

USERS_OWN = """\
PrefsVersion=1.1.1r1
[Version]
Major=3
Minor=2
[Module]
mod-mp3=1
mod-script-pipe=0
[GUI/Theme]
Theme=dark
[NewKeys]
Export=Ctrl+Shift+E
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr(installer, "_refuse_while_running", lambda verb: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    made = Folders(tmp_path / 'a "home" of Zoë')
    made.make()
    return made


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    module = tmp_path / "mod-script-pipe.so"
    module.touch()
    return Editor(tmp_path / "config/audacity.cfg", tmp_path / "My Plug-Ins", module, 1_700_000_000)


def test_what_is_taken_out_leaves_the_settings_as_they_were(
    editor: Editor, folders: Folders
) -> None:
    editor.settings.parent.mkdir()
    editor.settings.write_text(USERS_OWN)
    install(editor, folders, ["compact"])
    settings = Settings(editor.settings.read_text())
    assert settings.get("Module", "mod-script-pipe") == "1"
    assert settings.get("Module", "mod-mp3") == "1"
    assert settings.get("FileFormats/ExportFormat_SF1_Type", "WAV_10000") == "6"
    assert editor.settings.read_text().count("[NewKeys/Effect_Nyquist_Tweeze") == 2
    assert installed(folders)
    uninstall(folders)
    assert editor.settings.read_text() == USERS_OWN
    assert list(editor.plugins.iterdir()) == []
    assert not installed(folders)
    assert uninstall(folders) == ["Nothing was installed."]


def test_a_second_installation_does_nothing_and_forgets_nothing(
    editor: Editor, folders: Folders
) -> None:
    editor.settings.parent.mkdir()
    editor.settings.write_text(USERS_OWN)
    install(editor, folders, ["compact"])
    once = editor.settings.read_text()
    assert install(editor, folders, ["compact"]) == ["Everything was in place for Audacity 3."]
    assert editor.settings.read_text() == once
    said = install(editor, folders, ["compact", "audiosep"])
    assert said == [f"Put tweeze.ny into {editor.plugins}."]
    uninstall(folders)
    assert editor.settings.read_text() == USERS_OWN


def test_later_changes_of_the_users_stay(editor: Editor, folders: Folders) -> None:
    install(editor, folders, ["compact"])
    settings = Settings(editor.settings.read_text())
    settings.set("FileFormats/ExportFormat_SF1_Type", "WAV_10000", "4")
    settings.set("GUI", "Zoom", "2")
    group = f"NewKeys/{escape(f'Effect_Nyquist_Tweeze_Tweeze_{editor.plugins}')}"
    assert settings.get(group, "tweeze.ny") == SHORTCUTS["tweeze.ny"]
    settings.set(group, "tweeze.ny", "F9")
    editor.settings.write_text(settings.text)
    mine = editor.plugins / "tweeze-again.ny"
    mine.write_text(mine.read_text() + ";my own line\n")
    said = uninstall(folders)
    assert any("tweeze-again.ny alone" in sentence for sentence in said)
    left = Settings(editor.settings.read_text())
    assert left.text == (
        "[FileFormats/ExportFormat_SF1_Type]\nWAV_10000=4\n"
        f"[{group}]\ntweeze.ny=F9\n[GUI]\nZoom=2\n"
    )
    assert [path.name for path in editor.plugins.iterdir()] == ["tweeze-again.ny"]


def test_a_shortcut_of_the_users_own_is_kept(editor: Editor, folders: Folders) -> None:
    group = f"NewKeys/{escape(f'Effect_Nyquist_Tweeze_Tweeze_{editor.plugins}')}"
    editor.settings.parent.mkdir()
    own = f"[{group}]\ntweeze.ny=F9\n"
    editor.settings.write_text(own)
    install(editor, folders, ["compact"])
    assert Settings(editor.settings.read_text()).get(group, "tweeze.ny") == "F9"
    uninstall(folders)
    assert editor.settings.read_text() == own


def test_plug_ins_are_stamped_with_a_path_of_any_name(editor: Editor, folders: Folders) -> None:
    install(editor, folders, ["compact", "audiosep"])
    for path in editor.plugins.iterdir():
        text = path.read_text("utf-8")
        assert "@" not in text
        assert text.count("(") == text.count(")")
        assert 'a \\"home\\" of Zoë/spool/"' in text
    assert 'choice "compact,audiosep" 0' in (editor.plugins / "tweeze.ny").read_text("utf-8")


def test_the_dialog_asks_what_is_not_wanted_and_for_a_model(
    editor: Editor, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "editors", lambda: iter([editor]))
    AudacityHost().install(folders, {})
    text = (editor.plugins / "tweeze.ny").read_text("utf-8")
    assert ';control unwanted "But not (several: a; b)" string "" ""\n' in text
    assert '(list "not" unwanted)' in text
    names = ("auto", *models.names(folders))
    assert f';control model "Model" choice "{",".join(names)}" 0\n' in text
    quoted = " ".join(f'"{name}"' for name in names)
    assert f'(list "model" (nth model \'({quoted})))' in text


def test_a_folder_that_cannot_be_written_is_one_sentence(editor: Editor, folders: Folders) -> None:
    editor.plugins.write_text("a file where the folder should be")
    with pytest.raises(HostError, match="cannot be written"):
        install(editor, folders, ["compact"])


def test_a_running_audacity_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "audacity"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", fake)
    process = subprocess.Popen([fake, "60"])
    try:
        for verb in ("install", "uninstall"):
            with pytest.raises(AudacityRuns, match=f"close it and run 'tweeze {verb} audacity'"):
                installer._refuse_while_running(verb)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def found(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Editor]:
    monkeypatch.setattr(places, "editors", lambda: iter([editor]))
    return editor


def test_every_step_is_looked_at(found: Editor, folders: Folders, tmp_path: Path) -> None:
    assert list(check(folders)) == []
    install(found, folders, ["compact"])
    assert all(finding.ok for finding in check(folders))

    def wrong() -> list[str]:
        return [finding.name for finding in check(folders) if not finding.ok]

    (found.plugins / "tweeze-status.ny").unlink()
    assert wrong() == ["audacity menu"]
    install(found, folders, ["compact"])
    settings = Settings(found.settings.read_text())
    settings.set("Module", "mod-script-pipe", "0")
    found.settings.write_text(settings.text)
    assert wrong() == ["audacity mod-script-pipe"]
    install(found, folders, ["compact"])
    elsewhere = Folders(tmp_path / "elsewhere")
    elsewhere.make()
    shutil.copy(folders.root / "audacity-install.json", elsewhere.root)
    assert [f.name for f in check(elsewhere) if not f.ok] == ["audacity spool"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="systemd is Linux's")
def test_the_engine_at_login(folders: Folders, tmp_path: Path) -> None:
    assert not login.enabled()
    login.enable(folders)
    login.enable(folders)
    assert login.enabled()
    assert login.is_current(folders)
    assert not login.is_current(Folders(tmp_path / "elsewhere"))
    unit = (tmp_path / ".config/systemd/user/tweeze.service").read_text()
    assert f'ExecStart="{sys.executable}" "-c" ' in unit
    assert f"WorkingDirectory=-{folders.root}" in unit
    assert login.disable() == "The engine no longer starts at login."
    assert login.disable() == "The engine did not start at login."
    assert not list((tmp_path / ".config/systemd/user").rglob("tweeze*"))


ODD = {
    "no last newline": b"[GUI]\nZoom=2",
    "windows": b"[GUI]\r\nZoom=2\r\n[Module]\r\nmod-script-pipe=0\r\n",
    "old mac": b"[GUI]\rZoom=2\r",
    "mixed": b"[GUI]\nZoom=2\r\nOther=3\n\r\n\n[Module]\r\nmod-script-pipe=0\n",
    "byte order mark": b"\xef\xbb\xbf[Module]\nmod-script-pipe=0\n[GUI]\nZoom=2\n",
    "latin-1": "[GUI]\nPath=/home/Zo\xeb\n[Module]\nmod-script-pipe=\xff\n".encode("latin-1"),
    "other separators": "[GUI]\nA=x\u2028y\u2029z\nB=\x85\x0b\x0c\x1c\x1d\x1e.\n".encode(),
    "nothing": b"",
}


@pytest.mark.fault(
    "the editor's settings have odd line ends, bytes that are no UTF-8, or lie behind links",
    promise="what is taken out leaves each byte as it was, and links stay links",
)
@pytest.mark.parametrize("content", ODD.values(), ids=list(ODD))
def test_odd_settings_stay_byte_for_byte(editor: Editor, folders: Folders, content: bytes) -> None:
    real = editor.settings.parent.parent / "dotfiles.cfg"
    real.write_bytes(content)
    real.chmod(0o640)
    editor.settings.parent.mkdir()
    editor.settings.symlink_to("link")
    (editor.settings.parent / "link").symlink_to(real)
    install(editor, folders, ["compact"])
    between = real.read_bytes()
    assert between.count(b"mod-script-pipe=1") == 1
    left = between.replace(b"\r", b"\n").split(b"\n")
    for line in content.replace(b"\r", b"\n").split(b"\n"):
        assert line in left or line.startswith(b"mod-script-pipe="), "a line was changed"
    install(editor, folders, ["compact"])
    assert real.read_bytes() == between
    uninstall(folders)
    assert real.read_bytes() == content
    assert editor.settings.readlink() == Path("link")
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_dangling_link_dangles_again(editor: Editor, folders: Folders, tmp_path: Path) -> None:
    editor.settings.parent.mkdir()
    editor.settings.symlink_to(tmp_path / "dotfiles.cfg")
    install(editor, folders, ["compact"])
    assert b"mod-script-pipe=1" in (tmp_path / "dotfiles.cfg").read_bytes()
    uninstall(folders)
    assert editor.settings.is_symlink()
    assert not editor.settings.exists()


def test_a_menu_command_in_other_bytes_is_left_alone(editor: Editor, folders: Folders) -> None:
    install(editor, folders, ["compact"])
    mine = editor.plugins / "tweeze.ny"
    mine.write_bytes(b";Zo\xeb\n")
    assert any("tweeze.ny alone" in sentence for sentence in uninstall(folders))
    assert mine.read_bytes() == b";Zo\xeb\n"


names = st.text("abc /é'", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(names, names, st.text("xyz=[]\\ ", max_size=6))), names, names)
def test_setting_and_restoring_a_key_changes_no_other_line(
    rows: list[tuple[str, str, str]], group: str, key: str
) -> None:
    settings = Settings("")
    for a, b, value in rows:
        settings.set(a, b, value)
    before = settings.text
    was = settings.get(group, key)
    settings.set(group, key, "new")
    assert settings.get(group, key) == "new"
    settings.set(group, key, was)
    assert settings.text == before
