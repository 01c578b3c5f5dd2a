"""Small networks and inputs for the tests, and the one way networks are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.run import Backend, BackendResult
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

MAX_POOL = Pool("max", (2, 2), (2, 2))
SUM_POOL = Pool("sum", (2, 2), (2, 2))


def small_graph(
    *, pool: Pool = MAX_POOL, bias: bool = True, dense: bool = False, seed: int = 0
) -> Graph:
    """A network with every kind of layer: dilation, groups, stride, pooling, cropping, dense."""
    rng = np.random.default_rng(seed)
    shape: Shape = (1, 16, 20)
    layers: list[Layer] = []

    def add(
        geometry: Convolution | TransposedConvolution | Dense, *size: int, **more: Pool
    ) -> None:
        nonlocal shape
        weight = rng.standard_normal(size) * np.sqrt(2 / np.prod(size[1:]))
        layer = Layer(
            f"layer{len(layers) + 1}", geometry, weight.astype(np.float32), None, True, None, shape
        )
        if bias:
            values = 0.2 * rng.standard_normal(layer.preactivation_shape[0])
            layer = replace(layer, bias=values.astype(np.float32))
        layers.append(replace(layer, pool=more.get("pool")))
        shape = layers[-1].output_shape

    add(Convolution(pads=(1, 1, 1, 1)), 6, 1, 3, 3, pool=pool)
    add(Convolution(pads=(2, 2, 2, 2), dilation=(2, 2)), 8, 6, 3, 3)
    add(Convolution(pads=(0, 1, 1, 0), groups=2), 8, 4, 2, 2)
    add(TransposedConvolution(stride=(2, 2), pads=(0, 0, 1, 1)), 8, 5, 3, 3)
    add(Convolution(pads=(1, 1, 1, 1), stride=(2, 1)), 4, 5, 3, 3)
    if dense:
        add(Dense(), 7, int(np.prod(shape)))
        add(Dense(), 3, 7)
    return Graph((1, 16, 20), tuple(layers), input_scale=1 / 255)


def network_from_graph(graph: Graph) -> SigmaDeltaNetwork:
    """The float network as sigma-delta layers: no rounding, thresholds of 0."""
    layers = tuple(
        SigmaDeltaLayer(
            name=layer.name,
            geometry=layer.geometry,
            weight=torch.from_numpy(layer.weight.copy()),
            bias=None if layer.bias is None else torch.from_numpy(layer.bias.copy())[:, None, None],
            relu=layer.relu,
            pool=layer.pool,
            input_shape=layer.input_shape,
            threshold=0.0,
            source=layer.source,
            joined=tuple(
                replace(synapse, weight=torch.from_numpy(synapse.weight.copy()))
                for synapse in layer.joined
            ),
        )
        for layer in graph.layers
    )
    scale = torch.ones(graph.output_shape[0], 1, 1)
    return SigmaDeltaNetwork(
        layers,
        None,
        graph.input_shape,
        graph.input_scale,
        scale,
        output_names=graph.output_names,
    )


def random_spec(
    *, threshold: int = 0, seed: int = 0, dense: bool = False, pool: Pool = SUM_POOL
) -> Spec:
    """The geometry of ``small_graph`` with random legal integers."""
    rng = np.random.default_rng(seed)
    graph = small_graph(pool=pool, dense=dense)
    layers = []
    for layer in graph.layers:
        spread = 60 / np.sqrt(max(1, int(np.prod(layer.weight.shape[1:])) / 4))
        weight = 2 * np.rint(rng.normal(1, spread, layer.weight.shape)).astype(np.int16)
        channels = layer.preactivation_shape[0]
        layers.append(
            SpecLayer(
                name=layer.name,
                geometry=layer.geometry,
                weight=np.clip(weight, -256, 254).astype(np.int16),
                bias=rng.integers(-3, 4, channels).astype(np.int32),
                relu=True,
                pool=layer.pool,
                threshold=threshold,
                scale=np.full(channels, 1.0),
                input_shape=layer.input_shape,
            )
        )
    return Spec(graph.input_shape, 1 / 255, 4, Grid(6), tuple(layers), "0" * 64)


def moving_frames(n_frames: int, shape: Shape = (1, 16, 20), seed: int = 0) -> Tensor:
    """uint8 frames in which a bright patch wanders over sparse noise."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    frames = np.zeros((n_frames, *shape), np.uint8)
    row, column = height // 3, width // 3
    for frame in frames:
        row = int(np.clip(row + rng.integers(-1, 2), 0, height - 5))
        column = int(np.clip(column + rng.integers(-1, 2), 0, width - 5))
        patch = (channels, 5, 5)
        frame[:, row : row + 5, column : column + 5] = rng.integers(0, 256, patch)
        frame[rng.random(shape) < 0.02] = 40
    return torch.from_numpy(frames)


def assert_equal_messages(first: Backend, second: Backend, frames: Tensor) -> BackendResult:
    """Both send the same messages, neuron by neuron and step by step; returns the first's run."""
    runs = [backend.run(frames, keep_messages=True) for backend in (first, second)]
    assert runs[0].messages is not None
    assert runs[1].messages is not None
    for index, (a, b) in enumerate(zip(runs[0].messages, runs[1].messages, strict=True)):
        assert torch.equal(a, b), f"messages of layer {index} differ"
    assert torch.equal(runs[0].outputs, runs[1].outputs)
    assert torch.equal(runs[0].events, runs[1].events)
    assert torch.equal(runs[0].synops, runs[1].synops)
    return runs[0]


@dataclass(frozen=True, eq=False)
class ArrayRun(ArrayFrames):
    """Consecutive frames held in memory, shown a few at a time."""

    chunk: int = 3

    def chunks(self, n_frames: int | None = None) -> Iterator[FrameArray]:
        return super().chunks(n_frames or self.chunk)
