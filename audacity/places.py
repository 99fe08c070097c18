"""Which Audacitys this user has, and where each keeps its settings, plug-ins and extensions.

Where Audacity 4 looks is read in its source (`src/app/main.cpp`, muse_framework's
`globalconfiguration.cpp`, `au3-files/FileNames.cpp`), what the Flatpak may reach in its manifest.
Nothing is started to find out, and an AppImage need not be found: it looks in the same places.
"""

from __future__ import annotations

import contextlib
import os
import plistlib
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from engine.errors import BadInput
from engine.folders import xdg_folder

__all__ = ["Editor", "Editor4", "editors", "editors4", "portable", "usual4"]

_APP = "Audacity4"
_BUILDS = (_APP, "Audacity4Development")  # what a release calls its folders, and a nightly build
_FLATPAK = "org.audacityteam.Audacity"
_MODULE = "mod-script-pipe"
_IMAGE = re.compile(r"audacity(?:nightly|\Wlinux)?\W*4(?:[\W_].*)?\.appimage", re.IGNORECASE)
_SHELVES = ("Applications", "AppImages", "bin", ".local/bin", "Downloads", "Desktop")
_PORTABLE = Path("App/Audacity/bin/Audacity4.exe")  # of PortableApps.com's format


@dataclass(frozen=True)
class Editor:
    """Where an Audacity 3 keeps its things.

    Attributes
    ----------
    settings
        `audacity.cfg`; need not be there yet.
    plugins
        The user's plug-in folder.
    module
        The file of mod-script-pipe, as Audacity names it.
    module_time
        When that file was last changed, seconds since 1970.

    """

    settings: Path
    plugins: Path
    module: Path
    module_time: int


@dataclass(frozen=True)
class Editor4:
    """Where an Audacity 4 looks for what its user adds; the folders need not be there yet.

    Attributes
    ----------
    kind
        How it came here, for sentences: `an AppImage`.
    extensions
        Where each extension has a folder.
    plugins
        The user's folder of Nyquist plug-ins.

    """

    kind: str
    extensions: Path
    plugins: Path


def editors() -> Iterator[Editor]:
    """Find each Audacity 3 that has mod-script-pipe, the system's own first."""
    settings, plugins = _user_files()
    for module in _module_places():
        if module.is_file():
            yield Editor(settings, plugins, module, int(module.stat().st_mtime))
    if sys.platform not in ("win32", "darwin"):
        yield from _flatpak()


def editors4() -> list[Editor4]:
    """Return each Audacity 4 that was started once, or whose program lies where it usually does."""
    found: list[Editor4] = []
    if sys.platform == "win32":
        found += map(usual4, _windows_programs4())
        found += _used4(_local(), _roaming() / "Audacity")
        found += _portables4()
    elif sys.platform == "darwin":
        data = Path.home() / "Library/Application Support/Audacity"
        found += map(usual4, _bundles4())
        found += _used4(data, data)
    else:
        images = list(_images4())
        found += map(usual4, ("a package" for _ in _packages4(_prefixes())))
        found += map(usual4, ("an AppImage" for _ in images))
        found += _used4(xdg_folder("XDG_DATA_HOME", ".local/share") / "Audacity", None)
        for image in images:
            home = image.with_name(f"{image.name}.home")
            if home.is_dir():  # such an AppImage takes that folder for the user's home
                kind = f"{image.name}, with its own home"
                found.append(_linux4(kind, home / ".local/share", home=home))
        sandbox = Path.home() / ".var/app" / _FLATPAK / "data"
        if (sandbox / "Audacity" / _APP).is_dir() or any(_packages4(_deployed())):
            found.append(_linux4("the Flatpak", sandbox))
    first: dict[Path, Editor4] = {}
    for one in found:
        first.setdefault(one.extensions, one)
    return list(first.values())


def usual4(kind: str = "not found") -> Editor4:
    """Return where an Audacity 4 looks that is installed in the usual way, found or not."""
    if sys.platform == "win32":
        return _editor4(kind, _local() / _APP, _roaming() / "Audacity" / _APP)
    if sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support/Audacity" / _APP
        return _editor4(kind, folder, folder)
    return _linux4(kind, xdg_folder("XDG_DATA_HOME", ".local/share"))


def portable(folder: Path) -> Editor | Editor4:
    """Return the portable Audacity of Windows, 3 or 4, that lies in a folder.

    Raises
    ------
    BadInput
        None does.

    """
    folder = folder.absolute()
    if (folder / _PORTABLE).is_file():
        return _portable4(folder)
    own, module = folder / "Portable Settings", folder / f"modules/{_MODULE}.dll"
    if own.is_dir() and module.is_file():
        changed = int(module.stat().st_mtime)
        return Editor(own / "audacity.cfg", own / "Plug-Ins", module, changed)
    raise BadInput(
        f"There is no portable Audacity in {folder}: name the folder that holds {_PORTABLE} "
        "(Audacity 4), or 'Portable Settings' and 'modules' (Audacity 3)."
    )


# Audacity 3.


