"""Every compiled form of the equations equals the integer reference, near the limits above all.

Numbers are drawn around 0, thresholds, and the ends of 16, 24 and 25 bits. A state unit is 2^-18
(spike_exp 6) where a kernel computes in real numbers.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.calibration.thresholds.measure_curves import _follow
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.sdnn.engine import kernels, tensors
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.instructions.vector import LANES, Vector, host_vectors
from ann2sdnn.sdnn.engine.run import MessageCounter
from ann2sdnn.sdnn.lava.kernels import sigma_delta
from ann2sdnn.sdnn.lowering.kernels import step as lowered_step
from ann2sdnn.sdnn.reference import equations
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, STATE_MAX, Grid, NeuronModel
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.sdnn.training.kernels import N_BLOCKS, send

Integers = NDArray[np.int64]

SPAN = STATE_MAX + 1
UNIT = 2.0**-18  # of a state at spike_exp 6
N_NEURONS = 12

EDGES = (0, MESSAGE_MAX, SPAN, 2 * SPAN, 3 * SPAN)


def near_edges(largest: int) -> st.SearchStrategy[int]:
    """Integers of at most ``largest`` in magnitude, most of them next to an edge."""
    edges = [sign * edge for edge in EDGES if edge <= largest for sign in (-1, 1)]
    close = st.builds(int.__add__, st.sampled_from(edges), st.integers(-3, 3))
    return (close | st.integers(-largest, largest)).map(lambda n: max(-largest, min(largest, n)))


def populations(largest: int) -> st.SearchStrategy[Integers]:
    """int64 [N_NEURONS]."""
    values = st.lists(near_edges(largest), min_size=N_NEURONS, max_size=N_NEURONS)
    return values.map(lambda listed: np.array(listed, np.int64))


def as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """[H, W, C]: two rows of three pixels of two channels."""
    return np.ascontiguousarray(values.reshape(2, 3, 2))


THRESHOLDS = st.sampled_from([0, 1, 63, 64, 65, 4096, STATE_MAX]) | st.integers(0, 1 << 20)


@st.composite
def walks(draw: st.DrawFn, n_frames: int = 4) -> tuple[list[Integers], int]:
    """Activations of up to ``n_frames`` frames, and a threshold that most changes are next to.

    They and their changes have 25 bits at most, so float32 holds both. Some are of a layer without
    a ReLU.
    """
    threshold = draw(THRESHOLDS)
    least = draw(st.sampled_from([0, -STATE_MAX]))
    close = st.builds(
        int.__add__,
        st.sampled_from([0, threshold, -threshold, MESSAGE_MAX, -MESSAGE_MAX]),
        st.integers(-1, 1),
    ) | st.integers(-STATE_MAX, STATE_MAX)
    changes = st.lists(close, min_size=N_NEURONS, max_size=N_NEURONS)
    activations = [np.maximum(draw(populations(STATE_MAX)), least)]
    for change in draw(st.lists(changes, min_size=1, max_size=n_frames - 1)):
        activations.append(np.clip(activations[-1] + np.array(change), least, STATE_MAX))
    return activations, threshold


STATES = populations(STATE_MAX)
SUMS = populations(4 * SPAN)
SHIFTS = st.just(0) | st.integers(0, 14)  # at 0, a change of 16 bits is a message of 16
# The first example compiles the kernel.
COMPILED = settings(deadline=None)
SIGNS = st.integers(-1, 1)
FLOATS = st.sampled_from([np.float32, np.float64])


@given(SUMS)
@COMPILED
def test_the_wrap(values: Integers) -> None:
    expected = equations.wrapped(values)
    assert np.array_equal(kernels.wrapped(values), expected)
    assert [kernels.wrapped(int(one)) for one in values] == expected.tolist()
    real = torch.from_numpy(values).double() * UNIT
    found = tensors.wrapped(real, SPAN * UNIT) / UNIT
    assert np.array_equal(found.numpy(), expected)


@given(walks(2), SHIFTS, st.booleans(), FLOATS)
@COMPILED
def test_the_delta_unit(
    walk: tuple[list[Integers], int], shift: int, stock: bool, kind: Any
) -> None:
    """Of numba in real numbers and in lava's integers, and of torch."""
    (sent, activation), threshold = walk
    messages, after = equations.delta(activation, sent, threshold, shift, stock=stock)
    step = 1 << shift
    for a, s, m, reached in zip(activation, sent, messages, after, strict=True):
        assert kernels.delta(a, s, threshold, step, stock) == (m << shift, reached)
        real = kernels.delta(
            kind(a * UNIT), kind(s * UNIT), kind(threshold * UNIT), kind(step * UNIT), stock
        )
        assert real == (m * step * UNIT, reached * UNIT)
    dtype = torch.float32 if kind is np.float32 else torch.float64
    values, before = (torch.from_numpy(x).to(dtype) * UNIT for x in (activation, sent))
    change, sends, reached = tensors.delta(
        values, before, torch.tensor(threshold * UNIT, dtype=dtype), step * UNIT, stock=stock
    )
    assert np.array_equal(change.numpy(), (activation - sent) * UNIT)
    assert np.array_equal(sends.numpy(), messages * step * UNIT)
    assert np.array_equal(reached.numpy(), after * UNIT)


