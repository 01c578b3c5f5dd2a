"""Quantises an ONNX network to int8 with ONNX Runtime's own tools."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from ann2sdnn.graph.onnx.file.protos import opset_of

Feed = Mapping[str, NDArray[np.float32]]

_OLDEST_OPSET = 13  # of a scale per channel
_WARNING, _FATAL = 2, 4  # ONNX Runtime's severities; the first is its default


def quantised(model: Any, inputs: Iterator[Feed]) -> Any:
    """``model`` with 8-bit weights and activations, calibrated on ``inputs`` by input name.

    ``model`` is one that ONNX Runtime runs, with unique names of its nodes. Quantisation is static,
    with QuantizeLinear and DequantizeLinear pairs, which other libraries read too: one symmetric
    int8 scale per output channel for weights, extremes over ``inputs`` for uint8 activations. With
    int8 activations ONNX Runtime was 1.4 times and OpenVINO 6 times slower (x86 with AVX-512).
    Raises what the tools raise, which is not documented.
    """
    with tempfile.TemporaryDirectory(prefix="ann2sdnn-int8-") as name, _quiet():
        plain, prepared, result = (Path(name) / f"{i}.onnx" for i in ("plain", "prepared", "int8"))
        if opset_of(model) < _OLDEST_OPSET:
            model = version_converter.convert_version(model, _OLDEST_OPSET)
        onnx.save_model(model, plain)
        # Folds batch normalisation, as it is in the other networks.
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(result),
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load_model(result)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands inputs to the calibration one by one; it keeps two numbers per tensor of each."""

    def __init__(self, inputs: Iterator[Feed]) -> None:
        self._inputs = inputs

    def get_next(self) -> Feed | None:
        """The next input; None after the last."""
        return next(self._inputs, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice from the tools: they log to the root logger, to which they add a handler."""
    disabled, handlers = logging.root.manager.disable, logging.root.handlers[:]
    logging.disable(logging.CRITICAL)
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
        logging.disable(disabled)
        logging.root.handlers[:] = handlers
