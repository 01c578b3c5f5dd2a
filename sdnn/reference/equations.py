"""The equations of a sigma-delta neuron in int64: what every backend computes.

For every layer and time step, in lava's integers (states in units of 2^-(12 + spike_exp), messages
in units of 2^-(6 + spike_exp)), for the incoming messages m_in:

    reached = sigma + W m_in                      exact
    sigma   = wrapped(reached)                    24 bits
    z       = sigma + bias * 2^(6 + spike_exp)
    a       = pool(relu(z))
    d       = a - sent
    m       = d >> shift, where a < 0 -(-d >> shift)     where |d| >= threshold, else 0
    sent   += m << shift                          (stock neuron: sent = a where it sends)

The corrected neuron's ``sent`` is what the receiver has summed up, so no remainder is lost. It
follows ``a`` rounded towards 0, which without a ReLU is how the two halves of a lowered layer round
it (``sdnn/lowering``). The stock neuron, as lava-nc and lava-dl release it, rounds every change
down and takes the change as sent before that: what the receiver has summed up falls behind by half
a message unit per message on average.

An **overflow** is a neuron and time step in which ``reached`` lies outside [-2^23, 2^23 - 1]: the
exact sum of the state before the step and of everything that arrives in the step. It counts once,
however often it wraps. A partial sum that leaves 24 bits while ``reached`` does not is no overflow,
because integers that wrap still add up to the right number. Counts are per frame, so none depends
on how many frames are run at once. An **oversized** message exceeds 2^15 - 1 in magnitude. A
message costs one **operation** per non-zero weight that it meets.

``sdnn/engine/kernels.py`` holds the same equations in numba, ``sdnn/engine/tensors.py`` in torch;
``tests/sdnn/test_equations.py`` compares them with these.
"""

import numpy as np

from ann2sdnn.graph.geometry import Integers
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, STATE_MAX


def wrapped(values: Integers) -> Integers:
    """``values`` as signed integers of 24 bits hold them."""
    span = STATE_MAX + 1
    return (values + span) % (2 * span) - span


def delta(
    activation: Integers,
    sent: Integers,
    threshold: int | Integers,
    shift: int,
    *,
    threshold_bits: int = 0,
    stock: bool = False,
) -> tuple[Integers, Integers]:
    """The messages for ``activation``, and what has been ``sent`` afterwards.

    Both of the input's shape; messages in message units, the rest in state units. ``threshold`` has
    ``threshold_bits`` binary places below a state unit.
    """
    change = activation - sent
    sends = (np.abs(change) << threshold_bits) >= threshold
    rounded = change >> shift
    if not stock:
        rounded = np.where(activation < 0, -(-change >> shift), rounded)
    messages = np.where(sends, rounded, 0)
    return messages, np.where(sends, activation, sent) if stock else sent + (messages << shift)


def n_overflows(reached: Integers) -> int:
    """States that do not fit 24 bits, for the exact sums ``reached``."""
    return int(np.count_nonzero(wrapped(reached) != reached))


def n_oversized(messages: Integers) -> int:
    """Messages that do not fit 16 bits."""
    return int(np.count_nonzero(np.abs(messages) > MESSAGE_MAX))


def n_operations(geometry: Geometry, weight: Integers, messages: Integers) -> int:
    """Non-zero weights that ``messages`` [C, H, W] meet."""
    sent, used = (messages != 0).astype(np.int64), (weight != 0).astype(np.int64)
    return int(geometry.integer_linear(sent, used).sum())
