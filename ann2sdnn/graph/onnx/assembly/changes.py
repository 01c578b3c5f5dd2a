"""Changes to a layer that take what follows it into the layer."""

from dataclasses import replace

import numpy as np

from ann2sdnn.graph.layers import (
    Layer,
    Synapse,
    output_channel_view,
    scale_output_channels,
    with_synapses,
)
from ann2sdnn.graph.onnx.assembly.mix import Mix, added_pads
from ann2sdnn.graph.onnx.elements import Affine, Bend, Floats64
from ann2sdnn.graph.pooling import Pool


def with_affine(layer: Layer, element: Affine) -> Layer | None:
    """The layer whose output is that of ``element`` after it; None where there is none."""
    factor, shift = element.factor[:, 0, 0], element.shift[:, 0, 0]
    scales = not shift.any() and bool((factor > 0).all())
    pool = layer.pool
    if not scales:
        if layer.relu or (pool is not None and (any(pool.pads) and shift.any())):
            return None
        if pool is not None and pool.kind == "max" and not (factor > 0).all():
            return None
    scaled = scale_output_channels(layer, factor)
    if not shift.any():
        return scaled
    bias = shift if scaled.bias is None else scaled.bias + shift
    return replace(scaled, bias=bias.astype(np.float32))


def joined_pool(layer: Layer, mix: Mix, pool: Pool) -> Pool | None:
    """The pool that ``layer`` gets for a pooling after ``mix``; None where it can have none."""
    if layer.pool is not None:
        return None
    pads = added_pads(mix.pads, pool.pads)
    if any(mix.pads) and any(p >= k for p, k in zip(pads, pool.kernel * 2, strict=True)):
        return None
    if pool.kind == "max":
        # Zeros are part of the maximum where the file pads with them.
        zeros_fit = not any(mix.pads) or (layer.relu and not mix.shifts)
        fits = mix.commutes and zeros_fit
    else:
        fits = not (mix.shifts and any(pads))
    return replace(pool, pads=pads) if fits else None


def bends_before_pool(layer: Layer, bend: Bend) -> bool:
    """Whether the layer may have the ReLUs of ``bend`` before its pooling, in place of after it."""
    return layer.pool is None or (layer.pool.kind == "max" and bend.commutes)


def bent(layer: Layer, bend: Bend) -> Layer:
    """The layer with each output channel once per ReLU of ``bend``."""
    synapses = [_repeated(synapse, bend.gains) for synapse in layer.synapses]
    own = np.zeros(bend.gains.shape[1]) if layer.bias is None else layer.bias.astype(np.float64)
    bias = (own * bend.gains + bend.offsets).T.ravel().astype(np.float32)
    return with_synapses(
        layer,
        synapses,
        bias=bias if bias.any() else None,
        relu=True,
        copies=len(bend.gains),
    )


def _repeated(synapse: Synapse, gains: Floats64) -> Synapse:
    """The synapse with each output channel once per row of ``gains`` [K, C], times that row."""
    weights = [
        (synapse.weight * output_channel_view(synapse, gain)).astype(np.float32) for gain in gains
    ]
    weight = synapse.geometry.interleaved_outputs(weights, synapse.input_shape[0])
    return replace(synapse, weight=weight)
