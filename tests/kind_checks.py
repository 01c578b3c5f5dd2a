"""What every linear operation owes the rest of the package, checked on random numbers."""

from dataclasses import dataclass

import numpy as np
import torch

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.operations import fan_out


@dataclass(frozen=True)
class KindCase:
    """An operation on an input of ``shape`` with a weight of ``weight_shape``."""

    geometry: Geometry
    shape: Shape
    weight_shape: tuple[int, ...]

    def weight(self, seed: int = 0) -> torch.Tensor:
        """Whole numbers, some of them 0, so that sums are exact in float32."""
        values = np.random.default_rng(seed).integers(-3, 4, self.weight_shape)
        return torch.from_numpy(values).float()

    def frames(self) -> torch.Tensor:
        """Two inputs."""
        values = np.random.default_rng(9).integers(-5, 6, (2, *self.shape))
        return torch.from_numpy(values).float()


def check_kind(case: KindCase) -> None:
    """Every method of the operation agrees with what it computes in torch."""
    geometry, channels, weight, x = case.geometry, case.shape[0], case.weight(), case.frames()
    expected = geometry.linear(x, weight)
    assert tuple(expected.shape[1:]) == geometry.output_shape(case.shape, case.weight_shape)
    integers = geometry.integer_linear(
        x[0].numpy().astype(np.int64), weight.numpy().astype(np.int64)
    )
    assert np.array_equal(integers, expected[0].numpy())

    rows = geometry.rows(weight, channels)
    assert torch.equal(geometry.from_rows(rows, case.weight_shape, channels), weight)
    columns = geometry.patches(x, case.weight_shape, 1, (0, 0))
    assert torch.equal((rows @ columns).reshape(expected.shape), expected)
    parts = geometry.split(weight, channels)
    assert torch.equal(geometry.merge(parts, case.weight_shape[2:]), weight)

    _check_channels(case)
    used = (weight != 0).float()
    sources = geometry.sum_by_source(used, channels)
    assert len(sources) == (np.prod(case.shape) if geometry.reads_flat else channels)
    assert float(sources.sum()) == float(used.sum())
    # A message of a neuron cannot meet more weights than its channel has.
    reached = fan_out(geometry, weight, case.shape).flatten(1).amax(dim=1)
    by_channel = sources.reshape(channels, -1).amax(dim=1)
    assert (reached <= by_channel).all()
    envelope = geometry.envelope(weight.abs())
    if envelope is not None:
        bound = geometry.linear(x.abs(), envelope)
        assert (geometry.linear(x.abs(), weight.abs()) <= bound).all()


def _check_channels(case: KindCase) -> None:
    """Scales and copies of channels reach the channels that they are meant for."""
    geometry, channels, x = case.geometry, case.shape[0], case.frames()
    weight = case.weight().numpy()
    expected = geometry.linear(x, torch.from_numpy(weight))
    n_out = expected.shape[1]
    outs, ins = np.arange(1.0, n_out + 1), np.arange(1.0, channels + 1)
    by_output = geometry.by_output(outs, case.weight_shape, channels)
    by_input = geometry.by_input(ins, case.weight_shape, channels)
    scaled = torch.from_numpy((weight * by_output * by_input).astype(np.float32))
    larger = x * torch.from_numpy(ins).float()[:, None, None]
    wanted = geometry.linear(larger, torch.from_numpy(weight))
    wanted = wanted * torch.from_numpy(outs).float()[:, None, None]
    assert torch.equal(geometry.linear(x, scaled), wanted)

    other = case.weight(seed=1).numpy()
    sums = expected + geometry.linear(2 * x, torch.from_numpy(other))
    both = torch.stack([x, 2 * x], dim=2).flatten(1, 2)
    interleaved = torch.from_numpy(geometry.interleaved_inputs([weight, other], channels))
    assert torch.equal(geometry.linear(both, interleaved), sums)
    halves = torch.from_numpy(geometry.interleaved_outputs([weight, other], channels))
    found = geometry.linear(x, halves)
    found = found.reshape(2, n_out, 2, *found.shape[2:])
    assert torch.equal(found[:, :, 0], expected)
    assert torch.equal(found[:, :, 1], geometry.linear(x, torch.from_numpy(other)))
