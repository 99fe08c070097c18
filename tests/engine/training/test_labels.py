"""The label tables are well-formed."""

import csv
from importlib.resources import files
from pathlib import Path

import pytest

from engine.taxonomy.classes import load_taxonomy
from engine.training.corpus import load_sources
from engine.training.instruments import instrument_classes
from engine.training.labels import label, load_rules, load_stated, stated_label

TAXONOMY = load_taxonomy()
RULES = load_rules(TAXONOMY)


def test_every_rule_belongs_to_a_source() -> None:
    names = [source.name for source in load_sources()]
    for rule in RULES:
        assert any(name.startswith(rule.source) for name in names), rule


def test_no_rule_is_written_twice() -> None:
    text = (files("engine.training") / "labels.csv").read_text(encoding="utf-8")
    rows = [tuple(row.values()) for row in csv.DictReader(text.splitlines())]
    assert len(set(rows)) == len(rows)
    assert all(len(row) == 3 for row in rows)


def test_every_instrument_has_a_class() -> None:
    for program, name in instrument_classes().items():
        assert name in TAXONOMY.classes, program


def test_sources_are_pinned_and_licensed() -> None:
    sources = load_sources()
    assert len({source.name for source in sources}) == len(sources)
    for source in sources:
        assert source.kind in {"debian", "npm", "folder", "soundfont"}
        assert source.licence, source.name
        assert source.version or source.kind not in {"debian", "npm"}, source.name


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ("esc-10", "001 - Dog bark/1-100032-A.ogg", "dog"),
        ("tuxpaint-stamps-default", "stamps/animals/birds/owl_desc_fr.ogg", "speech"),
        ("tuxpaint-stamps-default", "stamps/animals/birds/owl.ogg", "owl"),
        ("wesnoth-1.16-data", "data/core/sounds/bow-miss.ogg", "whoosh"),
        ("hydrogen-drumkits-effects", "GuitarStrums/Amajor.flac", "acoustic guitar"),
        ("nowhere", "dog.ogg", None),
    ],
)
def test_files_get_their_class(source: str, path: str, expected: str | None) -> None:
    assert label(RULES, source, path) == expected


def test_what_a_source_says_of_its_files_is_a_class_of_ours(tmp_path: Path) -> None:
    stated = load_stated(TAXONOMY)
    assert stated["cat meowing"] == "cat"
    assert stated["underwater"] is None
    table = "file,label,licence\na.opus,cat meowing,CC0\nb.opus,underwater,CC0\n"
    (tmp_path / "labels.csv").write_text(table)
    said = stated_label(tmp_path)
    assert said == {"a.opus": "cat meowing", "b.opus": "underwater"}
    assert stated_label(tmp_path / "none") == {}
    assert label(RULES, "ss14", "finger_snap1.opus", "finger snap") is None  # a rule goes first
    assert label(RULES, "ss14", "meow.opus", stated[said["a.opus"]]) == "cat"
