"""ONNX files whose nodes, attributes and weights were changed one at a time."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bad_inputs.case import Case
from bad_inputs.option_cases import GOOD
from onnx import TensorProto, helper, numpy_helper

_SEED = 7
_INTEGERS = (0, -1, 3, 1_000_000_000, -(2**40), 2**62)
_OPERATORS = ("Softmax", "Add", "Tanh", "Reshape", "Concat", "LSTM", "Relu", "NoSuchOperator")

Change = Callable[[Any], None]


def onnx_cases(count: int) -> Iterator[Case]:
    """``count`` changed networks: each converts to a network that computes the same, or is refused.

    `convert` itself compares what it read with ONNX Runtime; that it does is tested elsewhere.
    """
    rng = random.Random(_SEED)
    for index in range(count):
        name, change = rng.choice(_CHANGES)(rng)
        yield Case(
            f"convert: {name} ({index})",
            ("convert", *GOOD["convert"]),
            _changed(change),
            must_fail=False,
        )


def _changed(change: Change) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        model = onnx.load(str(folder / "model.onnx"))
        change(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return damage


def _attribute(rng: random.Random) -> tuple[str, Change]:
    place, value, entry = rng.random(), rng.choice(_INTEGERS), rng.randrange(4)

    def change(model: Any) -> None:
        found = [one for node in model.graph.node for one in node.attribute]
        attribute = found[int(place * len(found))]
        if attribute.ints:
            attribute.ints[entry % len(attribute.ints)] = value
        else:
            attribute.i = value

    return f"an attribute {value}", change


def _list_length(rng: random.Random) -> tuple[str, Change]:
    place, longer = rng.random(), rng.random() < 0.5

    def change(model: Any) -> None:
        found = [one for node in model.graph.node for one in node.attribute if one.ints]
        attribute = found[int(place * len(found))]
        if longer:
            attribute.ints.append(1)
        else:
            del attribute.ints[-1]

    return f"a list {'longer' if longer else 'shorter'}", change


def _operator(rng: random.Random) -> tuple[str, Change]:
    place, name = rng.random(), rng.choice(_OPERATORS)

    def change(model: Any) -> None:
        nodes = model.graph.node
        nodes[int(place * len(nodes))].op_type = name

    return f"an operator {name}", change


def _domain(rng: random.Random) -> tuple[str, Change]:
    place = rng.random()

    def change(model: Any) -> None:
        nodes = model.graph.node
        nodes[int(place * len(nodes))].domain = "com.acme"
        model.opset_import.append(helper.make_opsetid("com.acme", 1))

    return "a foreign domain", change


def _weights(rng: random.Random) -> tuple[str, Change]:
    place, kind = rng.random(), rng.choice(_WEIGHT_KINDS)

    def change(model: Any) -> None:
        found = model.graph.initializer
        tensor = found[int(place * len(found))]
        value = numpy_helper.to_array(tensor).copy()
        tensor.CopyFrom(numpy_helper.from_array(_WEIGHTS[kind](value), tensor.name))

    return f"weights {kind}", change


def _raw_data(rng: random.Random) -> tuple[str, Change]:
    place, keep = rng.random(), rng.random()

    def change(model: Any) -> None:
        found = model.graph.initializer
        tensor = found[int(place * len(found))]
        tensor.raw_data = tensor.raw_data[: int(keep * len(tensor.raw_data))]

    return "raw data cut", change


def _wiring(rng: random.Random) -> tuple[str, Change]:
    place, kind = rng.random(), rng.choice(("input", "output", "twice", "second output", "gone"))

    def change(model: Any) -> None:
        nodes = model.graph.node
        node = nodes[int(place * len(nodes))]
        if kind == "input":
            node.input[0] = "nowhere"
        elif kind == "output":
            node.output[0] = "nowhere"
        elif kind == "twice":
            nodes.append(node)
        elif kind == "second output":
            info = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
            model.graph.output.append(info)
        else:
            nodes.remove(node)

    return f"wiring: {kind}", change


def _surface(rng: random.Random) -> tuple[str, Change]:
    kind = rng.choice(("no output", "no input", "data type", "opset", "external", "axes"))

    def change(model: Any) -> None:
        graph = model.graph
        if kind == "no output":
            del graph.output[:]
        elif kind == "no input":
            del graph.input[:]
        elif kind == "data type":
            graph.initializer[0].data_type = 99
        elif kind == "opset":
            model.opset_import[0].version = 999
        elif kind == "axes":
            del graph.input[0].type.tensor_type.shape.dim[-1]
        else:
            tensor = graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../etc/passwd")

    return f"surface: {kind}", change


_WEIGHTS: dict[str, Callable[[Any], Any]] = {
    "nan": lambda value: np.full_like(value, np.nan),
    "infinite": lambda value: np.full_like(value, np.inf),
    "zero": np.zeros_like,
    "huge": lambda value: value * np.float32(1e30),
    "tiny": lambda value: value * np.float32(1e-30),
    "uint8": lambda value: value.astype(np.uint8),
    "double": lambda value: value.astype(np.float64),
    "flat": lambda value: value.reshape(-1),
    "empty": lambda value: value[:0],
    "mixed": lambda value: value * np.geomspace(1e-20, 1e20, value.size).reshape(value.shape),
}
_WEIGHT_KINDS = tuple(_WEIGHTS)
_CHANGES = (
    _attribute, _attribute, _list_length, _operator, _domain, _weights, _weights, _raw_data,
    _wiring, _surface,
)  # fmt: skip
