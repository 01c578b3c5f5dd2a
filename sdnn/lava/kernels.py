"""One time step of a sigma-delta neuron in lava's integers, as a compiled loop.

It runs in lava's processes, with one thread each, on int32 arrays in the units of lava-nc's
fixed-point models.
"""

import numba

from ann2sdnn.sdnn.engine.kernels import delta, wrapped


@numba.njit(cache=True)
def sigma_delta(  # type: ignore[no-untyped-def]
    synaptic, sigma, bias, sent, vth, shift, messages
):
    """Fill ``messages``, update ``sigma`` and ``sent``, and return the number of overflows.

    All arrays are flat and of equal length: int32, except that ``synaptic``, the exact sum of what
    arrives, may be int64. Units are those of the state, except for ``messages``. Only ``vth`` has
    one element, or one for each channel; channels are the last axis of the others.
    """
    n_wrapped, is_shared = 0, vth.size == 1
    for n in range(sigma.size):
        reached = sigma[n] + synaptic[n]
        state = wrapped(reached)
        n_wrapped += state != reached
        sigma[n] = state
        threshold = vth[0] if is_shared else vth[n % vth.size]
        message, sent[n] = delta(max(state + bias[n], 0), sent[n], threshold, 1 << shift, False)
        messages[n] = int(message) >> shift
    return n_wrapped
