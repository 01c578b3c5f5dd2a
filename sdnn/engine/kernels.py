"""The two halves of a time step as compiled loops, each one pass over the neurons.

In torch they are a dozen passes over tens of megabytes, as long as the convolutions themselves.
All arithmetic is on multiples of the grid's steps, in float32 where that holds them exactly. Where
it does not the caller hands over float64 arrays (sums, activations), and the loops compute in that.
Arrays are [H, W, C], which is what convolutions on a CPU work in; rows run in parallel. The loops
check no index: callers check the shapes of frames, weights and biases.
"""

import numba
import numpy as np


@numba.njit(parallel=True, cache=True)
def integrate(sigma, synaptic, bias, relu, limit, activation, overflows):  # type: ignore[no-untyped-def]
    """``sigma`` += ``synaptic``, wrapped round at ``limit`` (inf: never); ``activation`` is the
    ReLU of sigma + ``bias`` [C]; ``overflows`` [H] counts the states that wrapped, each once.

    ``synaptic`` is exact and has not been wrapped (float64 where float32 cannot hold it).
    """
    height, width, channels = sigma.shape
    for row in numba.prange(height):
        wrapped = 0
        for column in range(width):
            for c in range(channels):
                state = sigma[row, column, c] + synaptic[row, column, c]
                if state < -limit or state >= limit:
                    turns = np.floor((np.float64(state) + limit) / (2.0 * limit))
                    state = np.float32(np.float64(state) - turns * 2.0 * limit)
                    wrapped += 1
                sigma[row, column, c] = state
                z = state + bias[c]
                activation[row, column, c] = max(z, np.float32(0)) if relu else z
        overflows[row] = wrapped


@numba.njit(parallel=True, cache=True)
def emit(  # type: ignore[no-untyped-def]
    activation, gain, sent, threshold, step, lossy, limit, fan_out, messages, peaks, counts
):
    """Messages where the change of ``gain`` * ``activation`` against ``sent`` reaches
    ``threshold``, floored to multiples of ``step`` (0: not rounded). ``sent`` follows what is sent,
    or if ``lossy`` the change itself, unrounded, as in lava-nc's released neuron.

    ``peaks`` [H, C]: the largest magnitude. ``counts`` [H, 3]: messages, the operations they cause
    (their ``fan_out`` summed), messages larger than ``limit``.
    """
    height, width, channels = activation.shape
    for row in numba.prange(height):
        n_messages, operations, n_oversized = 0, 0.0, 0
        for c in range(channels):
            peaks[row, c] = 0
        for column in range(width):
            for c in range(channels):
                change = activation[row, column, c] * gain - sent[row, column, c]
                message = np.float32(0)
                if change != 0 and abs(change) >= threshold:
                    message = np.floor(change / step) * step if step > 0 else change
                    sent[row, column, c] += change if lossy else message
                    if message != 0:
                        n_messages += 1
                        operations += fan_out[row, column, c]
                        n_oversized += abs(message) > limit
                        peaks[row, c] = max(peaks[row, c], abs(message))
                messages[row, column, c] = message
        counts[row, 0] = n_messages
        counts[row, 1] = np.int64(operations)
        counts[row, 2] = n_oversized
