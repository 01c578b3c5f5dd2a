"""The neuron that loses what it rounds off: by hand, and against lava-nc's and lava-dl's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from doc_blocks import code
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import MAX_POOL, SUM_POOL, assert_equal_messages, moving_frames, random_spec
from numpy.typing import NDArray

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.slayer.neuron import Delta, slayer
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

STEP = Grid(6).message_step


def one_neuron(weight: int, *, threshold: int = 0, shift: int = 6, bias: int = 0) -> Spec:
    """One pixel, a message unit a count, one neuron, one weight in 1/64."""
    layer = SpecLayer(
        name="neuron",
        geometry=Convolution(),
        weight=np.full((1, 1, 1, 1), weight, np.int16),
        bias=np.array([bias], np.int32),
        relu=True,
        pool=None,
        threshold=threshold,
        scale=np.ones(1),
        input_shape=(1, 1, 1),
        shift=shift,
    )
    return Spec((1, 1, 1), 1.0, 1, Grid(6, threshold_bits=6), (layer,), "")


def as_frames(pixels: list[int]) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.uint8).reshape(-1, 1, 1, 1)


def test_five_steps_by_hand() -> None:
    """Weight 34/64: pixels 3, 5, 5, 2, 0 give activations 1.59, 2.66, 2.66, 1.06, 0 message units.

    Changes 1.59, 1.06, 0, -1.59, -1.06 are sent as 1, 1, 0, -2, -2: at rest two units are missing.
    """
    engine = Engine(one_neuron(34), neuron="stock")
    run = engine.run(as_frames([3, 5, 5, 2, 0]), keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() / STEP, [1, 1, 0, -2, -2])
    np.testing.assert_array_equal(run.outputs.flatten() / STEP, [1, 2, 2, 0, -2])
    np.testing.assert_array_equal(run.events[:, 1], [1, 1, 0, 1, 1])


def test_a_change_below_a_unit_is_lost_even_though_nothing_is_sent() -> None:
    """Weight 34/64, pixels 0, 1, 2: 0.53 units twice. The corrected neuron sends the second one."""
    cases: tuple[tuple[NeuronModel, list[int]], ...] = (
        ("stock", [0, 0, 0]),
        ("corrected", [0, 0, 1]),
    )
    for neuron, expected in cases:
        engine = Engine(one_neuron(34), neuron=neuron)
        run = engine.run(as_frames([0, 1, 2]), keep_messages=True)
        assert run.messages is not None
        np.testing.assert_array_equal(run.messages[1].flatten() / STEP, expected)


def lava_messages(spec: Spec, pixels: list[int]) -> NDArray[np.int64]:
    """What lava-nc's released model sends, its own methods called step by step."""
    models: Any = import_lava("lava.proc.sdn.models")
    relu = import_lava("lava.proc.sdn.process").ActivationMode.RELU
    model = models.PySigmaDeltaModelFixed({"act_mode": relu})
    layer = spec.layers[0]
    zero = np.zeros(1, np.int32)
    model.sigma, model.act, model.residue, model.error = (zero.copy() for _ in range(4))
    model.cum_error = False
    model.vth = layer.state_threshold(spec.grid)
    assert layer.bias is not None
    model.bias = layer.bias << (12 + spec.grid.spike_exp - 6)
    changes = np.diff(np.array(pixels, np.int32), prepend=0)
    sent = [model.dynamics(int(layer.weight.item()) * np.array([one])) for one in changes]
    messages: NDArray[np.int64] = np.right_shift(np.concatenate(sent), layer.shift)
    return messages


@settings(max_examples=150, deadline=None)
@given(
    pixels=st.lists(st.integers(0, 255), min_size=1, max_size=30),
    weight=st.integers(-128, 127).map(lambda n: 2 * n),
    threshold=st.integers(0, 40),
    shift=st.integers(0, 10),
    bias=st.integers(-2, 2),
)
def test_equal_to_lava_ncs_released_model(
    pixels: list[int], weight: int, threshold: int, shift: int, bias: int
) -> None:
    spec = one_neuron(weight, threshold=threshold, shift=shift, bias=bias)
    run = Engine(spec, neuron="stock").run(as_frames(pixels), keep_messages=True)
    assert run.messages is not None
    found = run.messages[1].flatten().numpy() / STEP
    np.testing.assert_array_equal(found, lava_messages(spec, pixels))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), units=st.integers(1, 200))
