"""Error-compensated rounding: columns, objective, and the whole network."""

import numpy as np
import pytest
import torch
from calibration_cases import case, relative
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import MAX_POOL

from ann2sdnn.calibration.rounding.gptq import (
    Moments,
    compensated_target,
    objective,
    round_compensated,
)
from ann2sdnn.calibration.rounding.kernels import descend, round_columns
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, step_limits
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.graph.operations import linear
from ann2sdnn.graph.pooling import Pool

GEOMETRIES: list[tuple[Geometry, tuple[int, ...]]] = [
    (Convolution(pads=(1, 1, 1, 1)), (4, 6, 3, 3)),
    (Convolution(pads=(2, 1, 0, 3), dilation=(2, 2), stride=(2, 1)), (4, 6, 3, 2)),
    (Convolution(groups=3), (6, 2, 2, 2)),
    (TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 1)), (6, 5, 3, 3)),
    (TransposedConvolution((2, 3), (1, 0, 0, 1), (1, 2), 2, (1, 2)), (6, 5, 4, 2)),
    (Dense(), (7, 6 * 8 * 9)),
]


@pytest.mark.parametrize(("geometry", "shape"), GEOMETRIES)
@pytest.mark.parametrize(("every", "offset"), [(1, (0, 0)), (3, (2, 1))])
def test_rows_times_patches_are_the_layer(
    geometry: Geometry, shape: tuple[int, ...], every: int, offset: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 8, 9, generator=generator)
    weight = torch.randn(shape, generator=generator)
    if geometry.reads_flat:
        every, offset = 1, (0, 0)
    rows = geometry.rows(weight, 6)
    found = rows @ geometry.patches(x, shape, every, offset)
    z = linear(geometry, x, weight)[:, :, offset[0] :: every, offset[1] :: every]
    torch.testing.assert_close(found.flatten(1, 2).reshape(z.shape), z, rtol=1e-4, atol=1e-4)
    assert torch.equal(geometry.from_rows(rows, weight.shape, 6), weight)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    columns=st.integers(2, 24),
    limits=st.sampled_from([(-128, 127), (-2, 1)]),
)
def test_never_worse_than_the_nearest_on_its_objective(
    seed: int, columns: int, limits: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    x = mixing @ torch.randn(columns, 60, generator=generator, dtype=torch.float64)
    weight = 3 * torch.randn(5, columns, generator=generator, dtype=torch.float64)
    hessian = x @ x.T
    found = round_compensated(weight, hessian, limits)
    assert torch.equal(found, found.round())
    assert float(found.min()) >= limits[0]
    assert float(found.max()) <= limits[1]
    nearest = weight.round().clamp(*limits)
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(columns)
    ours, theirs = objective(found, weight, damped), objective(nearest, weight, damped)
    assert (ours <= theirs * (1 + 1e-9)).all()


def test_two_equal_inputs_share_their_errors() -> None:
    """0.4 + 0.4 of one input seen twice: 0 and 1 are better than 0 and 0."""
    hessian = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    weight = torch.full((1, 2), 0.4, dtype=torch.float64)
    found = round_compensated(weight, hessian, (-128, 127))
    assert float(found.sum()) == 1


def test_the_target_makes_up_for_what_arrives_too_small() -> None:
    """Inputs at half their size ask for twice the weight."""
    x = torch.randn(3, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    half = x / 2
    moments = Moments(half @ half.T, (weight @ x - weight @ half) @ half.T)
    torch.testing.assert_close(
        compensated_target(weight, moments, damping=1e-9), 2 * weight, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("pool", [MAX_POOL, Pool("average", (2, 2), (2, 2))])
def test_the_whole_network_comes_closer_than_by_rounding_to_the_nearest(pool: Pool) -> None:
    measured = case(pool=pool, dense=True, n_frames=16)
    plan = measured.plan()
    rounded, left = round_sequentially(measured.graph, plan, list(measured.frames))
    network = QuantisedNetwork(measured.graph, plan, rounded)
    error = relative(network(measured.frames), measured.float_output())
    # Half of the prediction for rounding to the nearest, which may be lucky in so small a network.
    assert error < 0.5 * plan.noise.relative_error
    assert all(share < 1.01 for share in left)
    for layer in rounded:
        low, high = step_limits(layer.layer, layer.plan)
        assert low <= layer.steps[0].min() <= layer.steps[0].max() <= high


def test_the_same_frames_round_to_the_same_weights() -> None:
    measured = case(n_frames=4)
    plan, frames = measured.plan(), list(measured.frames)
    first, second = (round_sequentially(measured.graph, plan, frames)[0] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.steps[0], b.steps[0])


@pytest.mark.parametrize(("outputs", "columns"), [(1, 3), (8, 20), (19, 33)])
def test_compiled_loops_equal_those_over_columns(outputs: int, columns: int) -> None:
    """The same whole numbers as column after column in torch, for any number of outputs."""
    generator = torch.Generator().manual_seed(outputs)
    x = torch.randn(columns, 2 * columns, generator=generator, dtype=torch.float64).relu()
    upper = torch.linalg.cholesky(x @ x.T + torch.eye(columns), upper=True).contiguous()
    weight = 4 * torch.randn(outputs, columns, generator=generator, dtype=torch.float64)
    free, expected = weight.clone(), torch.empty_like(weight)
    for j in range(columns):
        expected[:, j] = free[:, j].round().clamp(-6, 5)
        error = (free[:, j] - expected[:, j]) / upper[j, j]
        free[:, j + 1 :] -= error[:, None] * upper[j, j + 1 :]
    changed, found = weight.clone(), torch.empty_like(weight)
    low, high = np.full(columns, -6.0), np.full(columns, 5.0)
    round_columns(changed.numpy(), upper.numpy(), low, high, found.numpy())
    assert torch.equal(found, expected)
    assert torch.equal(changed, free)

    hessian = x @ x.T + torch.eye(columns)
    gradient = (expected - weight) @ hessian
    best, own = expected.clone(), gradient.clone()
    for _ in range(3):
        for j in range(columns):
            step = (best[:, j] - own[:, j] / hessian[j, j]).round().clamp(-6, 5) - best[:, j]
            best[:, j] += step
            own += step[:, None] * hessian[j]
    descend(expected.numpy(), gradient.numpy(), hessian.numpy(), low, high, 3)
    assert torch.equal(expected, best)
    assert not torch.equal(found, best) or outputs == 1  # the descent had something to do
