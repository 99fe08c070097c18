"""Batches on a real Ray cluster of several nodes on this machine, which break one after the other.

The workers are stand-ins that sleep; one test separates with the bundled model.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from batches import Listening, Sleeper, found, write_tone

from engine.errors import BadInput
from engine.folders import Folders
from engine.library import cluster as clusters
from engine.library.batch import MANIFEST, Batch
from engine.library.cluster_hearing import ClusterHearers
from engine.library.cluster_separating import WORK, ClusterSeparating
from engine.library.crew import Pace
from engine.library.index import Index
from engine.library.indexing import update
from engine.library.items import Item
from engine.library.manifest import State

ray = pytest.importorskip("ray", reason="NO CLUSTER WAS TESTED: ray is not installed")
QUICK = Pace(look=0.05, ask=0.2, grow=1.0, start=60.0, stall=20.0)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster with a head that computes nothing, and two nodes with a core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made
        made.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def connection(nodes: Any) -> Iterator[Any]:
    with clusters.connected(nodes.address) as found_ray:
        yield found_ray


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def tones(top: Path, count: int, *queries: str) -> list[Item]:
    paths = [write_tone(top / f"{number:02}.wav") for number in range(count)]
    return [Item(found(path, top), queries) for path in paths]


@pytest.fixture
def items(tmp_path: Path) -> Callable[..., list[Item]]:
    return functools.partial(tones, tmp_path / "in")


def separating(
    connection: Any, tmp_path: Path, notes: list[str] | None = None, **more: Any
) -> ClusterSeparating:
    (tmp_path / "out").mkdir(exist_ok=True)
    said = notes if notes is not None else []
    settings = {"worker": Sleeper, "pace": QUICK, "on_note": said.append, **more}
    folders = Folders(tmp_path / "home")
    return ClusterSeparating(connection, folders, tmp_path / "out", **settings)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def whole(out: Path, count: int) -> None:
    """Check that each item was published once, and nothing else is there."""
    said = rows(out)
    assert len(said) == count
    assert {row["state"] for row in said} == {"done"}
    clips = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))
    assert clips == sorted(row["clip"] for row in said)
    assert not (out / WORK).exists()


def nodes_with_cores(connection: Any) -> list[str]:
    """Return the machines that compute, by the names that `batches.machine` gives them."""
    alive = [node for node in connection.nodes() if node["Alive"] and "CPU" in node["Resources"]]
    return [f"{socket.gethostname()}-{node['NodeID'][:8]}" for node in alive]


def machines(out: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in (out / "who.txt").read_text().splitlines())


def test_all_machines_work_and_nothing_is_told_to_anybody(
    connection: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    asked, shares = items(12, "sleep 0.5"), list[float]()
    out.mkdir()
    names = clusters.check(connection, out, [item.found.path for item in asked])
    assert len(names) == 3
    with pytest.raises(BadInput, match="does not see /nowhere"):
        clusters.check(connection, out, [Path("/nowhere/a.wav")])
    assert list(out.iterdir()) == [], "nothing is left of the look"
    told = separating(connection, tmp_path, on_share=lambda item, share: shares.append(share))
    Batch(out).run(asked, told)
    whole(out, 12)
    assert machines(out).keys() == set(nodes_with_cores(connection))
    told_off = [usage for line, usage in _processes() if "raylet" in line or "gcs_server" in line]
    assert len(told_off) >= 4
    assert set(told_off) == {"0"}
    assert {usage for line, usage in _processes() if line.startswith("ray::")} <= {"0", None}


def _processes() -> Iterator[tuple[str, str | None]]:
    """Yield Ray's processes and what each was told; one that renamed itself hides its own."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "/ray/" in line or line.startswith("ray::"):
                yield line, process.environ().get("RAY_USAGE_STATS_ENABLED")