def test_equal_to_lava_dls_own_delta_unit(seed: int, units: int) -> None:
    """From a threshold of one message unit on; below it lava-dl takes one."""
    walk = np.random.default_rng(seed).normal(0, 0.02, (1, 3, 30)).cumsum(axis=-1)
    # On the state's grid, where float32 holds every sum.
    activation = torch.from_numpy(np.round(walk / STEP * 64).astype(np.float32)) * STEP / 64
    ours = Delta(units * STEP, STEP, stock=True, persistent_state=True)
    theirs = slayer.axon.Delta(threshold=units * STEP, scale=1 / STEP, persistent_state=True)
    for chunk in torch.split(activation, 11, dim=-1):
        assert torch.equal(ours(chunk), theirs(chunk))


@pytest.mark.parametrize("threshold", [0, 2])
@pytest.mark.parametrize("pool", [MAX_POOL, SUM_POOL])
@pytest.mark.parametrize("dense", [False, True])
def test_engine_and_slayer_agree(threshold: int, pool: Pool, dense: bool) -> None:
    spec = random_spec(threshold=threshold, pool=pool, dense=dense)
    network = network_from_spec(spec)
    frames = moving_frames(6)
    engine, slayers = Engine(spec, neuron="stock"), SlayerBackend(network, neuron="stock")
    run = assert_equal_messages(engine, slayers, frames)
    corrected = Engine(spec).run(frames)
    assert not torch.equal(run.outputs, corrected.outputs), "nothing was lost"


def test_outputs_are_the_messages_summed_up_and_a_reset_forgets_them() -> None:
    spec = random_spec()
    engine = Engine(spec, neuron="stock")
    first = engine.run(moving_frames(5), keep_messages=True)
    assert first.messages is not None
    received = (
        first.messages[-1].double().cumsum(dim=0)
        / torch.from_numpy(spec.output_scale)[:, None, None]
    )
    assert torch.equal(first.outputs, received.float())
    engine.reset()
    assert torch.equal(engine.run(moving_frames(5)).outputs, first.outputs)


def test_without_memory_there_is_nothing_to_lose() -> None:
    spec = random_spec(threshold=2)
    frames = moving_frames(4)
    stock = Engine(spec, memoryless=True, neuron="stock").run(frames)
    corrected = Engine(spec, memoryless=True).run(frames)
    assert torch.equal(stock.outputs, corrected.outputs)
    assert torch.equal(stock.events, corrected.events)


@pytest.mark.slow
def test_a_host_resets_stock_lava_as_the_engine_does(tmp_path: Path) -> None:
    """docs/loihi.md: layer l is set to zero just before the whole frame's messages reach it."""
    n_frames, period = 7, 3
    spec = replace(random_spec(pool=MAX_POOL), input_gain=1)
    lowered = lower_spec(
        replace(spec, layers=tuple(replace(layer, bias=None) for layer in spec.layers[:3]))
    )
    write_netx(tmp_path / "network.net", lowered)
    frames = moving_frames(n_frames)
    engine = Engine(lowered.spec, neuron="stock")
    expected = []
    for part in torch.split(frames, period):
        engine.reset()
        run = engine.run(part, keep_messages=True)
        assert run.messages is not None
        assert int(run.overflows.sum()) == 0, "lava-nc's states have 32 bits"
        expected.append(run.messages[-1] / STEP)
    found = run_stock_lava(tmp_path / "network.net", frames.numpy(), period)
    assert np.array_equal(found, torch.cat(expected).numpy())


def run_stock_lava(path: Path, frames: NDArray[np.uint8], period: int) -> NDArray[np.int32]:
    """Messages of the last layer [T, C, H, W], in lava-nc without anything of ours."""
    hdf5 = import_lava("lava.lib.dl.netx.hdf5")
    configs = import_lava("lava.magma.core.run_configs")
    source_class = import_lava("lava.proc.io.source").RingBuffer
    sink_class = import_lava("lava.proc.io.sink").RingBuffer
    network = hdf5.Network(net_config=str(path), input_message_bits=16)
    n_layers = len(network.layers)
    names: dict[str, Any] = {}
    exec(code("loihi.md", "def run_with_resets", "python"), names)
    changes = names["changes_with_resets"](frames, period)
    quiet = np.zeros((n_layers, *changes.shape[1:]), np.int32)
    data = np.ascontiguousarray(np.concatenate([changes, quiet]).transpose(3, 2, 1, 0))
    source = source_class(data=data)
    sink = sink_class(shape=network.out.shape, buffer=len(frames) + n_layers)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    config = configs.Loihi2SimCfg(select_tag="fixed_pt")
    try:
        names["run_with_resets"](network, len(frames), period, config)
        sent: NDArray[np.int32] = np.asarray(sink.data.get()).astype(np.int32)
    finally:
        source.stop()
    return sent.transpose(3, 2, 1, 0)[n_layers:]
