"""The equations of a sigma-delta neuron in numba: ``sdnn/reference/equations.py`` for one neuron.

The compiled loops of lowering, lava, training and calibration call them. (The engine's own loops
hold them in halved integers.)
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
    ``activation``. ``stock``: the neuron of lava-nc and lava-dl as released, which rounds down even
    where the activation is negative. Integers are rounded in float64, which is exact below 2^53.

    It is inlined, and its zero is a constant of the change's type: the compiler then leaves out
    what constant arguments and neurons without a message do not need.

    numba caches a loop by the date of the loop's own file: after a change here, delete the
    ``__pycache__`` folders.
    """
    change = activation - sent
    if change == 0 or abs(change) < threshold:
        return type(change)(0), sent
    message = change
    if step > 0:
        units = change / step
        message = (np.floor(units) if stock or activation >= 0 else np.ceil(units)) * step
    return message, activation if stock else sent + message
