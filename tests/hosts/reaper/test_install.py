"""`tweeze install reaper` and `uninstall`, on resource folders as REAPER leaves them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput, HostError
from engine.folders import Folders
from reaper import install as installing
from reaper.ini import action_id
from reaper.install import OSC_PORT, faults, find, install, installed, uninstall
from reaper.wake import Waker
from tests.hosts.reaper.fake import FakeReaper

INI = (
    "[reaper]\r\nlastproject=C:\\M\xfcsik.rpp\r\ncsurf_cnt=1\r\ncsurf_0=HTTP 0 8080 '' 'index.html'"
    " 0 ''\r\nzoom=3\r\n[midiedit]\r\nx=1\r\n"
)
KB = (
    'SCR 4 0 RSdeadbeef "Custom: other.lua" "other/other.lua"\r\nKEY 29 89 40044 0\r\n'
    'ACT 0 0 "1" "Custom: a" 40001'
)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def resource(tmp_path: Path) -> Path:
    folder = tmp_path / "REAPER"
    (folder / "Scripts" / "other").mkdir(parents=True)
    (folder / "Scripts" / "other" / "other.lua").write_text("-- mine\n")
    (folder / "reaper.ini").write_bytes(INI.encode("latin-1"))  # not UTF-8: must survive
    (folder / "reaper-kb.ini").write_bytes(KB.encode())
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_in_and_out_again(resource: Path, folders: Folders) -> None:
    before = everything(resource)
    said = install(resource, folders)
    assert installed(folders) == resource
    after = everything(resource)
    assert after["reaper.ini"] == before["reaper.ini"]
    lines = after["reaper-kb.ini"].decode().split("\r\n")
    assert lines[:3] == KB.split("\r\n")
    id_ = action_id("Tweeze/Tweeze - again.lua")
    assert f'SCR 516 0 {id_} "Custom: Tweeze - again.lua" "Tweeze/Tweeze - again.lua"' in lines
    main = action_id("Tweeze/Tweeze - separate selection.lua")
    assert f"KEY 25 89 _{main} 0" in lines
    assert f"KEY 29 89 _{id_} 0" not in lines, "a key of the user's was taken"
    assert any("Ctrl+Alt+Shift+Y is taken" in sentence for sentence in said)
    for line in lines[3:-1]:
        if line.startswith("SCR"):
            assert (resource / "Scripts" / line.split('"')[3]).is_file()
    uninstall(folders)
    assert everything(resource) == before
    assert not (resource / "Scripts" / "Tweeze").exists()
    assert installed(folders) is None
    assert {p.name for p in folders.root.iterdir() if "reaper" in p.name} == set()


ODD = {
    "no last newline": b"[REAPER]\ncsurf_cnt=0\nzoom=3",
    "mixed": b"[reaper]\r\ncsurf_cnt=1\ncsurf_0=MCU 0 0 0\r\n\nzoom=3\n",
    "byte order mark": b"\xef\xbb\xbf[REAPER]\r\ncsurf_cnt=1\r\ncsurf_0=MCU 0 0 0\r\n",
    "old mac": b"[REAPER]\rcsurf_cnt=1\rcsurf_0=MCU 0 0 0\r",
    "other separators": "[REAPER]\na=x\u2028y\x85\x0b\x0c\ncsurf_cnt=\u00b2\n".encode(),
    "no section": b"a=1\n",
    "latin-1": b"[REAPER]\nlastproject=M\xfcsik.rpp\n",
}


@pytest.mark.fault(
    "the editor's settings have odd line ends, bytes that are no UTF-8, or lie behind links",
    promise="what is taken out leaves each byte as it was, and links stay links",
)
@pytest.mark.parametrize("content", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("rewritten", [False, True], ids=["untouched", "rewritten since"])
def test_odd_settings_stay_byte_for_byte(
    resource: Path, folders: Folders, content: bytes, rewritten: bool
) -> None:
    ini, kb = resource / "reaper.ini", resource / "reaper-kb.ini"
    before = {
        ini: content,
        kb: b"SCR 4\n" + KB.encode() + "\nX \u2028 \xff".encode("latin-1", "replace"),
    }
    for path, data in before.items():
        path.unlink()
        real = resource.parent / f"dotfiles-{path.name}"
        real.write_bytes(data)
        real.chmod(0o640)
        path.symlink_to(real)
    install(resource, folders, osc=True)
    assert b'OSC "Tweeze"' in ini.read_bytes()
    assert faults(folders) == []
    for path in before:
        if rewritten:  # by somebody else, who added a line
            path.write_bytes(path.read_bytes() + b"\n; mine\n")
    uninstall(folders)
    for path, data in before.items():
        found = path.read_bytes()
        if rewritten:
            assert b"Tweeze" not in found
            lines = found.replace(b"\r", b"\n").split(b"\n")
            for line in [*data.replace(b"\r", b"\n").split(b"\n"), b"; mine"]:
                assert line in lines or line.startswith(b"csurf_cnt="), "a line was changed"
        else:
            assert found == data
        assert path.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640


def test_again_does_no_harm(resource: Path, folders: Folders) -> None:
    before = everything(resource)
    install(resource, folders, osc=True)
    once = everything(resource)
    install(resource, folders, osc=True)
    assert everything(resource) == once
    uninstall(folders)
    assert everything(resource) == before
    assert uninstall(folders) == ["Tweeze was not in REAPER."]


def test_osc_surface(resource: Path, folders: Folders) -> None:
    said = install(resource, folders, osc=True)
    assert any("EVERY network interface" in sentence for sentence in said)
    text = (resource / "reaper.ini").read_bytes().decode("latin-1")
    assert "csurf_cnt=2\r\n" in text
    assert f'csurf_1=OSC "Tweeze" 1 {OSC_PORT} ' in text
    waker = Waker.of(folders)
    assert waker.port == OSC_PORT
    assert waker.action == "_" + action_id("Tweeze/Tweeze - listen.lua")
    assert Path(waker.script).is_file()


def test_what_others_wrote_since_stays(resource: Path, folders: Folders) -> None:
    """REAPER rewrites its files, with another surface before ours; scripts get edited."""
    install(resource, folders, osc=True)
    ini, kb = resource / "reaper.ini", resource / "reaper-kb.ini"
    text = ini.read_bytes().replace(b"csurf_cnt=2", b"csurf_cnt=3\r\ncsurf_2=MCU 0 0 0")
    ini.write_bytes(text.replace(b"zoom=3", b"zoom=4"))
    kb.write_bytes(kb.read_bytes() + b"KEY 1 65 40001 0\r\n")
    install(resource, folders, osc=True)
    edited = resource / "Scripts" / "Tweeze" / "Tweeze - again.lua"
    edited.write_text("-- mine now\n")
    said = uninstall(folders)
    assert any("stays" in sentence for sentence in said)
    assert edited.read_text() == "-- mine now\n"
    text = ini.read_bytes()
    assert b"zoom=4" in text
    assert b"Tweeze" not in text
    assert b"csurf_cnt=2" in text
    assert b"csurf_1=MCU 0 0 0" in text
    assert kb.read_bytes().decode() == KB + "\r\nKEY 1 65 40001 0\r\n"


def test_what_is_wrong_is_said(resource: Path, folders: Folders) -> None:
    install(resource, folders)
    assert faults(folders) == []
    (resource / "Scripts/Tweeze/tweeze/run.lua").unlink()
    (resource / "reaper-kb.ini").write_text(KB)
    said = " ".join(faults(folders))
    assert "run.lua is missing" in said
    assert "no 'Custom: Tweeze - again.lua'" in said
    install(resource, folders)
    assert faults(folders) == []


def test_a_reaper_without_keys_or_scripts(resource: Path, folders: Folders) -> None:
    (resource / "reaper-kb.ini").unlink()
    shutil.rmtree(resource / "Scripts")
    install(resource, folders)
    assert (resource / "reaper-kb.ini").read_text().count("SCR ") == 7
    uninstall(folders)
    assert [path.name for path in resource.iterdir()] == ["reaper.ini"]


def test_a_key_that_the_user_chose_stays(resource: Path, folders: Folders) -> None:
    id_ = action_id("Tweeze/Tweeze - separate selection.lua")
    kb = resource / "reaper-kb.ini"
    kb.write_bytes(f"KEY 9 84 _{id_} 0\n".encode())
    install(resource, folders)
    assert f"KEY 25 89 _{id_} 0" not in kb.read_text()
    assert kb.read_text().startswith(f"KEY 9 84 _{id_} 0\n")


def test_refuses_while_reaper_runs(resource: Path, folders: Folders, tmp_path: Path) -> None:
    program = tmp_path / "reaper"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    before = everything(resource)
    install(resource, folders)
    between = everything(resource)
    with subprocess.Popen([program, "60"]) as process:
        try:
            for what in (lambda: install(resource, folders), lambda: uninstall(folders)):
                with pytest.raises(BadInput, match="REAPER runs"):
                    what()
        finally:
            process.kill()
    assert everything(resource) == between
    uninstall(folders)
    assert everything(resource) == before


def test_find(resource: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(resource) == resource
    with pytest.raises(HostError, match="--resource"):
        find(tmp_path)
    monkeypatch.setattr(installing, "executable", lambda: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert find() == resource
    portable = tmp_path / "portable"
    portable.mkdir()
    (portable / "reaper.ini").touch()
    (portable / "reaper").touch()
    monkeypatch.setattr(installing, "executable", lambda: portable / "reaper")
    assert find() == portable


def test_the_installed_scripts_run(
    resource: Path, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They find their modules, and the engine's folders, where they were put."""
    monkeypatch.setenv("TWEEZE_HOME", str(folders.root))
    install(resource, folders)
    where = (resource / "Scripts/Tweeze/tweeze/where.txt").read_text()
    assert where.startswith(f'home={folders.root}\nstart="/usr/bin/env" "TWEEZE_HOME=')
    reaper = FakeReaper(resource)
    for script in sorted((resource / "Scripts" / "Tweeze").glob("*.lua")):
        if "listen" not in script.name and "selftest" not in script.name:
            ran = reaper.run(script)
            assert ran.ended
    assert all("Nothing is selected" in t or "othing" in t for t in reaper.boxes), reaper.boxes


def test_the_command(resource: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge import cli, hosts_cli

    done: list[str] = []
    monkeypatch.setenv("TWEEZE_HOME", str(folders.root))
    monkeypatch.setattr(hosts_cli.login, "enable", lambda folders: "Login.")
    monkeypatch.setattr(hosts_cli.login, "disable", lambda: done.append("off") or "No login.")
    monkeypatch.setattr(hosts_cli.launch, "ensure", _no_engine)
    assert cli.run(["install", "reaper", "--resource", str(resource), "--osc"]) == 0
    assert installed(folders) == resource
    assert cli.run(["uninstall", "reaper"]) == 0
    assert installed(folders) is None
    assert done == ["off"]
    assert cli.run(["install", "audacity", "--osc"]) == 2


class _Beat:
    pid = 1


_no_engine: Callable[[Folders], tuple[_Beat, bool]] = lambda folders: (_Beat(), False)  # noqa: E731
