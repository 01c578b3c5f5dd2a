"""Small specs with branches, of random integers, for lowering and lava."""

from dataclasses import replace

import numpy as np
from branched_networks import identity_synapse
from networks import MAX_POOL
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
from ann2sdnn.graph.layers import INPUT, Synapse
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def convolution(source: str, shape: Shape, outs: int, kernel: int = 3, stride: int = 1) -> Synapse:
    """Padded so that a stride of 1 keeps the size."""
    pads = (kernel // 2,) * 4
    weight = np.zeros((outs, shape[0], kernel, kernel), np.int16)
    return Synapse(Convolution(pads=pads, stride=(stride, stride)), weight, shape, source)


def population(
    rng: np.random.Generator, name: str, *synapses: Synapse, **more: object
) -> SpecLayer:
    """With random weights and biases; a ReLU and a threshold of 3 by default."""
    first, *joined = [replace(one, weight=_integers(rng, one.weight.shape)) for one in synapses]
    n_channels = first.output_shape[0]
    fields = {"relu": True, "pool": None, "threshold": 3, **more}
    return SpecLayer(
        name,
        first.geometry,
        first.weight,
        rng.integers(-5, 20, n_channels).astype(np.int32),
        input_shape=first.input_shape,
        scale=rng.uniform(1, 2, n_channels),
        source=first.source,
        joined=tuple(joined),
        **fields,  # type: ignore[arg-type]
    )


def _integers(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Even numbers, none of them 0, so that each connects."""
    values = 2 * rng.integers(-8, 12, shape)
    return np.where(values == 0, 2, values).astype(np.int16)


def small_branched_spec() -> Spec:
    """Paths of one, two and three steps, two outputs, thresholds, biases, pooling, a dense layer,
    one layer without a ReLU.
    """
    rng = np.random.default_rng(0)
    full = (2, 6, 8)
    dense = Synapse(Dense(), np.zeros((3, 2 * 3 * 4), np.int16), (2, 3, 4), "pooled")
    layers = (
        population(rng, "stem", convolution(INPUT, (1, 6, 8), 2)),
        population(rng, "deep", convolution("stem", full, 2), relu=False, shift=5),
        population(
            rng,
            "pooled",
            convolution("deep", full, 2),
            convolution(INPUT, (1, 6, 8), 2),
            pool=MAX_POOL,
            threshold=1,
        ),
        population(rng, "sum", convolution("deep", full, 2), identity_synapse(full, "stem")),
        population(rng, "values", dense),
    )
    return Spec((1, 6, 8), 1.0, 3, Grid(2), layers, "", output_names=("sum", "values"))


def residual_spec(*, threshold: int = 3, dtype: str = "uint8", shift: int = 6) -> Spec:
    """A block with a strided shortcut, an identity, and an upsampled map beside the input.

    ``shift``: of the two layers past which the stem and the block are carried.
    """
    rng = np.random.default_rng(1)
    image, full, half = (2, 9, 12), (4, 9, 12), (6, 5, 6)
    more = {"threshold": threshold}
    shifted = {"threshold": threshold, "shift": shift}
    up = TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 0))
    upsampling = Synapse(up, np.zeros((6, 3, 2, 2), np.int16), half, "sum")
    layers = (
        population(rng, "stem", convolution(INPUT, image, 4), **more),
        population(rng, "down", convolution("stem", full, 6, stride=2), **shifted),
        population(
            rng, "block", convolution("down", half, 6), convolution("stem", full, 6, 1, 2), **more
        ),
        population(rng, "inner", convolution("block", half, 6), **shifted),
        population(
            rng, "sum", convolution("inner", half, 6), identity_synapse(half, "block"), **more
        ),
        population(rng, "up", upsampling, **more),
        population(
            rng,
            "joined",
            convolution("up", (3, 9, 12), 2, 1),
            convolution(INPUT, image, 2, 1),
            **more,
        ),
    )
    return Spec(
        image,
        1.0,
        3 if dtype == "uint8" else 300,
        Grid(2),
        layers,
        "",
        preprocessing=Preprocessing(dtype=dtype),  # type: ignore[arg-type]
    )
