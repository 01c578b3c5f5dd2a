"""Groups the steps of a network into layers: linear operations, ReLU, pooling.

A layer has a plain ReLU, so a Clip or a LeakyReLU becomes a layer with two ReLUs per channel, which
the next linear operation adds up with its own weights:

    min(relu(x), 6) = relu(x) - relu(x - 6)
    leaky(x)        = relu(x) - slope * relu(-x)

Where the next operation cannot take them exactly, or there is none, a 1x1 convolution does. A sum
of tensors is a layer with a synapse for each: the linear layers that only the sum reads become its
own synapses, and another tensor is read through an identity. Whatever reads a concatenation has a
synapse for each of its parts. All of this is exact.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.layers import INPUT, Layer
from ann2sdnn.graph.onnx.assembly.builder import Builder
from ann2sdnn.graph.onnx.assembly.growing import Growing
from ann2sdnn.graph.onnx.assembly.order import ordered
from ann2sdnn.graph.onnx.assembly.sums import summed
from ann2sdnn.graph.onnx.assembly.value import Value, entering
from ann2sdnn.graph.onnx.elements import Run
from ann2sdnn.graph.onnx.walk import Walk


@dataclass(frozen=True, eq=False)
class Assembled:
    """``tensors``: for each layer the ONNX tensor that holds its output, None where the file has
    none. ``outputs``: names of the layers that are the network's outputs, in the order of the walk.
    """

    layers: tuple[Layer, ...]
    tensors: tuple[Held | None, ...]
    outputs: tuple[str, ...]


def assemble(walk: Walk, entry: Held, *, nonnegative: bool = True) -> Assembled:
    """Group the runs of a walk into layers.

    ``entry``: the input. ``nonnegative``: it holds no value below 0, as pixels do not.

    An affine element is folded into the linear element before it or after it. An element that needs
    a linear operation before it and has none (a pooling of the input, a second pooling, a ReLU
    after an average) gets an identity 1x1 convolution, which is exact. Raises ModelError where
    shapes do not fit.
    """
    growing = Growing(nonnegative=nonnegative)
    values = {entry.name: entering(entry.data.shape)}
    n_reads = Counter(name for run in walk.runs for name in run.reads)
    n_reads.update(walk.sources)
    for run in walk.runs:
        builder = _begun(growing, run, values, n_reads)
        for step in ordered(run.steps):
            builder.add(step)
        values[run.writes] = builder.value
        growing.is_owned[run.writes] = builder.owns
    outputs = []
    for source, held in zip(walk.sources, walk.outputs, strict=True):
        builder = Builder(growing, values[source], owns=False)
        builder.finish(held)
        values[source] = builder.value
        outputs.append(builder.value.whole.source)
    layers = tuple(growing.layers.values())
    return Assembled(_in_order(layers), tuple(growing.tensors.values()), tuple(outputs))


def _begun(growing: Growing, run: Run, values: dict[str, Value], n_reads: Counter[str]) -> Builder:
    """What adds the steps of ``run`` to the layers so far."""
    read = [values[name] for name in run.reads]
    if run.merge is None:
        return Builder(growing, read[0], owns=False)
    if run.merge.kind == "sum":
        alone = [n_reads[name] == 1 and growing.is_owned.get(name, False) for name in run.reads]
        return summed(growing, run, read, alone)
    parts = tuple(part for value in read for part in _without_pads(growing, value).parts)
    named = [replace(part.mix, name=part.mix.name or run.merge.name) for part in parts]
    return Builder(growing, Value(parts).with_mixes(named), owns=False)


def _without_pads(growing: Growing, value: Value) -> Value:
    builder = Builder(growing, value, owns=False)
    while any(builder.value.pads):
        builder.settle()
    return builder.value


def _in_order(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers, without the names of what they read where each reads the one before it."""
    before = [INPUT, *(layer.name for layer in layers)]
    if any(
        layer.joined or layer.source != source
        for layer, source in zip(layers, before, strict=False)
    ):
        return tuple(layers)
    return tuple(replace(layer, source=None) for layer in layers)
