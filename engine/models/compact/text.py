"""``compact``'s text table; see :mod:`engine.text`, which can be had without loading torch."""

from engine.text import TextTable, load_text_table

__all__ = ["TextTable", "load_text_table"]
