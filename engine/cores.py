"""How many threads are worth starting: what the system lets this process use, not what it has.

A container's limit is a quota of time (a cgroup's), which no library counts: with a thread for
each core of the host, the threads use the quota up at once and then all wait together.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ahead", "limit_threads", "quota", "threads"]

_T = TypeVar("_T")

_ROOT = Path("/")
# What OpenMP, MKL and OpenBLAS read when they are loaded; who sets one of them knows better.
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def quota(root: Path = _ROOT) -> int | None:
    """Return how many threads the control groups of this process let run at once.

    That is the smallest quota of its groups (version 1 and 2) and of all groups above them; None
    if there is none. One and a half cores are rounded up: the half would else lie idle. `root`
    is where `/proc` and `/sys` lie.
    """
    limits = list(_quotas(root))
    return max(1, math.ceil(min(limits))) if limits else None


def limit_threads(environment: MutableMapping[str, str] = os.environ, root: Path = _ROOT) -> None:
    """Have libraries that are loaded from now on, or in child processes, keep to the quota.

    Where there is none that counts, or the user has set a number for one of them, all is left as
    it is: by themselves they take the cores that the process may run on (its affinity).
    """
    limit = quota(root)
    if limit is None or any(environment.get(name) for name in _VARIABLES):
        return
    # Without a number a library takes no more threads than there are true cores.
    import psutil  # late: few processes have a quota

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    if limit < cores:
        environment.update(dict.fromkeys(_VARIABLES, str(limit)))


def threads(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many threads to start for work that is spread over them.

    What libraries that read `OMP_NUM_THREADS` take: that number, or else the cores that the
    process may run on.
    """
    set_ = environment.get(_VARIABLES[0], "").split(",")[0].strip()
    if set_.isdecimal() and int(set_):
        return int(set_)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ahead(
    work: Callable[..., _T], items: Iterable[tuple[Any, ...]], most: int | None = None
) -> Iterator[tuple[tuple[Any, ...], _T]]:
    """Yield items with what `work` makes of each, in their order, worked out in several threads.

    Items are taken in this thread, as they are needed: never more results wait than there are
    threads. An error comes up in the place of its item's result; whoever leaves the loop waits for
    what has begun. `most` is the number of threads at
    most.
    """
    count = most or threads()
    if isinstance(items, Sequence):
        count = min(count, len(items))
    if count < 2:
        for item in items:
            yield item, work(*item)
        return
    from concurrent.futures import ThreadPoolExecutor  # late, for programs that start fast

    with ThreadPoolExecutor(count) as pool:
        waiting: deque[tuple[tuple[Any, ...], Future[_T]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, *item)))
                if len(waiting) > count:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limits, in cores, of all groups that this process is in."""
    groups = _groups(root)
    for mount, top, kind, controllers in _mounts(root):
        for names, group in groups:
            if kind == "cgroup2" and not names:
                read = _quota_2
            elif kind == "cgroup" and "cpu" in names and "cpu" in controllers:
                read = _quota_1
            else:
                continue
            # In a container the group's path may begin above what is mounted, or be hidden.
            inside = PurePosixPath(group)
            if inside.is_relative_to(top):
                inside = inside.relative_to(top)
            folder = root / mount.lstrip("/")
            parts = [part for part in inside.parts if part not in ("/", "..")]
            for depth in range(len(parts) + 1):
                limit = read(folder.joinpath(*parts[:depth]))
                if limit:
                    yield limit


def _groups(root: Path) -> list[tuple[list[str], str]]:
    """Return the controllers and the path of each group, as in cgroups(7)."""
    rows = [row.split(":", 2) for row in _text(root / "proc/self/cgroup").split("\n")]
    return [([n for n in row[1].split(",") if n], row[2]) for row in rows if len(row) == 3]


def _mounts(root: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield where groups are mounted, which one is on top there, its kind and controllers."""
    for row in _text(root / "proc/self/mountinfo").split("\n"):
        before, _, after = row.partition(" - ")
        place, kind = before.split(" "), after.split(" ")
        if len(place) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            yield place[4], place[3], kind[0], kind[2].split(",")


def _quota_2(group: Path) -> float:
    limit, _, period = _text(group / "cpu.max").strip().partition(" ")
    return _share(limit, period or "100000")


def _quota_1(group: Path) -> float:
    return _share(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _share(limit: str, period: str) -> float:
    """Return a quota in cores; 0 if there is none ('max', -1, no file)."""
    limit, period = limit.strip(), period.strip()
    if not (limit.isdecimal() and period.isdecimal() and int(period)):
        return 0.0
    return int(limit) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
