"""The two halves of a time step as compiled loops, each one pass over the neurons.

In torch they are a dozen passes over tens of megabytes, as long as the convolutions themselves.
All arithmetic is in float32 on multiples of the grid's steps and therefore exact; only wrapping
round needs float64. Arrays are [C, n], channels in parallel.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]


@numba.njit(parallel=True, cache=True)
def integrate(sigma, synaptic, bias, relu, limit, activation, overflows):  # type: ignore[no-untyped-def]
    """``sigma`` += ``synaptic``, wrapped round at ``limit`` (inf: never); ``activation`` is the
    ReLU of sigma + ``bias`` [C]; ``overflows`` [C] counts the states that wrapped.
    """
    for c in numba.prange(sigma.shape[0]):
        overflows[c] = 0
        for i in range(sigma.shape[1]):
            state = sigma[c, i] + synaptic[c, i]
            if state < -limit or state >= limit:
                turns = np.floor((np.float64(state) + limit) / (2.0 * limit))
                state = np.float32(np.float64(state) - turns * 2.0 * limit)
                overflows[c] += 1
            sigma[c, i] = state
            z = state + bias[c]
            activation[c, i] = max(z, np.float32(0)) if relu else z


@numba.njit(parallel=True, cache=True)
def emit(activation, sent, threshold, step, limit, fan_out, messages, counts):  # type: ignore[no-untyped-def]
    """Messages [C, n] where the change against ``sent`` reaches ``threshold``, floored to
    multiples of ``step`` (0: not rounded); ``sent`` follows.

    ``counts`` [C, 3]: messages, operations they cause (their ``fan_out`` [C, n] summed), messages
    larger than ``limit``.
    """
    for c in numba.prange(activation.shape[0]):
        n_messages, operations, n_oversized = 0, 0.0, 0
        for i in range(activation.shape[1]):
            change = activation[c, i] - sent[c, i]
            message = np.float32(0)
            if change != 0 and abs(change) >= threshold:
                message = np.float32(np.floor(change / step) * step) if step > 0 else change
                if message != 0:
                    sent[c, i] += message
                    n_messages += 1
                    operations += fan_out[c, i]
                    n_oversized += abs(message) > limit
            messages[c, i] = message
        counts[c, 0] = n_messages
        counts[c, 1] = np.int64(operations)
        counts[c, 2] = n_oversized
