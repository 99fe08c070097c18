"""The quota of control groups, in trees as Docker, systemd and Kubernetes make them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from engine.cores import limit_threads, quota, threads

TWO = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
ONE = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 {top} /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)


def tree(root: Path, mounts: str, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/mountinfo": mounts, "proc/self/cgroup": groups, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "300000\n"}, 3),
        ({"cpu.max": "nonsense\n"}, None),
        ({"a/cpu.max": "200000 100000\n"}, 2),
        ({"a/b.scope/cpu.max": "max 100000\n", "a/cpu.max": "50000 25000\n"}, 2),
        ({"a/b.scope/cpu.max": "400000 100000\n", "cpu.max": "250000 100000\n"}, 3),
        ({"other/cpu.max": "100000 100000\n"}, None),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    placed = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert quota(tree(tmp_path, TWO, "0::/a/b.scope\n", placed)) == expected


@pytest.mark.parametrize(("limit", "expected"), [("-1", None), ("150000", 2), ("300000", 3)])
@pytest.mark.parametrize(
    ("top", "group", "where"),
    [
        ("/", "/docker/id", "docker/id/"),
        ("/", "/docker/id/inner", "docker/id/"),  # the limit is the outer group's
        ("/docker/id", "/docker/id", ""),  # as seen in a container
        ("/docker/id", "/docker/id/inner", "inner/"),
        ("/", "/../outside", ""),  # a namespace hides what is above
    ],
)
def test_version_1(
    tmp_path: Path, limit: str, expected: int | None, top: str, group: str, where: str
) -> None:
    folder = f"sys/fs/cgroup/cpu,cpuacct/{where}"
    files = {f"{folder}cpu.cfs_quota_us": f"{limit}\n", f"{folder}cpu.cfs_period_us": "100000\n"}
    groups = f"5:cpuset:/\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n0::/\n"
    assert quota(tree(tmp_path, ONE.format(top=top), groups, files)) == expected


def test_without_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert quota(tmp_path) is None


@pytest.fixture
def one_core_of_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return tree(tmp_path, TWO, "0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"})


def test_the_libraries_keep_to_the_quota(one_core_of_four: Path) -> None:
    environment = {"HOME": "/home/me"}
    limit_threads(environment, one_core_of_four)
    assert environment.pop("HOME") == "/home/me"
    assert set(environment) == {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert set(environment.values()) == {"1"}


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_who_sets_a_number_gets_it(one_core_of_four: Path, name: str) -> None:
    environment = {name: "3"}
    limit_threads(environment, one_core_of_four)
    assert environment == {name: "3"}


@pytest.mark.parametrize("allowed", [{2}, {1, 3}])
def test_a_quota_wider_than_the_affinity_changes_nothing(
    one_core_of_four: Path, monkeypatch: pytest.MonkeyPatch, allowed: set[int]
) -> None:
    (one_core_of_four / "sys/fs/cgroup/cpu.max").write_text("200000 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    environment: dict[str, str] = {}
    limit_threads(environment, one_core_of_four)
    assert environment == {}


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_group_whose_name_has_an_odd_separator(tmp_path: Path, odd: str) -> None:
    limit = {f"sys/fs/cgroup/a{odd}b/cpu.max": "150000 100000\n"}
    assert quota(tree(tmp_path, TWO, f"0::/a{odd}b\n", limit)) == 2


@pytest.mark.parametrize(("said", "count"), [("3", 3), (" 2,1", 2)])
def test_threads_are_as_many_as_libraries_take(said: str, count: int) -> None:
    assert threads({"OMP_NUM_THREADS": said}) == count


@pytest.mark.parametrize("said", ["", "0", "many"])
def test_without_a_number_there_is_a_thread_for_each_core(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert threads({"OMP_NUM_THREADS": said}) == 3
