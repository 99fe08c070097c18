"""Installing for Audacity 4, and taking it out again, in a home of its own; none runs here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audacity import both, carried, extending, owned, places
from audacity import install as three
from audacity.extension import build
from audacity.host import AudacityHost
from audacity.places import Editor, Editor4
from bridge.cli import run
from engine.errors import BadInput, Failure, HostError
from engine.folders import Folders
from engine.option_types import table
from engine.options import Options

MODELS = ["auto", "compact"]
BUILD = build.build
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr(three, "_refuse_while_running", lambda verb: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Folders(tmp_path / 'a "home" of Zoë\u2028')
    made.make()
    return made


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor4:
    data = tmp_path / "share"
    made = Editor4("a test", data / "Audacity/Audacity4/extensions", data / "audacity4/Plug-Ins")
    monkeypatch.setattr(places, "editors4", lambda: [made])
    monkeypatch.setattr(places, "editors", lambda: iter(()))
    return made


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], Path]:
    """A compiler that is quick, and whose work does not run."""

    def put(target: str, folder: Path = build.FOLDER) -> Path:
        path = build.built(target, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made of " + build.SOURCE.read_bytes()[:20])
        return path

    monkeypatch.setattr(build, "build", put)
    return put


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(target: str, folder: Path = build.FOLDER) -> Path:
        raise Failure("No compiler is there: install one.")

    monkeypatch.setattr(build, "build", refuse)
    monkeypatch.setattr(
        build, "built", lambda target, folder=build.FOLDER: folder / "platform/none/tweeze.so"
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def only(editor: Editor4) -> Path:
    (found,) = editor.extensions.iterdir()
    return found


def checks(folders: Folders) -> dict[str, bool]:
    return {check.name: check.ok for check in both.check(folders)}


def test_what_is_put_in_is_what_audacity_needs(editor: Editor4, folders: Folders) -> None:
    said = extending.install([editor], folders, MODELS)
    place = only(editor)
    assert said == [
        f"Put the extension for Audacity 4 (a test) into {place}; an Audacity 4 that runs finds it "
        "when it is started anew."
    ]
    files = tree(place)
    library = build.built(build.this_target(), place).relative_to(place).as_posix()
    scripts = {path.name for path in build.FOLDER.glob("*.js")}
    assert set(files) == {owned.LIST, "manifest.json", library, *scripts}
    assert not set("_&=?;") & set(place.name)
    manifest = json.loads(files["manifest.json"])
    assert manifest["uri"].startswith("extension://tweeze/")
    for effect in manifest["contributes"]["audacity.effects"]:
        assert effect["script"] in files
    assert list(editor.extensions.parent.iterdir()) == [editor.extensions]  # no draft is left
    assert AudacityHost().installed(folders)


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which runs scripts, is missing")
def test_the_scripts_know_the_home(editor: Editor4, folders: Folders) -> None:
    extending.install([editor], folders, MODELS)
    where = only(editor) / "where.js"
    code = f"process.stdout.write(require({json.dumps(str(where))}).home)"
    done = subprocess.run(["node", "-e", code], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode() == str(folders.root)
    assert where.read_text("ascii").endswith("}\n")


def test_again_does_nothing(editor: Editor4, folders: Folders) -> None:
    extending.install([editor], folders, MODELS)

    def files() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in place.rglob("*")}

    place = only(editor)
    before = files()
    assert extending.install([editor], folders, MODELS) == [
        "Everything was in place for Audacity 4."
    ]
    assert only(editor) == place
    assert files() == before


def test_another_version_has_another_folder_and_the_old_one_goes(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    extending.install([editor], folders, MODELS)
    old = only(editor)
    files = carried.files(folders)
    monkeypatch.setattr(carried, "files", lambda folders: {**files, "more.js": b"// more\n"})
    said = extending.install([editor], folders, MODELS)
    assert said[-1] == f"Removed {old}."
    assert only(editor) != old
    assert "more.js" in tree(only(editor))
    monkeypatch.setattr(carried, "VERSION", "9.8.7")
    extending.install([editor], folders, MODELS)
    assert only(editor).name.startswith("tweeze-9.8.7-")


def test_another_home_has_another_folder(editor: Editor4, folders: Folders, tmp_path: Path) -> None:
    extending.install([editor], folders, MODELS)
    old = only(editor)
    elsewhere = Folders(tmp_path / "elsewhere")
    elsewhere.make()
    extending.install([editor], elsewhere, MODELS)
    assert only(editor) != old
    assert checks(folders) == {"audacity 4 extension": False}


def test_what_is_damaged_is_put_in_anew_under_a_fresh_name(
    editor: Editor4, folders: Folders
) -> None:
    extending.install([editor], folders, MODELS)
    old = only(editor)
    (old / "where.js").unlink()
    assert checks(folders)["audacity 4 extension"] is False
    extending.install([editor], folders, MODELS)
    place = only(editor)
    assert place.name == f"{old.name}-2"
    assert extending.install([editor], folders, MODELS) == [
        "Everything was in place for Audacity 4."
    ]
    assert "where.js" in tree(place)
    assert checks(folders)["audacity 4 extension"] is True


def test_what_is_not_tweezes_stays(editor: Editor4, folders: Folders, tmp_path: Path) -> None:
    other = editor.extensions / "tweeze-of-somebody"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text('{"uri": "extension://tweeze/separate"}')
    listed = editor.extensions / "listed"
    listed.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    names = ["../../victim", str(victim), "a/../../../../../victim", "..\\victim", "C:victim", ""]
    for number, name in enumerate(names):
        folder = editor.extensions / f"hostile{number}"
        folder.mkdir()
        files = {name: owned.digest(b"mine")}
        (folder / owned.LIST).write_text(json.dumps({"tweeze": 1, "files": files}))
    for number, text in enumerate(
        ["", "[]", "{}", '{"tweeze": 1, "files": []}', '{"tweeze": 2, "files": {"a": "b"}}']
    ):
        (listed / owned.LIST).write_text(text)
        extending.install([editor], folders, MODELS)
        assert (listed / owned.LIST).read_text() == text, number
    link = editor.extensions / "linked"
    target = tmp_path / "checkout"
    shutil.copytree(editor.extensions / carried.name(folders), target)
    link.symlink_to(target)
    before = tree(tmp_path)
    extending.install([editor], folders, MODELS)
    assert tree(tmp_path) == before
    extending.uninstall(folders)
    assert link.is_symlink()
    assert len(list(editor.extensions.iterdir())) == 3 + len(names)
    assert victim.read_bytes() == b"mine"


def test_a_link_in_its_folder_leads_nowhere(
    editor: Editor4, folders: Folders, tmp_path: Path
) -> None:
    extending.install([editor], folders, MODELS)
    place = only(editor)
    moved = tmp_path / "moved"
    (place / "platform").rename(moved)
    (place / "platform").symlink_to(moved)
    before = tree(moved)
    said = extending.uninstall(folders)
    assert said == [f"Left {place}: what is in it is not Tweeze's."]
    assert tree(moved) == before
    assert [path.name for path in place.iterdir()] == ["platform"]


def test_what_the_user_changed_or_added_stays(editor: Editor4, folders: Folders) -> None:
    extending.install([editor], folders, MODELS)
    place = only(editor)
    (place / "where.js").write_text("// mine")
    (place / "notes.txt").write_text("mine, too")
    assert extending.uninstall(folders) == [f"Left where.js in {place} alone: changed since."]
    assert tree(place) == {"where.js": b"// mine", "notes.txt": b"mine, too"}
    assert not extending.installed(folders)


def test_what_is_taken_out_leaves_nothing(
    editor: Editor4, folders: Folders, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    extending.install([editor], folders, MODELS)
    assert extending.uninstall(folders)[0].startswith("Removed ")
    assert sorted(tmp_path.rglob("*")) == before
    assert extending.uninstall(folders) == []
    assert both.uninstall(folders) == ["Nothing was installed."]


def test_a_folder_that_was_there_stays(editor: Editor4, folders: Folders) -> None:
    editor.extensions.mkdir(parents=True)
    extending.install([editor], folders, MODELS)
    extending.uninstall(folders)
    assert editor.extensions.is_dir()


def test_without_a_compiler_the_plug_ins_stand_in(
    editor: Editor4, folders: Folders, no_compiler: None, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    said = extending.install([editor], folders, MODELS)
    assert said[0] == "There is no extension for Audacity 4: No compiler is there: install one."
    assert said[1].endswith(
        "an Audacity 4 (a test) that is started anew has 'Tweeze Send' in its Analyze menu."
    )
    assert list(editor.extensions.parent.rglob("*")) == [editor.extensions]
    names = sorted(path.name for path in editor.plugins.iterdir())
    assert names == ["tweeze-collect.ny", "tweeze-send.ny"]
    send = (editor.plugins / "tweeze-send.ny").read_text("utf-8")
    assert ";@" not in send
    assert "@SPOOL" not in send
    assert 'choice "auto,compact" 0' in send
    assert checks(folders) == {"audacity 4 plug-ins": True}
    extending.uninstall(folders)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_plug_ins_go_when_the_extension_comes(
    editor: Editor4, folders: Folders, built: Callable[[str, Path], Path]
) -> None:
    said = extending.install([editor], folders, MODELS, nyquist=True)
    assert len(said) == 2
    assert not list(editor.extensions.glob("*"))
    mine = editor.plugins / "tweeze-send.ny"
    mine.write_text(mine.read_text("utf-8") + "; mine\n", "utf-8")
    assert extending.install([editor], folders, MODELS)[1:] == [
        f"Left {mine} alone: it was changed since.",
        f"Removed {editor.plugins / 'tweeze-collect.ny'}.",
    ]
    extending.install([editor], folders, MODELS, nyquist=True)
    assert not list(editor.extensions.iterdir())
    assert mine.read_text("utf-8").count("; mine") == 0  # Tweeze's own, as it is now


def test_a_strange_file_of_a_plug_ins_name_stays(editor: Editor4, folders: Folders) -> None:
    editor.plugins.mkdir(parents=True)
    (editor.plugins / "tweeze-send.ny").write_text(';nyquist plug-in\n;author "Somebody"\n')
    said = extending.install([editor], folders, MODELS, nyquist=True)
    assert "tweeze-send.ny alone: it is not Tweeze's" in said[0]
    extending.uninstall(folders)
    assert "Somebody" in (editor.plugins / "tweeze-send.ny").read_text()


def test_every_step_is_looked_at(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checks(folders) == {}
    extending.install([editor], folders, MODELS)
    place = only(editor)
    # The library is no library.
    assert checks(folders) == {"audacity 4 extension": True, "audacity 4 library": False}
    monkeypatch.setattr(extending, "_unloadable", lambda library: "")
    assert all(checks(folders).values())
    shutil.copytree(place, place.with_name("tweeze-old"))
    assert checks(folders)["audacity 4 extension"] is False
    extending.install([editor], folders, MODELS)
    assert all(checks(folders).values())
    monkeypatch.setattr(carried, "VERSION", "9.8.7")
    assert checks(folders)["audacity 4 extension"] is False
    monkeypatch.undo()
    shutil.rmtree(place)
    assert [check.said for check in extending.check(folders)] == [f"{place} is gone"]


def test_the_library_that_is_built_here_loads(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    try:
        BUILD(build.this_target(), tmp_path)
    except Failure as error:
        pytest.skip(f"NO LIBRARY WAS BUILT: {error}")
    monkeypatch.setattr(
        build,
        "build",
        lambda target, folder: shutil.copytree(tmp_path / "platform", folder / "platform"),
    )
    extending.install([editor], folders, MODELS)
    assert all(checks(folders).values())


def test_a_library_that_is_carried_is_used_where_none_can_be_built(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(target: str, folder: Path = build.FOLDER) -> Path:
        raise Failure("No compiler is there: install one.")

    carried_along = tmp_path / "wheel/platform/here/tweeze.so"
    carried_along.parent.mkdir(parents=True)
    carried_along.write_bytes(b"from the wheel")
    monkeypatch.setattr(build, "build", refuse)
    monkeypatch.setattr(
        build,
        "built",
        lambda target, folder=tmp_path / "wheel": folder / "platform/here/tweeze.so",
    )
    extending.install([editor], folders, MODELS)
    assert tree(only(editor))["platform/here/tweeze.so"] == b"from the wheel"


def test_plug_ins_are_looked_at(editor: Editor4, folders: Folders, tmp_path: Path) -> None:
    extending.install([editor], folders, MODELS, nyquist=True)
    assert checks(folders) == {"audacity 4 plug-ins": True}
    elsewhere = Folders(tmp_path / "elsewhere")
    elsewhere.make()
    shutil.copy(folders.root / "audacity4-install.json", elsewhere.root)
    assert checks(elsewhere) == {"audacity 4 plug-ins": False}
    (editor.plugins / "tweeze-send.ny").unlink()
    assert checks(folders) == {"audacity 4 plug-ins": False}


def test_a_folder_that_cannot_be_written_is_one_sentence(editor: Editor4, folders: Folders) -> None:
    editor.extensions.parent.mkdir(parents=True)
    editor.extensions.write_text("a file where the folder should be")
    with pytest.raises(HostError, match=r"extensions cannot be written \(.*\): check"):
        extending.install([editor], folders, MODELS)
    assert sorted(editor.extensions.parent.iterdir()) == [editor.extensions]


def test_an_installation_that_is_cut_short_leaves_no_half(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    script = f"""
import os
from pathlib import Path
from audacity import extending, places
from audacity.extension import build
from engine.folders import Folders
build.build = lambda target, folder: os._exit(9)
editor = places.Editor4("a test", Path({str(editor.extensions)!r}), Path({str(editor.plugins)!r}))
extending.install([editor], Folders(Path({str(folders.root)!r})), ["auto"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 9
    assert list(editor.extensions.iterdir()) == []
    (draft,) = (path for path in editor.extensions.parent.iterdir() if path != editor.extensions)
    assert (draft / "manifest.json").is_file()
    extending.install([editor], folders, MODELS)
    assert not draft.exists()
    assert owned.is_whole(only(editor))
    extending.uninstall(folders)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_record_that_cannot_be_read_is_one_sentence(editor: Editor4, folders: Folders) -> None:
    (folders.root / "audacity4-install.json").write_text('{"more": 1}')
    with pytest.raises(HostError, match="move it away and install again"):
        extending.install([editor], folders, MODELS)


@pytest.fixture
def old(tmp_path: Path, editor: Editor4, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """An Audacity 3 beside the 4."""
    module = tmp_path / "mod-script-pipe.so"
    module.touch()
    made = Editor(tmp_path / "config/audacity.cfg", tmp_path / "Plug-Ins", module, 1_700_000_000)
    monkeypatch.setattr(places, "editors", lambda: iter([made]))
    return made


def test_both_are_served(old: Editor, editor: Editor4, folders: Folders) -> None:
    AudacityHost().install(folders, {})
    assert len(list(old.plugins.iterdir())) == 5
    assert only(editor)
    assert {name.rpartition(" ")[0] for name in checks(folders)} == {"audacity", "audacity 4"}
    said = AudacityHost().uninstall(folders)
    assert list(old.plugins.iterdir()) == []
    assert not editor.extensions.exists()
    assert not AudacityHost().installed(folders)
    assert all(sentence.startswith(("Removed", "Restored")) for sentence in said)


def test_a_fault_with_one_is_told_with_what_is_done(
    old: Editor, editor: Editor4, folders: Folders
) -> None:
    editor.extensions.parent.mkdir(parents=True)
    editor.extensions.touch()
    with pytest.raises(HostError, match=r"Audacity 3 is done, but not Audacity 4: .*extensions"):
        AudacityHost().install(folders, {})
    assert three.installed(folders)


def test_a_new_audacity_4_is_pointed_out(old: Editor, editor: Editor4, folders: Folders) -> None:
    three.install(old, folders, MODELS)
    (found,) = [check for check in both.check(folders) if check.name == "audacity 4"]
    assert found.ok
    assert "'tweeze install audacity'" in found.said


def test_nothing_found_is_one_sentence_and_can_be_forced(
    editor: Editor4, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "editors4", list)
    monkeypatch.setattr(places, "usual4", lambda: editor)
    with pytest.raises(HostError, match="--audacity4"):
        AudacityHost().install(folders, {})
    AudacityHost().install(folders, {"audacity4": True})
    assert only(editor)


def test_a_portable_one_alone_is_served(
    old: Editor, editor: Editor4, folders: Folders, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    with pytest.raises(BadInput, match="no portable Audacity"):
        AudacityHost().install(folders, {"portable": stick})
    program = stick / "App/Audacity/bin/Audacity4.exe"
    program.parent.mkdir(parents=True)
    program.touch()
    AudacityHost().install(folders, {"portable": stick})
    assert len(list((stick / "Data/settings/extensions").iterdir())) == 1
    assert not editor.extensions.exists()
    assert not old.plugins.exists()


def test_the_plug_ins_header_is_one_that_nyquist_reads(folders: Folders) -> None:
    """Each control names a variable that the script uses, and nothing is left unstamped."""
    from audacity.stamping import plugin

    for name in ("tweeze-send.ny", "tweeze-collect.ny"):
        text = plugin(name, folders, table(Options), MODELS)
        assert "@COMMON@" not in text
        assert "@MIXTURES@" not in text
        for line in text.splitlines():
            if line.startswith(";control "):
                assert f" {line.split()[1]}" in text.partition("(setf *float-format*")[2]


def test_its_options_are_for_no_other_editor(
    folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["install", "reaper", "--nyquist", "--portable", "stick"]) == 2
    said = capsys.readouterr().err
    assert said == "--nyquist and --portable are for Audacity: leave them out.\n"
