"""Small ONNX models for the tests, built node by node, and their outputs in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FloatArray = NDArray[np.float32]


class ModelBuilder:
    """A chain of nodes: each ``add`` reads the output of the one before."""

    def __init__(self, input_shape: tuple[int | str, ...]) -> None:
        self.input_shape = input_shape
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.last = "input"
        self.rank = len(input_shape)
        self.metadata: dict[str, str] = {}

    def add(
        self, op_type: str, *constants: NDArray[Any] | None, **attributes: Any
    ) -> "ModelBuilder":
        """Append a node ``op_type`` with constant inputs after its data (None: left out)."""
        number = len(self.nodes)
        inputs = [self.last]
        for index, value in enumerate(constants):
            if value is None:
                inputs.append("")
                continue
            inputs.append(f"c{number}_{index}")
            self.initializers.append(numpy_helper.from_array(value, inputs[-1]))
        self.last = f"t{number}"
        self.rank = 2 if op_type in ("Flatten", "Reshape") else self.rank
        node = helper.make_node(
            op_type, inputs, [self.last], name=f"n{number}_{op_type}", **attributes
        )
        self.nodes.append(node)
        return self

    def build(self) -> Any:
        """The model."""
        graph = helper.make_graph(
            self.nodes,
            "chain",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(self.input_shape))],
            [
                helper.make_tensor_value_info(
                    self.last, TensorProto.FLOAT, list("nchw"[: self.rank])
                )
            ],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, self.metadata)
        return model

    def save(self, path: Path) -> Path:
        """Write the model to ``path``."""
        onnx.save(self.build(), str(path))
        return path


def run_onnx(path: Path, x: FloatArray) -> FloatArray:
    """The output of ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: x})
    assert isinstance(output, np.ndarray)
    result: FloatArray = output.astype(np.float32)
    return result


def random_weights(rng: np.random.Generator, *shape: int) -> FloatArray:
    """Normal weights of a size that keeps activations near 1."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return np.asarray(rng.standard_normal(shape) / np.sqrt(fan_in), np.float32)


def model_of(
    nodes: Sequence[Any],
    input_shape: Sequence[int | str],
    constants: Mapping[str, NDArray[Any]] | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    axes: int = 4,
    opset: int = 17,
    domains: Sequence[str] = (),
    functions: Sequence[Any] = (),
) -> Any:
    """A model of ``nodes`` from "x" to ``outputs``, which have ``axes`` axes."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list("nchw"[:axes]))
            for name in outputs
        ],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", opset),
            *(helper.make_opsetid(domain, 1) for domain in domains),
        ],
        functions=list(functions),
        ir_version=8,
    )
