"""Passes that rewrite a model before it is read: what exporters write in another way."""

from typing import Any

from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.passes.per_value import with_dense_scales
from ann2sdnn.graph.onnx.passes.spelled_out import with_activations

# They change no value of a tensor that the model had before.
_PASSES = (with_activations, with_dense_scales)


def in_readable_form(model: Any, folded: FoldedGraph) -> Any:
    """``model`` after all passes that change no value; the model itself where none applies.

    ``folded``: its constants. Tensors that stay have the same names and values, so the graph that
    is read from the result can be compared with ``model``.
    """
    for change in _PASSES:
        model = change(model, folded)
    return model
