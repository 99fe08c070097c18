"""ReaPack: the headers of the scripts, the index made of them, and what it installs."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from engine.errors import BadInput
from reaper.reapack import CATEGORY, MAIN, NAME, index, read_header
from tests.hosts.reaper.studio import LUA, Engine, Studio

URL = "https://example.org/tweeze/v1/reaper/"
WHEN = datetime(2026, 11, 30, 12, 0, 5, tzinfo=timezone(timedelta(hours=2)))


def scripts() -> list[str]:
    found = [*LUA.glob("*.lua"), *LUA.glob("*/*.lua")]
    return sorted(path.relative_to(LUA).as_posix() for path in found)


def test_one_script_is_the_package_and_the_others_are_left_alone() -> None:
    """`reapack-index` takes each file with a version for a package, but for those that say not."""
    for name in scripts():
        head = (LUA / name).read_text(encoding="utf-8").split("\n\n")[0]
        tags = re.findall(r"^-- @(\w+)", head, re.MULTILINE)
        if name == MAIN:
            assert tags[0] == "description"
        else:
            assert tags == ["noindex"], name


def test_the_package_holds_all_scripts_and_is_of_this_version() -> None:
    header = read_header(LUA / MAIN)
    assert header.version == version("tweeze"), "the header of the main script has its own version"
    assert sorted(file.path for file in header.files) == scripts()
    assert {file.path for file in header.files if file.main} == {
        name for name in scripts() if "/" not in name
    }
    assert header.author
    assert "tweeze start" in header.about


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-- @version 0.1.0\n", "", "lacks '@version'"),
        ("@version 0.1.0", "@version v1", "must begin with a digit"),
        ("-- @author Tweeze\n", "-- @author Tweeze\n-- @author Me\n", "names '@author' twice"),
        ("-- @author Tweeze\n", "-- @author Tweeze\n--\n", "belongs to no tag"),
        ("-- @author", "-- @autor", "has the tag '@autor'"),
        ("[main] .", "[main] . extra", "provides '. extra', and there is no such file"),
        ("[main] Tweeze - again.lua", "[main] Tweeze - gain.lua", "there is no such file"),
        ("[main] Tweeze - again.lua", "Tweeze - again.lua", "not of the form '[main] FILE'"),
        ("[main] Tweeze - again.lua", "[main] Tweeze - *.lua", "twice"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    shutil.copytree(LUA, tmp_path / "reaper", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    script = tmp_path / "reaper" / MAIN
    text = re.sub(r"@version \S+", "@version 0.1.0", script.read_text())
    assert old in text
    script.write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput, match=re.escape(said)):
        read_header(script)


def placed(text: str, resource: Path) -> dict[Path, tuple[str, bool]]:
    """Return what ReaPack makes of an index: files, each with its address, and if it is an action.

    As its `src/index_v1.cpp` and `src/source.cpp` do: names and addresses must not be empty, the
    newest version counts, and a script goes to Scripts/REPOSITORY/CATEGORY.
    """
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("version")) == ("index", "1")
    found = {}
    for category in root.findall("category"):
        for package in category.findall("reapack"):
            assert package.get("type") == "script"
            assert package.get("desc")
            newest = max(
                package.findall("version"), key=lambda v: list(map(int, v.get("name").split(".")))
            )
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", newest.get("time"))
            for source in newest.findall("source"):
                assert set(source.keys()) <= {"file", "main", "hash"}
                place = resource / "Scripts" / root.get("name") / category.get("name")
                path = place / source.get("file", package.get("name"))
                assert path not in found
                # A multihash: the function (SHA-256), the length, the digest.
                assert re.fullmatch("1220[0-9a-f]{64}", source.get("hash"))
                local = LUA / unquote(source.text.removeprefix(URL))
                assert source.get("hash")[4:] == hashlib.sha256(local.read_bytes()).hexdigest()
                found[path] = (source.text, source.get("main") == "main")
    return found


def test_what_the_index_installs_works(tmp_path: Path, standin: Engine) -> None:
    text = index(URL, WHEN)
    files = placed(text, tmp_path)
    assert len(files) == len(scripts())
    for path, (address, _) in files.items():
        assert re.fullmatch(r"https://[\w./%-]+", address)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(LUA / unquote(address.removeprefix(URL)), path)
    folder = tmp_path / "Scripts" / NAME / CATEGORY
    actions = sorted(path.name for path, (_, main) in files.items() if main)
    assert actions == sorted(path.name for path in LUA.glob("*.lua"))
    studio = Studio(tmp_path, standin.folders, folder, start=standin.command)
    studio.item(studio.wav(1.0, name="take.wav"))
    studio.do("dog")
    assert len(studio.names()) == 2


def test_an_index_keeps_the_versions_that_it_has(tmp_path: Path) -> None:
    older = index(URL, WHEN).replace(f'name="{version("tweeze")}"', 'name="0.0.9"')
    both = index(URL, WHEN, older)
    names = [one.get("name") for one in ElementTree.fromstring(both).iter("version")]
    assert names == ["0.0.9", version("tweeze")]
    assert index(URL, WHEN, both) == both
    assert 'time="2026-11-30T10:00:05Z"' in both
    for known, said in [("<a/>", "none of Tweeze's"), ("<index", "no XML")]:
        with pytest.raises(BadInput, match=said):
            index(URL, WHEN, known)
    for address in ("reaper", "file:///tmp", "https://"):
        with pytest.raises(BadInput, match="no address of the web"):
            index(address, WHEN)


def test_the_text_about_it_is_rich_text() -> None:
    root = ElementTree.fromstring(index(URL, WHEN))
    about = root.findtext("category/reapack/metadata/description") or ""
    assert about.startswith("{\\rtf1\\ansi")
    assert about.count("{") == about.count("}")
    assert "\\b" in about.split("Tweeze")[0]
    assert about.isascii()


def test_it_is_written_from_the_command_line(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reaper.reapack", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert run(URL).stdout == f"index.xml lists Tweeze {version('tweeze')}.\n"
    assert len(placed((tmp_path / "index.xml").read_text(), tmp_path)) == len(scripts())
    wrong = run("somewhere")
    assert wrong.returncode == 1
    assert wrong.stderr == "'somewhere' is no address of the web: begin it with 'https://'.\n"
