"""What the engine keeps to itself: its log, and the environment that it and its worker live in."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from bridge import launch
from bridge.doors.osc import Access
from engine.folders import Folders
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.status import JobState
from tests.fuzz import inputs
from tests.hosts.reaper.studio import Engine
from tests.security.conftest import Home, until
from tests.security.test_osc_door import STATUS

SECRETS = {
    "HF_TOKEN": "hunter2-hf",
    "GITHUB_TOKEN": "hunter2-gh",
    "AWS_SECRET_ACCESS_KEY": "hunter2-aws",
    "MY_PASSWORD": "hunter2-pw",
    "openai_api_key": "hunter2-ai",
    "SSH_AUTH_SOCK": "/tmp/hunter2",
}


@pytest.mark.fault(
    "the log is read by somebody else", promise="it holds no secret and nothing of the audio"
)
def test_the_log_holds_no_audio_and_no_secret(live: Engine, tmp_path: Path) -> None:
    from bridge.client import Client

    samples = np.random.default_rng(9).standard_normal((16_000, 1)).astype(np.float32) * 0.1
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, samples, 16_000, subtype="FLOAT")
    broken = samples.copy()
    broken[8_000] = np.nan
    soundfile.write(bad, broken, 16_000, subtype="FLOAT")
    client = Client(live.folders)
    states = [
        client.separate(Job(f"log-{n}", path, (query,))).state
        for n, (path, query) in enumerate(((good, "dog"), (bad, "dog"), (good, "bug")))
    ]
    assert states[0] is JobState.DONE
    assert states[1] is JobState.FAILED
    access = Access.read(live.folders)
    assert access is not None
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(30)
        for packet in (STATUS, *inputs.osc_seeds(access.secret), *inputs.osc_seeds("guess")):
            sender.sendto(packet, ("127.0.0.1", access.port))
        assert sender.recv(4096)
    log = live.folders.log.read_bytes()
    assert b"log-1" in log
    for secret in (access.secret.encode(), b"hunter2"):
        assert secret not in log
    # No run of bytes or digits that could be samples, in any spelling of them.
    assert all(byte in (9, 10) or byte >= 32 for byte in log)
    assert not re.search(rb"(-?[0-9]+\.[0-9]+(e-?[0-9]+)?[ ,\[\]]+){4}", log)
    assert not re.search(rb"[A-Za-z0-9+/]{200}", log)
    assert len(log) < 50_000


@pytest.mark.fault(
    "the shell that starts the engine holds tokens and passwords",
    promise="neither engine nor worker gets them; what they need stays",
)
def test_tokens_do_not_stay_with_the_engine(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.client import Client

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TWEEZE_OSC_PORT", "0")
    monkeypatch.setenv("HF_HOME", "/somewhere")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((800, 1), 0.1, np.float32), 16_000, subtype="FLOAT")
    status = Client(home.folders).separate(Job("env-1", path, ("dog",)))
    assert status.state is JobState.DONE
    beat = home.beat()
    assert beat is not None
    assert beat.worker
    for pid in (beat.pid, beat.worker):
        environment = psutil.Process(pid).environ()
        assert [v for v in environment.values() if "hunter2" in v] == []
        assert environment["HF_HOME"] == "/somewhere"
        assert environment["TWEEZE_HOME"] == str(home.root)
        assert environment["PATH"] == os.environ["PATH"]
    assert os.environ["HF_TOKEN"] == "hunter2-hf"  # who started it keeps them


@pytest.mark.fault(
    "the engine is started in a folder of somebody else's", promise="no module is taken from there"
)
def test_the_working_folder_is_not_searched_for_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    for name in ("bridge", "engine", "numpy", "logging"):
        (trap / name).mkdir(parents=True)
        (trap / name / "__init__.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    monkeypatch.chdir(trap)
    monkeypatch.setenv("TWEEZE_OSC_PORT", "0")
    folders = Folders(tmp_path / "home")
    try:
        launch.ensure(folders)
        until(lambda: Heartbeat.of_living(folders))
    finally:
        launch.stop(folders)
    assert not (tmp_path / "sprung").exists()
