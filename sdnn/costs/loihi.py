"""Limits of Loihi 2 and times of Loihi, from what is published; what is not published is assumed.

Sources: [I21] Intel, "Taking Neuromorphic Computing to the Next Level with Loihi 2", technology
brief, 2021. [I22] Intel's announcement of Kapoho Point, 2022. [I24] Intel's announcement of Hala
Point, 2024. [D18] Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning",
IEEE Micro 38(1), 2018; its times and energies are of Loihi 1 and from simulated circuits. None of
Loihi 2 are known to us.
"""

from typing import NamedTuple

CORES_PER_CHIP = 128
"""[I21]. Systems may offer fewer: Hala Point has 122 per chip [I24]."""
NEURONS_PER_CORE = 8192
"""[I21]: up to."""
CORE_BYTES = 192 * 1024
"""[I21]: memory of a core, shared by neurons, synapses and tables."""

WORD_BYTES = 3
"""Assumed: a variable of a neuron has 24 bits, as in lava's fixed-point models."""
STATE_WORDS = 4
"""Assumed: lava's sigma-delta neuron keeps sigma, act, residue and bias."""
BUFFER_WORDS = 2
"""Assumed: a sum that is read in this time step, and one that fills for the next."""
NEURON_BYTES = WORD_BYTES * (STATE_WORDS + BUFFER_WORDS)

WEIGHT_BYTES = 1
"""A weight has 8 bits. A core holds the kernel of a convolution once for all its pixels ([I21]:
factorised connections)."""
INDEX_BYTES = 1
"""Assumed: where zeros are left out, each weight that remains has an index of 8 bits."""

OPERATION_NS = 3.5
"""[D18]: a synaptic operation."""
UPDATE_NS = 8.4
"""[D18]: the update of an active neuron."""
MESSAGE_NS = 2.1
"""[D18]: the delivery of a message within a tile."""
FRAMES_PER_SECOND = 100
"""Assumed: frames (time steps) per second that cores are counted for."""


class System(NamedTuple):
    """A system with ``chips`` and the ``cores`` in all of them."""

    name: str
    chips: int
    cores: int


SYSTEMS = (
    System("one chip", 1, CORES_PER_CHIP),
    System("Kapoho Point", 8, 8 * CORES_PER_CHIP),  # [I22]
    System("Hala Point", 1152, 140_544),  # [I24]
)
