"""One time step of lowered neurons in lava's integers, with the largest magnitude of every number.

The neuron is lava-nc's in fixed point, corrected (``sdnn/reference/equations.py``). Arrays are
[H, W, C]; rows run in parallel.
"""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.kernels import delta, wrapped

# Columns of ``peaks``.
SUM, STATE, MESSAGE = 0, 1, 2


@numba.njit(parallel=True, cache=True)
def step(  # type: ignore[no-untyped-def]
    sums, bias, vth, shift, sigma, sent, messages, peaks
):
    """``sums`` (whole numbers in float32 or float64) reach the neurons of ``sigma``, int32.

    ``sigma`` += ``sums``, wrapped to 24 bits; ``messages`` are what the delta unit sends for
    relu(sigma + ``bias`` [C]) with thresholds ``vth`` [C] and right shift ``shift``.
    ``peaks`` int64 [H, 3]: largest magnitudes of a sum, of a state (without and with the bias) and
    of a message, before anything wraps.
    """
    height, width, channels = sigma.shape
    for row in numba.prange(height):
        sum_peak, state_peak, message_peak = np.int64(0), np.int64(0), np.int64(0)
        for column in range(width):
            for c in range(channels):
                arriving = np.int64(sums[row, column, c])
                sum_peak = max(sum_peak, abs(arriving))
                state = sigma[row, column, c] + arriving
                offset = np.int64(bias[c])
                state_peak = max(state_peak, abs(state), abs(state + offset))
                state = wrapped(state)
                sigma[row, column, c] = state
                message, sent[row, column, c] = delta(
                    max(state + offset, 0), sent[row, column, c], vth[c], 1 << shift, False
                )
                message = np.int64(message) >> shift
                message_peak = max(message_peak, abs(message))
                messages[row, column, c] = message
        peaks[row, SUM] = sum_peak
        peaks[row, STATE] = state_peak
        peaks[row, MESSAGE] = message_peak
