"""One time step of a sigma-delta neuron in lava's integers, as a compiled loop.

Kept apart from ``kernels``: these run in lava's processes, one thread each, on int32 in the units
of lava-nc's fixed-point models.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def sigma_delta(  # type: ignore[no-untyped-def]
    synaptic, sigma, bias, sent, vth, shift, messages
):
    """All arrays are flat and of one length, int32 (``synaptic``: int32 or int64), in state units
    but for ``messages`` (state units >> ``shift``).

    ``sigma`` += ``synaptic``, wrapped round as 24 bits do; d = relu(sigma + bias) - ``sent``; where
    |d| >= ``vth`` the message is d >> shift, and ``sent`` follows what was really sent.
    Returns how many states wrapped round, each counted once; ``synaptic`` must be the exact sum for
    that (``sdnn/reference/reference.py``).
    """
    wrapped = 0
    for n in range(sigma.size):
        reached = sigma[n] + synaptic[n]
        state = ((reached + 0x800000) & 0xFFFFFF) - 0x800000
        wrapped += state != reached
        sigma[n] = state
        change = max(state + bias[n], 0) - sent[n]
        message = np.int64(0)
        if abs(change) >= vth:
            message = change >> shift
            sent[n] += message << shift
        messages[n] = message
    return wrapped
