"""Loads a network file with netx, and applies the right shifts that the file holds besides.

This module imports lava.
"""

from pathlib import Path
from typing import Any

from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.netx.export import read_extras

MESSAGE_BITS = 16


def load_network(path: Path) -> Any:
    """`lava.lib.dl.netx.hdf5.Network` from ``path``, with one right shift per layer.

    netx's own fields allow one right shift for all layers, 6; the process takes any. A threshold
    is compared with the state before the shift, so it changes with the shift.
    """
    extras = read_extras(path)
    netx = import_lava("lava.lib.dl.netx.hdf5")
    network = netx.Network(
        net_config=str(path), input_message_bits=MESSAGE_BITS, spike_exp=extras.spike_exp
    )
    for layer, shift, vth in zip(network.layers, extras.shifts, extras.vth, strict=True):
        if not hasattr(layer.neuron, "vth"):  # slayer's Output only adds up
            continue
        layer.neuron.state_exp.init = int(shift)
        layer.neuron.vth.init = int(vth)
    return network
