"""Tables, on a terminal to be read, elsewhere to be cut up by other programs; and amounts."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from engine.display import shown

__all__ = ["sound_length", "table"]


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], whole: Collection[str] = ()
) -> None:
    """Print a table on a terminal, and elsewhere lines with tabs between the columns.

    Columns named in `whole` are for copying: they stay on one line. No rows print nothing.
    """
    if not rows:
        return
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(map(shown, row)))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # Nothing is cut short: what is too long for its column goes on below.
    columns = [Column(Text(title), overflow="fold", no_wrap=title in whole) for title in header]
    table = Table(*columns, box=None, header_style="dim", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    Console().print(table)


def sound_length(seconds: float, of: float | None = None) -> str:
    """Return how much sound that is, in the unit that fits `of`, which is named without it.

    >>> sound_length(90), sound_length(36000), sound_length(90, of=36000)
    ('1.5 min', '10.0 h', '0.0')
    """
    whole = seconds if of is None else of
    if whole < 5400:
        return f"{seconds / 60:.1f}" + (" min" if of is None else "")
    return f"{seconds / 3600:.1f}" + (" h" if of is None else "")
