"""Makes dense layers of scales that differ from value to value where no dense layer follows.

BatchNorm1d after a Flatten has one mean and one scale per value. A dense layer right after it takes
them; a ReLU cannot, so there the normalisation becomes a dense layer with a diagonal weight.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.onnx.file.protos import domain_of
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.passes.rewriting import attributes_of, node, rewritten

# The weight has the square of it: 64 MB.
_MOST_VALUES = 4096

_DENSE = frozenset(("Gemm", "MatMul"))
_SCALES = frozenset(("Add", "BatchNormalization", "Div", "Mul", "Sub"))
# Between a flattening and its scales, or scales and a dense layer.
_PASSING = _SCALES | {"Cast", "Dropout", "Identity"}
# One pixel of each channel is left behind them.
_OVER_MAPS = frozenset(("GlobalAveragePool", "GlobalMaxPool", "ReduceMax", "ReduceMean"))


def with_dense_scales(model: Any, folded: FoldedGraph) -> Any:
    """A copy of ``model`` with a Gemm for every such BatchNormalization; the model itself without.

    ``folded``: its constants. The outputs keep their names and values.
    """
    producers = {name: one for one in folded.nodes for name in one.output}
    readers: dict[str, list[Any]] = {}
    for one in folded.nodes:
        for name in one.input:
            readers.setdefault(name, []).append(one)
    replaced: dict[str, list[Any]] = {}
    constants: dict[str, NDArray[Any]] = {}
    for one in folded.nodes:
        if one.op_type != "BatchNormalization" or domain_of(one) or len(one.input) < 5:
            continue
        line = _line(one, folded.constants)
        if line is None or _reaches_dense(one, readers):
            continue
        if not _joins_pixels(one, len(line[0]), producers, folded.constants):
            continue
        names = [f"{one.output[0]}:{part}" for part in ("weight", "bias")]
        constants.update(zip(names, (np.diag(line[0]), line[1]), strict=True))
        inputs = [one.input[0], *names]
        replaced[one.output[0]] = [node("Gemm", inputs, one.output[:1], name=one.name)]
    return rewritten(model, replaced, constants) if replaced else model


def _line(
    one: Any, constants: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Factor and offset [K] of a batch normalisation; None where they are no sound constants."""
    values = [constants.get(name) for name in one.input[1:5]]
    sizes = {None if value is None else value.shape for value in values}
    if len(sizes) != 1 or None in sizes or any(v is None or v.ndim != 1 for v in values):
        return None
    scale, bias, mean, variance = (np.asarray(v, np.float64) for v in values)
    spread = variance + attributes_of(one).get("epsilon", 1e-5)
    if not 0 < len(scale) <= _MOST_VALUES or not (spread > 0).all():
        return None
    factor = scale / np.sqrt(spread)
    return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)


def _joins_pixels(
    one: Any, n_values: int, producers: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]
) -> bool:
    """Whether the ``n_values`` that arrive are the pixels of maps, flattened."""
    flattened = False
    while (one := producers.get(one.input[0])) is not None and one.input:
        flattened = flattened or one.op_type in ("Flatten", "Reshape")
        if one.op_type in _DENSE | _OVER_MAPS:
            return False
        if one.op_type in ("Conv", "ConvTranspose"):
            weight = constants.get(one.input[1]) if len(one.input) > 1 else None
            if weight is None or weight.ndim < 2:
                return False
            n_channels = weight.shape[0]
            if one.op_type == "ConvTranspose":
                n_channels = weight.shape[1] * attributes_of(one).get("group", 1)
            return flattened and n_channels != n_values
    return flattened


def _reaches_dense(one: Any, readers: Mapping[str, list[Any]]) -> bool:
    """Whether a dense layer takes the values, after other scales at most."""
    while len(following := readers.get(one.output[0], [])) == 1:
        (one,) = following
        if one.op_type in _DENSE:
            return True
        if one.op_type not in _PASSING:
            return False
    return False
