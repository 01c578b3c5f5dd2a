"""Rounding that passes gradients, and the penalty of values near the ends of a range."""

import torch

from ann2sdnn.support.training.grid import range_penalty, straight_through


def test_rounded_values_are_exact_and_gradients_pass() -> None:
    values = torch.tensor([1e-3, 1e7 + 1], requires_grad=True)
    rounded = straight_through(values, torch.tensor([1e7, 3.0]))
    assert rounded.tolist() == [1e7, 3.0]
    (gradient,) = torch.autograd.grad((rounded * torch.tensor([2.0, 5.0])).sum(), values)
    assert gradient.tolist() == [2.0, 5.0]


def test_only_channels_over_the_cap_are_penalised() -> None:
    # [N, C, W]: the second channel exceeds the cap of 2 by half, below zero.
    values = torch.tensor([[[1.0, 2.0], [0.5, -3.0]]], requires_grad=True)
    penalty = range_penalty(values, 2.0, 1)
    assert float(penalty) == 0.25
    (gradient,) = torch.autograd.grad(penalty, values)
    # d (max / cap - 1)^2 / d value = 2 * 0.5 / 2, towards zero.
    assert gradient.tolist() == [[[0.0, 0.0], [0.0, -0.5]]]
    within = range_penalty(values.detach() / 1.5, 2.0, 1)
    assert float(within) == 0
    assert not within.requires_grad
