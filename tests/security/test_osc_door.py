"""The OSC door and the network: only this machine, only who knows the secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bridge.doors import osc as door
from bridge.doors.osc import Access
from engine.job import Job
from engine.queue.heartbeat import Heartbeat
from engine.status import JobState
from tests.fuzz import inputs
from tests.fuzz.targets import OscHandler
from tests.hosts.reaper.studio import Engine
from tests.security.conftest import until


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[OscHandler]:
    made = OscHandler(tmp_path)
    yield made
    made.close()


def take(handler: OscHandler, packet: bytes, sender: tuple[str, int]) -> None:
    async def deliver() -> None:
        handler.osc._take(packet, sender)

    handler.loop.run_until_complete(deliver())


STATUS = inputs.packet("/tweeze/status", "s", inputs.osc_text(inputs.SECRET))


@pytest.mark.fault(
    "a peer on the network sends OSC, with the secret even", promise="it is dropped unanswered"
)
def test_only_this_machine_is_heard(handler: OscHandler) -> None:
    done = []
    handler.osc._act = lambda message, sender: done.append((message.address, sender))  # type: ignore[method-assign]
    for sender in ("192.168.1.7", "10.0.0.1", "8.8.8.8", "0.0.0.0", "169.254.1.1"):
        for packet in inputs.osc_seeds():
            take(handler, packet, (sender, 40_000))
    assert done == handler.sent == []
    take(handler, STATUS, ("127.0.0.1", 40_000))
    assert done == [("/tweeze/status", ("127.0.0.1", 40_000))]


@pytest.mark.fault(
    "replies are to go to another machine", promise="nothing leaves for any but loopback addresses"
)
def test_replies_go_nowhere_else(handler: OscHandler) -> None:
    handler.osc._subscribers = {("192.168.1.7", 9000): 1e18, ("127.0.0.1", 9001): 1e18}
    take(handler, STATUS, ("127.0.0.1", 40_000))
    assert {to for _, to in handler.sent} == {("127.0.0.1", 9001), ("127.0.0.1", 40_000)}
    # Whoever subscribes names a port; the address is the sender's, always.
    handler.sent.clear()
    named = inputs.packet(
        "/tweeze/subscribe", "ss", inputs.osc_text(inputs.SECRET), inputs.osc_text("192.168.1.7")
    )
    take(handler, named, ("127.0.0.1", 40_000))
    assert {to[0] for _, to in handler.sent} == {"127.0.0.1"}


@pytest.mark.fault("the secret is guessed byte by byte", promise="each comparison takes as long")
@pytest.mark.parametrize("verdict", [True, False])
def test_the_secret_is_compared_in_constant_time(
    handler: OscHandler, monkeypatch: pytest.MonkeyPatch, verdict: bool
) -> None:
    """`hmac.compare_digest` alone decides: whatever it says of a secret, right or wrong, holds."""
    asked = []

    def compare(one: bytes, other: bytes) -> bool:
        asked.append((one, other))
        return verdict

    monkeypatch.setattr(door.hmac, "compare_digest", compare)
    said = "guess" if verdict else inputs.SECRET
    packet = inputs.packet("/tweeze/status", "s", inputs.osc_text(said))
    take(handler, packet, ("127.0.0.1", 40_000))
    assert asked == [(said.encode(), inputs.SECRET.encode())]
    assert bool(handler.sent) is verdict, "something besides compare_digest has judged the secret"


@pytest.mark.fault("a controller sends a port that is no number", promise="one sentence, no more")
@pytest.mark.parametrize("port", [float("nan"), float("inf"), -1.0, 0.5, 1e30, 80.0])
def test_an_odd_port_is_an_error(handler: OscHandler, port: float) -> None:
    import struct

    packet = inputs.packet(
        "/tweeze/subscribe", "sf", inputs.osc_text(inputs.SECRET), struct.pack(">f", port)
    )
    handler.check(packet)
    assert [p for p, _ in handler.sent if b"/tweeze/error" in p and b"1024 to 65535" in p]


@pytest.mark.fault("OSC cancels a path", promise="an error that shows no control character")
@pytest.mark.parametrize("job", ["../../etc/passwd", "x\x1b[2J", "a\nb", "\u202egpj.exe"])
def test_cancel_takes_ids_only(handler: OscHandler, job: str) -> None:
    packet = inputs.packet(
        "/tweeze/cancel", "ss", inputs.osc_text(inputs.SECRET), inputs.osc_text(job)
    )
    handler.check(packet)
    said = b"".join(p for p, _ in handler.sent)
    assert b"is not a valid job id" in said
    assert b"\x1b" not in said
    assert "\u202e".encode() not in said
    assert not list(handler.folders.cancel.iterdir())


@pytest.mark.fault(
    "the network asks who is there", promise="engine and worker listen to loopback UDP only"
)
def test_the_engine_listens_on_loopback_only(live: Engine, tmp_path: Path) -> None:
    from bridge.client import Client
    from tests.security.test_files import wav

    status = Client(live.folders).separate(Job("listen-1", wav(tmp_path / "a.wav"), ("dog",)))
    assert status.state is JobState.DONE  # now there is a worker
    beat = Heartbeat.of_living(live.folders)
    assert beat is not None
    assert beat.worker
    access = Access.read(live.folders)
    assert access is not None
    found = [
        (connection.type, connection.laddr)
        for pid in (beat.pid, beat.worker)
        for connection in psutil.Process(pid).net_connections("inet")
    ]
    assert found == [(socket.SOCK_DGRAM, ("127.0.0.1", access.port))]


@pytest.mark.fault(
    "a flood of packets without the secret", promise="answers stay, the log stays small"
)
def test_a_flood_is_dropped_quietly(live: Engine) -> None:
    access = Access.read(live.folders)
    assert access is not None
    log = live.folders.log.stat().st_size
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        sender.settimeout(30)
        good = inputs.packet("/tweeze/status", "s", inputs.osc_text(access.secret))
        for _ in range(200):
            for packet in inputs.osc_seeds("guess"):
                sender.sendto(packet, ("127.0.0.1", access.port))
            sender.sendto(good, ("127.0.0.1", access.port))
            assert sender.recv(4096).startswith(b"/tweeze/engine")
    until(lambda: Heartbeat.of_living(live.folders))
    assert live.folders.log.stat().st_size - log < 4096
