"""Each thread says how many threads torch computes its answers in, and leaves the others alone."""

from __future__ import annotations

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
