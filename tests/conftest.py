"""Fixtures shared by all tests."""

import os

import pytest

import ann2sdnn  # noqa: F401  # before torch, so that threads sleep while they wait

# Two cores: threads of their own for every small operation would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