@pytest.mark.lava
@given(walks(), SHIFTS, st.booleans())
@COMPILED
def test_the_delta_unit_over_time(
    walk: tuple[list[Integers], int], shift: int, stock: bool
) -> None:
    """slayer's for a sequence, and the two of training, which count operations."""
    from ann2sdnn.sdnn.slayer.neuron import Delta
    from ann2sdnn.sdnn.training.delta import Send

    activations, threshold = walk
    sent = np.zeros(N_NEURONS, np.int64)
    messages, reached = [], []
    for activation in activations:
        message, sent = equations.delta(activation, sent, threshold, shift, stock=stock)
        messages.append(message << shift)
        reached.append(sent)
    by_frame = torch.from_numpy(np.stack(activations)).float() * UNIT  # [T, M]
    step = (1 << shift) * UNIT
    unit = Delta(threshold * UNIT, step, stock=stock)
    found = unit(by_frame.T[None]) / UNIT  # [1, M, T]
    assert np.array_equal(found[0].T.detach().numpy(), np.stack(messages))
    if stock:
        return  # training sends what the corrected neuron sends
    fan_out = torch.arange(1.0, N_NEURONS + 1)
    operations = (np.stack(messages) != 0) @ fan_out.numpy()
    total, cost = Send.apply(  # type: ignore[no-untyped-call]
        by_frame.reshape(1, -1, 2, 3, 2),
        torch.tensor([threshold * UNIT]),
        torch.zeros(1, 2, 3, 2),
        fan_out.reshape(2, 3, 2),
        UNIT,
        step,
        False,
    )
    assert np.array_equal(total.flatten(2)[0].numpy() / UNIT, np.stack(reached))
    assert np.array_equal(cost[0].numpy(), operations)
    runs = by_frame[None].numpy()
    changes, sums = np.empty_like(runs), np.empty_like(runs)
    costs = np.empty((1, len(activations), N_BLOCKS), np.float32)
    send(
        runs,
        np.zeros((1, N_NEURONS), np.float32),
        np.float32(threshold * UNIT),
        np.float32(step),
        fan_out.numpy(),
        changes,
        sums,
        costs,
    )
    assert np.array_equal(sums[0] / UNIT, np.stack(reached))
    assert np.array_equal(costs[0].sum(axis=1), operations)


