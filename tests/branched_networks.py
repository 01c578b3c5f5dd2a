"""Small networks with branches: residual additions, concatenations, several readers and outputs."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
from ann2sdnn.graph.layers import INPUT, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

SAME = (1, 1, 1, 1)


def identity_synapse(shape: Shape, source: str) -> Synapse:
    """Adds the values of ``source`` unchanged."""
    channels = shape[0]
    weight = np.ones((channels, 1, 1, 1), np.float32)
    return Synapse(Convolution(groups=channels), weight, shape, source)


def branched_graph(*, n_outputs: int = 1, seed: int = 0) -> Graph:
    """On 1x16x20: a residual addition with an identity, one with a strided shortcut, a
    concatenation of an upsampled and an earlier map, and a layer that also reads the input.
    """
    rng = np.random.default_rng(seed)

    def synapse(source: str, shape: Shape, outs: int, kernel: int, stride: int = 1) -> Synapse:
        size = (outs, shape[0], kernel, kernel)
        weight = rng.standard_normal(size) * np.sqrt(1.5 / np.prod(size[1:]))
        pads = (kernel // 2,) * 4
        geometry = Convolution(pads=pads, stride=(stride, stride))
        return Synapse(geometry, weight.astype(np.float32), shape, source)

    def layer(name: str, *synapses: Synapse, relu: bool = True, pool: Pool | None = None) -> Layer:
        first = synapses[0]
        channels = first.output_shape[0]
        bias = (0.1 * rng.standard_normal(channels)).astype(np.float32)
        plain = Layer(name, first.geometry, first.weight, bias, relu, pool, first.input_shape)
        return with_synapses(plain, synapses)

    full, half = (6, 16, 20), (6, 8, 10)
    up = TransposedConvolution(stride=(2, 2))
    upsampling = (rng.standard_normal((8, 5, 2, 2)) / 4).astype(np.float32)
    layers = (
        layer("stem", synapse(INPUT, (1, 16, 20), 6, 3)),
        layer("block1", synapse("stem", full, 6, 3)),
        layer("add1", synapse("block1", full, 6, 3), identity_synapse(full, "stem")),
        layer("down", synapse("add1", full, 8, 3, 2), synapse("stem", full, 8, 1, 2)),
        layer("pooled", synapse("add1", full, 6, 3), pool=Pool("max", (2, 2), (2, 2))),
        layer("deep", synapse("down", (8, 8, 10), 8, 3), synapse("pooled", half, 8, 3)),
        layer("up", Synapse(up, upsampling, (8, 8, 10), "deep"), relu=False),
        layer(
            "joined",
            synapse("up", (5, 16, 20), 4, 3),
            synapse("add1", full, 4, 3),
            synapse(INPUT, (1, 16, 20), 4, 1),
        ),
        layer("heads", synapse("joined", (4, 16, 20), 3, 1), relu=False),
    )
    names = () if n_outputs == 1 else ("heads", "deep", "add1")[:n_outputs]
    return Graph((1, 16, 20), layers, input_scale=1 / 255, output_names=names)


class ResidualNet(nn.Module):
    """A stem, a residual block, a concatenation with an upsampled map; two outputs: two maps of the
    size of the picture, three values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.first, self.second = (nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))
        self.down = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.maps, self.scores = nn.Conv2d(14, 2, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.second(F.relu(self.first(x))))
        down = F.relu(self.down(x))
        up = F.interpolate(down, scale_factor=2.0, mode="nearest")
        return self.maps(torch.cat([up, x], dim=1)), self.scores(down.mean(dim=(2, 3)))


