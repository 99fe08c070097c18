"""Bringing clips to the user's folder: on shares, other disks, full ones; never losing one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.delivery import Destination
from engine.errors import BadInput, Failure
from engine.status import Clip, ClipKind

SUPPORT = Path(__file__).parents[1] / "support"


def clips_in(folder: Path, *names: str, size: int = 100_000) -> list[Clip]:
    """Make clips as the engine leaves them: in a folder of their job, for its user alone."""
    folder.mkdir(parents=True)
    made = []
    for number, name in enumerate(names):
        path = folder / f"{name}.wav"
        path.write_bytes(bytes([number + 1]) * size)
        path.chmod(0o600)
        made.append(Clip(path, ClipKind.TARGET, name, name))
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes a folder behave like a share without modes and hard links."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("NOT TESTED: a share without modes and links takes a C compiler on Linux.")
    made = tmp_path_factory.mktemp("share") / "share.so"
    command = [compiler, "-shared", "-fPIC", "-o", made, SUPPORT / "share.c", "-ldl"]
    subprocess.run(command, check=True)
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tweeze-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: mounting a small disk takes root.")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_that_would_be_called_like_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="looks like a file, and --out names a folder"):
        Destination(tmp_path / "dog.wav")
    assert not list(tmp_path.iterdir())
    (tmp_path / "take.wav").mkdir()
    Destination(tmp_path / "take.wav")
    Destination(tmp_path / "clips 1.2")


@pytest.mark.fault(
    "the clips' folder is on a share that knows neither modes nor hard links",
    promise="the clips are delivered, and nothing is overwritten",
    group="disk",
)
def test_a_share_without_modes_and_links(
    home: Any, short_wav: Path, tmp_path: Path, share: Path
) -> None:
    out = tmp_path / "music"
    out.mkdir()
    (out / "street - dog.wav").write_text("mine")
    command = [sys.executable, "-m", "bridge.cli", "separate", str(short_wav), "dog", "--keep"]
    environment = {**home.environment, "LD_PRELOAD": str(share), "TWEEZE_SHARE": str(out)}
    done = subprocess.run(
        [*command, "both", "--out", str(out)],
        env=environment, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = ["street - dog (2).wav", "street - without dog.wav"]
    assert done.stdout.splitlines() == [str(out / name) for name in names]
    found = contents(out)
    assert sorted(found) == [*names[:1], "street - dog.wav", *names[1:]]
    assert found["street - dog.wav"] == b"mine"
    assert all(len(found[name]) > 1000 for name in names)
    assert home.leftovers() == []


@pytest.mark.fault(
    "on such a share a later clip cannot be named",
    promise="every clip lies where it lay, and the sentence says where",
    group="disk",
)
def test_what_was_renamed_goes_back(tmp_path: Path, share: Path) -> None:
    """The second clip is gone: by then the first one has been renamed, not linked."""
    code = """
        import sys
        from pathlib import Path
        from bridge.delivery import Destination
        from engine.errors import Failure
        from engine.status import Clip, ClipKind

        job, out = map(Path, sys.argv[1:])
        clips = [Clip(job / f"{n}.wav", ClipKind.TARGET, "a", "a") for n in (0, 1)]
        try:
            Destination(out).deliver(clips)
        except Failure as error:
            print(error)
    """
    job, out = tmp_path / "clips" / "job-1", tmp_path / "out"
    clips_in(job, "0")
    before = contents(job)
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), job, out],
        env={**os.environ, "LD_PRELOAD": str(share), "TWEEZE_SHARE": str(out)},
        capture_output=True, text=True, timeout=90, check=True,
    ).stdout  # fmt: skip
    assert contents(job) == before
    assert f"The clips are in {job}. 1 of 2 clips are no longer there." in said
    assert not out.exists()


@pytest.mark.fault(
    "the disk that the clips are to go to is full",
    promise="every clip lies where it lay, and the sentence says where",
    group="disk",
)
def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    job, out = tmp_path / "clips" / "job-1", small_disk / "new"
    clips = clips_in(job, "a", "b", "c", size=3_000_000)
    before = contents(job)
    with pytest.raises(Failure, match="No space left on device") as failed:
        Destination(out).deliver(clips)
    assert f"The clips are in {job}." in str(failed.value)
    assert contents(job) == before
    assert list(small_disk.iterdir()) == []


def test_another_disk_gets_the_same_bytes(tmp_path: Path, small_disk: Path) -> None:
    job = tmp_path / "clips" / "job-1"
    clips = clips_in(job, "a", "b")
    before = list(contents(job).values())
    paths = Destination(small_disk).deliver(clips)
    assert paths == (small_disk / "a.wav", small_disk / "b.wav")
    assert list(contents(small_disk).values()) == before
    assert not job.exists()


@pytest.mark.fault(
    "the disk becomes read-only while clips are brought to it",
    promise="every clip lies where it lay, and the sentence says where",
    group="disk",
)
def test_a_disk_that_turns_read_only(tmp_path: Path, small_disk: Path) -> None:
    job = tmp_path / "clips" / "job-1"
    clips = clips_in(job, "a", "b")
    before = contents(job)
    destination = Destination(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(Failure, match="Read-only file system") as failed:
        destination.deliver(clips)
    assert f"The clips are in {job}." in str(failed.value)
    assert contents(job) == before
    with pytest.raises(BadInput, match="Read-only file system"):
        Destination(small_disk / "new")


@pytest.mark.parametrize("error", [errno.EIO, errno.ENODEV, errno.ENAMETOOLONG, errno.EINVAL])
@pytest.mark.fault(
    "the disk goes away between two clips, or takes no such name",
    promise="every clip lies where it lay, and the sentence says where",
    group="disk",
)
def test_a_later_clip_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Only a device driver can do this for real, so the system's calls are made to say it."""
    job, out = tmp_path / "clips" / "job-1", tmp_path / "out"
    clips = clips_in(job, "a", "b")
    before = contents(job)
    link, touch = os.link, Path.touch

    def refuse(path: Path) -> None:
        if Path(path).name == "b.wav":
            raise OSError(error, os.strerror(error), str(path))

    monkeypatch.setattr(os, "link", lambda a, b: (refuse(b), link(a, b)))
    monkeypatch.setattr(Path, "touch", lambda self, **how: (refuse(self), touch(self, **how)))
    with pytest.raises(Failure, match=r"could not be moved to .*out \(") as failed:
        Destination(out).deliver(clips)
    assert f"The clips are in {job}." in str(failed.value)
    if error in (errno.ENAMETOOLONG, errno.EINVAL):
        assert "does not allow the name 'b.wav'" in str(failed.value)
    assert contents(job) == before
    assert not out.exists()


