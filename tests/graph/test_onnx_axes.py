"""Tensors whose axes are in another order: channels last, signals, transposes and reshapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, X, assert_same, expected_output, node, read, refused

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork

RNG = np.random.default_rng(11)


def assert_reads(
    model: Any, x: NDArray[np.float32], frames: NDArray[np.float32], folder: Path
) -> Graph:
    """The graph of ``model`` computes for ``frames`` [N, C, H, W] what the file does for ``x``."""
    graph = read(model, folder)
    expected = expected_output(model, x)
    found = FloatNetwork(graph)(torch.from_numpy(frames)).numpy()
    (held,) = graph.held
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(held.data.unpacked(expected), found, atol=1e-5)
    np.testing.assert_allclose(held.data.packed(found), expected, atol=1e-5)
    return graph


CONV = [
    node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
    node("Conv", ["t", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
    node("Relu", ["c"], ["d"]),
    node("Transpose", ["d"], ["e"], perm=[0, 2, 3, 1]),
]
LAST = np.ascontiguousarray(X.transpose(0, 2, 3, 1))


def test_keras_flattens_channels_last(tmp_path: Path) -> None:
    """As tf2onnx writes Conv2D, Flatten, Dense."""
    nodes = [
        *CONV,
        node("Reshape", ["e", "shape"], ["f"]),
        node("MatMul", ["f", "m"], ["g"]),
        node("Add", ["g", "n"], ["y"]),
    ]
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "shape": np.array([-1, 126]),
        "m": random_weights(RNG, 126, 5),
        "n": random_weights(RNG, 5),
    }
    model = model_of(nodes, ("N", 6, 7, 2), constants, axes=2)
    graph = assert_reads(model, LAST, X, tmp_path)
    assert [layer.geometry.name for layer in graph.layers] == ["conv", "dense"]


def test_keras_pools_and_normalises_channels_last(tmp_path: Path) -> None:
    nodes = [
        *CONV,
        node("Mul", ["e", "s"], ["f"]),
        node("Sub", ["f", "o"], ["g"]),
        node("ReduceMean", ["g"], ["h"], axes=[1, 2], keepdims=0),
        node("MatMul", ["h", "m"], ["y"]),
    ]
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "s": np.array([1, 2, 0.5], np.float32),
        "o": np.array([0.1, 0, -0.2], np.float32),
        "m": random_weights(RNG, 3, 4),
    }
    model = model_of(nodes, (1, 6, 7, 2), constants, axes=2)
    assert_reads(model, LAST, X, tmp_path)


def test_maps_that_stay_channels_last(tmp_path: Path) -> None:
    """A dense layer over the channels of maps is a 1x1 convolution; the output is channels last."""
    nodes = [*CONV, node("MatMul", ["e", "m"], ["f"]), node("Add", ["f", "n"], ["y"])]
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "m": random_weights(RNG, 3, 4),
        "n": random_weights(RNG, 4),
    }
    graph = assert_reads(model_of(nodes, (1, 6, 7, 2), constants), LAST, X, tmp_path)
    assert graph.output_shape == (4, 6, 7)


def test_a_mean_is_subtracted_from_channels_last_before_the_transpose(tmp_path: Path) -> None:
    nodes = [
        node("Sub", ["x", "mean"], ["p"]),
        node("Div", ["p", "std"], ["q"]),
        node("Transpose", ["q"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["y"]),
    ]
    constants = {
        "mean": np.array([0.4, 0.5], np.float32),
        "std": np.array([0.2, 0.3], np.float32),
        "w": KERNEL,
    }
    graph = assert_reads(model_of(nodes, (1, 6, 7, 2), constants), LAST, X, tmp_path)
    assert len(graph.layers) == 1
    assert graph.notes == ()


def test_an_offset_before_zero_padding_is_exact_at_the_border(tmp_path: Path) -> None:
    nodes = [
        node("Sub", ["x", "mean"], ["p"], name="norm"),
        node("Conv", ["p", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"mean": np.array([0.4, 0.5], np.float32).reshape(1, 2, 1, 1), "w": KERNEL}
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 2)
    (note,) = graph.notes
    assert "--input-mean" in note
    assert "norm" in note


@pytest.mark.parametrize("sizes", [(1, 6, 7, 1), ("N", 6, 7, 3)])
def test_a_dense_network_of_pictures_with_channels_last(
    sizes: Sequence[int | str], tmp_path: Path
) -> None:
    channels = int(sizes[3])
    frames = RNG.random((1, channels, 6, 7), np.float32)
    nodes = [node("Reshape", ["x", "s"], ["f"]), node("MatMul", ["f", "m"], ["y"])]
    constants = {"s": np.array([-1, 42 * channels]), "m": random_weights(RNG, 42 * channels, 5)}
    x = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
    graph = assert_reads(model_of(nodes, sizes, constants, axes=2), x, frames, tmp_path)
    assert graph.input_shape == (channels, 6, 7)


def test_pictures_without_an_axis_of_channels(tmp_path: Path) -> None:
    frames = RNG.random((1, 1, 6, 7), np.float32)
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "m"], ["y"])]
    model = model_of(nodes, (1, 6, 7), {"m": random_weights(RNG, 42, 5)}, axes=2)
    assert assert_reads(model, frames[:, 0], frames, tmp_path).input_shape == (1, 6, 7)
    nodes = [node("Unsqueeze", ["x", "axes"], ["u"]), node("Conv", ["u", "w"], ["y"])]
    model = model_of(nodes, (1, 6, 7), {"axes": np.array([1]), "w": KERNEL[:, :1]})
    assert assert_reads(model, frames[:, 0], frames, tmp_path).output_shape == (3, 4, 5)


def signal_network(*, last: bool) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """1D layers; ``last``: on a signal [N, L, C], with 2D convolutions of columns, as Keras."""
    constants = {
        "w": random_weights(RNG, 4, 3, 5),
        "v": random_weights(RNG, 2, 4, 3),
        "g": random_weights(RNG, 4, 3, 2),
    }
    if last:
        constants["w"], constants["axes"] = constants["w"][..., None], np.array([3])
        return [
            node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
            node("Unsqueeze", ["a", "axes"], ["b"]),
            node("Conv", ["b", "w"], ["c"], strides=[2, 1], pads=[2, 0, 1, 0]),
            node("Squeeze", ["c", "axes"], ["d"]),
            node("Relu", ["d"], ["y"]),
        ], constants
    return [
        node("Conv", ["x", "w"], ["a"], strides=[2], pads=[2, 1]),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["c"], kernel_shape=[3], pads=[1, 0]),
        node("Conv", ["c", "v"], ["d"], dilations=[2], pads=[2, 1]),
        node("LeakyRelu", ["d"], ["e"], alpha=0.1),
        node("AveragePool", ["e"], ["f"], kernel_shape=[2], strides=[2]),
        node("Pad", ["f", "p"], ["h"]),
        node("Conv", ["h", "u"], ["i"]),
        node("ConvTranspose", ["i", "g"], ["y"], strides=[2]),
    ], constants | {"p": np.array([0, 0, 1, 0, 0, 2]), "u": random_weights(RNG, 4, 2, 3)}


def test_a_signal_is_a_row(tmp_path: Path) -> None:
    x = RNG.random((1, 3, 20), np.float32)
    nodes, constants = signal_network(last=False)
    model = model_of(nodes, (1, 3, 20), constants, axes=3)
    graph = assert_reads(model, x, x[:, :, None], tmp_path)
    assert graph.input_shape == (3, 1, 20)
    assert graph.output_shape[:2] == (3, 1)


def test_a_signal_with_channels_last_and_convolutions_of_columns(tmp_path: Path) -> None:
    x = RNG.random((1, 20, 3), np.float32)
    nodes, constants = signal_network(last=True)
    model = model_of(nodes, (1, 20, 3), constants, axes=3)
    assert_reads(model, x, x.transpose(0, 2, 1)[:, :, None], tmp_path)


def test_a_dense_layer_over_the_channels_of_a_signal(tmp_path: Path) -> None:
    x = RNG.random((1, 3, 20), np.float32)
    nodes = [
        node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
        node("MatMul", ["a", "m"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MatMul", ["c", "n"], ["y"]),
    ]
    constants = {"m": random_weights(RNG, 3, 5), "n": random_weights(RNG, 5, 2)}
    model = model_of(nodes, (1, 3, 20), constants, axes=3)
    assert assert_reads(model, x, x[:, :, None], tmp_path).output_shape == (2, 1, 20)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Squeeze", ["a"], ["y"])], {}),
        ([node("Squeeze", ["a", "s"], ["b"]), node("Unsqueeze", ["b", "s"], ["y"])], {"s": [2, 3]}),
        ([node("Reshape", ["a", "s"], ["b"]), node("Flatten", ["b"], ["y"])], {"s": [1, 1, 3, 1]}),
        ([node("Transpose", ["a"], ["b"]), node("Reshape", ["b", "s"], ["y"])], {"s": [1, -1]}),
    ],
)
def test_axes_of_one_pixel_come_and_go(
    nodes: Sequence[Any], constants: Mapping[str, Sequence[int]], tmp_path: Path
) -> None:
    given = {name: np.array(value) for name, value in constants.items()}
    chain = [
        node("Conv", ["x", "w"], ["p"]),
        node("GlobalMaxPool", ["p"], ["a"]),
        *nodes[:-1],
        nodes[-1],
        node("Reshape", ["y", "flat"], ["f"]),
        node("MatMul", ["f", "m"], ["z"]),
    ]
    more = {"w": KERNEL, "flat": np.array([1, 3]), "m": random_weights(RNG, 3, 4)}
    model = model_of(chain, (1, 2, 6, 7), given | more, outputs=["z"], axes=2)
    assert_same(model, tmp_path, 2)


def test_a_reshape_that_splits_channels_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Reshape", ["a", "s"], ["b"], name="r"),
        node("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["c", "t"], ["d"]),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constants = {
        "w": random_weights(RNG, 4, 2, 3, 3),
        "s": np.array([1, 2, 2, 4, 5]),
        "t": np.array([1, 4, 4, 5]),
        "v": random_weights(RNG, 2, 4, 1, 1),
    }
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, r"node r \(Reshape\): it reshapes")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_packing_is_undone_by_unpacking(data: st.DataObject) -> None:
    """Any order and joining of axes, sizes of 1 included, of several frames."""
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 3))
    order = data.draw(st.permutations([1, 2, 3]))
    joins = data.draw(st.lists(st.booleans(), min_size=2, max_size=2))
    axes: list[tuple[int, ...]] = [(0,), (order[0],)]
    for one, joined in zip(order[1:], joins, strict=True):
        axes = [*axes[:-1], (*axes[-1], one)] if joined else [*axes, (one,)]
    layout = Data(1, shape, tuple(axes))
    maps = np.random.default_rng(0).random((3, *shape))
    packed = layout.packed(maps)
    assert packed.shape[1:] == layout.dims[1:]
    np.testing.assert_array_equal(
        packed.reshape(3, -1)[0], maps[0].transpose([o - 1 for o in order]).ravel()
    )
    np.testing.assert_array_equal(layout.unpacked(packed), maps)