@given(
    SUMS,
    STATES,
    st.integers(-3 * SPAN, 3 * SPAN),
    THRESHOLDS,
    st.integers(0, 14),
    st.booleans(),
    st.booleans(),
    st.sampled_from(host_vectors()),
)
@COMPILED
def test_a_step_of_the_engines_neurons(
    reached: Integers,
    sent: Integers,
    bias: int,
    threshold: int,
    shift: int,
    relu: bool,
    stock: bool,
    vector: Vector,
) -> None:
    """Sums are even, so the engine holds half of them; what was sent is a sum of messages."""
    reached, sent, bias = reached & ~1, sent & ~1, (bias >> 13) << 13
    layer = SpecLayer(
        name="layer",
        geometry=Convolution(),
        weight=np.full((N_NEURONS, 1, 1, 1), 2, np.int16),
        bias=np.full(N_NEURONS, bias >> 12, np.int32),
        relu=relu,
        pool=None,
        input_shape=(1, 1, 1),
        threshold=min(threshold >> (6 + shift), (STATE_MAX >> (6 + shift)) - 1),
        scale=np.ones(N_NEURONS),
        shift=shift,
    )
    spec = Spec((1, 1, 1), 1.0, 1, Grid(6), (layer,), "")
    neuron: NeuronModel = "stock" if stock else "corrected"
    engine = Engine(spec, neuron=neuron, vector=vector)
    engine.load_state_dict(
        engine.state_dict() | {"0.sigma": halved(reached), "0.sent": halved(sent)}
    )
    run = engine.run(torch.zeros(1, 1, 1, 1, dtype=torch.uint8), keep_messages=True)
    z = equations.wrapped(reached) + bias
    activation = np.maximum(z, 0) if relu else z
    messages, after = equations.delta(
        activation, sent, layer.state_threshold(spec.grid), shift, stock=stock
    )
    assert run.messages is not None
    found = run.messages[1].flatten().double().numpy() / spec.grid.message_step
    assert np.array_equal(found, messages)
    state = engine.state_dict()
    assert torch.equal(state["0.sigma"], halved(equations.wrapped(reached)))
    assert torch.equal(state["0.sent"], halved(after))
    assert int(run.events[0, 1]) == np.count_nonzero(messages)
    assert int(run.overflows) == equations.n_overflows(reached)
    assert int(run.oversized) == equations.n_oversized(messages)


def halved(values: Integers) -> torch.Tensor:
    """As the engine holds them: [1, 1, P]."""
    padded = np.zeros((1, 1, LANES), np.int32)
    padded[..., :N_NEURONS] = values >> 1
    return torch.from_numpy(padded)


@pytest.mark.lava
@given(st.lists(SUMS, min_size=1, max_size=4))
@COMPILED
def test_slayers_states(sums: list[Integers]) -> None:
    from ann2sdnn.sdnn.slayer.neuron import Sigma

    sigma = Sigma(SPAN * UNIT, persistent_state=True)
    arriving = torch.from_numpy(np.stack(sums, axis=-1)).double()[None] * UNIT
    found = (sigma(arriving) / UNIT)[0].numpy()
    state = np.zeros(N_NEURONS, np.int64)
    for t, arrived in enumerate(sums):
        reached = state + arrived
        state = equations.wrapped(reached)
        assert np.array_equal(found[:, t], state)
        assert int(sigma.overflows[t]) == equations.n_overflows(reached)


