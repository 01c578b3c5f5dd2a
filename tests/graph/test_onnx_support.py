"""Every operator of the support table is read in its first and its last opset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, node, read

from ann2sdnn.graph.onnx.operators import supported
from ann2sdnn.graph.onnx.operators.registry import NEWEST, OLDEST

RNG = np.random.default_rng(17)
MATRIX = random_weights(RNG, 60, 5)
SUPPORT = supported()


class Case(NamedTuple):
    """A node between [1, 3, 4, 5] and the output: its constants and attributes.

    ``inputs`` are attributes before the opset ``since``. ``axes``: of the output. ``flat``: it
    reads [1, 60]. ``two``: it reads a second tensor of the network, too.
    """

    constants: Mapping[str, NDArray[Any]] = {}
    attributes: Mapping[str, Any] = {}
    inputs: Mapping[str, NDArray[Any]] = {}
    since: int = 1
    axes: int = 4
    flat: bool = False
    two: bool = False


def per_channel(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(3, 1, 1)


WINDOW = {"kernel_shape": [2, 2], "strides": [2, 2]}
CASES = {
    "Abs": Case(),
    "Add": Case({"c": per_channel(1, 2, 3)}),
    "AveragePool": Case(attributes=WINDOW),
    "BatchNormalization": Case({name: np.array([0.5, 1, 2], np.float32) for name in "smnv"}),
    "Cast": Case(attributes={"to": TensorProto.FLOAT}),
    "Clip": Case(
        inputs={"min": np.zeros((), np.float32), "max": np.ones((), np.float32)}, since=11
    ),
    "Concat": Case(attributes={"axis": 1}, two=True),
    "Conv": Case({"k": random_weights(RNG, 2, 3, 2, 2)}),
    "ConvTranspose": Case({"k": random_weights(RNG, 3, 2, 2, 2)}),
    "Div": Case({"c": per_channel(1, 2, 4)}),
    "Dropout": Case(),
    "Expand": Case({"shape": np.array([1, 3, 4, 5])}),
    "Flatten": Case(axes=2),
    "Gemm": Case({"m": MATRIX, "g": BIAS[:1].repeat(5)}, axes=2, flat=True),
    "GlobalAveragePool": Case(),
    "GlobalMaxPool": Case(),
    "HardSigmoid": Case(attributes={"alpha": 0.3, "beta": 0.4}),
    "Identity": Case(),
    "LeakyRelu": Case(attributes={"alpha": 0.3}),
    "MatMul": Case({"m": MATRIX}, axes=2, flat=True),
    "Max": Case({"c": np.zeros(1, np.float32)}),
    "MaxPool": Case(attributes=WINDOW),
    "Min": Case({"c": np.ones(1, np.float32)}),
    "Mul": Case({"c": per_channel(1, -2, 3)}),
    "Neg": Case(),
    "PRelu": Case({"s": per_channel(0.1, 0.2, 0.3)}),
    "Pad": Case(inputs={"pads": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, since=11),
    "ReduceMax": Case(inputs={"axes": np.array([2, 3])}, since=18),
    "ReduceMean": Case(inputs={"axes": np.array([2, 3])}, since=18),
    "ReduceSum": Case(inputs={"axes": np.array([2, 3])}, since=13),
    "Relu": Case(),
    "Reshape": Case({"t": np.array([1, 60])}, axes=2),
    "Resize": Case(
        {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
        {"mode": "nearest"},
    ),
    "Slice": Case(
        inputs={
            "starts": np.array([1, 0]),
            "ends": np.array([3, 4]),
            "axes": np.array([2, 3]),
        },
        since=10,
    ),
    "Squeeze": Case(inputs={"axes": np.array([0])}, since=13, axes=3),
    "Sub": Case({"c": per_channel(1, 2, 3)}),
    "Sum": Case(two=True),
    "Tile": Case({"repeats": np.array([1, 1, 1, 1])}),
    "Transpose": Case(attributes={"perm": [0, 2, 3, 1]}),
    "Unsqueeze": Case(inputs={"axes": np.array([4])}, since=13, axes=5),
    "Upsample": Case(inputs={"scales": np.array([1, 1, 2, 2], np.float32)}, since=9),
}


def test_the_table_has_every_operator() -> None:
    ours = {name for name in SUPPORT if onnx.defs.has(name)}
    assert ours - {"Einsum"} == set(CASES)  # tests of kinds register that one


@pytest.mark.parametrize("operator", sorted(CASES))
def test_opsets_are_those_of_onnx(operator: str) -> None:
    first, last = SUPPORT[operator].opsets
    versions = [
        schema
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == operator and schema.domain == ""
    ]
    assert max(OLDEST, min(schema.since_version for schema in versions)) <= first
    ends = [schema.since_version - 1 for schema in versions if schema.deprecated]
    assert last == min([NEWEST, *ends])
    assert SUPPORT[operator].reads


@pytest.mark.parametrize("operator", sorted(CASES))
@pytest.mark.parametrize("which", [0, 1])
def test_an_operator_is_read_in_its_first_and_last_opset(
    operator: str, which: int, tmp_path: Path
) -> None:
    case, opset = CASES[operator], SUPPORT[operator].opsets[which]
    attributes = dict(case.attributes)
    constants: dict[str, NDArray[Any]] = dict(case.constants)
    if opset >= case.since:
        constants |= case.inputs
    else:
        attributes |= {
            name: value.tolist() if value.ndim else float(value)
            for name, value in case.inputs.items()
        }
    if operator == "Resize" and opset < 11:
        del constants["r"]
    if opset < 7 and operator in ("Add", "Sub", "Mul", "Div"):
        attributes |= {"broadcast": 1, "axis": 1}
        constants["c"] = constants["c"].reshape(3)
    if opset < 7 and operator == "Gemm":
        attributes["broadcast"] = 1
    if opset < 7 and operator in ("BatchNormalization", "Dropout"):
        attributes["is_test"] = 1
    if opset > 14 and operator == "BatchNormalization":
        attributes["training_mode"] = 0
    nodes = [
        node("Conv", ["x", "w", "b"], ["c0"]),
        *([node("Flatten", ["c0"], ["f0"])] if case.flat else []),
        *([node("Relu", ["c0"], ["r0"])] if case.two else []),
        node(
            operator,
            ["f0" if case.flat else "c0", *(["r0"] if case.two else []), *constants],
            ["y"],
            **attributes,
        ),
    ]
    axes = [None] * case.axes
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, "b": BIAS, **constants}, opset=opset)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, axes))
    graph = read(model, tmp_path)
    assert graph.notes == ()
    assert graph.layers[0].geometry.name == "conv"
