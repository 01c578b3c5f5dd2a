"""The delta unit while it learns, forward and backward, as compiled loops for the CPU.

In torch each is a dozen passes over all neurons, together as long as the convolutions. Here each is
one pass. ``sdnn.training.delta`` has the same in torch, for accelerators.

Arrays are [N, T, M]: N runs of T frames of M neurons in the order [H, W, C]. Blocks of neurons run
in parallel; there is a sum per block, which the caller adds up.
"""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.kernels import delta

N_BLOCKS = 64


@numba.njit(parallel=True, cache=True)
def send(  # type: ignore[no-untyped-def]
    activation, sent, threshold, step, fan_out, changes, reached, operations
):
    """Fill ``changes`` against the sum of messages, ``reached``, the sum after each frame, and
    ``operations`` [N, T, N_BLOCKS].

    ``sent`` [N, M]: sum of messages before the first frame.
    """
    n_runs, n_frames, n_neurons = activation.shape
    for block in numba.prange(N_BLOCKS):
        first = n_neurons * block // N_BLOCKS
        last = n_neurons * (block + 1) // N_BLOCKS
        for run in range(n_runs):
            for t in range(n_frames):
                cost = 0.0
                for m in range(first, last):
                    before = sent[run, m] if t == 0 else reached[run, t - 1, m]
                    changes[run, t, m] = activation[run, t, m] - before
                    message, reached[run, t, m] = delta(
                        activation[run, t, m], before, threshold, step, False
                    )
                    if message != 0:
                        cost += fan_out[m]
                operations[run, t, block] = cost


@numba.njit(parallel=True, cache=True)
def send_backward(  # type: ignore[no-untyped-def]
    changes,
    threshold,
    width,
    fan_out,
    grad_reached,
    grad_operations,
    grad_activation,
    grad_threshold,
):
    """Fill the surrogate gradients ``grad_activation`` and ``grad_threshold`` [N_BLOCKS]."""
    n_runs, n_frames, n_neurons = changes.shape
    for block in numba.prange(N_BLOCKS):
        first = n_neurons * block // N_BLOCKS
        last = n_neurons * (block + 1) // N_BLOCKS
        total = 0.0
        for run in range(n_runs):
            for m in range(first, last):
                # From the last frame to the first: a message held back is missing from then on.
                missing = np.float32(0)
                next_cost = np.float32(0)
                for back in range(n_frames):
                    t = n_frames - 1 - back
                    missing += grad_reached[run, t, m]
                    change = changes[run, t, m]
                    signed_cost = np.float32(0)
                    if change != 0:
                        size = abs(change)
                        share = 1 / (1 + np.exp(-(size - threshold) / (width * threshold)))
                        density = share * (1 - share) / (width * threshold)
                        cost = density * fan_out[m] * grad_operations[run, t]
                        total += density * change * missing + cost
                        signed_cost = np.float32(cost if change > 0 else -cost)
                    grad_activation[run, t, m] = grad_reached[run, t, m] + signed_cost - next_cost
                    next_cost = signed_cost
        grad_threshold[block] = -total
