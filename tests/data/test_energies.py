"""Energies of outputs against whole arrays in float64."""

import numpy as np
import pytest
import torch

from ann2sdnn.data.pose.energies import energies


def test_energies_equal_whole_arrays_in_any_order_of_memory() -> None:
    """More values than a block has, channels last on one side; 2 * 3 - 5 by hand in float32."""
    generator = torch.Generator().manual_seed(0)
    found, expected = torch.randn(2, 2, 3, 40, 50, generator=generator)
    error, energy = energies(found, expected.contiguous(memory_format=torch.channels_last))
    difference = found.double() - expected.double()
    assert error == pytest.approx(float(difference.square().sum()), rel=1e-12)
    assert energy == pytest.approx(float(expected.double().square().sum()), rel=1e-12)
    by_hand = np.array([5], np.float32), np.array([3], np.float32)
    assert energies(*by_hand, np.float32(2)) == (1, 36)


def test_outputs_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\].* beside .*\[2, 1\]"):
        energies(torch.zeros(1, 2), torch.zeros(2, 1))