@st.composite
def branched_graphs(draw: st.DrawFn, *, all_relu: bool = False) -> Graph:
    """Random networks of two to six layers; what nothing reads is an output."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    input_shape: Shape = (draw(st.integers(1, 2)), draw(st.integers(4, 8)), draw(st.integers(4, 8)))
    shapes: dict[str, Shape] = {INPUT: input_shape}
    layers: list[Layer] = []
    for index in range(draw(st.integers(2, 6))):
        first = draw(_synapses(draw(st.sampled_from(sorted(shapes))), shapes, rng, None))
        target = first.output_shape
        synapses = [first]
        for source in draw(st.lists(st.sampled_from(sorted(shapes)), max_size=2)):
            if shapes[source][1:] == target[1:]:
                synapses.append(draw(_synapses(source, shapes, rng, target)))
        bias = (0.3 * rng.standard_normal(target[0])).astype(np.float32)
        kind = draw(st.sampled_from(["none", "none", "max", "average"]))
        fits = min(target[1:]) >= 2
        window = None if kind == "none" or not fits else Pool(kind, (2, 2), (2, 2))  # type: ignore[arg-type]
        relu = all_relu or draw(st.booleans())
        name = f"layer{index}"
        layer = Layer(name, first.geometry, first.weight, bias, relu, window, first.input_shape)
        layers.append(with_synapses(layer, synapses))
        shapes[name] = layers[-1].output_shape
    read = {synapse.source for layer in layers for synapse in layer.synapses}
    names = tuple(layer.name for layer in layers if layer.name not in read)
    return Graph(input_shape, tuple(layers), input_scale=1 / 255, output_names=names)


@st.composite
def _synapses(
    draw: st.DrawFn,
    source: str,
    shapes: dict[str, Shape],
    rng: np.random.Generator,
    target: Shape | None,
) -> Synapse:
    """From ``source``; to neurons of the shape ``target`` where that is given."""
    shape = shapes[source]
    channels, height, width = shape
    if target is not None and target[0] == channels and draw(st.booleans()):
        return identity_synapse(shape, source)
    outs = draw(st.integers(1, 3)) if target is None else target[0]
    if target is None and draw(st.integers(0, 4)) == 0:
        up = rng.standard_normal((channels, outs, 2, 2)) / np.sqrt(channels)
        return Synapse(TransposedConvolution(stride=(2, 2)), up.astype(np.float32), shape, source)
    if target is None and draw(st.integers(0, 5)) == 0:
        size: tuple[int, ...] = (outs, channels * height * width)
        dense = (rng.standard_normal(size) / np.sqrt(size[1])).astype(np.float32)
        return Synapse(Dense(), dense, shape, source)
    kernel = draw(st.sampled_from([1, 3]))
    stride = 1 if target is not None else draw(st.sampled_from([1, 1, 2]))
    size = (outs, channels, kernel, kernel)
    weight = (rng.standard_normal(size) / np.sqrt(np.prod(size[1:]))).astype(np.float32)
    pads = (kernel // 2,) * 4
    return Synapse(Convolution(pads=pads, stride=(stride, stride)), weight, shape, source)


def float64_outputs(graph: Graph, x: Tensor) -> list[Tensor]:
    """All outputs for ``x`` [N, C, H, W] float64, computed without the project's own flow."""
    values = {INPUT: x}
    for layer in graph.layers:
        z = torch.zeros(())
        for synapse in layer.synapses:
            weight = torch.from_numpy(synapse.weight.astype(np.float64))
            z = z + linear(synapse.geometry, values[synapse.source or ""], weight)
        if layer.bias is not None:
            z = z + torch.from_numpy(layer.bias.astype(np.float64))[:, None, None]
        values[layer.name] = pool(layer.pool, F.relu(z) if layer.relu else z)
    names = graph.output_names or (graph.layers[-1].name,)
    return [values[name] for name in names]


def branched_spec(graph: Graph, *, seed: int = 0, threshold: int = 0) -> Spec:
    """The geometry of ``graph`` with random legal integers; averages become sums."""
    rng = np.random.default_rng(seed)

    def integers(synapse: Synapse) -> Synapse:
        spread = 50 / np.sqrt(max(1, int(np.prod(synapse.weight.shape[1:])) / 4))
        weight = 2 * np.rint(rng.normal(1, spread, synapse.weight.shape))
        return replace(synapse, weight=np.clip(weight, -254, 254).astype(np.int16))

    layers = []
    for layer in graph.layers:
        first, *rest = map(integers, layer.synapses)
        channels = layer.preactivation_shape[0]
        layers.append(
            SpecLayer(
                layer.name,
                first.geometry,
                first.weight,
                rng.integers(-3, 4, channels).astype(np.int32),
                layer.relu,
                None if layer.pool is None else layer.pool.on_grid(),
                layer.input_shape,
                threshold=threshold,
                scale=rng.uniform(0.5, 2, channels),
                source=first.source,
                joined=tuple(rest),
            )
        )
    return Spec(
        graph.input_shape,
        graph.input_scale,
        4,
        Grid(6),
        tuple(layers),
        "0" * 64,
        output_names=graph.output_names,
    )
