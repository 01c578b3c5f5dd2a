"""The layers of a network so far, while it is put together."""

from collections.abc import Sequence

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.averages import free_name
from ann2sdnn.graph.layers import INPUT, Layer, Synapse, Weights
from ann2sdnn.graph.onnx.assembly.value import Part, Value, value_of
from ann2sdnn.graph.onnx.elements import Linear


class Growing:
    """``layers`` by name, in order, and the ONNX ``tensors`` that hold their outputs.

    ``is_owned``: for each tensor at the end of a run whether its layer was made in that run, so
    that no other tensor depends on that layer's output. ``nonnegative``: the input holds no value
    below 0.
    """

    def __init__(self, *, nonnegative: bool) -> None:
        self.layers: dict[str, Layer] = {}
        self.tensors: dict[str, Held | None] = {}
        self.is_owned: dict[str, bool] = {}
        self._nonnegative = nonnegative

    def append(self, pieces: Sequence[Linear], parts: Sequence[Part], tensor: Held | None) -> Value:
        """A layer with a synapse from each of ``parts``; returns its output."""
        name = free_name(pieces[0].name, {INPUT, *self.layers})
        synapses = [
            Synapse(piece.geometry, piece.weight, part.shape, part.source)
            for piece, part in zip(pieces, parts, strict=True)
        ]
        return self.append_layer(name, synapses, summed_bias(pieces), tensor)

    def append_layer(
        self, name: str, synapses: Sequence[Synapse], bias: Weights | None, tensor: Held | None
    ) -> Value:
        """A layer ``name`` without ReLU and pooling; returns its output."""
        first = synapses[0]
        layer = Layer(
            name,
            first.geometry,
            first.weight,
            bias,
            relu=False,
            pool=None,
            input_shape=first.input_shape,
            source=first.source,
            joined=tuple(synapses[1:]),
        )
        self.layers[name], self.tensors[name] = layer, tensor
        return value_of(name, layer.output_shape)

    def change(self, layer: Layer, tensor: Held | None) -> None:
        """Put ``layer`` in the place of the one of that name."""
        self.layers[layer.name], self.tensors[layer.name] = layer, tensor

    def remove(self, name: str) -> Layer:
        """Take a layer out that becomes a part of another."""
        del self.tensors[name]
        return self.layers.pop(name)

    def has_relu(self, source: str) -> bool:
        """Whether the output of ``source`` is that of a ReLU; of the input, whether it may be."""
        return self._nonnegative if source == INPUT else self.layers[source].relu


def summed_bias(pieces: Sequence[Linear]) -> Weights | None:
    """The sum of the biases of ``pieces``; None where none has one."""
    total: Weights | None = None
    for piece in pieces:
        if piece.bias is not None:
            total = piece.bias if total is None else total + piece.bias
    return total
