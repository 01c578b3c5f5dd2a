"""Estimates of energy: operations in a 45 nm process, and the parts of a frame on Loihi 1.

Sources: [H14] M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014:
45 nm, 0.9 V. [D18] Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning",
IEEE Micro 38(1), 2018: 14 nm, 0.75 V, from simulated circuits. No such numbers of Loihi 2 are known
to us. Memory, data movement and static power are left out; for a processor they are most of
the energy: reading 64 bits takes 10 pJ from a cache of 8 KB and 1300 pJ or more from DRAM [H14].
"""

from dataclasses import dataclass

FLOAT32_ADD, FLOAT32_MULTIPLY = 0.9, 3.7
"""pJ [H14]."""
ADD_32, MULTIPLY_8 = 0.1, 0.2
"""pJ, integers of 32 and 8 bits [H14]."""

FLOAT32_MAC_PJ = FLOAT32_MULTIPLY + FLOAT32_ADD
INT8_MAC_PJ = MULTIPLY_8 + ADD_32
MESSAGE_MAC_PJ = 2 * MULTIPLY_8 + ADD_32
"""A weight of 8 bits times a message of 16, taken as two multiplications of 8 bits (assumed)."""
COMPARISON_PJ = 2 * ADD_32
"""A neuron's difference from what it sent and the comparison with its threshold (assumed)."""

LOIHI_OPERATION_PJ = 23.6
"""A synaptic operation [D18]."""
LOIHI_ACTIVE_PJ, LOIHI_INACTIVE_PJ = 81.0, 52.0
"""The update of a neuron in a time step [D18]; one that sends is taken as active (assumed)."""
LOIHI_MESSAGE_PJ = 1.7
"""A message within a tile [D18]; each further tile takes about 3 to 4 pJ, which is left out."""

_UJ = 1e-6  # microjoules per picojoule


@dataclass(frozen=True)
class LoihiEnergy:
    """Microjoules per frame on Loihi 1: of operations, of neuron updates, of messages."""

    operations_uj: float
    updates_uj: float
    messages_uj: float

    @property
    def total_uj(self) -> float:
        """The sum."""
        return self.operations_uj + self.updates_uj + self.messages_uj


def float32_uj(macs: float) -> float:
    """Microjoules of multiplications and additions in float32, 45 nm."""
    return macs * FLOAT32_MAC_PJ * _UJ


def int8_uj(macs: float) -> float:
    """Microjoules of multiplications in 8 bits, added up in 32, 45 nm."""
    return macs * INT8_MAC_PJ * _UJ


def sigma_delta_uj(operations: float, neurons: int) -> float:
    """Microjoules of a sigma-delta network's operations and its neurons' comparisons, 45 nm."""
    return (operations * MESSAGE_MAC_PJ + neurons * COMPARISON_PJ) * _UJ


def loihi_energy(
    operations: float, neurons: int, messages: float, input_messages: float
) -> LoihiEnergy:
    """Of a frame with ``messages`` of all planes, ``input_messages`` of the input's.

    ``neurons``: of all layers, before pooling.
    """
    active = messages - input_messages
    updates = active * LOIHI_ACTIVE_PJ + (neurons - active) * LOIHI_INACTIVE_PJ
    return LoihiEnergy(
        operations * LOIHI_OPERATION_PJ * _UJ, updates * _UJ, messages * LOIHI_MESSAGE_PJ * _UJ
    )
