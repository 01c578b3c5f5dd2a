"""Loads a network file with netx, and applies the right shifts that the file holds besides.

This module imports lava.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.netx.extras import read_extras

MESSAGE_BITS = 16


def load_network(path: Path) -> Any:
    """`lava.lib.dl.netx.hdf5.Network` from ``path``, with one right shift per layer.

    netx's own fields allow one right shift for all layers, 6; the process takes any. A threshold
    is compared with the state before the shift, so it changes with the shift. Channels that are
    carried along have a threshold of 0, and netx's own fields one threshold for all.
    """
    extras = read_extras(path)
    netx = import_lava("lava.lib.dl.netx.hdf5")
    network = netx.Network(
        net_config=str(path), input_message_bits=MESSAGE_BITS, spike_exp=extras.spike_exp
    )
    thresholds = zip(extras.shifts, extras.vth, extras.carried, strict=True)
    for layer, (shift, vth, n_carried) in zip(network.layers, thresholds, strict=True):
        if not hasattr(layer.neuron, "vth"):  # slayer's Output only adds up
            continue
        layer.neuron.state_exp.init = int(shift)
        layer.neuron.vth.init = int(vth)
        if n_carried:
            by_channel = np.full(layer.neuron.shape[-1:], vth)
            by_channel[-n_carried:] = 0
            layer.neuron.vth.shape, layer.neuron.vth.init = by_channel.shape, by_channel
    return network
