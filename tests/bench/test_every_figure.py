"""Whatever figure a document quotes with its command, `make bench` prints."""

from __future__ import annotations

import io
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.__main__ import BENCHES, ROOT, Bench, main, run

# A page for ears; everything else that lies in `bench` prints figures.
NO_FIGURES = {"listening"}
MAKES = {"corpus", "ears", "instruments", "samplers", "shown", "teacher", "text_table"}
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("engine/models/*/*CARD.md")]


def test_all_that_is_quoted_is_there() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    quoted = {name for text in texts for name in re.findall(r"python -m bench\.(\w+)", text)}
    assert len(quoted) >= 8
    assert quoted - NO_FIGURES <= {bench.name for bench in BENCHES}
    quoted = {name for text in texts for name in re.findall(r"-m engine\.training\.(\w+)", text)}
    assert quoted >= MAKES
    assert quoted - MAKES <= {bench.name for bench in BENCHES}
    asked = [one for text in texts for one in re.findall(r"`tweeze evaluate[^`]+`", text)]
    ways = {way for one in asked for way in re.findall(r"--\w+", one)} - {"--set", "--out"}
    evaluated = " ".join(bench.command for bench in BENCHES if bench.name == "evaluate")
    assert {"--told", "--route"} <= ways <= set(evaluated.split())


def test_all_that_is_there_can_run() -> None:
    modules = {path.stem for path in (ROOT / "bench").glob("*.py")}
    known = {bench.name for bench in BENCHES}
    assert modules - NO_FIGURES - {"__init__", "__main__", "machine"} <= known
    for bench in BENCHES:
        assert find_spec(bench.command.split()[0]) is not None


def test_what_fails_and_what_is_wanting_is_said() -> None:
    copy = io.StringIO()
    chosen = [
        Bench("timeit -n 1 -r 1 pass", "nothing"),
        Bench("timeit --no-such-option", "nothing"),
        Bench("bench.beside STORE", "something"),
    ]
    assert run(chosen, {}, copy) == 1
    said = copy.getvalue()
    assert "1 loop, best of 1" in said
    assert "\nFAILED: python -m timeit --no-such-option\n" in said
    assert "NOT RUN for want of --with STORE: python -m bench.beside STORE" in said
    assert run(chosen[:1], {}, io.StringIO()) == 0


def test_nothing_in_the_users_folder_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWEEZE_HOME", str(tmp_path))
    home = "__import__('os').environ['TWEEZE_HOME']"
    writes = f"__import__('pathlib').Path({home},'routes.csv').write_text('x')"
    copy = io.StringIO()
    assert run([Bench(f"timeit -n 1 -r 1 {writes}", "a figure")], {}, copy) == 0, copy.getvalue()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["speed"], "There is no bench speed: see --list."),
        (["--with", "STORE"], "--with takes WORD=PATH, such as STORE=corpus."),
        (["--with", "CORPUS=x"], "No bench asks for CORPUS: see --list."),
    ],
)
def test_a_wrong_word_is_said(
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit):
        main()
    assert sentence in capsys.readouterr().err
