"""Whatever is damaged in a model: a sentence, or the numbers of ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damaged_models import damages, folded_model, windows_model
from onnx import helper, numpy_helper

from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.file.session import open_session, runtime_copy
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.onnx.tail import network_of
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ModelError


@pytest.mark.parametrize("make", [windows_model, folded_model])
def test_every_damage_is_refused_or_computes_what_onnx_runtime_computes(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    """Any other exception, a hang or a crash of C++ code fails the test."""
    path = tmp_path / "model.onnx"
    path.write_bytes(make().SerializeToString())
    n_layers = len(read_onnx(path).layers)
    refused = n_read = 0
    for what, model in damages(make()):
        path.write_bytes(model.SerializeToString())
        try:
            graph = read_onnx(path, input_scale=1 / 255)
        except ModelError:
            refused += 1
            continue
        n_read += 1
        expected, found = _both(path, graph)
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max(), what
    assert n_layers > 1
    assert refused > n_read > 50


@pytest.mark.parametrize("field", ["graph", "node", "producer", "metadata"])
def test_a_text_that_is_no_utf_8_is_refused(field: str, tmp_path: Path) -> None:
    """protobuf reads such texts as bytes, which onnx and ONNX Runtime do not take."""
    path, text = tmp_path / "model.onnx", "UTF-8"
    model = windows_model()
    path.write_bytes(model.SerializeToString())
    load_onnx(path)
    if field == "graph":
        model.graph.name = text
    elif field == "node":
        model.graph.node[0].name = text
    elif field == "producer":
        model.producer_name = text
    else:
        model.metadata_props.add(key=text, value="1")
    content = model.SerializeToString()
    assert content.count(text.encode()) == 1
    path.write_bytes(content.replace(text.encode(), b"UTF\xff8"))
    with pytest.raises(ModelError, match="is not an ONNX file, or one that is cut"):
        load_onnx(path)


def _both(path: Path, graph: Graph) -> tuple[Any, Any]:
    """ONNX Runtime's and the graph's outputs for one input, without the network's tail."""
    (held,) = graph.held
    session = open_session(network_of(runtime_copy(load_onnx(path).model), [held.name]))
    (value,) = session.get_inputs()
    batch = value.shape[0] if isinstance(value.shape[0], int) else 1
    x = np.random.default_rng(1).random((batch, *graph.input_shape), np.float32)
    (expected,) = session.run(None, {value.name: x})
    return held.data.unpacked(expected), FloatNetwork(graph)(torch.from_numpy(x)).numpy()


def test_a_constant_node_whose_values_do_not_fit_its_shape_is_refused(tmp_path: Path) -> None:
    """Found by the fuzzer: such constants are read to find the channels, before anything else."""
    path = tmp_path / "model.onnx"
    model = windows_model()
    damaged = numpy_helper.from_array(np.array([1, 2], np.int64), "shape")
    damaged.ClearField("dims")  # one value
    model.graph.node.insert(0, helper.make_node("Constant", [], ["shape"], value=damaged))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="the constant shape is damaged"):
        read_onnx(path)


@pytest.mark.parametrize("attribute", ["strides", "kernel_shape"])
def test_a_window_of_0_in_a_node_that_no_output_needs_is_refused(
    attribute: str, tmp_path: Path
) -> None:
    """Found by the fuzzer: ONNX Runtime runs such a node, and divides by the stride."""
    path = tmp_path / "model.onnx"
    model = windows_model()
    (pool,) = (node for node in model.graph.node if node.op_type == "MaxPool")
    windows = {"kernel_shape": [2, 2], "strides": [2, 2], attribute: [2, 0]}
    model.graph.node.append(helper.make_node("MaxPool", [pool.input[0]], ["unread"], **windows))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"MaxPool.*{attribute} = \[2, 0\]; expected 1 or more"):
        read_onnx(path)


@pytest.mark.parametrize("opset", [6, 122])
def test_a_type_that_no_version_of_onnx_knows_is_refused(opset: int, tmp_path: Path) -> None:
    """Found by the fuzzer: onnx's converter of opsets has an exception of its own for it."""
    path = tmp_path / "model.onnx"
    model = windows_model()
    model.opset_import[0].version = opset
    model.graph.initializer[0].data_type = 37
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError):
        read_onnx(path)
