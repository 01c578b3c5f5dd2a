"""Hypothesis strategies: small networks of every kind of layer, of float weights or integers."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.points import OperatingPoints, with_point
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError

SMALL = st.integers(0, 1)


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def pools(draw: st.DrawFn, kinds: tuple[str, ...], padded: bool) -> Pool | None:
    kind = draw(st.sampled_from(("none", *kinds)))
    if kind == "none":
        return None
    kernel, stride = draw(pairs(1, 3)), draw(pairs(1, 3))
    ends = [draw(st.integers(0, (k - 1) if padded else 0)) for k in (*kernel, *kernel)]
    return Pool(kind, kernel, stride, (ends[0], ends[1], ends[2], ends[3]))  # type: ignore[arg-type]


@st.composite
def geometries(draw: st.DrawFn, channels: int) -> tuple[Geometry, tuple[int, ...]]:
    """A geometry for an input of ``channels``, and the shape of its weight."""
    kernel, dilation = draw(pairs(1, 3)), draw(pairs(1, 2))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    groups = channels if draw(st.integers(0, 3)) == 0 else 1
    n_out = draw(st.integers(1, 3))
    if draw(st.booleans()):
        stride: Pair = draw(st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 2)]))
        convolution = Convolution(stride, pads, dilation, groups)  # type: ignore[arg-type]
        return convolution, (n_out * groups, channels // groups, *kernel)
    kernel, stride = draw(pairs(2, 4)), draw(st.sampled_from([(1, 1), (2, 2), (4, 4), (2, 1)]))
    transposed = TransposedConvolution(
        stride,
        tuple(draw(st.integers(0, min(2, k - 1))) for k in (*kernel, *kernel)),  # type: ignore[arg-type]
        dilation if draw(st.integers(0, 4)) == 0 else (1, 1),
        groups,
        draw(pairs(0, min(stride) - 1)),
    )
    return transposed, (channels, n_out, *kernel)


@st.composite
def graphs(
    draw: st.DrawFn, *, all_relu: bool = False, kinds: tuple[str, ...] = ("max", "average")
) -> Graph:
    """One to four layers on an input of 4 to 9 pixels, perhaps dense ones at the end."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape: Shape = (draw(st.integers(1, 2)), draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    input_shape = shape
    layers: list[Layer] = []
    plan = [False] * draw(st.integers(1, 4)) + [True] * draw(SMALL)
    for index, dense in enumerate(plan):
        geometry, size = (
            (Dense(), (draw(st.integers(1, 3)), shape[0] * shape[1] * shape[2]))
            if dense
            else draw(geometries(shape[0]))
        )
        relu = all_relu or draw(st.booleans())
        try:
            layer = Layer(
                f"layer{index}",
                geometry,
                (rng.standard_normal(size) / np.sqrt(np.prod(size[1:]))).astype(np.float32),
                None,
                relu,
                None if dense else draw(pools(kinds, padded=relu)),
                shape,
            )
        except ModelError:
            continue  # a kernel larger than what is left of the image
        if layer.output_shape[1] * layer.output_shape[2] > 1500:
            continue
        if draw(st.booleans()):
            bias = 0.3 * rng.standard_normal(layer.preactivation_shape[0])
            layer = replace(layer, bias=bias.astype(np.float32))
        layers.append(layer)
        shape = layer.output_shape
    if not layers:
        eye = np.ones((shape[0], 1, 1, 1), np.float32)
        layers = [Layer("only", Convolution(groups=shape[0]), eye, None, True, None, shape)]
    return Graph(input_shape, tuple(layers))


def float64_output(graph: Graph, x: Tensor) -> Tensor:
    """The graph's output for ``x`` [N, C, H, W] float64, with float64 arithmetic."""
    for layer in graph.layers:
        x = linear(layer.geometry, x, torch.from_numpy(layer.weight.astype(np.float64)))
        if layer.bias is not None:
            x = x + torch.from_numpy(layer.bias.astype(np.float64))[:, None, None]
        x = pool(layer.pool, F.relu(x) if layer.relu else x)
    return x


@st.composite
def specs(draw: st.DrawFn, *, kinds: tuple[str, ...] = ("max",)) -> Spec:
    """A random graph's geometry with random legal integers; layers may have shifts."""
    graph = draw(graphs(all_relu=True, kinds=kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for layer in graph.layers:
        spread = 50 / np.sqrt(max(1, int(np.prod(layer.weight.shape[1:])) / 4))
        weight = 2 * np.rint(rng.normal(1, spread, layer.weight.shape))
        channels = layer.preactivation_shape[0]
        layers.append(
            SpecLayer(
                name=layer.name,
                geometry=layer.geometry,
                weight=np.clip(weight, -254, 254).astype(np.int16),
                bias=rng.integers(-3, 4, channels).astype(np.int32),
                relu=True,
                pool=layer.pool,
                threshold=0,
                scale=np.full(channels, 1.0),
                input_shape=layer.input_shape,
                shift=draw(st.sampled_from([6, 6, 5, 7])),
            )
        )
    return Spec(graph.input_shape, 1 / 255, draw(st.integers(1, 8)), Grid(6), tuple(layers), "")


@st.composite
def operating_points(draw: st.DrawFn) -> OperatingPoints:
    """A random spec with random thresholds and memory, and some of its other points."""
    lava = draw(specs())
    n_layers = len(lava.layers)
    thresholds = st.lists(st.integers(0, 500), min_size=n_layers, max_size=n_layers)
    memory = st.lists(st.booleans(), min_size=n_layers, max_size=n_layers)

    def point(stateful: list[bool], *, input_is_stateful: bool) -> Spec:
        return with_point(lava, draw(thresholds), stateful, input_is_stateful=input_is_stateful)

    return OperatingPoints(
        point([True] * n_layers, input_is_stateful=True),
        point(draw(memory), input_is_stateful=draw(st.booleans())) if draw(st.booleans()) else None,
        point([False] * n_layers, input_is_stateful=False) if draw(st.booleans()) else None,
    )
