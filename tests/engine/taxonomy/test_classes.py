"""The classes are well-formed, and captions mean what the hierarchy says."""

import re

import pytest

from engine.taxonomy.classes import LabelError, SoundClass, Taxonomy, load_taxonomy

TAXONOMY = load_taxonomy()


def test_captions_are_plain_words() -> None:
    for item in TAXONOMY.classes.values():
        assert len(set(item.captions)) == len(item.captions), item.name
        for caption in item.captions:
            assert re.fullmatch(r"[a-z0-9][a-z0-9 '-]*", caption), (item.name, caption)


def test_a_caption_fits_its_class_and_the_classes_below() -> None:
    assert TAXONOMY.fits("bird", "owl")
    assert TAXONOMY.fits("owl hooting", "owl")
    assert not TAXONOMY.fits("owl hooting", "crow")
    assert not TAXONOMY.fits("owl hooting", "bird")
    assert TAXONOMY.fits("music", "violin")


def test_contradictions_are_named() -> None:
    with pytest.raises(LabelError, match="unknown parent 'b'"):
        Taxonomy({"a": SoundClass("a", ("b",), ("x",))})
    with pytest.raises(LabelError, match="own ancestor"):
        Taxonomy({"a": SoundClass("a", ("b",), ("x",)), "b": SoundClass("b", ("a",), ("y",))})
    with pytest.raises(LabelError, match="no captions"):
        Taxonomy({"a": SoundClass("a", (), ())})
