"""Each thread says how many threads torch computes its answers in, and leaves the others alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.models.torch_threads import torch_threads


def test_the_main_thread_keeps_its_number_whatever_others_take() -> None:
    usual = torch.get_num_threads()

    def other() -> tuple[int, int]:
        with torch_threads(1):
            inside = torch.get_num_threads()
        with torch_threads():
            return inside, torch.get_num_threads()

    with torch_threads(1), ThreadPoolExecutor(1) as pool:
        # It was asked for the first time while another number was set last.
        assert pool.submit(other).result(timeout=60) == (1, usual)
        assert torch.get_num_threads() == 1
        with torch_threads():
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == usual


def test_an_error_leaves_the_number_as_it_was() -> None:
    usual = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(usual + 1):
        raise KeyError
    assert torch.get_num_threads() == usual


def test_who_leaves_first_changes_nothing_for_who_still_computes() -> None:
    """A thread that never asked takes the number of the process, which is that of MKL, too."""
    usual = torch.get_num_threads()
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with torch_threads(usual + 1):
            inside.set()
            assert leave.wait(60)

    def pass_by() -> None:
        with torch_threads(usual + 1):
            pass

    def of_process() -> int:
        with ThreadPoolExecutor(1) as fresh:
            return fresh.submit(torch.get_num_threads).result(timeout=60)

    with ThreadPoolExecutor(2) as pool:
        staying = pool.submit(stay)
        try:
            assert inside.wait(60)
            pool.submit(pass_by).result(timeout=60)
            assert of_process() == usual + 1
        finally:
            leave.set()
        staying.result(timeout=60)
    assert of_process() == usual
    assert torch.get_num_threads() == usual