@pytest.fixture(scope="module")
def broken(nodes: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Batch]:
    """The results of a batch over which a process dies, one stalls, and one ends each time."""
    folder = tmp_path_factory.mktemp("broken")
    triggers = {query: folder / query for query in ("die", "stall")}
    for trigger in triggers.values():
        trigger.touch()
    asked = tones(folder / "in", 6, "sleep 0.1")
    for query in (*(f"{name} {path}" for name, path in triggers.items()), "doom"):
        asked += tones(folder / "in", 1, query)
    pace = Pace(look=0.05, ask=0.2, grow=1.0, start=60.0, stall=2.0)
    batch = Batch(folder / "out")
    with clusters.connected(nodes.address) as connection:
        batch.run(asked, separating(connection, folder, pace=pace))
    return folder, batch


def of_query(folder: Path, query: str) -> list[dict[str, str]]:
    return [row for row in rows(folder / "out") if row["query"].startswith(query)]


@pytest.mark.fault(
    "a cluster's process dies",
    promise="its recording is done anew, and published once",
    group="library",
)
def test_a_process_that_dies_is_replaced_and_its_item_done_anew(
    broken: tuple[Path, Batch],
) -> None:
    folder, _ = broken
    assert not (folder / "die").exists()
    assert [row["state"] for row in of_query(folder, "die")] == ["done"]


@pytest.mark.fault(
    "a cluster's process stalls",
    promise="it is given up, and its recording done anew",
    group="library",
)
def test_a_process_that_stalls_is_given_up(broken: tuple[Path, Batch]) -> None:
    folder, _ = broken
    assert not (folder / "stall").exists()
    assert [row["state"] for row in of_query(folder, "stall")] == ["done"]


@pytest.mark.fault(
    "a recording ends each process of a cluster",
    promise="it fails with a sentence, the others are done",
    group="library",
)
def test_an_item_that_kills_every_process_fails_alone(broken: tuple[Path, Batch]) -> None:
    folder, batch = broken
    assert (batch.counts[State.DONE], batch.counts[State.FAILED]) == (8, 1)
    (failed,) = of_query(folder, "doom")
    assert "ended 3 times" in failed["error"]
    done = [row for row in rows(folder / "out") if row["state"] == "done"]
    clips = sorted(
        path.relative_to(folder / "out").as_posix() for path in folder.rglob("out/**/*.wav")
    )
    assert clips == sorted(row["clip"] for row in done), "each was published once"
    assert not (folder / "out" / WORK).exists()


def test_a_library_is_listened_to_by_all_machines(connection: Any, tmp_path: Path) -> None:
    top = tmp_path / "library"
    for name in (*(f"{number}.wav" for number in range(6)), "die.wav", "bad.wav"):
        write_tone(top / name, 0.1 + len(list(top.glob("*"))) / 100)
    (top / "die").touch()
    shutil.copy(top / "0.wav", top / "copy.wav")
    with Index(tmp_path / "index.sqlite", "standin") as index:
        told = update(index, [top], ClusterHearers(connection, worker=Listening, pace=QUICK))
        assert (told.heard + told.known, told.seconds) == (8, told.heard * 1.0)
        assert told.refused == ["It is no audio."]
        assert not (top / "die").exists()
        shutil.move(top / "1.wav", top / "moved.wav")
        again = update(index, [top], ClusterHearers(connection, worker=Listening, pace=QUICK))
        assert (again.heard, again.known, again.unchanged) == (0, 1, 8)


