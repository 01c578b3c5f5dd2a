"""A network with branches, lowered to a chain, in lava-nc itself."""

from dataclasses import replace
from pathlib import Path

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_spec
from branched_specs import residual_spec, small_branched_spec
from networks import moving_frames

from ann2sdnn.eval.simulate import simulate
from ann2sdnn.sdnn.lava.backend import LavaBackend
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.network import load_network
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import stock_legal, write_netx
from ann2sdnn.sdnn.reference.reference import Reference, pipeline


def test_stock_netx_loads_the_chain(tmp_path: Path) -> None:
    """Where thresholds let carried messages pass, stock netx and the project's loader build the
    same network. Elsewhere the loader gives carried channels their threshold of 0.
    """
    Network = import_lava("lava.lib.dl.netx.hdf5").Network

    path = tmp_path / "a.net"
    lowered = lower_spec(replace(residual_spec(), input_gain=12))
    assert stock_legal(lowered)
    write_netx(path, lowered)
    stock = Network(net_config=str(path), input_message_bits=16, spike_exp=2)
    for layer, own, loaded in zip(
        stock.layers, lowered.spec.layers, load_network(path).layers, strict=True
    ):
        thresholds = own.state_thresholds(lowered.spec.grid)
        assert np.all(layer.neuron.vth.init == thresholds[0])
        assert np.all(loaded.neuron.vth.init == (thresholds if own.n_carried else thresholds[0]))


def test_every_message_in_lava_equals_slayer_and_the_reference() -> None:
    """Two outputs, a signed layer, a pooling tree, carried values behind a dense layer."""
    spec, frames = small_branched_spec(), moving_frames(4, (1, 6, 8))
    result = simulate(spec, frames)
    assert result.largest == 0
    assert all(layer.sent > 0 for layer in result.layers)
    traces = pipeline(lower_spec(spec).spec, frames)
    sent = [np.count_nonzero(trace.messages) for trace in traces]
    assert [layer.sent for layer in result.layers] == sent


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_strided_block_with_an_upsampled_map(dtype: str) -> None:
    spec = residual_spec(dtype=dtype)
    frames = moving_frames(4, (1, 16, 20))[:, :, :9, :12].expand(4, 2, 9, 12)
    shown = frames if dtype == "uint8" else frames.float() / 8 - 4
    assert simulate(spec, shown).largest == 0


@pytest.mark.slow
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_backends_outputs_are_the_references(n_outputs: int) -> None:
    """Layers without ReLU and biases, which begin with the first frame; thresholds of 0."""
    spec = branched_spec(branched_graph(n_outputs=n_outputs))
    frames = moving_frames(4)
    found, expected = LavaBackend(spec).run(frames), Reference(spec).run(frames)
    assert torch.equal(found.outputs, expected.outputs)
    assert torch.equal(found.events[:, 0], expected.events[:, 0])
    # A layer's messages, and those that are carried past it.
    assert (found.events >= expected.events).all()
