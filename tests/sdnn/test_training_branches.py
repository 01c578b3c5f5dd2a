"""The network that learns, with branches: it computes its spec, and its gradients are those of a
plain network.
"""

from dataclasses import replace

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec
from hypothesis import assume, given, settings
from networks import ArrayRun, assert_equal_messages, moving_frames

from ann2sdnn.data.recordings.samples import Augmentation
from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.layers import INPUT, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.operations import FloatNetwork, fan_out, linear, pool
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.spec.grid import UNITS
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.batches import TrainingRuns
from ann2sdnn.sdnn.training.fresh import fresh_spec
from ann2sdnn.sdnn.training.network import Pass, TrainableSdnn
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnRunState
from ann2sdnn.sdnn.training.trainer import SdnnTrainer
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.progress import SILENT
from ann2sdnn.support.training.fabric import fabric_on


def quiet_spec(graph: Graph, threshold: int = 0) -> Spec:
    """Weights small enough that no state leaves its range."""

    def quiet(synapse: Synapse) -> Synapse:
        return replace(synapse, weight=(synapse.weight // 4 * 2).astype(np.int16))

    spec = replace(branched_spec(graph, threshold=threshold), input_gain=1)
    layers = [
        with_synapses(one, [quiet(synapse) for synapse in one.synapses]) for one in spec.layers
    ]
    return replace(spec, layers=tuple(layers))


def chunks(network: TrainableSdnn, frames: torch.Tensor, length: int) -> list[Pass]:
    """What ``network`` makes of ``frames`` [T, C, H, W], from the first on."""
    network.begin(*frames.shape[2:])
    return [network(chunk.movedim(0, -1)[None]) for chunk in torch.split(frames, length)]


def assert_is(network: TrainableSdnn, spec: Spec, frames: torch.Tensor) -> None:
    """Messages, maps and operations are those of the reference and of slayer on ``spec``."""
    slayer = SlayerBackend(network_from_spec(spec))
    run = assert_equal_messages(Reference(spec), slayer, frames)
    assert int(run.overflows.sum()) == 0
    passes = chunks(network, frames, 2)
    assert run.messages is not None
    for index, expected in enumerate(run.messages):
        sent = torch.cat([one.messages()[index][0].movedim(-1, 0) for one in passes])
        assert torch.equal(sent, expected), f"messages of plane {index} differ"
    assert torch.equal(torch.cat([one.maps[0] for one in passes]), run.outputs)
    operations = torch.cat([one.operations[0] for one in passes])
    assert torch.equal(operations.long(), run.synops.sum(dim=1))


def changed(network: TrainableSdnn, size: float) -> None:
    """Change all that learns by a little noise."""
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in network.trained:
            for synapse in layer.synapses:
                synapse.weight.add_(size * torch.randn_like(synapse.weight))
            layer.neuron.bias.add_(size / 2 * torch.randn_like(layer.neuron.bias))
            layer.clamp()


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("threshold", [0, 3])
def test_it_sends_the_messages_of_its_spec(n_outputs: int, threshold: int) -> None:
    spec, frames = quiet_spec(branched_graph(n_outputs=n_outputs), threshold), moving_frames(6)
    run = Reference(spec).run(frames)
    assert int(run.overflows.sum()) == 0
    assert bool((run.events.sum(dim=0) > 0).all()), "a silent layer compares nothing"
    network = TrainableSdnn(spec)
    for one, other in zip(network.to_spec().layers, spec.layers, strict=True):
        for own, theirs in zip(one.synapses, other.synapses, strict=True):
            assert np.array_equal(own.weight, theirs.weight)
    assert_is(network, spec, frames)


@given(branched_graphs())
@settings(max_examples=20, deadline=None)
def test_random_networks_are_what_is_exported_after_a_change(graph: Graph) -> None:
    network = TrainableSdnn(quiet_spec(graph, threshold=2))
    changed(network, 0.03)
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (4, *graph.input_shape), np.uint8))
    run = Reference(network.to_spec()).run(frames)
    assume(int(run.overflows.sum()) == 0)
    assert_is(network, network.to_spec(), frames)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_without_thresholds_the_gradient_is_that_of_a_plain_network(n_outputs: int) -> None:
    """What a receiver has summed up is then the floored activation, whatever came before."""
    spec, frames = quiet_spec(branched_graph(n_outputs=n_outputs)), moving_frames(6)
    network = TrainableSdnn(spec, output_slope=0.0)
    maps = torch.cat([one.maps[0] for one in chunks(network, frames, 6)])
    torch.autograd.backward((maps - 0.1).square().sum())
    weights, biases, outputs = plain(spec, frames)
    torch.autograd.backward((outputs - 0.1).square().sum())
    for layer, own, bias in zip(network.trained, weights, biases, strict=True):
        assert_close(layer.neuron.bias.grad, bias.grad)
        for synapse, weight in zip(layer.synapses, own, strict=True):
            assert_close(synapse.weight.grad, weight.grad)


