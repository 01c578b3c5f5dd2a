"""The share of frames whose class changes, by hand and against counts on many more frames."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ann2sdnn.calibration.thresholds.margins import ClassChange, Margins


def scores(margins: list[float], losses: list[float]) -> tuple[Tensor, Tensor]:
    """Outputs [n, 3, 1, 1] whose class 1 leads by ``margins``, and the same less ``losses``."""
    before = torch.zeros(len(margins), 3, 1, 1, dtype=torch.float64)
    before[:, 1, 0, 0] = torch.tensor(margins, dtype=torch.float64)
    after = before.clone()
    after[:, 1, 0, 0] -= torch.tensor(losses, dtype=torch.float64)
    return before, after


def measured(margins: list[float], losses: list[float]) -> ClassChange:
    meter = Margins()
    meter.add("one", *scores(margins, losses))
    result = meter.result()
    assert result is not None
    return result


def test_losses_are_compared_with_the_margins_of_all_frames() -> None:
    # F is 1/4, 2/4, 3/4 at the margins 1, 2, 3: the losses 0.5, -1 and 2.5 give 1/8, 0 and 5/8.
    change = measured([3.0, 1.0, 2.0], [0.5, -1.0, 2.5])
    assert change.share == pytest.approx((1 / 8 + 0 + 5 / 8) / 3)
    assert change.counted == pytest.approx(1 / 3)
    assert change.n_frames == 3
    assert change.interval is None


def test_it_does_not_matter_which_other_output_gains() -> None:
    meter = Margins()
    before, after = scores([2.0, 2.0], [0.0, 0.0])
    after[0, 2] += 3.0
    meter.add("one", before, after)
    change = meter.result()
    assert change is not None
    assert change.counted == 0.5
    assert change.share == pytest.approx((2 / 3) / 2)


def test_small_losses_count_before_any_class_changes() -> None:
    shares = [measured([1.0] * 20, [loss] * 20).share for loss in (0.0, 0.01, 0.1, 0.5)]
    assert shares[0] == 0
    assert all(np.diff(shares) > 0)
    assert measured([1.0] * 20, [0.5] * 20).counted == 0


@pytest.mark.parametrize(
    ("interval", "n_changed", "bound"),
    [
        (None, 0, 0.002),
        (None, 3, 0.006),
        ((0.001, 0.004), 0, 0.004),
        ((0.001, 0.004), 2, 0.004),
        ((0.001, 0.004), 3, 0.006),
        ((0.001, 0.009), 4, 0.009),
    ],
)
def test_a_budget_bounds_the_upper_end_or_three_changed_frames(
    interval: tuple[float, float] | None, n_changed: int, bound: float
) -> None:
    change = ClassChange(0.002, interval, counted=n_changed / 500, n_frames=500)
    assert change.bound == pytest.approx(bound)


def test_frames_without_a_largest_output_are_left_out() -> None:
    before = torch.tensor([[1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [torch.nan, 0.0, 0.0]])
    after = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    meter = Margins()
    meter.add("one", before[:, :, None, None], after[:, :, None, None])
    change = meter.result()
    assert change is not None
    assert (change.n_frames, change.counted) == (1, 1.0)
    assert Margins().result() is None


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.2])
def test_few_frames_estimate_what_many_count(noise: float) -> None:
    """On 60 frames per run a share of 0.5% is mostly counted as 0; its estimate is not."""
    rng = np.random.default_rng(0)

    def outputs(n_frames: int) -> tuple[Tensor, Tensor]:
        before = rng.normal(0, 1, (n_frames, 10, 1, 1))
        after = before + noise * rng.normal(0, 1, before.shape)
        return torch.from_numpy(before), torch.from_numpy(after)

    before, after = outputs(100_000)
    truth = float((before.argmax(1) != after.argmax(1)).double().mean())
    estimates = []
    for _ in range(40):
        meter = Margins()
        for group in range(4):
            meter.add(str(group), *outputs(15))
        change = meter.result()
        assert change is not None
        assert change.interval is not None
        estimates.append(change.share)
    assert np.median(estimates) == pytest.approx(truth, rel=0.3)
    assert np.quantile(estimates, 0.1) > truth / 3
    assert np.quantile(estimates, 0.9) < truth * 3
