"""The network that learns computes what its spec says, and its gradients are those it claims."""

from dataclasses import replace
from typing import Any

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import MAX_POOL, SUM_POOL, assert_equal_messages, moving_frames, random_spec

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import linear, pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.sdnn.training.delta import Send, TrainingDelta
from ann2sdnn.sdnn.training.network import Pass, TrainableSdnn
from ann2sdnn.support.errors import UsageError


def quiet_spec(threshold: int = 0, **more: bool) -> Spec:
    """Weights small enough that no state leaves its range."""
    spec = replace(random_spec(threshold=threshold, pool=MAX_POOL, **more), input_gain=1)
    layers = [replace(one, weight=(one.weight // 4 * 2).astype(np.int16)) for one in spec.layers]
    return replace(spec, layers=tuple(layers))


def chunks(network: TrainableSdnn, frames: torch.Tensor, length: int) -> list[Pass]:
    """What ``network`` makes of ``frames`` [T, C, H, W], from the first on."""
    network.begin(*frames.shape[2:])
    return [network(chunk.movedim(0, -1)[None]) for chunk in torch.split(frames, length)]


def assert_is(network: TrainableSdnn, spec: Spec, frames: torch.Tensor) -> None:
    """Messages, maps and operations are those of engine and slayer on ``spec``."""
    real = network_from_spec(spec)
    run = assert_equal_messages(Engine(spec), SlayerBackend(real), frames)
    assert int(run.overflows.sum()) == 0
    assert bool((run.events.sum(dim=0) > 0).all()), "a silent layer compares nothing"
    passes = chunks(network, frames, 4)
    assert run.messages is not None
    for index, expected in enumerate(run.messages):
        sent = torch.cat([one.messages()[index][0].movedim(-1, 0) for one in passes])
        assert torch.equal(sent, expected), f"messages of layer {index} differ"
    assert torch.equal(torch.cat([one.maps[0] for one in passes]), run.outputs)
    operations = torch.cat([one.operations[0] for one in passes])
    assert torch.equal(operations.long(), run.synops.sum(dim=1))


@pytest.mark.parametrize("threshold", [0, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_it_sends_the_messages_of_its_spec(threshold: int, dense: bool) -> None:
    spec = quiet_spec(threshold, dense=dense)
    network = TrainableSdnn(spec)
    exported = network.to_spec()
    for one, other in zip(exported.layers, spec.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)
        assert one.threshold == other.threshold
    assert_is(network, spec, moving_frames(10))


def test_what_has_been_learned_is_what_is_exported() -> None:
    spec = replace(quiet_spec(2), grid=Grid(6, threshold_bits=2))
    network = TrainableSdnn(spec)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in network.trained:
            layer.weight.add_(0.02 * torch.randn_like(layer.weight))
            layer.neuron.bias.add_(0.01 * torch.randn_like(layer.neuron.bias))
            layer.neuron.delta.threshold.add_(0.013)
            layer.clamp()
    learned = network.to_spec()
    assert all(
        (one.weight != other.weight).any() and one.threshold != other.threshold
        for one, other in zip(learned.layers, spec.layers, strict=True)
    )
    assert_is(network, learned, moving_frames(10))


def test_after_a_chunk_weights_still_get_the_gradient_of_everything_received() -> None:
    """A state that is only carried over would pass on the gradient of the last changes alone."""
    spec, frames = quiet_spec(), moving_frames(8)
    gradients = []
    for length in (4, 8):
        network = TrainableSdnn(spec)
        last = chunks(network, frames, length)[-1]
        torch.autograd.backward(last.maps[:, -4:].square().sum())
        gradients.append([layer.weight.grad for layer in network.trained])
    for parts, whole in zip(*gradients, strict=True):
        assert parts is not None
        assert whole is not None
        assert float(whole.abs().max()) > 0
        torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))


def test_without_thresholds_the_gradient_is_that_of_the_network_without_memory() -> None:
    """What a receiver has summed up is then the floored activation, whatever came before."""
    spec, frames = quiet_spec(), moving_frames(6)
    network = TrainableSdnn(spec, output_slope=0.0)
    maps = torch.cat([one.maps[0] for one in chunks(network, frames, 6)])
    torch.autograd.backward((maps - 0.1).square().sum())
    real = network_from_spec(spec)
    step = spec.grid.message_step
    weights = [layer.weight.clone().requires_grad_() for layer in real.layers]
    x = frames.float() * real.input_step
    for layer, weight in zip(real.layers, weights, strict=True):
        assert layer.bias is not None
        a = pool(layer.pool, (linear(layer.geometry, x, weight) + layer.bias).relu())
        x = a + (torch.floor(a / step) * step - a).detach()
    torch.autograd.backward((x / real.output_scale - 0.1).square().sum())
    for trained, weight in zip(network.trained, weights, strict=True):
        assert trained.weight.grad is not None
        assert weight.grad is not None
        largest = float(weight.grad.abs().max())
        found = trained.weight.grad.reshape(weight.shape)
        torch.testing.assert_close(found, weight.grad, rtol=1e-3, atol=1e-3 * largest)


def test_a_delta_unit_by_hand() -> None:
    """Two frames of two neurons, threshold 0.5, message unit 1/4, width 0.15; sent before: 1."""
    delta = TrainingDelta(0.5, 1 / 64, 0.25)
    delta.fan_out = torch.tensor([10.0, 20.0]).reshape(1, 1, 2)
    delta.sent = torch.ones(1, 1, 1, 2)
    activation = torch.tensor([[1.6, 1.0], [1.9, 1.2]]).reshape(1, 2, 1, 1, 2).requires_grad_()
    reached = delta(activation)
    # 0.6 goes out as 0.5, then 0.4 is too little; the other does not change, then too little.
    assert reached.flatten().tolist() == [1.5, 1.0, 1.5, 1.0]
    assert delta.operations.flatten().tolist() == [10.0, 0.0]
    torch.autograd.backward(delta.operations.sum() + 3 * reached[:, -1].sum())

    def density(change: float) -> float:
        sent = 1 / (1 + np.exp(-(abs(change) - 0.5) / 0.15))
        return float(sent * (1 - sent) / 0.15)

    first, second = 10 * density(0.6), 10 * density(0.4)
    other = 20 * density(0.2)
    assert activation.grad is not None
    # A frame's change counts in it and, the other way round, in the next.
    assert activation.grad.flatten().tolist() == pytest.approx(
        [first - second, -other, 3 + second, 3 + other], rel=1e-4
    )
    kept_back = 3 * (0.6 * density(0.6) + 0.4 * density(0.4) + 0.2 * density(0.2))
    assert delta.threshold.grad is not None
    assert float(delta.threshold.grad) == pytest.approx(
        -(first + second + other) - kept_back, rel=1e-4
    )


@pytest.mark.parametrize("dense", [False, True])
def test_a_weight_that_is_brought_to_zero_costs_nothing_any_more(dense: bool) -> None:
    network = TrainableSdnn(quiet_spec(dense=dense))
    network.begin(*network.spec.input_shape[1:])
    at = 5 if dense else 2  # the dense one takes 4 channels of 8 x 20 neurons
    layer, sender = network.trained[at], network.trained[at - 1]
    before = sender.neuron.delta.fan_out.clone()
    source = (0, 1, 2) if dense else 1  # a neuron (channel, row, column), or a channel
    channels, height, width = network.spec.layers[at].input_shape
    with torch.no_grad():
        if dense:
            layer.weight[:, np.ravel_multi_index((0, 1, 2), (channels, height, width))] = 0
        else:
            layer.weight[: len(layer.weight) // 2, 1] = 0  # of the first of two groups
    network.count_weights()
    after = sender.neuron.delta.fan_out
    gone = torch.zeros(channels, height, width, dtype=torch.bool)
    gone[source] = True
    gone = gone.permute(1, 2, 0)
    assert bool((before[gone] > 0).all())
    assert bool((after[gone] == 0).all())
    assert torch.equal(after[~gone], before[~gone])


def test_pruning_takes_the_smallest_weights_and_they_go_on_learning() -> None:
    spec, frames = quiet_spec(2), moving_frames(10)
    network = TrainableSdnn(spec)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in network.trained:
            layer.weight.add_(0.004 * torch.randn_like(layer.weight))
    network.prune(0.5)
    layer = network.trained[2]
    gone = (layer.quantised() == 0) & (layer.weight.reshape(layer.quantised().shape).abs() > 1 / 64)
    assert bool(gone.any()), "weights that would not have been rounded to 0"
    learned = network.to_spec()
    for one, trained in zip(learned.layers[1:-1], network.trained[1:-1], strict=True):
        assert (one.weight == 0).mean() >= 0.5 - 1 / one.weight.size
        size = np.abs(trained.weight.detach().numpy()).reshape(one.weight.shape)
        assert size[one.weight == 0].max() <= size[one.weight != 0].min() + 1 / 64
    assert (learned.layers[0].weight == 0).mean() < 0.3
    assert_is(network, learned, frames)
    passed = chunks(network, frames, 10)[0]
    torch.autograd.backward(passed.maps.square().sum())
    gradient = layer.weight.grad
    assert gradient is not None
    assert float(gradient.reshape(gone.shape)[gone].abs().max()) > 0
    with torch.no_grad():
        layer.weight[:] = torch.where(gone.reshape(layer.weight.shape), 1.0, layer.weight)
    network.prune(0.5)
    assert bool((layer.quantised()[gone] != 0).all()), "they come back when they have grown"
    network.prune(0.0)
    assert torch.equal(
        layer.quantised(), layer.neuron.quantize_8bit(layer.weight).reshape(gone.shape)
    )


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 150)),
    threshold=st.sampled_from([0.01, 0.1, 0.3]),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=40)
def test_compiled_and_torch_delta_units_are_one(
    shape: tuple[int, int, int], threshold: float, seed: int
) -> None:
    """Equal messages and operations; gradients up to the order of sums."""
    n_runs, n_frames, n_neurons = shape
    rng = torch.Generator().manual_seed(seed)
    steps = torch.randn(n_runs, n_frames, 1, 1, n_neurons, generator=rng)
    # Some neurons change, some do not.
    moves = torch.rand(steps.shape, generator=rng) < 0.5
    activation = (torch.round(0.2 * steps * moves * 4096) / 4096).cumsum(dim=1)
    sent = torch.round(0.1 * torch.randn(n_runs, 1, 1, n_neurons, generator=rng) * 64) / 64
    fan_out = torch.randint(0, 9, (1, 1, n_neurons), generator=rng).float()
    weight = torch.randn(activation.shape, generator=rng)
    price = torch.rand(n_runs, n_frames, generator=rng)
    results = []
    for compiled in (False, True):
        given_to = [
            activation.clone().requires_grad_(),
            torch.tensor([threshold]).requires_grad_(),
        ]
        send: Any = Send
        reached, operations = send.apply(*given_to, sent, fan_out, 1 / 64, 1 / 1024, compiled)
        torch.autograd.backward((reached * weight).sum() + (operations * price).sum())
        results.append((reached, operations, *(one.grad for one in given_to)))
    in_torch, in_kernels = results
    assert torch.equal(in_torch[0], in_kernels[0])
    assert torch.equal(in_torch[1], in_kernels[1])
    for one, other in zip(in_torch[2:], in_kernels[2:], strict=True):
        # A sigmoid that saturates in float32 is worth nothing beside a price of 9 / threshold.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * 9 / threshold)


def test_a_step_against_operations_raises_thresholds_and_saves_some() -> None:
    spec, frames = quiet_spec(2), moving_frames(8)
    network = TrainableSdnn(spec)
    passes = chunks(network, frames, 4)
    torch.autograd.backward(torch.stack([one.operations.sum() for one in passes]).sum())
    thresholds = [layer.neuron.delta.threshold for layer in network.trained]
    with torch.no_grad():
        for threshold in thresholds[:-1]:
            assert threshold.grad is not None
            threshold.sub_(0.03 * threshold.grad.sign())
    assert thresholds[-1].grad is None, "the last layer's messages cost nothing"
    before, after = (Engine(one).run(frames).synops.sum() for one in (spec, network.to_spec()))
    assert int(after) < int(before)


def test_it_learns_to_answer_as_another_network_through_all_its_rounding() -> None:
    spec, frames = quiet_spec(2), moving_frames(8)
    wanted = [one.maps.detach() for one in chunks(TrainableSdnn(spec), frames, 4)]
    network = TrainableSdnn(spec)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in network.trained:
            layer.weight.add_(0.1 * torch.randn_like(layer.weight))
            layer.clamp()
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.01)
    errors = []
    for _ in range(40):
        network.begin(*frames.shape[2:])
        error = 0.0
        for chunk, target in zip(torch.split(frames, 4), wanted, strict=True):
            loss = (network(chunk.movedim(0, -1)[None]).maps - target).square().mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            error += float(loss.detach())
        errors.append(error)
    assert errors[-1] < 0.5 * errors[0]