def plain(
    spec: Spec, frames: torch.Tensor
) -> tuple[list[list[torch.Tensor]], list[torch.Tensor], torch.Tensor]:
    """Weights, biases and outputs of a network that rounds towards 0, in torch alone."""
    real, step = network_from_spec(spec), spec.grid.message_step
    weights = [
        [one.weight.clone().requires_grad_() for one in layer.synapses] for layer in real.layers
    ]
    biases = []
    values = {INPUT: frames.float() * real.input_step}
    for layer, own in zip(real.layers, weights, strict=True):
        assert layer.bias is not None
        biases.append(layer.bias.clone().requires_grad_())
        z = biases[-1]
        for synapse, weight in zip(layer.synapses, own, strict=True):
            z = z + linear(synapse.geometry, values[synapse.source or ""], weight)
        a = pool(layer.pool, z.relu() if layer.relu else z)
        values[layer.name] = a + (torch.trunc(a / step) * step - a).detach()
    outputs = [values[name] for name in spec.output_names or (spec.layers[-1].name,)]
    flat = torch.cat([one.flatten(1) for one in outputs], dim=1)
    return weights, biases, flat.reshape(len(frames), *spec.output_shape) / real.output_scale


def assert_close(found: torch.Tensor | None, expected: torch.Tensor | None) -> None:
    assert found is not None
    assert expected is not None
    largest = float(expected.abs().max())
    assert largest > 0
    found = found.reshape(expected.shape)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * largest)


def test_a_message_costs_what_it_causes_in_all_its_readers() -> None:
    spec = quiet_spec(branched_graph(n_outputs=3))
    network = TrainableSdnn(spec)
    network.begin(16, 20)
    costs = [layer.neuron.delta.fan_out for layer in network.trained]
    real = network_from_spec(spec)
    for plane, readers in enumerate(spec.readers[1:], 1):
        expected = torch.zeros(spec.plane_shapes[plane])
        for layer, number in readers:
            synapse = real.layers[layer].synapses[number]
            expected = expected + fan_out(synapse.geometry, synapse.weight, synapse.input_shape)
        assert torch.equal(costs[plane - 1].permute(2, 0, 1), expected)
    assert len(spec.readers[1]) == 3, "stem is read by three layers"


def test_only_thresholds_of_layers_that_others_read_learn() -> None:
    network = TrainableSdnn(quiet_spec(branched_graph(n_outputs=3), 2))
    learns = {
        layer.layer.name: layer.neuron.delta.threshold.requires_grad for layer in network.trained
    }
    # Of the outputs heads, deep and add1 only heads has no reader.
    assert [name for name, does in learns.items() if not does] == ["heads"]


def test_pruning_keeps_shortcuts_readers_of_the_input_and_outputs() -> None:
    spec = quiet_spec(branched_graph(n_outputs=2), 2)
    network = TrainableSdnn(spec)
    changed(network, 0.004)
    before = network.to_spec()
    network.prune(0.5)
    pruned = []
    for old, new in zip(before.layers, network.to_spec().layers, strict=True):
        for one, other in zip(old.synapses, new.synapses, strict=True):
            if np.array_equal(one.weight, other.weight):
                continue
            assert (other.weight == 0).mean() >= 0.5 - 1 / other.weight.size
            pruned.append((new.name, other.source))
    assert pruned == [
        ("block1", "stem"),
        ("add1", "block1"),  # and not the identity from stem
        ("down", "add1"),
        ("down", "stem"),
        ("pooled", "add1"),
        ("up", "deep"),  # not deep, which is an output
        ("joined", "up"),
        ("joined", "add1"),  # and not the one from the input
    ]
    assert_is(network, network.to_spec(), moving_frames(6))


def test_random_weights_keep_shortcuts_and_the_size_of_activations() -> None:
    spec, frames = quiet_spec(branched_graph(n_outputs=3)), moving_frames(4)
    fresh = fresh_spec(spec, frames, seed=1)
    kept = []
    for one, other in zip(spec.layers, fresh.layers, strict=True):
        for old, new in zip(one.synapses, other.synapses, strict=True):
            if np.array_equal(old.weight, new.weight):
                kept.append((one.name, old.source))
        assert other.bias is not None
        assert not other.bias.any()
    assert kept == [("add1", "stem")]
    outputs = [Reference(each).run(frames).outputs.square().mean().sqrt() for each in (spec, fresh)]
    assert 0.3 < float(outputs[1] / outputs[0]) < 3


