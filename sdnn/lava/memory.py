"""Memory that lava-nc's simulation takes, in all of its processes together."""

import math

from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.memory import available_bytes, check_memory

# Measured on a lowered network of 17 million neurons and 8 frames: bytes of the processes, and of
# the process that compares messages, which holds those of one layer over all time steps.
_PROCESSES, _NEURON = 13 * 10**8, 95
_COMPARING, _MESSAGE = 7 * 10**8, 80


def lava_bytes(lowered: Spec) -> int:
    """Bytes that the simulation of a ``lowered`` spec takes."""
    neurons = sum(math.prod(layer.preactivation_shape) for layer in lowered.layers)
    return _PROCESSES + _NEURON * neurons


def comparison_bytes(lowered: Spec, n_frames: int) -> int:
    """Bytes for comparing the messages of ``n_frames`` frames, layer by layer."""
    largest = max(math.prod(layer.output_shape) for layer in lowered.layers)
    return _COMPARING + _MESSAGE * largest * (n_frames + len(lowered.layers))


def check_simulation(lowered: Spec, n_frames: int, *, available: int | None = None) -> None:
    """Raise UsageError when `simulate` on ``n_frames`` frames needs more memory than is free.

    ``available``: free bytes; None asks this machine.
    """
    height, width = lowered.input_shape[1:]
    check_memory(
        max(lava_bytes(lowered), comparison_bytes(lowered, n_frames)),
        f"simulating {n_frames} frames of {height}x{width}",
        "give fewer --frames, or smaller pictures with --crop",
        available=available_bytes() if available is None else available,
    )


def check_backend_memory(lowered: Spec, *, available: int | None = None) -> None:
    """Raise UsageError when lava's processes need more memory than is free, as above."""
    check_memory(
        lava_bytes(lowered),
        "lava-nc's simulation, a process for each population and synapse,",
        "evaluate with --backend engine, which sends the same messages",
        available=available_bytes() if available is None else available,
    )
