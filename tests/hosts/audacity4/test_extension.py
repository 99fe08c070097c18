"""The extension's files: what they promise to Audacity, and what they repeat of the engine."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication
from PySide6.QtQml import QJSEngine, QJSValue

from audacity.extension import FOLDER, build, scripts
from engine.errors import BadInput, BadQuery, Failure
from engine.folders import Folders
from engine.job import clean_query
from engine.option_types import table
from engine.options import Options
from engine.queue.heartbeat import VERSION
from engine.request import Request
from tests.hosts.audacity4.desk import Desk, bundle, library

# What Qt 6.10's JavaScript does not know.
NEWER = (
    r"\basync\b|\bawait\b|\.\.\.[a-z]|catch \{|\.at\(|fromEntries|replaceAll|allSettled|\bBigInt\b"
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folders = Folders(tmp_path / "home")
    folders.make()
    return Desk(tmp_path, folders, extension=bundle(tmp_path / "e", folders.root, library()))


def test_scripts_end_as_the_framework_needs_it() -> None:
    for path in scripts():
        if path.suffix == ".js":
            text = path.read_text()
            assert re.search(r"^module\.exports = \{.*?\}\n\Z", text, re.S | re.M), path.name
            assert not re.search(NEWER, re.sub(r"//.*", "", text)), path.name
            # All files share one `exports`: whatever is required comes before one's own.
            assert text.rfind("require(") < text.index("module.exports"), path.name
            assert not re.search(r"(?<!module\.)exports\.", text), path.name


def test_the_manifest_is_of_this_version() -> None:
    about = json.loads((FOLDER / "manifest.json").read_text())
    assert about["version"] == VERSION
    effects = about["contributes"]["audacity.effects"]
    assert [(one["title"], one["group"]) for one in effects] == [
        ("Tweeze", "effect"),
        ("Tweeze: remove", "effect"),
        ("Tweeze: what is here", "analyze"),
        ("Tweeze: selftest", "tools"),
    ]
    assert {one["script"] for one in effects} <= {path.name for path in scripts()}


def test_the_dialog_says_what_the_options_say(desk: Desk) -> None:
    known = {option.name: option for option in table(Options)}
    shown = {one["id"]: one for one in desk.host.open("separate").parameters()}
    assert list(shown) == ["query", "unwanted", "keep", "model", "sharpness"]
    for name in ("keep", "model", "sharpness"):
        assert shown[name]["name"] == known[name].label
        assert shown[name]["description"] == known[name].help
    assert {one["token"]: one["name"] for one in shown["keep"]["choices"]} == known["keep"].words
    assert shown["model"]["defaultValue"] == known["model"].default
    sharpness = known["sharpness"]
    assert shown["sharpness"]["defaultValue"] == sharpness.default
    assert shown["sharpness"]["min"] == sharpness.least  # type: ignore[attr-defined]
    assert shown["sharpness"]["max"] == sharpness.most  # type: ignore[attr-defined]
    removing = [one["id"] for one in desk.host.open("remove").parameters()]
    assert removing == ["query", "unwanted", "model", "sharpness"]
    assert desk.host.open("listen").parameters() == []


class Texts:
    """`text.js` alone in an engine of its own."""

    def __init__(self) -> None:
        self._app = QCoreApplication.instance() or QCoreApplication([])
        self._js = QJSEngine()
        source = (FOLDER / "text.js").read_text().replace("module.exports =", "return")
        self._module = self._js.evaluate(f"(function() {{ {source} }})()")
        assert not self._module.isError(), self._module.toString()

    def sounds(self, query: str, unwanted: str) -> tuple[list[str], list[str]]:
        found = self._module.property("sounds").call([QJSValue(query), QJSValue(unwanted)])
        assert not found.isError(), found.toString()
        both = found.toVariant()
        return both["queries"], both["nots"]

    def cleaned(self, literal: str) -> str:
        """Return what `clean` makes of a JavaScript literal."""
        return self._module.property("clean").call([self._js.evaluate(literal)]).toString()


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts()


def _of_engine(query: str, unwanted: str) -> tuple[list[str], list[str]] | None:
    request = Request("r1", "audacity", (("query", query), ("not", unwanted)))
    try:
        return list(request.queries()), list(request.nots())
    except BadQuery:
        return None


@pytest.mark.parametrize(
    "query",
    [
        *(
            "dog",
            "dog; cat",
            "dog;;cat; dog",
            "hi-hat",
            "dog - rain",
            "-rain; dog",
            "dog -rain -hail",
        ),
        *("dog - ", "dog -- rain", "dog − wind", "Straße - Größe", "犬 - 猫", "a -б", "x -é; y- z"),
        *(
            "dog - \N{CAT}",
            "dog -…",
            "dog -(rain)",
            "dog -_x",
            "dog -٣",
            "dog - 2 cats",
            "-",
            "@birds",
        ),
        *("dog -«x»", "dog -™", "dog -ａ", "dog -¿x", "dog -ª", "dog -×", "dog -ⓐ"),
    ],
)
def test_what_is_typed_is_read_as_the_engine_reads_it(texts: Texts, query: str) -> None:
    expected = _of_engine(query, "x; traffic")
    if expected is not None and query != "dog -ⓐ":
        assert texts.sounds(query, "x; traffic") == expected


WORDS = st.text(st.sampled_from("ab é猫🐕-;− .\t"), max_size=14)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS)
def test_any_text_is_read_as_the_engine_reads_it(texts: Texts, query: str, unwanted: str) -> None:
    expected = _of_engine(query, unwanted)
    if expected is not None:
        assert texts.sounds(query, unwanted) == expected
        assert all(one == clean_query(one) for part in expected for one in part)


def test_halves_of_characters_are_replaced(texts: Texts) -> None:
    odd = r"'a\ud83d b\udc15\ud83d\udc15\u0000c\u2028\u0085'"
    assert texts.cleaned(odd) == "a\ufffd b\ufffd\N{DOG} c  "


# Building.


def test_it_is_built_for_this_machine(tmp_path: Path) -> None:
    library()  # skips where there is nothing to build with
    words = [sys.executable, "-m", "audacity.extension.build", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    path = build.built(build.this_target(), tmp_path)
    assert done.stdout.strip() == str(path)
    assert path.is_file()
    assert list(path.parent.iterdir()) == [path], "nothing unfinished is left"


def test_no_compiler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Failure, match=r"pip install ziglang', and try again\."):
        build.build(build.this_target(), tmp_path)
    with pytest.raises(BadInput, match="There is no platform 'beos'"):
        build.build("beos", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_machine_without_audacity_builds_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(build, "_zig", lambda target: ["false"])
    with pytest.raises(Failure, match="cannot be built with false"):
        build.build("linux-arm64", tmp_path)


def test_a_source_that_does_not_compile_is_one_sentence(tmp_path: Path) -> None:
    library()
    source = tmp_path / "odd.c"
    source.write_text("int x = ;\n")
    with pytest.raises(Failure, match="cannot be built"):
        build.build(build.this_target(), tmp_path, source=source)


@pytest.mark.parametrize(
    ("system", "machine", "target"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "aarch64", "linux-arm64"),
        ("win32", "AMD64", "windows-x86_64"),
        ("win32", "ARM64", "windows-arm64"),
        ("darwin", "arm64", "macos-universal"),
        ("darwin", "x86_64", "macos-universal"),
        ("linux", "riscv64", None),
        ("freebsd14", "amd64", None),
    ],
)
def test_platforms(
    system: str, machine: str, target: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    if target is None:
        with pytest.raises(BadInput, match="There is no Audacity 4 for"):
            build.this_target()
    else:
        assert build.this_target() == target


def test_one_file_for_both_macs() -> None:
    triples = build.TARGETS["macos-universal"].triples
    made = build._universal(triples, [b"intel" * 5000, b"arm" * 3])
    magic, count = struct.unpack(">II", made[:8])
    assert (magic, count) == (0xCAFEBABE, 2)
    for number, content in enumerate((b"intel" * 5000, b"arm" * 3)):
        _, _, start, size, align = struct.unpack_from(">5I", made, 8 + 20 * number)
        assert start % (1 << align) == 0
        assert made[start : start + size] == content
