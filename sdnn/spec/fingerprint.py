"""Hash of a network at one operating point, by which states of the same one are recognised."""

import hashlib
from typing import Any

import numpy as np

from ann2sdnn.sdnn.spec.spec import Spec


def fingerprint(spec: Spec) -> str:
    """Hexadecimal SHA-256 of all that decides what the network sends."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode() + b"\0")

    code = (spec.input_shape, spec.input_gain, spec.input_offset, spec.input_threshold)
    add((*code, spec.grid, spec.input_is_stateful, spec.preprocessing, spec.output_names))
    for layer in spec.layers:
        add((layer.relu, layer.pool, layer.threshold, layer.shift, layer.is_stateful))
        add((layer.name, layer.n_carried))
        for array in (layer.bias, layer.scale):
            add(array)
        for synapse in layer.synapses:
            add((synapse.geometry, synapse.input_shape, synapse.source))
            add(synapse.weight)
    return digest.hexdigest()
