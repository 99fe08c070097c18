"""Many jobs at once: all done, in order, fair, and the engine answers meanwhile."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.queue.journal import Entry, Journal
from engine.status import JobState, Status
from tests.faults.load import Desk, ask_all, environment_port
from tests.faults.resident import MANY, resident, until, write_noise

JOBS = 200 if MANY else 40
SLACK = 3.0  # seconds between a job's acceptance and its place in the queue, at most
LATEST = 2.0  # seconds; far above what is measured, so that a busy machine breaks nothing


@pytest.mark.fault(
    "8 clients ask at once, over spool, OSC and command line (200 jobs; 40 in the quick run)",
    promise="all done, in order per client, fair between clients; status is answered meanwhile",
)
@pytest.mark.timeout(1500)
def test_many_jobs_at_once(
    tmp_path: Path, tries: Callable[[int], None], record_property: Callable[[str, object], None]
) -> None:
    home = tmp_path / "home"
    mixture = write_noise(tmp_path / "mixture.wav", 6.0)
    home.mkdir(mode=0o700)
    write_noise(home / "selection.wav", 6.0)
    waits: dict[str, list[float]] = {"spool": [], "OSC": []}
    ended = threading.Event()
    with resident(home, TWEEZE_OSC_PORT=environment_port()) as engine:
        watcher = Desk(engine, "watcher")

        def watch() -> None:
            while not ended.wait(0.2):
                beat = engine.beat()
                began = time.perf_counter()
                if beat is not None and beat.running:
                    assert engine.status(beat.running) is not None
                    waits["spool"].append(time.perf_counter() - began)
                    waits["OSC"].append(watcher.status())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            asked = ask_all(engine, mixture, JOBS, tmp_path / "out")

            def none_is_left() -> bool:
                beat = engine.beat()
                return beat is not None and not (beat.queue or beat.running)

            for process in [p for many in asked.terminal.values() for p in many]:
                out, err = process.communicate(timeout=1200)
                assert process.returncode == 0, err
                assert Path(out.strip()).exists()
            until(none_is_left, "the end of all jobs", 1200)
        finally:
            ended.set()
            watching.join()
            watcher.close()
    journal = Journal(engine.folders.journal)
    entries = sorted(journal.recent(10_000), key=lambda entry: entry.number)
    journal.close()
    assert len(entries) == JOBS
    assert {entry.status.state for entry in entries} == {JobState.DONE}
    by_end = sorted(entries, key=lambda entry: entry.changed)
    for client in {entry.job.client for entry in entries}:
        accepted = [entry.job.id for entry in entries if entry.job.client == client]
        finished = [entry.job.id for entry in by_end if entry.job.client == client]
        assert accepted == finished, f"the jobs of {client} were done out of order"
    assert fair(by_end), "one client was served while another waited"
    for door, seconds in waits.items():
        median = statistics.median(seconds)
        print(f"{door}: status in {median * 1000:.1f} ms (median of {len(seconds)})")
        record_property(f"status over {door}, median ms", round(median * 1000, 1))
        assert median < LATEST, f"{door}: {median:.3f} s"
    tries(JOBS)
    sys.stdout.flush()


def fair(by_end: list[Entry]) -> bool:
    """Between two jobs of a client, each other one that waited all the time had a job done."""
    for index, first in enumerate(by_end):
        client = first.job.client
        began = by_end[index - 1].changed if index else first.accepted
        rest = by_end[index + 1 :]
        nexts = [i for i, entry in enumerate(rest) if entry.job.client == client]
        if not nexts:
            continue
        served = {entry.job.client for entry in rest[: nexts[0]]}
        waited = {e.job.client for e in rest[nexts[0] + 1 :] if e.accepted < began - SLACK}
        if waited - served - {client}:
            return False
    return True


def test_status_is_read_whole(tmp_path: Path) -> None:
    """A status that is replaced all the time is never seen half."""
    from engine.files import read_small, replace_text

    path = tmp_path / "status"
    texts = [Status("job-1", JobState.RUNNING, n / 100, message="x" * n).to_text() for n in (1, 99)]
    replace_text(path, texts[0])
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for text in texts:
                replace_text(path, text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2000):
            assert read_small(path) in texts
    finally:
        ended.set()
        writer.join()
