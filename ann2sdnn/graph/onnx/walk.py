"""Walks through an ONNX graph, from its input to its outputs or to where its tail begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.layers import NO_LAYERS
from ann2sdnn.graph.onnx.elements import Affine, Element, Linear, Merge, Run, Step
from ann2sdnn.graph.onnx.file.protos import module_of, operator_of, where
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.operators import (
    Node,
    belongs,
    keeps_values,
    parse_merge,
    parse_node,
)
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
    """The runs from the input to ``outputs``, the tensors that are the graph's outputs.

    ``source``: the tensor that each of ``outputs`` has its values from, as runs name it. ``notes``:
    a sentence about the tail, where there is one.
    """

    runs: tuple[Run, ...]
    outputs: tuple[Held, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


def walked(folded: FoldedGraph, name: str, data: Data) -> Walk:
    """The runs from the input ``name``, which holds ``data``.

    Raises ModelError for what cannot be converted and is no tail.
    """
    if not folded.outputs:
        raise ModelError("the network has 0 outputs (none); expected one or more")
    for node in folded.nodes:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"{where(node)}: it holds graphs of its own; export the network without control"
                " flow"
            )
    blocked: dict[str, ModelError] = {}
    while True:
        try:
            return _Walker(folded, Held(name, data), blocked).walk()
        except _PixelwiseError as error:
            if error.node.name in blocked:
                raise
            # The network ends before the constant, if it may.
            blocked[error.node.name] = error


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a walk ends: a tensor, and the node after it, which ``error`` is about."""

    held: Held
    node: Node
    error: ModelError


@dataclass(frozen=True, eq=False)
class _Values:
    """A tensor that has been reached. ``source``: the tensor that holds the same values for runs.

    ``pixelwise``: the node of a constant that differs from pixel to pixel, which only a dense layer
    takes. ``is_input``: no layer has been met.
    """

    held: Held
    source: str
    pixelwise: Node | None = None
    is_input: bool = False


@dataclass(eq=False)
class _OpenRun:
    """A run that may go on."""

    reads: tuple[str, ...]
    merge: Merge | None
    merged: Held | None
    steps: list[Step]
    writes: str

    def closed(self) -> Run:
        return Run(self.reads, self.merge, self.merged, tuple(self.steps), self.writes)