def _user_files() -> tuple[Path, Path]:
    home = Path.home()
    if sys.platform == "win32":
        base = _roaming() / "audacity"
        return base / "audacity.cfg", base / "Plug-Ins"
    if sys.platform == "darwin":
        base = home / "Library/Application Support/audacity"
        return base / "audacity.cfg", base / "Plug-Ins"
    old = home / ".audacity-data"
    if old.is_dir():  # an Audacity that was first started before 3.2 goes on using it
        return old / "audacity.cfg", old / "Plug-Ins"
    config = xdg_folder("XDG_CONFIG_HOME", ".config")
    data = xdg_folder("XDG_DATA_HOME", ".local/share")
    return config / "audacity/audacity.cfg", data / "audacity/Plug-Ins"


def _module_places() -> Iterator[Path]:
    if sys.platform == "win32":
        for base in _program_files():
            yield base / f"Audacity/modules/{_MODULE}.dll"
        return
    if sys.platform == "darwin":
        for base in (Path("/Applications"), Path.home() / "Applications"):
            yield base / f"Audacity.app/Contents/modules/{_MODULE}.so"
        return
    for prefix in _prefixes():
        for pattern in ("lib*/audacity/modules", "lib/*/audacity/modules"):
            for folder in sorted(prefix.glob(pattern)):
                yield folder / f"{_MODULE}.so"


def _flatpak() -> Iterator[Editor]:
    """Find Flathub's Audacity 3, which may use `/tmp`, where the pipe is, and the user's files."""
    own = Path.home() / ".var/app" / _FLATPAK
    inside = f"lib/audacity/modules/{_MODULE}.so"
    for deployed in _deployed():
        if (deployed / inside).is_file():
            changed = int((deployed / inside).stat().st_mtime)
            settings = own / "config/audacity/audacity.cfg"
            yield Editor(settings, own / "data/audacity/Plug-Ins", Path("/app") / inside, changed)
            return


# Audacity 4.


def _editor4(kind: str, data: Path, nyquist: Path) -> Editor4:
    return Editor4(kind, data / "extensions", nyquist / "Plug-Ins")


def _linux4(kind: str, data: Path, app: str = _APP, home: Path | None = None) -> Editor4:
    old = (home or Path.home()) / ".audacity-data"  # as with Audacity 3
    nyquist = old if old.is_dir() else data / "audacity4"
    return _editor4(kind, data / "Audacity" / app, nyquist)


def _used4(base: Path, nyquist: Path | None) -> Iterator[Editor4]:
    """Find who has made its folder below `base`, which Audacity 4 does when it is first started."""
    for app in _BUILDS:
        if not (base / app).is_dir():
            continue
        kind = "started before" if app == _APP else "a nightly build"
        if nyquist is None:
            yield _linux4(kind, base.parent, app)
        else:
            yield _editor4(kind, base / app, nyquist / app)


def _packages4(prefixes: Iterable[Path]) -> Iterator[Path]:
    for prefix in prefixes:
        yield from prefix.glob("share/audacity*-4.*/")


def _images4() -> Iterator[Path]:
    home = Path.home()
    named = map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    usual = (*named, home, *(home / name for name in _SHELVES), Path("/opt"))
    for folder in dict.fromkeys(usual):
        with contextlib.suppress(OSError):
            yield from sorted(path for path in folder.iterdir() if _IMAGE.fullmatch(path.name))


def _deployed() -> Iterator[Path]:
    """Yield the files of the Flatpak, which is this user's or everybody's."""
    data = xdg_folder("XDG_DATA_HOME", ".local/share")
    for base in (data / "flatpak", Path("/var/lib/flatpak")):
        files = base / "app" / _FLATPAK / "current/active/files"
        if files.is_dir():
            yield files


def _windows_programs4() -> Iterator[str]:
    for base in _program_files():
        if (base / "Audacity 4/bin/Audacity4.exe").is_file():
            yield "a program"


def _bundles4() -> Iterator[str]:
    for base in (Path("/Applications"), Path.home() / "Applications"):
        for bundle in sorted(base.glob("[Aa]udacity*.app")):
            try:
                about = plistlib.loads((bundle / "Contents/Info.plist").read_bytes())
            except (OSError, ValueError, ExpatError):  # plistlib's own error is a ValueError
                continue
            if str(about.get("CFBundleShortVersionString", "")).startswith("4."):
                yield "a program"


def _portables4() -> Iterator[Editor4]:
    for shelf in ("PortableApps", "Downloads", "Desktop"):
        folder = Path.home() / shelf / "AudacityPortable"
        if (folder / _PORTABLE).is_file():
            yield _portable4(folder)


def _portable4(folder: Path) -> Editor4:
    nyquist = (folder / _PORTABLE).parent / "Portable Settings"
    if not nyquist.is_dir():
        nyquist = _roaming() / "Audacity" / _APP
    return _editor4("portable", folder / "Data/settings", nyquist)


# The system's own places.


def _prefixes() -> list[Path]:
    program = shutil.which("audacity")
    own = [Path(program).resolve().parent.parent] if program else []
    return list(dict.fromkeys([*own, Path("/usr"), Path("/usr/local")]))


def _program_files() -> list[Path]:
    names = ("ProgramFiles", "ProgramFiles(x86)")
    return [Path(os.environ[name]) for name in names if name in os.environ]


def _roaming() -> Path:
    return Path(os.environ.get("APPDATA", Path.home() / "AppData/Roaming"))


def _local() -> Path:
    return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "Audacity"
