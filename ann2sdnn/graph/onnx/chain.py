"""Walks from the input of an ONNX graph to its output, or to where its tail begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.onnx.elements import Affine, Element, Linear, Step
from ann2sdnn.graph.onnx.file.protos import module_of, operator_of, where
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.operators import Node, belongs, keeps_values, parse_node
from ann2sdnn.graph.onnx.operators.registry import refuse_unknown
from ann2sdnn.graph.onnx.tail import ENDINGS, may_end, tail_note
from ann2sdnn.support.errors import ModelError

# Activations that are no ReLU network are written as these and a product.
_SMOOTH = frozenset(("Erf", "HardSigmoid", "Sigmoid", "Softplus", "Tanh"))

# Operators whose factors differ from pixel to pixel although they have no constant.
_PIXELWISE = {
    "AveragePool": (
        "its windows at the border count fewer pixels than the others, which only a dense layer"
        " right after it can take; count the zeros around the maps (count_include_pad = 1; in Keras"
        " ZeroPadding2D before padding='valid'), or pool a size that windows fill"
    )
}


@dataclass(frozen=True, eq=False)
class Walk:
    """The steps from the input to ``held``, the tensor that is the graph's output.

    ``notes``: a sentence about the tail, where there is one.
    """

    steps: tuple[Step, ...]
    held: Held
    notes: tuple[str, ...] = ()


def walked(folded: FoldedGraph, name: str, data: Data) -> Walk:
    """The steps from the input ``name``, which holds ``data``.

    Raises ModelError for what cannot be converted and is no tail.
    """
    if not folded.outputs:
        raise ModelError("the network has 0 outputs (none); expected one")
    for node in folded.nodes:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"{where(node)}: it holds graphs of its own; only a chain"
                " without branches can be converted"
            )
    return _Walker(folded, name, data).walk()


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a walk has come to: a tensor, the steps before it, and the node that reads it."""

    held: Held
    n_steps: int
    node: Node | None


