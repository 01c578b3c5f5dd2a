"""The number formats of a spec.

They are those of lava-dl and lava-nc on Loihi 2 (lava-dl 0.6.0, netx/hdf5.py). With ``spike_exp``
e, in units of the scaled activation:

- a weight is a multiple of 2/64 from -256/64 to 254/64,
- a bias and a threshold are multiples of 1/64,
- a message is a multiple of 2^-(6+e) and fits a signed 16-bit integer,
- a neuron's state is a multiple of 2^-(12+e) in a signed 24-bit integer: |state| < 2^(11-e).

A right shift turns states into messages (lava's state_exp, 6 in every layer that netx loads): the
messages sum up to 2^(6 - shift) times the activation. Thresholds have the unit of what is sent, so
lava's vth, in units of the state, is threshold * 2^(e + shift) and has to fit 24 bits. lava's
process takes any such number. A grid with ``threshold_bits`` b has thresholds of 1/64 / 2^b.
"""

from dataclasses import dataclass
from typing import Literal

from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.options.fields import CheckedOptions, number

WEIGHT_MIN, WEIGHT_MAX, WEIGHT_STEP = -256, 254, 2
UNITS = 64  # integers per 1.0 of weights, biases and thresholds
MESSAGE_MAX = 2**15 - 1
STATE_MAX = 2**23 - 1
SHIFT, SHIFT_MAX = 6, 14  # netx's, and the largest
# In state units. Weights are even, so products are too, and float32 counts to 2^24 of them.
EXACT_SUM = 2.0**24 * WEIGHT_STEP
# The corrected neuron keeps the remainder of a message; lava's stock neuron loses it.
NeuronModel = Literal["corrected", "stock"]


@dataclass(frozen=True)
class Grid(CheckedOptions):
    """The number formats that follow from ``spike_exp``, in units of the scaled activation."""

    limit_error = ConversionError  # a file's grid may be wrong, not only an option

    spike_exp: int = number(6, at_least=0, at_most=10)
    """Binary places of a message beyond 6, as in lava."""
    threshold_bits: int = number(0, at_least=0, at_most=6)
    """Binary places of a threshold beyond netx's 1/64; only 0 fits its file format."""

    @property
    def message_step(self) -> float:
        """One unit of a message."""
        return 2.0 ** -(6 + self.spike_exp)

    @property
    def threshold_step(self) -> float:
        """One unit of a threshold."""
        return 1 / (UNITS << self.threshold_bits)

    @property
    def state_limit(self) -> float:
        """The state wraps round at this magnitude."""
        return 2.0 ** (11 - self.spike_exp)

    @property
    def exact_limit(self) -> float:
        """float32 adds products of weights and messages exactly below this magnitude."""
        return EXACT_SUM * 2.0 ** -(12 + self.spike_exp)

    @property
    def message_limit(self) -> float:
        """The largest message."""
        return MESSAGE_MAX * self.message_step
