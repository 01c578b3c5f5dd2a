"""Valid ONNX models, and every way of damaging one field of one of them."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import AttributeProto, helper, numpy_helper
from onnx_models import ModelBuilder, random_weights

INTEGERS = (0, -1, 1, 2, 3, 1000, 10**9, 2**31, 2**62)
FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e20)
TYPES = (np.uint8, np.int8, np.int32, np.int64, np.float16, np.float64, np.bool_)
DIMENSIONS = (0, -1, 3, 10**6, 2**40)


def windows_model() -> Any:
    """Convolutions, poolings, normalisation and dense layers, all attributes written out."""
    rng = np.random.default_rng(0)
    scale, shift, mean = (rng.standard_normal(4).astype(np.float32) for _ in range(3))
    builder = ModelBuilder(("N", 2, 9, 11))
    builder.add(
        "Conv",
        random_weights(rng, 6, 1, 3, 2),
        random_weights(rng, 6),
        dilations=[1, 2],
        group=2,
        kernel_shape=[3, 2],
        pads=[1, 0, 1, 1],
        strides=[1, 1],
    ).add("Relu")
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 1, 1, 0], "ceil_mode": 0}
    builder.add("MaxPool", dilations=[1, 1], storage_order=0, **pool)
    builder.add(
        "ConvTranspose",
        random_weights(rng, 6, 4, 3, 3),
        None,
        dilations=[1, 1],
        group=1,
        kernel_shape=[3, 3],
        output_padding=[1, 0],
        pads=[1, 1, 1, 0],
        strides=[2, 2],
    )
    builder.add(
        "BatchNormalization", scale, shift, mean, rng.random(4, np.float32) + 0.1, epsilon=1e-3
    )
    builder.add("AveragePool", count_include_pad=1, **pool).add("Relu").add("Flatten", axis=1)
    builder.add("Gemm", random_weights(rng, 100, 5), random_weights(rng, 5), transB=0)
    builder.add("Relu").add("Gemm", random_weights(rng, 3, 5), alpha=0.5, beta=2.0, transB=1)
    return builder.build()


def folded_model() -> Any:
    """What exporters write around layers: means, reshapes, biases as additions, an ending."""
    rng = np.random.default_rng(1)
    builder = (
        ModelBuilder((1, 2, 6, 7)).add("Identity").add("Conv", random_weights(rng, 4, 2, 3, 3))
    )
    builder.add("Add", random_weights(rng, 1, 4, 1, 1)).add("MaxPool", kernel_shape=[2, 2])
    builder.add("Clip", np.zeros((), np.float32)).add("Dropout")
    # From opset 18 on the axes are an input; the models are of opset 17.
    builder.add("ReduceMean", axes=[2, 3], keepdims=1)
    builder.add("Reshape", np.array([0, -1], np.int64), allowzero=0)
    builder.add("MatMul", random_weights(rng, 4, 3)).add("Add", random_weights(rng, 3))
    return builder.add("Softmax", axis=1).build()


def damages(model: Any) -> Iterator[tuple[str, Any]]:
    """(what was done, the model with that done to it), one field at a time."""
    for make in (_attributes, _initializers, _nodes, _graph):
        yield from make(model)


def _changed(model: Any) -> Any:
    return copy.deepcopy(model)


def _attributes(model: Any) -> Iterator[tuple[str, Any]]:
    for i, node in enumerate(model.graph.node):
        for j, attribute in enumerate(node.attribute):
            what = f"{node.name}.{attribute.name}"
            changed = _changed(model)
            del changed.graph.node[i].attribute[j]
            yield f"{what} left out", changed
            for value in _values(attribute):
                changed = _changed(model)
                changed.graph.node[i].attribute[j].CopyFrom(
                    helper.make_attribute(attribute.name, value, attr_type=_type(value))
                )
                yield f"{what} = {value}", changed


def _type(value: Any) -> int | None:
    """An empty list does not say what it is a list of."""
    return int(AttributeProto.INTS) if value == [] else None


def _values(attribute: Any) -> Iterator[Any]:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, list):
        yield from (value[:-1], [*value, value[-1]], [], value[0])
        for index in range(len(value)):
            for other in INTEGERS:
                yield [*value[:index], other, *value[index + 1 :]]
        for other in INTEGERS:
            yield [other] * len(value)
    elif isinstance(value, float):
        yield from FLOATS
    else:
        yield from (*INTEGERS, [1, 1], 0.5, "text")


def _initializers(model: Any) -> Iterator[tuple[str, Any]]:
    for i, tensor in enumerate(model.graph.initializer):
        value = numpy_helper.to_array(tensor)
        others = [value.astype(kind) for kind in TYPES]
        others += [value.reshape(-1), value.reshape(1, *value.shape), value.T]
        others += [value.reshape(-1)[:0], value.reshape(-1)[:1]]
        others += [np.full_like(value, 0), np.repeat(value, 2), np.array("text")]
        if value.dtype == np.float32:
            others += [np.full_like(value, np.nan), np.full_like(value, 1e20)]
        for number, other in enumerate(others):
            changed = _changed(model)
            array = np.ascontiguousarray(other)
            changed.graph.initializer[i].CopyFrom(numpy_helper.from_array(array, tensor.name))
            yield f"{tensor.name} changed ({number}: {other.dtype} {other.shape})", changed
        for size in DIMENSIONS:
            changed = _changed(model)
            changed.graph.initializer[i].dims[:] = [size] * value.ndim
            yield f"{tensor.name} of dims {size}", changed
        for name in ("raw_data", "data_type", "name"):
            changed = _changed(model)
            damaged = changed.graph.initializer[i]
            damaged.raw_data = damaged.raw_data[:-3] if name == "raw_data" else damaged.raw_data
            damaged.data_type = 99 if name == "data_type" else damaged.data_type
            damaged.name = "another" if name == "name" else damaged.name
            yield f"{tensor.name} with damaged {name}", changed


def _nodes(model: Any) -> Iterator[tuple[str, Any]]:
    operators = sorted({node.op_type for node in model.graph.node} | {"Tanh", "Sub", "Reciprocal"})
    for i, node in enumerate(model.graph.node):
        for operator in operators:
            changed = _changed(model)
            changed.graph.node[i].op_type = operator
            yield f"{node.name} is {operator}", changed
        for name in ("domain", "name", "output", "second output", "input"):
            changed = _changed(model)
            damaged = changed.graph.node[i]
            damaged.domain = "com.acme" if name == "domain" else ""
            if name == "name":
                damaged.name = model.graph.node[0].name
            elif name == "output":
                del damaged.output[:]
            elif name == "second output":
                damaged.output.append("more")
            elif name == "input":
                del damaged.input[-1]
            changed.opset_import.append(helper.make_opsetid("com.acme", 1))
            yield f"{node.name} with another {name}", changed
        for index in range(len(node.input)):
            for other in ("", "input", "nowhere", node.input[-1]):
                changed = _changed(model)
                changed.graph.node[i].input[index] = other
                yield f"{node.name} reads {other!r} at {index}", changed


def _graph(model: Any) -> Iterator[tuple[str, Any]]:
    for count in (0, 2):
        changed = _changed(model)
        del changed.graph.output[:]
        changed.graph.output.extend([model.graph.output[0]] * count)
        yield f"{count} outputs", changed
    for node in model.graph.node:
        changed = _changed(model)
        changed.graph.output[0].name = node.output[0]
        yield f"the output is {node.output[0]}", changed
    for index in range(4):
        for size in (*DIMENSIONS, 2):
            changed = _changed(model)
            changed.graph.input[0].type.tensor_type.shape.dim[index].dim_value = size
            yield f"axis {index} of the input is {size}", changed
    for kind in (0, 2, 7, 10, 11, 99):
        changed = _changed(model)
        changed.graph.input[0].type.tensor_type.elem_type = kind
        yield f"the input is of type {kind}", changed
    for version in (0, 1, 5, 6, 7, 9, 11, 13, 18, 21, 23, 28, 100):
        changed = _changed(model)
        changed.opset_import[0].version = version
        yield f"opset {version}", changed
    for version in (0, 2, 3, 14, 100):
        changed = _changed(model)
        changed.ir_version = version
        yield f"IR version {version}", changed