def test_a_name_that_is_taken_by_whatever_stays(tmp_path: Path) -> None:
    job, out = tmp_path / "clips" / "job-1", tmp_path / "out"
    out.mkdir()
    (out / "a.wav").mkdir()
    (out / "a (2).wav").symlink_to(out / "nowhere")
    (out / "a (3).wav").write_text("mine")
    (path,) = Destination(out).deliver(clips_in(job, "a"))
    assert path == out / "a (4).wav"
    assert (out / "a.wav").is_dir()
    assert (out / "a (2).wav").is_symlink()
    assert not (out / "nowhere").exists()
    assert (out / "a (3).wav").read_text() == "mine"


@pytest.mark.fault(
    "files that an older Tweeze left lie on a disk on which modes cannot be changed",
    promise="the engine starts, and a model can be recorded and used",
    group="disk",
)
def test_a_home_without_modes_and_links(
    fresh_home: Any, short_wav: Path, tmp_path: Path, share: Path
) -> None:
    fresh_home.folders.make()
    fresh_home.folders.log.write_text("")
    fresh_home.folders.log.chmod(0o644)
    environment = {
        **fresh_home.environment, "LD_PRELOAD": str(share), "TWEEZE_SHARE": str(fresh_home.root),
    }  # fmt: skip

    def tweeze(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *words],
            env=environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    done = tweeze("separate", str(short_wav), "dog", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    weights = SUPPORT.parents[1] / "engine" / "models" / "compact" / "weights.safetensors"
    added = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; from pathlib import Path; from engine.folders import Folders; "
            "from engine.models.catalogue import add; "
            "add(Folders.of_user(), 'mine', 'compact', Path(sys.argv[1]))",
            str(weights),
        ],
        env=environment, capture_output=True, text=True, timeout=90, check=False,
        cwd=SUPPORT.parents[1],
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    done = tweeze("separate", str(short_wav), "rain", "--model", "mine", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
