"""The equations of a sigma-delta neuron in numba, and the engine's two loops over its neurons.

``wrapped`` and ``delta`` are the equations of ``sdnn/reference/equations.py`` for one neuron; the
compiled loops of lowering, lava, training and calibration call them too. The engine's loops take
one pass each, where torch would take a dozen passes over tens of megabytes. They compute on
multiples of the grid's steps, in float32 where that is exact. Elsewhere callers pass float64 arrays
(sums, activations), and the loops compute in float64.

Arrays are [H, W, C], the memory order of convolutions on a CPU; rows run in parallel. The loops
check no index: callers check the shapes of frames, weights and biases.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def wrapped(value):  # type: ignore[no-untyped-def]
    """``value`` (an integer, or an array of integers) as a signed 24-bit integer."""
    return ((value + 0x800000) & 0xFFFFFF) - 0x800000


@numba.njit(cache=True, inline="always")
def delta(activation, sent, threshold, step, stock):  # type: ignore[no-untyped-def]
    """One neuron's message, and what it has ``sent`` afterwards, for its ``activation``.

    A message is a multiple of ``step``, a power of two (0: not rounded), in the unit of
    ``activation``. ``stock``: the neuron of lava-nc and lava-dl as released. Integers are rounded
    in float64, which is exact below 2^53.

    It is inlined, and its zero is a constant of the change's type: the compiler then leaves out
    what constant arguments and neurons without a message do not need.

    numba caches a loop by the date of the loop's own file: after a change here, delete the
    ``__pycache__`` folders.
    """
    change = activation - sent
    if change == 0 or abs(change) < threshold:
        return type(change)(0), sent
    message = np.floor(change / step) * step if step > 0 else change
    return message, activation if stock else sent + message


@numba.njit(parallel=True, cache=True)
def integrate(sigma, synaptic, bias, relu, limit, activation, overflows):  # type: ignore[no-untyped-def]
    """``sigma`` += ``synaptic``, wrapped round at ``limit`` (inf: never); ``activation`` is the
    ReLU of sigma + ``bias`` [C]; ``overflows`` [H] counts the states that wrapped, each once.

    ``synaptic`` is exact and has not been wrapped (float64 where float32 cannot hold it).
    """
    height, width, channels = sigma.shape
    unit = limit / 0x800000
    for row in numba.prange(height):
        n_wrapped = 0
        for column in range(width):
            for c in range(channels):
                state = sigma[row, column, c] + synaptic[row, column, c]
                if state < -limit or state >= limit:
                    state = np.float32(wrapped(np.int64(np.float64(state) / unit)) * unit)
                    n_wrapped += 1
                sigma[row, column, c] = state
                z = state + bias[c]
                activation[row, column, c] = max(z, np.float32(0)) if relu else z
        overflows[row] = n_wrapped


@numba.njit(parallel=True, cache=True)
def emit(  # type: ignore[no-untyped-def]
    activation, gain, sent, unit, limit, fan_out, messages, peaks, counts
):
    """The ``messages`` of the delta unit for ``gain`` * ``activation``; updates ``sent``.

    ``unit``: threshold, step and neuron as ``delta`` takes them.
    ``peaks`` [H, C]: the largest magnitude. ``counts`` [H, 3]: messages, the operations they cause
    (their ``fan_out`` summed), messages larger than ``limit``.
    """
    threshold, step, stock = unit
    height, width, channels = activation.shape
    for row in numba.prange(height):
        n_messages, operations, n_oversized = 0, 0.0, 0
        for c in range(channels):
            peaks[row, c] = 0
        for column in range(width):
            for c in range(channels):
                message, sent[row, column, c] = delta(
                    activation[row, column, c] * gain, sent[row, column, c], threshold, step, stock
                )
                messages[row, column, c] = message
                if message != 0:
                    n_messages += 1
                    operations += fan_out[row, column, c]
                    n_oversized += abs(message) > limit
                    peaks[row, c] = max(peaks[row, c], abs(message))
        counts[row, 0] = n_messages
        counts[row, 1] = np.int64(operations)
        counts[row, 2] = n_oversized
