"""Fixtures shared by all tests."""

import os

import pytest
from lava_backends import LAVA_IS_MISSING, WITHOUT_LAVA

import ann2sdnn  # noqa: F401  # before torch, so that threads sleep while they wait

# Two cores: threads of their own for every small operation would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked with `lava` are skipped where it cannot be imported."""
    for item in items:
        if LAVA_IS_MISSING and item.get_closest_marker("lava"):
            item.add_marker(pytest.mark.skip(reason=WITHOUT_LAVA))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
