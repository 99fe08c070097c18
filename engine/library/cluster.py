"""Machines that separate together: a connection to Ray, and whether all of them see the same disk.

Ray is an extra (`tweeze[cluster]`), imported only here and only when a cluster is wanted. Nothing
is told to its makers by any process that Tweeze starts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput, Failure
from engine.library.actor import Sight, look
from engine.queue.heartbeat import VERSION

__all__ = ["LOCAL", "check", "connected"]

LOCAL = "local"
"""The address of a cluster that is this machine alone, and ends with the program."""
_USAGE = "RAY_USAGE_STATS_ENABLED"
_PATIENCE = 10.0  # seconds that a cluster's head has to answer
_LOG = logging.getLogger("tweeze.cluster")
_SAMPLES = 5  # recordings that each machine must see before anything begins


@contextlib.contextmanager
def connected(address: str) -> Generator[Any, None, None]:
    """Connect to a cluster, and yield Ray.

    `LOCAL` starts one on this machine, `auto` is the one that this machine is part of; else
    `HOST:PORT`. What Ray has to say meanwhile goes to the log, not to standard output.

    Raises
    ------
    BadInput
        Ray is not installed, or there is no such cluster.

    """
    os.environ[_USAGE] = "0"  # before Ray is imported, and for every process that it starts
    try:
        import ray
    except ImportError:
        raise BadInput(
            "Ray is not installed: run pip install 'tweeze[cluster]', here and on every machine of "
            "the cluster."
        ) from None
    _answers(address)
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == LOCAL else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {_USAGE: "0"}},
        )
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise _unreachable(address, said) from error
    try:
        with contextlib.redirect_stdout(_Log()):
            yield ray
    finally:
        ray.shutdown()


class _Log:
    """A stream whose lines go to the log."""

    def write(self, text: str) -> int:
        """Log what is written."""
        if text.strip():
            _LOG.info("%s", text.strip())
        return len(text)

    def flush(self) -> None:
        """Do nothing."""


def _answers(address: str) -> None:
    """Raise BadInput unless somebody listens at an address; Ray itself would try for minutes."""
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise BadInput(
            f"'{address}' is no address of a cluster: write HOST:PORT, as 'ray start --head' says "
            f"it, 'auto' or '{LOCAL}'."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from error


def _unreachable(address: str, why: str) -> BadInput:
    return BadInput(
        f"The cluster '{address}' cannot be reached ({why}): start one with 'ray start --head', "
        "and 'ray start --address HOST:PORT' on the other machines."
    )


def check(
    ray: Any, out: Path | None, recordings: Sequence[Path], seconds: float = 60.0
) -> list[str]:
    """Have every machine look whether it sees recordings and results; returns their names.

    Parameters
    ----------
    ray
        What `connected` yields.
    out
        The folder of the results, which is there; None if machines write nothing.
    recordings
        Some of these are looked at: the first, the last and a few in between.
    seconds
        That a machine has to say what it sees.

    Raises
    ------
    BadInput
        A machine does not see the disk, may not write there, or has another Tweeze; says which.
    Failure
        One does not answer, or the disk refuses here.

    """
    every = max(1, len(recordings) // _SAMPLES)
    asked = [*recordings[::every][:_SAMPLES], *recordings[-1:]]
    token = None if out is None else out / f".tweeze-look-{secrets.token_hex(4)}"
    nodes = [node for node in ray.nodes() if node["Alive"]]
    try:
        if token is not None:
            token.write_text("Do you see this?\n")
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        remote = ray.remote(num_cpus=0, max_retries=1)(look)
        asking = {
            remote.options(scheduling_strategy=strategy(node["NodeID"], soft=False)).remote(
                token, asked
            ): node["NodeManagerHostname"]
            for node in nodes
        }
        answered, silent = ray.wait(list(asking), num_returns=len(asking), timeout=seconds)
        if silent:
            raise Failure(
                f"The machine {asking[silent[0]]} does not say within {seconds:.0f} s what it "
                "sees: look after it, or take it out of the cluster with 'ray stop' there."
            )
        return [_fit(_answer(ray, one, asking[one]), out) for one in answered]
    except OSError as error:
        raise Failure(
            f"Clips cannot be written to {out} ({error.strerror or error}): name another folder "
            "with --out."
        ) from error
    finally:
        if token is not None:
            with contextlib.suppress(OSError):
                token.unlink()


def _answer(ray: Any, asked: Any, machine: str) -> Sight:
    try:
        sight = ray.get(asked)
        assert isinstance(sight, Sight)
        return sight
    except ray.exceptions.RayError as error:
        said = " ".join(str(getattr(error, "cause", None) or error).split())[-200:]
        raise BadInput(
            f"The machine {machine} cannot run Tweeze ({said}): install Tweeze {VERSION} there, "
            "for the Python that runs Ray, with pip install 'tweeze[cluster]'."
        ) from error


def _fit(sight: Sight, out: Path | None) -> str:
    if sight.version != VERSION:
        raise BadInput(
            f"The machine {sight.machine} has Tweeze {sight.version}, and this one {VERSION}: "
            "install the same on all."
        )
    if sight.missing:
        raise BadInput(
            f"The machine {sight.machine} does not see {sight.missing[0]}: have all machines mount "
            "the same disk at the same path."
        )
    if out is not None and not sight.wrote:
        raise BadInput(
            f"The machine {sight.machine} may not write to {out}: give its user that right."
        )
    return sight.machine
