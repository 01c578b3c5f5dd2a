"""Reads the ONNX operators that make one tensor of several: additions and concatenations."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ann2sdnn.graph.arrangement import C, Data, N
from ann2sdnn.graph.onnx.elements import Merge
from ann2sdnn.graph.onnx.operators.node import Node
from ann2sdnn.graph.onnx.operators.registry import Support, operator

Merger = Callable[[Node, Sequence[Data]], tuple[Merge, Data]]

_MERGERS: dict[str, Merger] = {}


def merger(name: str) -> Callable[[Merger], Merger]:
    """Register a function that reads the operator ``name`` where two or more of its inputs hold
    data. It gets the node and the values that arrive, and returns the merge and the values after.
    """

    def register(merge: Merger) -> Merger:
        _MERGERS[name] = merge
        return merge

    return register


def parse_merge(node: Node, arriving: Sequence[Data]) -> tuple[Merge, Data]:
    """What a node makes of the values ``arriving``.

    Raises ModelError, naming the node, for an operator that reads one tensor only.
    """
    if node.operator not in _MERGERS:
        raise node.error(
            f"it combines {len(arriving)} tensors of the network; only additions and concatenations"
            " can be converted"
        )
    return _MERGERS[node.operator](node, arriving)


@merger("Add")
def _add(node: Node, arriving: Sequence[Data]) -> tuple[Merge, Data]:
    return _sum(node, arriving, (1,) * len(arriving))


@merger("Sub")
def _subtract(node: Node, arriving: Sequence[Data]) -> tuple[Merge, Data]:
    return _sum(node, arriving, (1, -1))


@merger("Sum")
def _sum_all(node: Node, arriving: Sequence[Data]) -> tuple[Merge, Data]:
    if any(constant is not None for constant in node.constants):
        raise node.error("it adds a constant to several tensors; export the constant as an Add")
    return _sum(node, arriving, (1,) * len(arriving))


def _sum(node: Node, arriving: Sequence[Data], signs: tuple[int, ...]) -> tuple[Merge, Data]:
    first = arriving[0]
    for other in arriving[1:]:
        if other.dims != first.dims or other.held != first.held or other.shape != first.shape:
            raise node.error(
                f"it adds {list(first.dims)} and {list(other.dims)}; expected tensors of one shape,"
                " with channels at the same place"
            )
    return Merge(node.name, "sum", signs), first


@merger("Concat")
def _concatenate(node: Node, arriving: Sequence[Data]) -> tuple[Merge, Data]:
    if any(constant is not None for constant in node.constants):
        raise node.error("it joins a constant to tensors; leave the constant out")
    first = arriving[0]
    rank = len(first.axes)
    axis = int(node.attributes.get("axis", 1))
    if any(len(one.axes) != rank for one in arriving) or not -rank <= axis < rank:
        shapes = ", ".join(str(list(one.dims)) for one in arriving)
        raise node.error(f"axis = {axis} of {shapes}; expected tensors that have that axis")
    axis %= rank
    for other in arriving:
        own, theirs = list(first.dims), list(other.dims)
        if own[:axis] + own[axis + 1 :] != theirs[:axis] + theirs[axis + 1 :]:
            raise node.error(
                f"it joins {own} and {theirs} along axis {axis}; the other axes differ in size"
            )
        if not _along_channels(other, axis):
            raise node.error(
                f"it joins {list(other.dims)} along axis {axis}; only channels can be joined"
            )
    channels = sum(one.shape[0] for one in arriving)
    if all(one.shape[1:] == first.shape[1:] for one in arriving) and not first.is_flat():
        return Merge(node.name, "concat"), first.grown((channels, *first.shape[1:]))
    if all(one.is_flat() and one.shape[1:] == (1, 1) for one in arriving):
        return Merge(node.name, "concat"), replace(first, shape=(channels, 1, 1))
    raise node.error(
        "it joins flattened maps; join the maps before they are flattened, or take their averages"
    )


def _along_channels(data: Data, axis: int) -> bool:
    if data.is_flat():
        return axis == 1
    return data.map_axis(axis) == C or (data.shape[0] == 1 and data.map_axis(axis) not in (N, None))


_MERGING = Support(
    "one synapse for each tensor: the layer that follows reads all of them",
    "along the channels",
)


@operator("Concat", "axis", data_inputs=tuple(range(16)), support=_MERGING)
def _concat_alone(node: Node, data: Data) -> tuple[None, Data]:
    if len(node.constants) > 1:
        raise node.error("it joins a constant to a tensor; leave the constant out")
    return None, data


@operator(
    "Sum",
    data_inputs=tuple(range(16)),
    support=Support("a layer with a synapse for each tensor"),
)
def _sum_alone(node: Node, data: Data) -> tuple[None, Data]:
    if len(node.constants) > 1:
        raise node.error("it adds constants; export them as an Add")
    return None, data
