"""Kernels with added zero taps compute the same, with equal pads on both sides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2sdnn.graph.kinds import Convolution, TransposedConvolution
from ann2sdnn.graph.operations import linear
from ann2sdnn.support.errors import ModelError


def assert_same(geometry: Convolution | TransposedConvolution, kernel: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 3, *kernel)).astype(np.float32)
    x = torch.from_numpy(rng.standard_normal((1, 3, 7, 8)).astype(np.float32))
    changed, padded = geometry.with_symmetric_pads(weight)
    assert not isinstance(changed, tuple)
    assert isinstance(changed, Convolution | TransposedConvolution)
    assert changed.pads[:2] == changed.pads[2:]
    if isinstance(changed, TransposedConvolution):
        assert changed.output_padding == (0, 0)
    expected = linear(geometry, x, torch.from_numpy(weight))
    found = linear(changed, x, torch.from_numpy(padded))
    torch.testing.assert_close(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
)
def test_convolution(pads: tuple[int, int, int, int], kernel: tuple[int, int], stride: int) -> None:
    assert_same(Convolution(stride=(stride, stride), pads=pads), kernel)


@settings(max_examples=60, deadline=None)
@given(
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    kernel=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    output_padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_transposed_convolution(
    pads: tuple[int, int, int, int], kernel: tuple[int, int], output_padding: tuple[int, int]
) -> None:
    geometry = TransposedConvolution(stride=(2, 2), pads=pads, output_padding=output_padding)
    assert_same(geometry, kernel)


def test_keras_same_becomes_a_4x4_kernel_with_padding_1() -> None:
    weight = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    geometry = TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 1))
    changed, padded = geometry.with_symmetric_pads(weight)
    assert changed == TransposedConvolution(stride=(2, 2), pads=(1, 1, 1, 1))
    assert padded.shape == (1, 1, 4, 4)
    np.testing.assert_array_equal(padded[0, 0, 1:, 1:], weight[0, 0])
    assert padded[0, 0, 0].sum() == padded[0, 0, :, 0].sum() == 0


def test_an_odd_shift_of_a_dilated_kernel_is_refused() -> None:
    geometry = Convolution(pads=(1, 0, 2, 0), dilation=(2, 2))
    with pytest.raises(ModelError, match="cannot be made equal for a kernel with dilation 2"):
        geometry.with_symmetric_pads(np.ones((1, 1, 3, 3), np.float32))
