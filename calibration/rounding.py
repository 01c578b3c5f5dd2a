"""From a float layer and its scales to the integers of the spec."""

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.scales import pool_gain
from ann2sdnn.convert.geometry import Pool
from ann2sdnn.convert.graph import Layer, input_channel_view, output_channel_view
from ann2sdnn.sdnn.spec import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP, SpecLayer

FloatArray = NDArray[np.float64]


def scaled_weight(layer: Layer, input_scale: FloatArray, scale: FloatArray) -> FloatArray:
    """The weight in scaled units: W s_out / s_in, channel by channel.

    ``input_scale`` [C] belongs to what arrives, ``scale`` [O] to the layer's own neurons.
    """
    weight = layer.weight.astype(np.float64)
    gain = output_channel_view(layer, scale) / input_channel_view(layer, input_scale)
    return np.asarray(weight * gain, np.float64)


def round_layer(
    layer: Layer, input_scale: FloatArray, scale: FloatArray, threshold: int
) -> SpecLayer:
    """Round to the nearest legal integers; an average pooling becomes a sum."""
    steps = np.rint(scaled_weight(layer, input_scale, scale) * (UNITS / WEIGHT_STEP))
    weight = np.clip(steps * WEIGHT_STEP, WEIGHT_MIN, WEIGHT_MAX).astype(np.int16)
    bias = None
    if layer.bias is not None:
        bias = np.rint(layer.bias.astype(np.float64) * scale * UNITS).astype(np.int32)
    return SpecLayer(
        name=layer.name,
        geometry=layer.geometry,
        weight=weight,
        bias=bias,
        relu=layer.relu,
        pool=_summing(layer.pool),
        threshold=threshold,
        scale=scale * pool_gain(layer),
        input_shape=layer.input_shape,
    )


def weight_snr_db(weight: FloatArray, rounded: NDArray[np.int16]) -> float:
    """Signal-to-noise ratio of rounding ``weight`` (scaled units): 10 log10(sum w^2 / sum e^2)."""
    error = float(np.square(weight - rounded / UNITS).sum())
    signal = float(np.square(weight).sum())
    return float("inf") if error == 0 else 10 * float(np.log10(signal / error))


def _summing(pool: Pool | None) -> Pool | None:
    if pool is None or pool.kind != "average":
        return pool
    return Pool("sum", pool.kernel, pool.stride, pool.pads)