def test_states_near_their_limit_are_pulled_back() -> None:
    spec = random_spec(pool=SUM_POOL)
    loud = replace(spec, input_gain=64)
    excess = [
        float(chunks(TrainableSdnn(one), moving_frames(2), 2)[0].excess)
        for one in (quiet_spec(), loud)
    ]
    assert excess[0] == 0.0
    assert excess[1] > 0.0


def test_relays_keep_their_weights_and_memoryless_layers_are_refused() -> None:
    spec = quiet_spec()
    channels = spec.layers[1].input_shape[0]
    relay = SpecLayer(
        f"{spec.layers[1].name}_relay",
        Convolution(groups=channels),
        np.full((channels, 1, 1, 1), 64, np.int16),
        None,
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(channels),
        input_shape=spec.layers[1].input_shape,
        is_relay=True,
    )
    relayed = replace(spec, layers=(spec.layers[0], relay, *spec.layers[1:]))
    network = TrainableSdnn(relayed)
    assert not any(p.requires_grad for p in network.trained[1].parameters())
    assert network.trained[2].weight.requires_grad
    forgetful = replace(spec, layers=(replace(spec.layers[0], is_stateful=False), *spec.layers[1:]))
    with pytest.raises(UsageError, match="memoryless"):
        TrainableSdnn(forgetful)
    with pytest.raises(UsageError, match="--crop none"):
        TrainableSdnn(quiet_spec(dense=True)).begin(8, 8)