class _Walker:
    def __init__(
        self, folded: FoldedGraph, entering: Held, blocked: Mapping[str, ModelError]
    ) -> None:
        self._folded, self._blocked = folded, blocked
        self._consumers = _consumers(folded.nodes)
        self._entry = entering.name
        values = _Values(entering, entering.name, is_input=True)
        self._values: dict[str, _Values] = {entering.name: values}
        self._runs: list[_OpenRun] = []
        self._run_of: dict[str, _OpenRun] = {}
        self._places: list[_Place] = []
        # What was not reached, because it reads what cannot be converted.
        self._behind: set[str] = set()

    def walk(self) -> Walk:
        for proto in self._folded.nodes:
            arriving = [self._values[name] for name in proto.input if name in self._values]
            if not self._behind.isdisjoint(proto.input):
                self._behind.update(proto.output)
                for values in arriving:
                    self._refuse_pixelwise(values)
            elif arriving:
                self._visit(proto, arriving)
        for name in self._folded.outputs:
            if name in self._values:
                self._refuse_pixelwise(self._values[name])
        for place in self._places:
            self._refuse_inside(place)
        outputs = self._outputs()
        return Walk(
            tuple(run.closed() for run in self._runs),
            tuple(values.held for values in outputs),
            tuple(values.source for values in outputs),
            self._notes(outputs),
        )

    def _visit(self, proto: Any, arriving: Sequence[_Values]) -> None:
        """The next node, which reads tensors that were reached."""
        held = arriving[0].held
        node = Node.from_proto(
            proto,
            [values.held.name for values in arriving],
            self._folded.constants,
            self._folded.uncomputed,
        )
        try:
            if node.name in self._blocked:
                raise self._blocked[node.name]
            self._check_other_outputs(proto, node)
            if len(arriving) > 1:
                self._merge(proto, node, arriving)
            else:
                self._go_on(proto, node, arriving[0])
        except _PixelwiseError as error:
            if error.node.name != node.name:
                raise
            self._end(proto, _Place(held, node, error))
        except ModelError as error:
            for values in arriving:
                self._refuse_pixelwise(values)
            self._end(proto, _Place(held, node, error))

    def _end(self, proto: Any, place: _Place) -> None:
        self._places.append(place)
        self._behind.update(proto.output)

    def _go_on(self, proto: Any, node: Node, values: _Values) -> None:
        """A node that reads one tensor."""
        element, data = parse_node(node, values.held.data)
        elements = _listed(element)
        after = Held(proto.output[0], data)
        pixelwise = _pixelwise(elements, node, values)
        is_input = values.is_input and not any(isinstance(one, Linear) for one in elements)
        if not elements:
            self._values[after.name] = _Values(after, values.source, pixelwise, is_input)
            self._take_along(values, after.name)
            return
        run = self._run_to_extend(values)
        for one in elements:
            run.steps.append(Step(one, after if one is elements[-1] else None))
        run.writes = after.name
        self._run_of[after.name] = run
        self._values[after.name] = _Values(after, after.name, pixelwise, is_input)

    def _merge(self, proto: Any, node: Node, arriving: Sequence[_Values]) -> None:
        """A node that reads several tensors, or one of them several times."""
        for values in arriving:
            self._refuse_pixelwise(values)
        merge, data = parse_merge(node, [values.held.data for values in arriving])
        after = Held(proto.output[0], data)
        reads = tuple(values.source for values in arriving)
        run = _OpenRun(reads, merge, after, [], after.name)
        self._runs.append(run)
        self._run_of[after.name] = run
        self._values[after.name] = _Values(after, after.name)

    def _take_along(self, values: _Values, name: str) -> None:
        """The tensor ``name`` has the same values, so a run that may go on does so from there."""
        run = self._run_of.get(values.source)
        if run is not None and self._is_read_once(values.held.name):
            self._run_of[name] = run

    def _run_to_extend(self, values: _Values) -> _OpenRun:
        run = self._run_of.get(values.held.name)
        if run is not None and run.writes == values.source and self._is_read_once(values.held.name):
            return run
        run = _OpenRun((values.source,), None, None, [], values.source)
        self._runs.append(run)
        return run

    def _is_read_once(self, name: str) -> bool:
        return len(self._consumers.get(name, [])) == 1 and name not in self._folded.outputs

    def _refuse_pixelwise(self, values: _Values) -> None:
        if values.pixelwise is not None:
            raise _PixelwiseError(values.pixelwise)

    def _check_other_outputs(self, proto: Any, node: Node) -> None:
        for other in proto.output[1:]:
            if other and (other in self._folded.outputs or other in self._consumers):
                raise node.error(
                    f"its output {other} is used, and only the first output of a node can be"
                    " converted"
                )

    def _refuse_inside(self, place: _Place) -> None:
        """Raise the error of ``place`` unless the network may end there."""
        node, error = place.node, place.error
        is_first = self._values[place.held.name].is_input
        if node.operator in ENDINGS and is_first:
            error = node.error("it stands before every layer, where it cannot be converted")
        if is_first or belongs(node.operator):
            raise error
        (proto,) = (one for one in self._folded.nodes if one.name == node.name)
        after = may_end(self._folded, proto)
        if after is None:
            return
        self._refuse_activations(place)
        if node.operator in ENDINGS:
            raise node.error(
                "it cannot be converted, only left out at the very end, but"
                f" {after.name} ({operator_of(after)}) follows; train with ReLU"
            )
        self._refuse_what_follows(proto)
        raise error

    def _refuse_activations(self, place: _Place) -> None:
        """Raise ModelError where the node is a part of a SiLU or GELU."""
        name = self._branches_at(place.held.name)
        following = self._consumers.get(name, [])
        if len(following) < 2:
            return
        near = [
            *following,
            *(node for one in following for node in self._consumers.get(one.output[0], [])),
        ]
        if any(node.op_type in _SMOOTH for node in near):
            readers = ", ".join(where(node).removeprefix("node ") for node in following)
            raise ModelError(
                f"the nodes {readers} make an activation such as SiLU, GELU or Mish of the tensor"
                f" {name}, which cannot be converted; train with ReLU, ReLU6 or"
                " LeakyReLU"
            )

    def _branches_at(self, name: str) -> str:
        """The tensor at which the path to ``name`` branched last; ``name`` where it did not."""
        made = {one.output[0]: one for one in self._folded.nodes}
        reached = name
        while len(self._consumers.get(reached, [])) < 2 and reached in made:
            data = [one for one in made[reached].input if one in self._values]
            if len(data) != 1:
                return name
            reached = data[0]
        return reached

    def _refuse_what_follows(self, proto: Any) -> None:
        """Raise ModelError for an unknown operator behind a reshape, which is there for it only.

        Exporters write a GroupNorm as a Reshape and an InstanceNormalization.
        """
        if not keeps_values(operator_of(proto)):
            return
        for following in self._consumers.get(proto.output[0], []):
            refuse_unknown(
                Node(following.name, operator_of(following), {}, (), 0, 1, module_of(following))
            )

    def _outputs(self) -> list[_Values]:
        """The tensors that the file gives, or that its tail reads, in order."""
        read = [
            name
            for proto in self._folded.nodes
            if not self._behind.isdisjoint(proto.output)
            for name in proto.input
        ]
        names = [name for name in (*self._folded.outputs, *read) if name in self._values]
        outputs = [self._values[name] for name in dict.fromkeys(names)]
        if all(values.source == self._entry for values in outputs):
            raise ModelError(NO_LAYERS)
        for values in outputs:
            if values.source == self._entry:
                raise ModelError(
                    f"the output of the network needs {values.held.name} itself, before any layer;"
                    " export the network without that path"
                )
        return outputs

    def _notes(self, outputs: Sequence[_Values]) -> tuple[str, ...]:
        if not self._places:
            return ()
        read = {name for proto in self._behind_nodes() for name in proto.input}
        held = [values.held for values in outputs if values.held.name in read]
        node = self._places[0].node if len(self._places) == 1 else None
        return (tail_note(self._folded, held, self._behind_nodes(), node),)

    def _behind_nodes(self) -> list[Any]:
        return [proto for proto in self._folded.nodes if not self._behind.isdisjoint(proto.output)]


class _PixelwiseError(ModelError):
    """A constant that differs from pixel to pixel where nothing can take it."""

    def __init__(self, node: Node) -> None:
        super().__init__(
            str(
                node.error(
                    _PIXELWISE.get(
                        node.operator,
                        "its constant differs from pixel to pixel, which only a dense layer right"
                        " after it can take; use one number per channel",
                    )
                )
            )
        )
        self.node = node


def _pixelwise(elements: Sequence[Element], node: Node, values: _Values) -> Node | None:
    """The node whose constant still waits for a dense layer after ``elements`` of ``node``."""
    waiting = values.pixelwise
    for element in elements:
        if isinstance(element, Affine):
            if not element.is_per_channel:
                waiting = waiting or node
        elif isinstance(element, Linear) and element.geometry.reads_flat:
            waiting = None
        elif waiting is not None:
            raise _PixelwiseError(waiting)
    return waiting


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
