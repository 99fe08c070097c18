"""How Tweeze starts Python processes of its own: without the folder that it happens to run in.

`python -m` looks for every module in the working folder first, so that a user's `random.py` or
`engine` folder would be run in place of the standard library's or Tweeze's own.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["command", "environment", "isolated"]

# Python's own `-P` is there from 3.11 on; `-I` would leave out the user's packages and PYTHON*
# variables as well. With `-c`, the working folder is the search path's first entry, ''.
# The module is not made `sys.modules['__main__']`: processes that it spawns would import it anew.
_START = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); del sys.argv[0]; "
    "import runpy; runpy.run_module(sys.argv[0], run_name='__main__')"
)


def command(module: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """Return what runs a module as `python -m` does, but for the working folder.

    Parameters
    ----------
    module
        Its name, as in `bridge.app`.
    arguments
        What it finds in `sys.argv` after its own name.
    options
        The interpreter's own, like `-X faulthandler`.

    """
    return [sys.executable, *options, "-c", _START, module, *arguments]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables for such a process, fit for another working folder than this one's.

    Relative entries of PYTHONPATH mean what they mean here; empty ones, which stand for the
    working folder and are mostly left by a shell's `$PYTHONPATH:more`, are left out.
    """
    made = dict(variables)
    entries = [os.path.abspath(p) for p in made.pop("PYTHONPATH", "").split(os.pathsep) if p]  # noqa: PTH100
    if entries:
        made["PYTHONPATH"] = os.pathsep.join(entries)
    return made


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Start `multiprocessing`'s processes in here: their first imports are not the folder's.

    Python 3.10 knows no such setting; there the folder is looked into until the search path of
    this process has arrived.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before
