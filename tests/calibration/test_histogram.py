"""The histogram of magnitudes against a plain count."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2sdnn.calibration.measure.histogram import Magnitudes, bin_edges


def test_bins_by_hand() -> None:
    """1.0, 1.12 lie in [1, 1.125); 1.125 starts the next bin; zeros are counted in total only."""
    seen = Magnitudes.empty().plus(torch.tensor([0.0, 1.0, -1.12, 1.125, 0.0]))
    start = int(np.searchsorted(bin_edges()[:2040], 1.0))
    assert bin_edges()[start] == 1.0
    assert list(seen.counts[start : start + 2]) == [2, 1]
    assert seen.total == 5
    assert seen.density == 3 / 5


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), parts=st.integers(1, 4))
def test_fractions_agree_with_a_plain_count_within_a_bin(seed: int, parts: int) -> None:
    values = np.random.default_rng(seed).lognormal(0, 2, 400).astype(np.float32)
    values[::5] = 0
    seen = Magnitudes.empty()
    for part in np.array_split(values, parts):
        seen = seen.plus(torch.from_numpy(part))
    for magnitude in (0.01, 0.5, 3.0):
        below = (values >= magnitude / 1.125).mean()
        above = (values >= magnitude * 1.125).mean()
        assert above <= seen.fraction_at_least(magnitude) <= below
    assert seen.fraction_at_least(0.0) == (values > 0).mean()


def test_percentile_is_of_the_values_that_are_not_zero() -> None:
    values = torch.cat([torch.zeros(900), torch.linspace(1, 2, 100)])
    seen = Magnitudes.empty().plus(values)
    assert 1.35 < seen.percentile(50) <= 1.5
    assert seen.percentile(0) <= 1.0
    assert Magnitudes.empty().percentile(50) == 0.0