@given(
    STATES,
    SUMS,
    st.lists(SIGNS, min_size=N_NEURONS, max_size=N_NEURONS),
    st.lists(SIGNS, min_size=N_NEURONS, max_size=N_NEURONS),
    st.integers(-3 * SPAN, 3 * SPAN),
    st.tuples(THRESHOLDS, THRESHOLDS) | THRESHOLDS.map(lambda vth: (vth, vth)),
    SHIFTS,
)
@COMPILED
def test_a_step_of_lavas_neuron(
    sigma: Integers,
    sums: Integers,
    signs: list[int],
    offsets: list[int],
    bias: int,
    vths: tuple[int, int],
    shift: int,
) -> None:
    """In lava-nc's processes, and where the ranges of a lowered network are measured, with one
    threshold per channel, as where one carries what it receives. In lava one may hold for all.
    """
    by_channel = np.array(vths, np.int64)
    vth = np.tile(by_channel, N_NEURONS // 2)
    reached = sigma + sums
    state = equations.wrapped(reached)
    activation = np.maximum(state + bias, 0)
    sent = activation - (vth * np.array(signs) + np.array(offsets))
    messages, after = equations.delta(activation, sent, vth, shift)
    states, remembered, found = (x.astype(np.int32) for x in (sigma, sent, sent))
    biases = np.full(N_NEURONS, bias, np.int32)
    shared = by_channel[:1] if vths[0] == vths[1] else by_channel
    n_overflows = sigma_delta(sums, states, biases, remembered, shared, shift, found)
    assert n_overflows == equations.n_overflows(reached)
    for ours, expected in ((states, state), (remembered, after), (found, messages)):
        assert np.array_equal(ours, expected)
    states, remembered = (as_rows(x.astype(np.int32)) for x in (sigma, sent))
    lowered, peaks = np.empty((2, 3, 2), np.float32), np.empty((2, 3), np.int64)
    lowered_step(
        as_rows(sums.astype(np.float64)),
        np.full(2, bias, np.int64),
        by_channel,
        shift,
        states,
        remembered,
        lowered,
        peaks,
    )
    assert np.array_equal(states.ravel(), state)
    assert np.array_equal(remembered.ravel(), after)
    assert np.array_equal(lowered.ravel(), messages)
    magnitudes = np.maximum(np.abs(reached), np.abs(reached + bias))
    assert peaks.max(axis=0).tolist() == [
        np.abs(sums).max(), magnitudes.max(), np.abs(messages).max()
    ]  # fmt: skip


@given(walks())
@COMPILED
def test_the_delta_unit_of_threshold_curves(walk: tuple[list[Integers], int]) -> None:
    """Calibration follows it without rounding: messages and operations, stateful and memoryless."""
    activations, threshold = walk
    sent = np.zeros(N_NEURONS, np.int64)
    fan_out = np.arange(1, N_NEURONS + 1).astype(np.float32)
    state, touched = np.zeros((2, 3, 2, 1), np.float32), np.zeros((2, 3, 2), np.bool_)
    levels, rows = np.array([threshold * UNIT], np.float32), np.zeros((2, 2, 1, 3))
    for activation in activations:
        _follow(
            as_rows(activation * UNIT).astype(np.float32),
            state,
            touched,
            levels,
            as_rows(fan_out),
            rows,
        )
        stateful, sent = equations.delta(activation, sent, threshold, 0)
        memoryless, _ = equations.delta(activation, np.zeros_like(sent), threshold, 0)
        assert np.array_equal(state.ravel() / UNIT, sent)
        for kind, messages in enumerate((stateful, memoryless)):
            sends = messages != 0
            found = rows.sum(axis=0)[kind, 0]
            assert found[:2].tolist() == [sends.sum(), fan_out[sends].sum()]
            missing = activation - (sent if kind == 0 else messages)
            assert found[2] == pytest.approx(float(((missing * UNIT) ** 2).sum()))


@given(
    st.sampled_from(
        [
            (Convolution((2, 1), (1, 0, 2, 1), (1, 2), 2), (4, 1, 3, 2)),
            (TransposedConvolution((2, 2), (1, 0, 0, 1), groups=2), (2, 3, 2, 3)),
            (Dense(), (3, 60)),
        ]
    ),
    st.integers(0, 2**32 - 1),
)
@COMPILED
def test_messages_and_operations(shapes: tuple[Geometry, tuple[int, ...]], seed: int) -> None:
    """What the engine, slayer and lava's backend count, at the border too."""
    geometry, shape = shapes
    rng = np.random.default_rng(seed)
    weight = (2 * rng.integers(-1, 2, shape)).astype(np.int16)
    channels = geometry.output_shape((2, 5, 6), shape)[0]
    layer = SpecLayer(
        name="only",
        geometry=geometry,
        weight=weight,
        bias=None,
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(channels),
        input_shape=(2, 5, 6),
    )
    spec = Spec((2, 5, 6), 1.0, 1, Grid(6), (layer,), "")
    messages = rng.integers(-1, 2, (2, 5, 6))
    counter = MessageCounter(network_from_spec(spec))
    assert counter.events(torch.from_numpy(messages)) == np.count_nonzero(messages)
    expected = equations.n_operations(geometry, weight.astype(np.int64), messages)
    assert counter.synops(0, [torch.from_numpy(messages)]) == expected
    everywhere = np.ones((2, 5, 6), np.int64)
    dense = equations.n_operations(geometry, weight.astype(np.int64), everywhere)
    assert counter.dense_macs == dense
