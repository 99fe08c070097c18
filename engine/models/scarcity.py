"""Whether this system refuses memory to a process, or ends one when there is none left."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["may_be_refused"]

_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_STRICT = "2"  # see proc(5)


def may_be_refused() -> bool:
    """Return whether a library can ask for memory here and get none.

    Windows promises no more than it has. Elsewhere a limit makes that so (`ulimit -v`), or Linux
    where it is told to count strictly.
    """
    if sys.platform == "win32":
        return True
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return True
    try:
        return _OVERCOMMIT.read_text(encoding="ascii").strip() == _STRICT
    except OSError:
        return False
