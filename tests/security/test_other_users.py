"""Another user of this machine: reads nothing, sends nothing, and puts nothing in our way."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audacity import pipe as pipes
from audacity.pipe import NotRunning, Pipe
from bridge import layout
from bridge.doors.osc import Access
from bridge.private import check_private
from engine.errors import Failure
from engine.folders import Folders
from tests.fuzz import inputs
from tests.hosts.reaper.studio import Engine
from tests.security.conftest import Home, until

AsNobody = Callable[[Callable[[], Any]], Any]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.fault(
    "another local user looks", promise="no folder or file of Tweeze is open to them"
)
def test_folders_and_files_are_for_the_user_alone(live: Engine) -> None:
    f = live.folders
    folders = (
        f.root, f.spool, f.requests, f.jobs, f.status, f.cancel, f.mixtures, f.clips, f.models,
        f.spool / "reaper",
    )  # fmt: skip
    until((f.spool / "reaper").exists)
    assert {path.name: oct(mode(path)) for path in folders if mode(path) != 0o700} == {}
    files = [f.journal, f.log, f.lock, Access.path(f), f.root / "layout", f.heartbeat]
    assert {path.name: oct(mode(path)) for path in files if mode(path) & 0o077} == {}


@pytest.mark.fault(
    "another local user tries the spool, the secret, the journal and the log",
    promise="each attempt is refused by the system, and no job comes of it",
)
def test_nobody_reads_or_sends_anything(live: Engine, as_nobody: AsNobody) -> None:
    f = live.folders
    f.root.parent.chmod(0o755)
    for above in f.root.parents[1:-2]:
        above.chmod(mode(above) | 0o011)  # pytest's own folders are closed: ours are to be tested
    try:
        attempts: dict[str, Callable[[], Any]] = {
            "list the spool": lambda: list(f.spool.iterdir()),
            "list the jobs": lambda: list(f.jobs.iterdir()),
            "read a status": lambda: f.heartbeat.read_bytes(),
            "send a job": lambda: (f.jobs / "evil").write_text("end\n"),
            "cancel": lambda: (f.cancel / "job-1").write_text("end\n"),
            "read the secret": lambda: Access.path(f).read_bytes(),
            "read the journal": lambda: f.journal.read_bytes(),
            "read the log": lambda: f.log.read_bytes(),
            "hold the lock": lambda: os.open(f.lock, os.O_RDWR),
            "list the clips": lambda: list(f.clips.iterdir()),
        }
        # Also with the root itself open to look into, as a folder that the user named may be.
        for root in (0o700, 0o755):
            f.root.chmod(root)
            for what, attempt in attempts.items():
                said = as_nobody(attempt)
                assert isinstance(said, PermissionError), f"{what} (mode {root:o}): {said!r}"
    finally:
        f.root.chmod(0o700)
    assert not (f.jobs / "evil").exists()


@pytest.mark.fault(
    "another local user sends OSC without the secret", promise="nothing happens, nothing is said"
)
def test_nobodys_packets_are_dropped(live: Engine, as_nobody: AsNobody) -> None:
    access = Access.read(live.folders)
    assert access is not None
    wrong = access.secret[:-1] + ("0" if access.secret[-1] != "0" else "1")
    packets = [p for secret in ("", wrong, "0" * 32) for p in inputs.osc_seeds(secret)]

    def send() -> object:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1.0)
            for packet in packets:
                sender.sendto(packet, ("127.0.0.1", access.port))
            try:
                return sender.recv(4096)
            except TimeoutError:
                return None

    assert as_nobody(send) is None
    assert not list(live.folders.requests.iterdir())


@pytest.mark.fault(
    "a folder of Tweeze is open to others", promise="the engine does not start, and says which"
)
@pytest.mark.parametrize("name", ["spool", "mixtures", "clips", "models"])
@pytest.mark.parametrize("bits", [0o010, 0o001, 0o020, 0o007])
def test_a_folder_that_others_reach_is_refused(tmp_path: Path, name: str, bits: int) -> None:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    (folders.root / name).chmod(0o700 | bits)
    with pytest.raises(Failure, match=f"run 'chmod 700 {folders.root / name}'"):
        check_private(folders)


@pytest.mark.fault(
    "the home lies where anybody can exchange it", promise="the engine does not start, and says so"
)
def test_a_home_that_others_can_exchange_is_refused(tmp_path: Path, home: Home) -> None:
    open_to_all = tmp_path / "shared"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(Failure, match=f"exchange what lies in {open_to_all}"):
        check_private(Folders(open_to_all / "mine" / "home"))
    open_to_all.chmod(0o1777)  # as /tmp is
    check_private(Folders(open_to_all / "mine" / "home"))
    home.root.mkdir()
    home.root.chmod(0o777)
    failed = home.tweeze("start")
    assert failed.returncode == 1
    assert f"Other users can reach the folder {home.root}" in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.fault("the home belongs to another user", promise="one sentence, and nothing is done")
def test_another_users_home_is_one_sentence(
    tmp_path: Path, home: Home, as_nobody: AsNobody
) -> None:
    from bridge import cli

    if os.geteuid() == 0:
        home.root.mkdir()
        os.chown(home.root, 65534, 65534)
        failed = home.tweeze("start")
        assert failed.returncode == 1
        assert "belongs to another user" in failed.stderr
        assert failed.stderr.count("\n") == 1
        shutil.rmtree(home.root)
    check_private(home.folders)
    home.folders.lock.touch(0o600)
    for above in home.root.parents[:-2]:
        above.chmod(mode(above) | 0o011)
    home.root.chmod(0o755)

    def stop() -> tuple[int, str]:
        import io

        os.environ["TWEEZE_HOME"] = str(home.root)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            return cli.run(["stop"]), said.getvalue()

    code, said = as_nobody(stop)
    assert code == 1
    assert "Permission denied" in said
    assert "Unexpected error" not in said


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o660])
@pytest.mark.fault(
    "the secret's file was open to others, or is not ours", promise="another secret is made"
)
def test_a_secret_that_others_could_read_is_not_used(tmp_path: Path, bits: int) -> None:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    Access(9157, "a" * 32).write(folders)
    assert Access.read(folders) == Access(9157, "a" * 32)
    assert mode(Access.path(folders)) == 0o600
    Access.path(folders).chmod(bits)
    assert Access.read(folders) is None
    Access.path(folders).chmod(0o600)
    if os.geteuid() == 0:
        os.chown(Access.path(folders), 65534, 65534)
        assert Access.read(folders) is None
    Access(9157, "short").write(folders)
    assert Access.read(folders) is None
    # A link that lies there is not written through.
    victim = tmp_path / "victim"
    victim.write_text("precious")
    Access.path(folders).unlink()
    Access.path(folders).symlink_to(victim)
    assert Access.read(folders) is None
    Access(9157, "b" * 32).write(folders)
    assert victim.read_text() == "precious"
    assert Access.read(folders) == Access(9157, "b" * 32)


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o666)
    path.chmod(0o666)


@pytest.mark.fault(
    "another user puts something where Audacity's pipe should be",
    promise="no command is written to it, no answer read from it",
)
@pytest.mark.parametrize("what", ["fifo of another user", "file", "link", "link to a fifo"])
def test_only_the_users_own_pipe_is_talked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    place = {direction: tmp_path / direction for direction in ("to", "from")}
    monkeypatch.setattr(pipes, "_fifo", place.__getitem__)
    monkeypatch.setattr(pipes, "_editor_runs", lambda: False)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    readers = []
    for path in place.values():
        if what == "file":
            path.write_text("")
        elif what == "link":
            path.symlink_to(victim)
        elif what == "link to a fifo":  # of this user's, who would find commands in it
            _fifo(tmp_path / f"own-{path.name}")
            path.symlink_to(tmp_path / f"own-{path.name}")
            readers.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        else:
            if os.geteuid() != 0:
                pytest.skip("NOT TESTED: only root can give a FIFO to another user.")
            _fifo(path)
            os.chown(path, 65534, 65534)
            readers.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # an Audacity, it seems
    try:
        with pytest.raises(NotRunning, match="is not the pipe of your own Audacity"):
            Pipe(timeout=1, patience=0)
        assert victim.read_text() == "precious"
        if what == "file":
            assert place["to"].read_text() == ""
        for reader in readers[:1]:
            with pytest.raises(BlockingIOError):
                os.read(reader, 100)
    finally:
        for reader in readers:
            os.close(reader)


def test_the_layout_closes_files_that_an_older_tweeze_left_open(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "home")
    check_private(folders)
    for name in ("engine.crash.log", "reaper"):
        (folders.root / name).write_text("x")
        (folders.root / name).chmod(0o644)
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o644)
    (folders.root / "link").symlink_to(outside)
    layout.migrate(folders)
    assert mode(folders.root / "engine.crash.log") == 0o600
    assert mode(folders.root / "reaper") == 0o600
    assert mode(outside) == 0o644
