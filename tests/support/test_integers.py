"""Numbers enter an integer type or are refused in a sentence."""

import numpy as np
import pytest

from ann2sdnn.support.errors import ConversionError, DataError, ModelError
from ann2sdnn.support.integers import narrowed, narrowed_int


@pytest.mark.parametrize("value", [-(2**31), -1, 0, 2**31 - 1, 7.0, np.uint8(255), True])
def test_what_fits_is_kept(value: float) -> None:
    found = narrowed([[value]], np.int32, "a number")
    assert found.dtype == np.int32
    assert found.tolist() == [[int(value)]]


@pytest.mark.parametrize(
    "value",
    [2**31, -(2**31) - 1, 2**40, 2**63, 2**70, np.inf, -np.inf, np.nan, 0.5, float(2**31)],
)
def test_what_does_not_fit_is_refused(value: float) -> None:
    with pytest.raises(ModelError, match=r"layer a: a bias of .*; expected whole numbers from -2,"):
        narrowed([0, value], np.int32, "layer a: a bias")


@pytest.mark.parametrize("value", [float(2**63), 1e300, 2**64 - 1])
def test_the_edge_of_64_bits_is_not_rounded_away(value: float) -> None:
    with pytest.raises(DataError):
        narrowed(np.array(value), np.int64, "a number", error=DataError)
    assert narrowed(-(2.0**63), np.int64, "a number") == -(2**63)


def test_other_types_and_sizes_are_refused() -> None:
    with pytest.raises(ModelError, match="of type <U1"):
        narrowed(["1"], np.int32, "a number")
    with pytest.raises(ConversionError, match="2 values; expected one"):
        narrowed_int([1, 2], np.int32, "a number", error=ConversionError)
    assert narrowed_int(np.array([3]), np.int8, "a number") == 3
    assert narrowed(np.zeros((0, 2)), np.int8, "numbers").shape == (0, 2)
