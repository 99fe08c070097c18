from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import psutil
import pytest
import standins

from engine.folders import Folders
from engine.job import Job
from engine.options import Options
from engine.queue.lock import ProcessLock, holder
from engine.queue.messages import Cancel, Failed, Finished, FromWorker, Loaded, Loading, Pulse, Work

DEADLINE = 180.0
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home")
    folders.make()
    return folders


@contextmanager
def worker(folders: Folders) -> Iterator[tuple[BaseProcess, Connection]]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=standins.main, args=(theirs, folders), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join(DEADLINE)
        process.close()
        ours.close()


def hear(connection: Connection, kind: type[FromWorker]) -> list[FromWorker]:
    """Return all messages up to the first of a kind."""
    heard: list[FromWorker] = []
    deadline = time.monotonic() + DEADLINE
    while not heard or not isinstance(heard[-1], kind):
        assert connection.poll(deadline - time.monotonic()), f"no {kind.__name__} came: {heard}"
        heard.append(connection.recv())
    return heard


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def work(folders: Folders, wav: Callable[..., Path], query: str = "dog", number: int = 1) -> Work:
    mixture = wav(np.zeros((1, 16_000 * 10), np.float32), 16_000)
    job = Job(f"job-{number}", mixture, (query,))
    return Work(job, folders.clips / job.id)


def test_it_lives_from_the_start_and_loads_a_model_once(
    folders: Folders, wav: Callable[..., Path]
) -> None:
    with worker(folders) as (_, pipe):
        assert isinstance(hear(pipe, Pulse)[0], Pulse)
        pipe.send(work(folders, wav))
        kinds = [type(m) for m in hear(pipe, Finished)]
        assert kinds.index(Loading) < kinds.index(Loaded) < kinds.index(Finished)
        pipe.send(work(folders, wav, number=2))
        assert Loading not in [type(m) for m in hear(pipe, Finished)]


def test_it_ends_with_its_pipe_even_in_the_middle_of_a_job(
    folders: Folders, wav: Callable[..., Path]
) -> None:
    (folders.root / "hold").touch()
    with worker(folders) as (process, pipe):
        pipe.send(work(folders, wav, "hold"))
        until((folders.root / "held").exists)
        pipe.close()
        process.join(DEADLINE)
        assert process.exitcode == 0


def test_what_the_users_table_names_in_vain_is_told_where_a_job_goes_by_it(
    folders: Folders, wav: Callable[..., Path]
) -> None:
    routes = folders.root / "routes.csv"
    routes.write_text("family,model,gain,count,from\nspeach,compact,9.0,3,x\n")
    with worker(folders) as (_, pipe):
        for number, (model, told) in enumerate([("auto", 1), ("compact", 0), ("auto", 1)]):
            mixture = wav(np.zeros((1, 16_000), np.float32), 16_000)
            job = Job(f"job-{number}", mixture, ("dog", "rain"), Options(model=model))
            pipe.send(Work(job, folders.clips / job.id))
            finished = hear(pipe, Finished)[-1]
            assert isinstance(finished, Finished)
            about = [note for note in finished.notes if "families that there are not" in note]
            assert len(about) == told
            assert all(str(routes) in note and "'speach'" in note for note in about)
        routes.write_bytes(b"\xff")  # meanwhile; what was resolved needs it no more
        job = Job("job-9", mixture, ("dog",), answers=("compact",))
        pipe.send(Work(job, folders.clips / job.id))
        finished = hear(pipe, Finished)[-1]
        assert isinstance(finished, Finished)
        assert not any(str(routes) in note for note in finished.notes)


def test_ctrl_c_is_not_its_business(folders: Folders, wav: Callable[..., Path]) -> None:
    with worker(folders) as (process, pipe):
        (folders.root / "hold").touch()
        pipe.send(work(folders, wav, "hold"))
        until((folders.root / "held").exists)
        os.kill(process.pid or 0, signal.SIGINT)
        (folders.root / "hold").unlink()
        hear(pipe, Finished)


def test_a_cancelled_job_does_not_cancel_the_next(
    folders: Folders, wav: Callable[..., Path]
) -> None:
    with worker(folders) as (_, pipe):
        (folders.root / "hold").touch()
        task = work(folders, wav, "hold")
        pipe.send(task)
        until((folders.root / "held").exists)
        pipe.send(Cancel("job-1"))
        (folders.root / "hold").unlink()
        pipe.send(task)  # taken only after the first has come to its end
        assert [m for m in hear(pipe, Finished) if isinstance(m, Failed)] == []


def test_a_second_worker_waits_for_the_first(folders: Folders, wav: Callable[..., Path]) -> None:
    with worker(folders) as (first, _):
        lock = folders.root / "worker.lock"
        until(lambda: holder(lock) == first.pid)
        with worker(folders) as (second, pipe):
            hear(pipe, Pulse)
            pipe.send(work(folders, wav))
            first.kill()
            hear(pipe, Finished)
            assert holder(lock) == second.pid


@pytest.mark.fault(
    "another process holds the worker's lock, and nobody knows which",
    promise="the job fails with a sentence that names the lock; with it free the next is done",
)
def test_a_lock_whose_holder_is_unknown(folders: Folders, wav: Callable[..., Path]) -> None:
    lock = ProcessLock(folders.root / "worker.lock")
    assert lock.take()
    lock.path.write_text("")
    with worker(folders) as (process, pipe):
        pipe.send(work(folders, wav))
        (failed,) = (m for m in hear(pipe, Failed) if isinstance(m, Failed))
        assert f"does not end and holds {lock.path}" in failed.message
        process.join(DEADLINE)
    lock.drop()
    with worker(folders) as (_, pipe):
        pipe.send(work(folders, wav))
        hear(pipe, Finished)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems end an orphan by its pipe only")
def test_a_stopped_worker_goes_with_its_parent(folders: Folders, tmp_path: Path) -> None:
    import subprocess

    script = (
        "import multiprocessing as m, pathlib, sys, time\n"
        "import standins\n"
        "from engine.folders import Folders\n"
        "if __name__ == '__main__':\n"
        "    folders = Folders(pathlib.Path(sys.argv[1]))\n"
        "    c = m.get_context('spawn')\n"
        "    ours, theirs = c.Pipe()\n"
        "    p = c.Process(target=standins.main, args=(theirs, folders))\n"
        "    p.start(); print(p.pid, flush=True); time.sleep(600)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    path = str(Path(standins.__file__).parent)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(folders.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        until(lambda: holder(folders.root / "worker.lock") == orphan.pid)
        orphan.suspend()
        parent.kill()

    def gone() -> bool:
        try:
            return orphan.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(gone)


def test_a_lock_is_free_when_its_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    lock, other = ProcessLock(path), ProcessLock(path)
    assert lock.take()
    assert lock.take()
    assert not other.take()
    assert holder(path) == os.getpid()
    lock.drop()
    assert holder(path) is None
    assert other.take()
    other.drop()


def test_a_model_that_was_added_anew_is_loaded_anew(
    folders: Folders, wav: Callable[..., Path]
) -> None:
    record = folders.models / "compact" / "model.json"  # the stand-in is called so
    record.parent.mkdir()
    record.write_text("one")
    with worker(folders) as (_, pipe):
        kinds = []
        for number in (1, 2, 3):
            if number == 3:
                record.unlink()
                record.write_text("another")
            pipe.send(work(folders, wav, number=number))
            kinds.append([type(m) for m in hear(pipe, Finished)])
        assert [Loading in heard for heard in kinds] == [True, False, True]