class _Walker:
    def __init__(self, folded: FoldedGraph, name: str, data: Data) -> None:
        self._folded = folded
        self._consumers = _consumers(folded.nodes)
        self._held = Held(name, data)
        self._steps: list[Step] = []
        # A constant that differs from pixel to pixel, which only a dense layer takes.
        self._pixelwise: _Place | None = None

    def walk(self) -> Walk:
        while self._held.name not in self._folded.outputs:
            place = _Place(self._held, len(self._steps), None)
            try:
                proto = self._next()
                node = self._node(proto)
                place = _Place(self._held, len(self._steps), node)
                self._check_other_outputs(proto, node)
                element, data = parse_node(node, self._held.data)
                elements = _listed(element)
                self._check_pixelwise(elements, place)
            except _PixelwiseError as error:
                return self._ended(error.place, error)
            except ModelError as error:
                return self._ended(self._pixelwise or place, error)
            self._held = Held(proto.output[0], data)
            for one in elements:
                self._steps.append(Step(one, self._held if one is elements[-1] else None))
        if self._pixelwise is not None:
            return self._ended(self._pixelwise, _PixelwiseError(self._pixelwise))
        self._check_output()
        return Walk(tuple(self._steps), self._held)

    def _check_pixelwise(self, elements: Sequence[Element], place: _Place) -> None:
        for element in elements:
            if isinstance(element, Affine):
                if not element.is_per_channel:
                    self._pixelwise = self._pixelwise or place
            elif isinstance(element, Linear) and element.geometry.reads_flat:
                self._pixelwise = None
            elif self._pixelwise is not None:
                raise _PixelwiseError(self._pixelwise)

    def _ended(self, place: _Place, error: ModelError) -> Walk:
        """The walk to ``place``, where the network ends; ``error`` where it does not."""
        held, node = place.held, place.node
        steps = self._steps[: place.n_steps]
        is_first = not any(isinstance(step.element, Linear) for step in steps)
        if node is not None and node.operator in ENDINGS and is_first:
            error = node.error("it stands before every layer, where it cannot be converted")
        if is_first or (node is not None and belongs(node.operator)):
            raise error
        after = may_end(self._folded, held.name)
        if after is not None:
            if node is not None and node.operator in ENDINGS:
                raise node.error(
                    "it cannot be converted, only left out at the very end, but"
                    f" {after.name} ({operator_of(after)}) follows; train with ReLU"
                )
            self._refuse_what_follows(node)
            raise error
        return Walk(tuple(steps), held, (tail_note(self._folded, held.name, node, held.data),))

    def _refuse_what_follows(self, node: Node | None) -> None:
        """Raise ModelError for an unknown operator behind a reshape, which is there for it only.

        Exporters write a GroupNorm as a Reshape and an InstanceNormalization.
        """
        if node is None or not keeps_values(node.operator):
            return
        (proto,) = (one for one in self._folded.nodes if one.name == node.name)
        for following in self._consumers.get(proto.output[0], []):
            refuse_unknown(
                Node(following.name, operator_of(following), {}, (), 0, 1, module_of(following))
            )

    def _next(self) -> Any:
        """The one node that reads the tensor at hand."""
        name = self._held.name
        following = self._consumers.get(name, [])
        if not following:
            outputs = ", ".join(self._folded.outputs)
            raise ModelError(f"the output {outputs} does not depend on the tensor {name}")
        if len(following) > 1:
            readers = ", ".join(where(node).removeprefix("node ") for node in following)
            self._refuse_activations(following, readers)
            raise ModelError(
                f"the tensor {name} is read by {len(following)} nodes ({readers}); only a chain"
                " without branches can be converted"
            )
        return following[0]

    def _refuse_activations(self, following: Sequence[Any], readers: str) -> None:
        """Raise ModelError where the branches are those of a SiLU or GELU."""
        near = [
            *following,
            *(node for one in following for node in self._consumers.get(one.output[0], [])),
        ]
        if any(node.op_type in _SMOOTH for node in near):
            raise ModelError(
                f"the nodes {readers} make an activation such as SiLU, GELU or Mish of the tensor"
                f" {self._held.name}, which cannot be converted; train with ReLU, ReLU6 or"
                " LeakyReLU"
            )

    def _node(self, proto: Any) -> Node:
        return Node.from_proto(
            proto, self._held.name, self._folded.constants, self._folded.uncomputed
        )

    def _check_other_outputs(self, proto: Any, node: Node) -> None:
        for other in proto.output[1:]:
            if other and (other in self._folded.outputs or other in self._consumers):
                raise node.error(
                    f"its output {other} is used, and only the first output of a node can be"
                    " converted"
                )

    def _check_output(self) -> None:
        outputs, name = self._folded.outputs, self._held.name
        if len(outputs) > 1:
            raise ModelError(
                f"the network has {len(outputs)} outputs ({', '.join(outputs)}); expected one:"
                " keep the one wanted with onnx.utils.extract_model"
            )
        if self._consumers.get(name):
            raise ModelError(
                f"the output {name} is also read inside the network; export it as the only output"
            )


class _PixelwiseError(ModelError):
    """A constant that differs from pixel to pixel where nothing can take it."""

    def __init__(self, place: _Place) -> None:
        assert place.node is not None
        super().__init__(
            str(
                place.node.error(
                    _PIXELWISE.get(
                        place.node.operator,
                        "its constant differs from pixel to pixel, which only a dense layer right"
                        " after it can take; use one number per channel",
                    )
                )
            )
        )
        self.place = place


def _consumers(nodes: Sequence[Any]) -> Mapping[str, list[Any]]:
    """The nodes that read each tensor."""
    consumers: dict[str, list[Any]] = {}
    for node in nodes:
        for source in dict.fromkeys(node.input):
            consumers.setdefault(source, []).append(node)
    return consumers


def _listed(element: Element | Sequence[Element] | None) -> Sequence[Element]:
    if element is None:
        return ()
    return element if isinstance(element, Sequence) else (element,)