def test_windows_of_another_size() -> None:
    spec = quiet_spec(branched_graph(n_outputs=2), 2)
    network, frames = TrainableSdnn(spec), moving_frames(6, (1, 24, 12))
    assert_is(network, resized(spec, (24, 12)), frames)
    with pytest.raises(UsageError) as raised:
        network.begin(15, 20)
    message = str(raised.value)
    assert message.startswith(
        "windows of 15x20 pixels: an input of shape (8, 8, 10) and (6, 7, 10)"
    )
    assert "layer deep" in message
    assert message.endswith("train on whole frames with --crop none")


class Losses(SdnnTrainer):
    """A training without validation, which keeps the loss of each epoch."""

    losses: list[float]

    def end_epoch(self, loss: float, started: float) -> None:
        self.losses.append(loss)


def training(spec: Spec, frames: torch.Tensor, *, chunks: int, epochs: int) -> Losses:
    """A training on all ``frames`` towards a float network that ``spec`` equals but for rounding,
    from where noise was added to the weights.
    """
    options = SdnnTrainOptions(
        penalty=0.01,
        sparsity=0.0,
        batch_size=1,
        chunk_frames=len(frames) // chunks,
        chunks=chunks,
        crop=None,
        epochs=epochs,
    )
    trainer = Losses(
        fabric_on("cpu"),
        spec,
        SdnnRunState(options=options, data={}, spec_sha256="", weights={}, optimizer={}),
        TrainingRuns([ArrayRun(frames.numpy())], len(frames), Augmentation(None, False), seed=0),
        ann=floats_of(spec),
        validation=(),
        observe=lambda *_: None,
        reporter=SILENT,
    )
    changed(trainer.network, 0.03)
    trainer.losses = []
    return trainer


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_training_reduces_the_loss_and_exports_what_it_learned(n_outputs: int) -> None:
    spec, frames = unscaled(quiet_spec(branched_graph(n_outputs=n_outputs), 2)), moving_frames(8)
    trainer = training(spec, frames, chunks=2, epochs=20)
    trainer.train()
    assert trainer.losses[-1] < 0.7 * trainer.losses[0]
    learned = trainer.network.to_spec()
    assert_is(TrainableSdnn(learned), learned, frames)


def test_the_loss_is_the_mean_of_the_outputs_relative_errors() -> None:
    spec, frames = unscaled(quiet_spec(branched_graph(n_outputs=3), 2)), moving_frames(8)
    trainer = training(spec, frames, chunks=1, epochs=1)
    network = FloatNetwork(floats_of(spec))
    targets = network(network.encode(frames))
    (passed,) = chunks(trainer.network, frames, 8)
    errors = (passed.maps[0].detach() - targets).square()[:, :, 0, 0].sum(dim=0)
    energies = targets.square()[:, :, 0, 0].sum(dim=0)
    ends = np.cumsum([np.prod(shape) for shape in spec.output_shapes])
    parts = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
    shares = [float(errors[part].sum() / energies[part].sum()) for part in parts]
    together = float(errors.sum() / energies.sum())
    assert abs(together - np.mean(shares)) > 0.05 * together, "outputs that count as their energy"
    trainer.train()
    assert trainer.losses == pytest.approx([np.mean(shares)], rel=1e-4)


def unscaled(spec: Spec) -> Spec:
    """The spec with scales of 1, so that outputs have the values of a float network."""
    layers = [replace(layer, scale=np.ones_like(layer.scale)) for layer in spec.layers]
    return replace(spec, layers=tuple(layers))


def floats_of(spec: Spec) -> Graph:
    """The float network of the values that ``spec`` holds."""

    def floats(synapse: Synapse) -> Synapse:
        return replace(synapse, weight=(synapse.weight / UNITS).astype(np.float32))

    layers = []
    for layer in spec.layers:
        first, *others = map(floats, layer.synapses)
        bias = None if layer.bias is None else (layer.bias / UNITS).astype(np.float32)
        own = Layer(
            layer.name,
            first.geometry,
            first.weight,
            bias,
            layer.relu,
            layer.pool,
            first.input_shape,
        )
        layers.append(with_synapses(own, [first, *others]))
    scale = spec.input_gain * spec.grid.message_step
    return Graph(spec.input_shape, tuple(layers), scale, output_names=spec.output_names)