@pytest.mark.fault(
    "a machine of a cluster fails with everything",
    promise="other machines do its recordings, and it gets nothing more",
    group="library",
)
def test_a_full_disk_on_one_machine_is_that_machines_matter(
    connection: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    one = nodes_with_cores(connection)[0]
    (tmp_path / "full").write_text(one)
    notes: list[str] = []
    asked = items(10, "sleep 0.2", f"full {tmp_path / 'full'}")
    batch = Batch(out)
    batch.run(asked, separating(connection, tmp_path, notes))
    assert (batch.counts[State.DONE], batch.counts[State.FAILED]) == (10, 0)
    assert one not in machines(out)
    assert any("gets nothing more" in note for note in notes)


def test_a_slow_machine_holds_nobody_up(
    connection: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    one, other = nodes_with_cores(connection)
    (tmp_path / "slow").write_text(one)
    Batch(out).run(
        items(16, "sleep 0.1", f"slow {tmp_path / 'slow'}"), separating(connection, tmp_path)
    )
    done = machines(out)
    assert sum(done.values()) == 16
    assert done[one] < done[other]


@pytest.mark.fault(
    "a machine of a cluster dies",
    promise="its recordings are done elsewhere, and published once",
    group="library",
)
def test_a_machine_that_dies_takes_nothing_along(
    nodes: Any, connection: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    asked = items(12, "sleep 0.5")
    victim = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    killing = threading.Timer(2.5, lambda: nodes.remove_node(victim, allow_graceful=False))
    killing.start()
    Batch(out).run(asked, separating(connection, tmp_path))
    killing.join()
    whole(out, 12)


DRIVER = """
import sys
from pathlib import Path
from batches import Sleeper, found
from engine.folders import Folders
from engine.library import cluster as clusters
from engine.library.batch import Batch
from engine.library.cluster_hearing import ClusterHearers
from engine.library.cluster_separating import ClusterSeparating
from engine.library.items import Item

top, out, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
asked = [Item(found(path, top), ("sleep 0.4",)) for path in sorted(top.glob("*.wav"))]
with clusters.connected(address) as ray:
    out.mkdir(exist_ok=True)
    separating = ClusterSeparating(ray, Folders(out / ".home"), out, worker=Sleeper)
    Batch(out).run(asked, separating)
"""


@pytest.mark.fault(
    "the command that drives a cluster is killed",
    promise="the same command goes on; nothing is done twice",
    group="library",
)
def test_a_driver_that_is_killed_goes_on_where_it_stopped(
    nodes: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    items(16, "sleep 0.4")
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "in"), str(out), nodes.address]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / MANIFEST).exists() or len(rows(out)) < 3:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = {row["file"] for row in rows(out)}
    assert len(done) < 16
    (out / "who.txt").unlink(missing_ok=True)
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    whole(out, 16)
    redone = {line.split()[0] for line in (out / "who.txt").read_text().splitlines()}
    assert not redone & {Path(file).name for file in done}, "nothing was done twice"


def _alive(connection: Any) -> dict[str, int]:
    names = [node["NodeManagerHostname"] for node in connection.nodes() if node["Alive"]]
    return {"attic": names.count("attic"), "all": len(names)}


@pytest.mark.fault(
    "a machine of a cluster lacks the shared disk",
    promise="it is named before anything begins",
    group="library",
)
def test_a_machine_without_the_disk_is_named(
    nodes: Any, connection: Any, tmp_path: Path, out: Path, items: Any
) -> None:
    asked = [item.found.path for item in items(2, "dog")]
    out.mkdir()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("NOT TESTED: a machine without the shared disk needs root and unshare.")
    start = (
        f"hostname attic && mount -t tmpfs none {out} && exec {Path(sys.executable).parent}/ray "
        f"start --address {nodes.address} --num-cpus 1 --block"
    )
    attic = subprocess.Popen(
        ["unshare", "-m", "-u", "sh", "-c", start],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        # A node that an earlier test killed may count as alive for a while.
        while _alive(connection) != {"attic": 1, "all": 4}:
            assert attic.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(BadInput, match=f"attic does not see {out}"):
            clusters.check(connection, out, asked)
    finally:
        os.killpg(attic.pid, signal.SIGTERM)
        attic.wait(30)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "somewhere", "ray://a:1", "nowhere.invalid:1"])
def test_a_cluster_that_is_not_there_is_one_sentence(address: str) -> None:
    with pytest.raises(BadInput, match="ray start"), clusters.connected(address):
        pass
