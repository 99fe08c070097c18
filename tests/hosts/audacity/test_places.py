"""Which Audacitys are found in a home, on each system; no Audacity runs here.

Of Windows and macOS only the names of folders are tried, on whatever system this runs on.
"""

from __future__ import annotations

import plistlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audacity import places
from audacity.places import Editor, Editor4, editors, editors4, portable, usual4
from engine.errors import BadInput

Make = Callable[..., Path]
SHARE = ".local/share"
FLATPAK = "org.audacityteam.Audacity"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "Zoë's home"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(places, "_prefixes", lambda: [tmp_path / "usr"])
    return made


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def at(home: Path) -> list[tuple[str, str, str]]:
    """Return what is found: how it came there, and its two folders below the home."""
    return [
        (one.kind, one.extensions.relative_to(home).as_posix(),
         one.plugins.relative_to(home).as_posix())
        for one in editors4()
    ]  # fmt: skip


USUAL = (f"{SHARE}/Audacity/Audacity4/extensions", f"{SHARE}/audacity4/Plug-Ins")


def test_nothing_is_found_where_nothing_is(home: Path) -> None:
    (home / SHARE / "Audacity").mkdir(parents=True)
    touch(home / "Downloads/Audacity-3.7.5-x86_64.AppImage")
    touch(home / "Downloads/audacity-linux-3.4.2-x64.AppImage")
    touch(home / "Downloads/audacity-manual-4.pdf")
    assert editors4() == []
    assert list(editors()) == []


def test_one_that_was_started_once(home: Path) -> None:
    (home / SHARE / "Audacity/Audacity4").mkdir(parents=True)
    assert at(home) == [("started before", *USUAL)]


def test_a_nightly_build_has_folders_of_its_own(home: Path) -> None:
    (home / SHARE / "Audacity/Audacity4Development").mkdir(parents=True)
    folder = f"{SHARE}/Audacity/Audacity4Development/extensions"
    assert at(home) == [("a nightly build", folder, USUAL[1])]


@pytest.mark.parametrize(
    "name",
    ["Audacity-4.0.0-x86_64.AppImage", "audacity-4.0.1-aarch64.appimage", "Audacity 4.AppImage",
     "AudacityNightly-4.1.0.260901-x86_64.AppImage"],
)  # fmt: skip
def test_an_appimage(home: Path, name: str) -> None:
    touch(home / "Downloads" / name)
    assert at(home) == [("an AppImage", *USUAL)]
    (home / SHARE / "Audacity/Audacity4").mkdir(parents=True)
    assert at(home) == [("an AppImage", *USUAL)]  # it is one


def test_an_appimage_with_a_home_of_its_own(home: Path) -> None:
    image = touch(home / "Applications/Audacity-4.0.0-x86_64.AppImage")
    own = image.with_name(f"{image.name}.home")
    own.mkdir()
    assert at(home)[1][1:] == tuple(f"Applications/{own.name}/{folder}" for folder in USUAL)


def test_a_package(home: Path, tmp_path: Path) -> None:
    (tmp_path / "usr/share/audacity").mkdir(parents=True)  # of Audacity 3
    assert at(home) == []
    (tmp_path / "usr/share/audacity-4.0").mkdir()
    assert at(home) == [("a package", *USUAL)]


def test_data_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    (home / "data/Audacity/Audacity4").mkdir(parents=True)
    assert at(home)[0][1:] == ("data/Audacity/Audacity4/extensions", "data/audacity4/Plug-Ins")


def test_plug_ins_in_an_old_folder_of_audacity(home: Path) -> None:
    (home / ".audacity-data").mkdir()
    (home / SHARE / "Audacity/Audacity4").mkdir(parents=True)
    assert at(home) == [("started before", USUAL[0], ".audacity-data/Plug-Ins")]


