"""Free right shifts and memoryless layers: against integer arithmetic, and between the backends."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_backends import slayer_backend
from networks import assert_equal_messages, moving_frames, random_spec

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError, UsageError

N_LAYERS = len(random_spec().layers)
SHIFTS = st.lists(st.integers(0, 14), min_size=N_LAYERS, max_size=N_LAYERS)
MEMORIES = st.lists(st.booleans(), min_size=N_LAYERS + 1, max_size=N_LAYERS + 1)


def with_layers(spec: Spec, shifts: list[int], is_stateful: list[bool] | None = None) -> Spec:
    """Other shifts a layer, and what remembers (the input first)."""
    is_stateful = is_stateful or [True] * (len(shifts) + 1)
    layers = tuple(
        replace(layer, shift=shift, is_stateful=memory)
        for layer, shift, memory in zip(spec.layers, shifts, is_stateful[1:], strict=True)
    )
    return replace(spec, layers=layers, input_is_stateful=is_stateful[0])


@settings(max_examples=10, deadline=None)
@given(
    shifts=SHIFTS,
    memories=MEMORIES,
    threshold=st.integers(0, 2),
    grid=st.builds(Grid, spike_exp=st.sampled_from([5, 6]), threshold_bits=st.integers(0, 6)),
)
def test_the_engine_computes_lavas_integers(
    shifts: list[int], memories: list[bool], threshold: int, grid: Grid
) -> None:
    spec = with_layers(random_spec(threshold=threshold), shifts, memories)
    spec = replace(spec, grid=grid)
    frames = moving_frames(4)
    engine = Engine(spec)
    run = assert_equal_messages(engine, Reference(spec), frames)
    assert bool((run.events.sum(dim=0) > 0).any())


@pytest.mark.lava
@settings(max_examples=10, deadline=None)
@given(shifts=SHIFTS, threshold=st.integers(0, 80), bits=st.integers(0, 6))
def test_engine_and_slayer_agree_at_any_shift(shifts: list[int], threshold: int, bits: int) -> None:
    spec = replace(random_spec(threshold=threshold >> (6 - bits)), grid=Grid(6, bits))
    spec = with_layers(spec, shifts)
    slayer = slayer_backend(network_from_spec(spec))
    assert_equal_messages(Engine(spec), slayer, moving_frames(6))


@pytest.mark.parametrize(
    ("shift", "expected"), [(0, 64.0), (5, 2.0), (6, 1.0), (8, 0.25), (14, 2.0**-8)]
)
def test_a_shift_divides_what_is_sent(shift: int, expected: float) -> None:
    """One neuron of weight 1: an activation of 200 units leaves as 200 * 2^(6 - shift)."""
    run = one_neuron(shift=shift).run(torch.full((1, 1, 1, 1), 200, dtype=torch.uint8))
    assert float(run.outputs) == np.floor(200 * expected) / 4096


def test_a_threshold_is_compared_with_what_is_sent() -> None:
    """Shift 7 halves: pixels 120, 128, 250, 10 are 60, 64, 125, 5; a threshold of 64 units."""
    frames = torch.tensor([120, 128, 250, 10], dtype=torch.uint8).reshape(4, 1, 1, 1)
    run = one_neuron(shift=7, threshold=1).run(frames, keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() * 4096, [0, 64, 0, 0])
    run = one_neuron(shift=7, threshold=1, is_stateful=False).run(frames, keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() * 4096, [0, 64, 125, 0])


def one_neuron(shift: int, threshold: int = 0, is_stateful: bool = True) -> Engine:
    """One input pixel of one message unit a count, one neuron of weight 1."""
    weight = np.full((1, 1, 1, 1), 64, np.int16)
    layer = SpecLayer(
        "neuron", Convolution(), weight, None, True, None, (1, 1, 1), threshold, np.ones(1),
        shift=shift, is_stateful=is_stateful,
    )  # fmt: skip
    return Engine(Spec((1, 1, 1), 1.0, 1, Grid(6), (layer,), ""))


def test_without_thresholds_memory_changes_the_cost_and_nothing_else() -> None:
    spec = random_spec(threshold=0)
    frames = moving_frames(6)
    delta = Engine(spec).run(frames)
    forgetful = with_layers(spec, [6] * N_LAYERS, [True, False, True, False, False, True])
    mixed = Engine(forgetful).run(frames)
    assert torch.equal(mixed.outputs, delta.outputs)
    assert torch.equal(mixed.events[:, [0, 2, 5]], delta.events[:, [0, 2, 5]])
    assert not torch.equal(mixed.events[:, [1, 3, 4]], delta.events[:, [1, 3, 4]])


def test_all_memoryless_is_the_memoryless_network() -> None:
    spec = random_spec(threshold=2)
    frames = moving_frames(6)
    none_remembers = with_layers(spec, [6] * N_LAYERS, [False] * (N_LAYERS + 1))
    by_layer = Engine(none_remembers).run(frames)
    whole = Engine(spec, memoryless=True).run(frames)
    assert torch.equal(by_layer.outputs, whole.outputs)
    assert torch.equal(by_layer.events, whole.events)
    assert torch.equal(by_layer.synops, whole.synops)


@pytest.mark.lava
def test_slayer_refuses_a_memoryless_layer() -> None:
    spec = with_layers(random_spec(), [6] * N_LAYERS, [True, True, False, True, True, True])
    with pytest.raises(UsageError, match=r"layer2 is memoryless.*--backend engine"):
        slayer_backend(network_from_spec(spec))
    forgetful = replace(random_spec(), input_is_stateful=False)
    with pytest.raises(UsageError, match="input is memoryless"):
        slayer_backend(network_from_spec(forgetful))


def test_what_does_not_fit_is_refused() -> None:
    spec = random_spec()
    with pytest.raises(ModelError, match=r"layer1: a right shift of 15 bits; expected 0 to 14"):
        replace(spec.layers[0], shift=15)
    # 2^23 - 1 is the largest threshold of a state: 8 at 14 bits on lava's default grid.
    fits = replace(spec.layers[0], shift=14, threshold=7)
    assert replace(spec, layers=(fits, *spec.layers[1:])).layers[0].state_threshold(
        spec.grid
    ) == 7 << (14 + 6)
    too_large = replace(spec.layers[0], shift=14, threshold=8)
    with pytest.raises(ModelError, match=r"layer1: a threshold of 0.125 exceeds .* than 0.125"):
        replace(spec, layers=(too_large, *spec.layers[1:]))


def test_shift_and_memory_survive_the_file_and_may_be_absent(tmp_path: Path) -> None:
    memories = [False, True, False, True, False, True]
    spec = replace(with_layers(random_spec(), [4, 5, 6, 7, 8], memories), grid=Grid(6, 3))
    write_spec(tmp_path / "sdnn.h5", spec)
    again = read_spec(tmp_path / "sdnn.h5")
    assert [layer.shift for layer in again.layers] == [4, 5, 6, 7, 8]
    assert [again.input_is_stateful, *(layer.is_stateful for layer in again.layers)] == memories
    assert again.grid == Grid(6, 3)
    with h5py.File(tmp_path / "sdnn.h5", "a") as file:
        del file.attrs["input_remembers"], file.attrs["threshold_bits"]
        for group in file["layers"].values():
            del group.attrs["shift"], group.attrs["remembers"]
    old = read_spec(tmp_path / "sdnn.h5")
    assert old.memoryless_layers == ()
    assert {layer.shift for layer in old.layers} == {6}
    assert old.grid == Grid(6)


def test_finer_thresholds_count_in_fractions_of_a_64th() -> None:
    """8 quarters of a 64th are 2 / 64, half of one with a binary place more is 1 / 128."""
    layer = random_spec(threshold=8).layers[0]
    assert layer.state_threshold(Grid(6, 2)) == 2 << 12
    assert replace(layer, threshold=1).state_threshold(Grid(6, 1)) == 1 << 11
    assert Grid(6, 1).threshold_step == 1 / 128
    with pytest.raises(ConversionError, match="threshold_bits 7; expected"):
        Grid(6, 7)
