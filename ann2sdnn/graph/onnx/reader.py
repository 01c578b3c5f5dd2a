"""Reads an ONNX file into a graph, and refuses by name what cannot be converted."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from ann2sdnn.graph.arrangement import FLAT, MAPS, SIGNAL, Data, Held
from ann2sdnn.graph.averages import split_averages
from ann2sdnn.graph.geometry import MAX_VALUES, Pair
from ann2sdnn.graph.layers import Graph, Layer, with_std
from ann2sdnn.graph.onnx.assembly.assemble import assemble
from ann2sdnn.graph.onnx.check import NO_FRAMES, compare_with_onnx_runtime
from ann2sdnn.graph.onnx.elements import Affine
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx
from ann2sdnn.graph.onnx.file.runnable import runnable
from ann2sdnn.graph.onnx.fold import fold
from ann2sdnn.graph.onnx.metadata import stored_preprocessing, stored_scale
from ann2sdnn.graph.onnx.passes import in_readable_form
from ann2sdnn.graph.onnx.passes.quantised import without_quantisers
from ann2sdnn.graph.onnx.walk import Walk, walked
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.errors import ModelError

# Axes of the input by their number.
_AXES = {2: FLAT, 3: SIGNAL, 4: MAPS}


def read_onnx(
    path: Path,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    preprocessing: Preprocessing | None = None,
    compare: bool = True,
) -> Graph:
    """Read a feed-forward ONNX network of one input.

    ``input_size`` (height, width): for a file that leaves its size open. ``input_scale`` overrides
    the file's own ``ann2sdnn.input_scale``; without either it is 1. ``preprocessing`` overrides the
    file's metadata (``metadata.py``); its standard deviation becomes part of the first layer.
    ``compare``: compare the graph with ONNX Runtime on one random input; False for a file that was
    compared before. Raises ModelError naming the operator and node for what is not supported,
    naming the layer where ONNX Runtime computes something else, and for a preprocessing that does
    not fit the input's channels.
    """
    return graph_of(
        load_onnx(path),
        input_size=input_size,
        input_scale=input_scale,
        preprocessing=preprocessing,
        compare=compare,
    )


def graph_of(
    file: OnnxFile,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    preprocessing: Preprocessing | None = None,
    compare: bool = True,
    frames: Mapping[str, NDArray[Any]] = NO_FRAMES,
) -> Graph:
    """The graph of a file that was loaded; arguments and errors as for ``read_onnx``.

    ``frames``: uint8 or float32 [C, H, W] by name, with which the graph is compared too.
    """
    path = file.path
    scale = stored_scale(file) if input_scale is None else input_scale
    own = stored_preprocessing(file) if preprocessing is None else preprocessing
    if not (np.isfinite(scale) and scale > 0):
        raise ModelError(f"{path}: an input scale of {scale}; expected a positive number")
    try:
        model = runnable(file.model)
        name, data = _input(model, input_size)
        folded = fold(model, name, data.dims)
        own = own.for_channels(data.shape[0], float(scale))
        nonnegative = not own.may_be_negative
        model, rounded = without_quantisers(model, folded, name, nonnegative=nonnegative)
        folded = fold(model, name, data.dims) if rounded else folded
        read = in_readable_form(model, folded)
        walk = walked(folded if read is model else fold(read, name, data.dims), name, data)
        made = assemble(walk, Held(name, data), nonnegative=nonnegative)
        layers = tuple(
            with_std(layer, own.std, is_first=index == 0) for index, layer in enumerate(made.layers)
        )
        notes = (*rounded, *_offset_note(walk, name, layers), *walk.notes)
        split = split_averages(layers)
        names = {parts[0].name: parts[-1].name for parts in split}
        outputs = tuple(names[output] for output in made.outputs)
        whole = tuple(layer for parts in split for layer in parts)
        is_last = outputs == (whole[-1].name,)
        graph = Graph(
            data.shape,
            whole,
            float(scale),
            notes,
            own,
            walk.outputs,
            output_names=() if is_last else outputs,
        )
        if compare:
            # The file has no tensor for the first parts of a layer that was split.
            held: list[Held | None] = []
            for parts, tensor in zip(split, made.tensors, strict=True):
                held += [None] * (len(parts) - 1) + [tensor]
            fitting = {n: frame for n, frame in frames.items() if frame.shape == data.shape}
            compare_with_onnx_runtime(model, graph, held, data, fitting)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return graph


def _offset_note(walk: Walk, entry: str, layers: Sequence[Layer]) -> tuple[str, ...]:
    """A sentence where an offset of the input takes a layer of its own."""
    leading: list[Affine] = []
    readers = [run for run in walk.runs if entry in run.reads]
    if len(readers) != 1 or readers[0].merge is not None:
        return ()
    for step in readers[0].steps:
        if not isinstance(step.element, Affine):
            break
        leading.append(step.element)
    if not any(one.shift.any() for one in leading) or layers[0].name != leading[-1].name:
        return ()
    first = next(one for one in leading if one.shift.any())
    return (
        f"node {first.name} subtracts from the input what the zeros around the first convolution do"
        " not have, so it is a layer of its own; export the network without it and give"
        " --input-mean and --input-std, which costs no layer",
    )


def _input(model: Any, size: Pair | None) -> tuple[str, Data]:
    """Name and shape of the network's input; an open batch is 1."""
    constants = {t.name for t in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(
            f"the network has {len(inputs)} inputs ({names}); a network with exactly one can be"
            " converted"
        )
    name, tensor = inputs[0].name, inputs[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        types = {value: key for key, value in TensorProto.DataType.items()}
        raise ModelError(
            f"the input {name} is of type {types.get(tensor.elem_type, tensor.elem_type)}; expected"
            " FLOAT, so export the network in float32"
        )
    dims = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    if len(dims) not in _AXES:
        raise ModelError(
            f"the input {name} has {len(dims)} axes; expected N, C, H, W or N, C, L or N, K"
        )
    batch, channels, *own_size = dims
    if channels is None:
        raise ModelError(
            f"the input {name} leaves its number of {'channels' if own_size else 'values'} open;"
            " export the network with a fixed one, only the batch and the size may be open"
        )
    # A signal is one row, and a flat input one pixel.
    height, width = _filled_in([1] * (2 - len(own_size)) + own_size, size)
    if size is not None and (height, width) != size:
        raise ModelError(
            f"the network takes inputs of {height}x{width}, the recordings have"
            f" {size[0]}x{size[1]}; export the network for that size, or resize the frames with"
            f" --resize {height}x{width}"
        )
    data = Data(batch or 1, (channels, height, width), _AXES[len(dims)])
    if prod(data.dims) > MAX_VALUES:
        raise ModelError(
            f"the input {name} of shape {list(data.dims)} is too large; at most {MAX_VALUES} values"
            " can be converted"
        )
    return name, data


def _filled_in(own: Sequence[int | None], size: Pair | None) -> Pair:
    height, width = (a or b for a, b in zip(own, size or (None, None), strict=True))
    if height is None or width is None:
        raise ModelError(
            "the network leaves the size of its input open; give the size of the frames"
        )
    return height, width