def test_a_flatpak_of_4(home: Path) -> None:
    data = f".var/app/{FLATPAK}/data"
    expected = [
        ("the Flatpak", f"{data}/Audacity/Audacity4/extensions", f"{data}/audacity4/Plug-Ins")
    ]
    files = home / SHARE / f"flatpak/app/{FLATPAK}/current/active/files"
    (files / "share/audacity").mkdir(parents=True)
    assert at(home) == []
    (files / "share/audacity-4.0").mkdir()
    assert at(home) == expected
    (files / "share/audacity-4.0").rmdir()
    (home / data / "Audacity/Audacity4").mkdir(parents=True)
    assert at(home) == expected


def test_a_flatpak_of_3(home: Path) -> None:
    inside = "lib/audacity/modules/mod-script-pipe.so"
    files = home / SHARE / f"flatpak/app/{FLATPAK}/current/active/files"
    module = touch(files / inside)
    own = home / f".var/app/{FLATPAK}"
    changed = int(module.stat().st_mtime)
    assert list(editors()) == [
        Editor(
            own / "config/audacity/audacity.cfg",
            own / "data/audacity/Plug-Ins",
            Path("/app") / inside,
            changed,
        )
    ]


def test_a_package_of_3_comes_before_the_flatpak(home: Path, tmp_path: Path) -> None:
    inside = "lib/audacity/modules/mod-script-pipe.so"
    touch(home / SHARE / f"flatpak/app/{FLATPAK}/current/active/files" / inside)
    touch(tmp_path / "usr" / inside)
    assert [one.module for one in editors()] == [tmp_path / "usr" / inside, Path("/app") / inside]


def test_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    folder = "Library/Application Support/Audacity/Audacity4"
    for name, version in (("Audacity.app", "3.7.5"), ("Audacity 4.app", "4.0.0")):
        assert at(home) == []
        about = home / "Applications" / name / "Contents/Info.plist"
        about.parent.mkdir(parents=True)
        about.write_bytes(plistlib.dumps({"CFBundleShortVersionString": version}))
    touch(home / "Applications/Audacity broken.app/Contents/Info.plist").write_text("<plist>")
    assert at(home) == [("a program", f"{folder}/extensions", f"{folder}/Plug-Ins")]


def test_windows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(home / "Local"))
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    monkeypatch.setenv("ProgramFiles", str(home / "Programs"))
    assert at(home) == []
    touch(home / "Programs/Audacity 4/bin/Audacity4.exe")
    usual = ("Local/Audacity/Audacity4/extensions", "Roaming/Audacity/Audacity4/Plug-Ins")
    assert at(home) == [("a program", *usual)]
    stick = home / "PortableApps/AudacityPortable"
    touch(stick / "App/Audacity/bin/Audacity4.exe")
    here = "PortableApps/AudacityPortable"
    assert at(home)[1:] == [("portable", f"{here}/Data/settings/extensions", usual[1])]
    (stick / "App/Audacity/bin/Portable Settings").mkdir()
    own = f"{here}/App/Audacity/bin/Portable Settings/Plug-Ins"
    assert at(home)[1:] == [("portable", f"{here}/Data/settings/extensions", own)]


def test_a_portable_one_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four, three = home / "stick/four", home / "stick/three"
    touch(four / "App/Audacity/bin/Audacity4.exe")
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    found = portable(four)
    assert isinstance(found, Editor4)
    assert found.extensions == four / "Data/settings/extensions"
    module = touch(three / "modules/mod-script-pipe.dll")
    with pytest.raises(BadInput, match=r"no portable Audacity in .*/three: name the folder"):
        portable(three)
    own = three / "Portable Settings"
    own.mkdir()
    changed = int(module.stat().st_mtime)
    assert portable(three) == Editor(own / "audacity.cfg", own / "Plug-Ins", module, changed)


def test_where_one_would_look_that_is_not_found(home: Path) -> None:
    assert usual4() == Editor4("not found", home / USUAL[0], home / USUAL[1])
