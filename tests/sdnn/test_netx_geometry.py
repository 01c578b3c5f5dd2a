"""slayer's blocks as convolutions, against slayer's own synapses."""

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slayer_networks import slayer

from ann2sdnn.graph.operations import linear
from ann2sdnn.sdnn.netx.blocks import GEOMETRIES
from ann2sdnn.sdnn.netx.read import NetxLayer
from ann2sdnn.sdnn.spec.grid import UNITS
from ann2sdnn.support.errors import ConversionError, ModelError

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(st.integers(0, 1), st.integers(0, 1))
sizes = st.tuples(st.integers(4, 7), st.integers(4, 7))


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["Pool", "Unpool"]),
    kernel=pairs,
    stride=pairs,
    padding=pads,
    dilation=pairs,
    size=sizes,
)
@example("Pool", (2, 2), (2, 2), (0, 1), (1, 1), (5, 7))  # rows and columns of zeros
@example("Pool", (3, 1), (2, 1), (1, 0), (1, 1), (7, 4))
@example("Pool", (3, 2), (3, 1), (0, 0), (1, 3), (6, 7))
@example("Pool", (2, 1), (2, 3), (1, 1), (2, 1), (4, 5))
@example("Unpool", (2, 3), (2, 1), (0, 1), (1, 2), (4, 5))
def test_pools_are_slayers_or_refused_where_slayer_mixes_channels(
    kind: str,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    size: tuple[int, int],
) -> None:
    synapse = getattr(slayer.synapse, kind)(
        kernel, stride=stride, padding=padding, dilation=dilation, weight_scale=0.5
    )
    # No zeros: a pixel of the neighbouring channel has to show wherever a window reaches it.
    x = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (2, *size))).float()
    block = NetxLayer(
        1,
        "pool" if kind == "Pool" else "unpool",
        (1, 1, 1),
        weight=np.full((1, 1, *kernel), UNITS // 2),
        threshold=0,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    try:
        geometry, weight = GEOMETRIES[block.kind](block, (2, *size))
    except ConversionError:
        # Padded above by no more than the zeros that slayer appends, channels happen to stay apart.
        between = size[0] % kernel[0] if kind == "Pool" else 0
        assert 0 < padding[0] <= between or not keeps_channels_apart(synapse, x)
        return
    try:
        expected = synapse(x[None, ..., None])[..., 0]
    except RuntimeError:  # a window that does not fit
        with pytest.raises(ModelError, match=r"does not fit|shape"):
            geometry.output_shape((2, *size), weight.shape)
        return
    found = linear(geometry, x[None], torch.from_numpy(weight / UNITS).float())
    assert geometry.output_shape((2, *size), weight.shape) == expected.shape[1:]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def keeps_channels_apart(synapse: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether slayer computes each of two channels as it does each by itself."""
    try:
        together = synapse(x[None, ..., None])[0, ..., 0]
        alone = torch.cat([synapse(x[None, [c], ..., None])[0, ..., 0] for c in range(2)])
    except RuntimeError:
        return False
    return together.shape == alone.shape and torch.equal(together, alone)
