"""The diagnosis of a conversion with branches."""

import math
from dataclasses import replace

import needs_lava  # noqa: F401
import pytest
import torch
from branched_networks import branched_graph, branched_spec
from diagnosis_cases import Wandering

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.diagnose import diagnose
from ann2sdnn.sdnn.diagnosis.findings import findings
from ann2sdnn.sdnn.diagnosis.memory import StepMemory
from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
from ann2sdnn.sdnn.diagnosis.parts import optimise_in_parts
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, Measurements, Step
from ann2sdnn.sdnn.diagnosis.steps import optimise
from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.network import TrainableSdnn
from ann2sdnn.support.progress import SILENT


def spec_of(n_outputs: int = 1) -> Spec:
    return replace(branched_spec(branched_graph(n_outputs=n_outputs), threshold=2), input_gain=1)


class Frames(Wandering):
    """As ``branched_graph`` takes and gives them."""

    def read(self, index: int) -> PoseSequence:
        whole = super().read(index)
        pixels = (whole.frames[:, :16, :20] * 255).round() / 255
        return PoseSequence(pixels, whole.targets[:3, :16, :20])


def batch(n: int = 3) -> PoseSequence:
    frames, targets = zip(*(Frames(24, 3).read(index) for index in range(n)), strict=True)
    return PoseSequence(torch.stack(frames), torch.stack(targets))


def diagnosed(n_sequences: int = 2) -> Diagnosis:
    options = DiagnoseOptions(steps=2, batch=n_sequences, learning_rate=1e-4)
    return diagnose(lambda _: SpecSubject(TrainableSdnn(spec_of())), Frames(24, 3), options)


def test_a_step_is_that_of_the_network_that_learns() -> None:
    spec, seen = spec_of(), batch()
    network = TrainableSdnn(spec)
    network.begin(16, 20)
    passed = network((seen.frames * 255).round().to(torch.uint8))
    error = (passed.maps - seen.targets.movedim(-1, 1)).square().mean()
    torch.autograd.backward(error)
    subject = SpecSubject(TrainableSdnn(spec))
    optimizer = torch.optim.SGD(subject.parameters(), lr=0.01)
    step = optimise(subject, optimizer, seen, torch.zeros(3, 16, 20), 1)
    assert step.error == pytest.approx(float(error.detach()), rel=1e-5)
    events = [int((one != 0).sum()) for one in passed.messages()]
    assert [step.input_events, *(now.events for now in step.layers)] == events
    for now, layer in zip(step.layers, network.trained, strict=True):
        gradients = [synapse.weight.grad for synapse in layer.synapses]
        weights = [synapse.weight.detach() for synapse in layer.synapses]
        norm = math.hypot(*(float(one.norm()) for one in gradients if one is not None))
        assert now.gradient_norm == pytest.approx(norm, rel=1e-3)
        size = math.hypot(*(float(one.norm()) for one in weights))
        assert now.weight_change == pytest.approx(0.01 * norm / size, rel=1e-2)


def test_a_step_in_parts_is_the_step_of_the_whole_batch() -> None:
    whole, parts = (two_steps(in_parts=each) for each in (False, True))
    for one, other in zip(whole, parts, strict=True):
        expected, found = one.model_dump(), other.model_dump()
        for layer, same in zip(expected.pop("layers"), found.pop("layers"), strict=True):
            assert same == pytest.approx(layer, rel=1e-3, abs=1e-9)
        assert found == pytest.approx(expected, rel=1e-4)


def two_steps(*, in_parts: bool, n_outputs: int = 1) -> list[Step]:
    subject = SpecSubject(TrainableSdnn(spec_of(n_outputs)))
    seen = batch() if n_outputs == 1 else several()
    optimizer = torch.optim.RMSprop(subject.parameters(), lr=1e-3)
    mean = seen.targets.mean(dim=(0, -1))
    with SILENT.task("steps", 2, "steps") as task:
        return [
            optimise_in_parts(subject, optimizer, seen, mean, index, task=task)
            if in_parts
            else optimise(subject, optimizer, seen, mean, index)
            for index in (1, 2)
        ]


def test_layers_are_described_with_the_weights_of_all_synapses() -> None:
    spec, diagnosis = spec_of(), diagnosed()
    assert [layer.name for layer in diagnosis.layers] == [layer.name for layer in spec.layers]
    for found, layer in zip(diagnosis.layers, spec.layers, strict=True):
        weights = [synapse.weight for synapse in layer.synapses]
        assert found.weights == sum(one.size for one in weights)
        shares = {int(level): float((weights[0] == level).mean()) for level in weights[0].flat}
        if len(weights) == 1:
            assert found.level_fractions == pytest.approx(shares)
        else:
            zeros = sum(int((one == 0).sum()) for one in weights)
            assert found.level_fractions.get(0, 0) * found.weights == pytest.approx(zeros)
    assert diagnosis.readout is not None
    assert diagnosis.readout.later == pytest.approx(diagnosis.readout.first, rel=0.05)
    assert "output-not-summed" not in {one.name for one in diagnosis.findings}


def test_the_sentence_of_a_silent_network_names_where_silence_begins_for_good() -> None:
    """A branch may be silent and the layers behind it not."""
    diagnosis = diagnosed()
    last = diagnosis.steps[-1]
    events = [9, 0, 9, 9, 9, 0, 9, 0, 0]  # of stem, block1, ..., up, joined, heads
    layers = tuple(
        now.model_copy(update={"events": n}) for now, n in zip(last.layers, events, strict=True)
    )
    silent = last.model_copy(update={"layers": layers})
    known = {name: getattr(diagnosis, name) for name in Measurements.model_fields}
    measured = Measurements(**{**known, "steps": (diagnosis.steps[0], silent)})
    (found,) = (one for one in findings(measured) if one.name == "silent")
    assert "layer joined and the layers after it send nothing" in found.sentence


def several(n: int = 3) -> PoseSequence:
    """Targets for the outputs heads [3, 16, 20], deep [8, 8, 10] and add1 [6, 16, 20], one after
    another; those of the second are small.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = (3 * 16 * 20, 8 * 8 * 10, 6 * 16 * 20)
    parts = [
        scale * torch.rand(n, size, 1, 1, 3, generator=generator)
        for size, scale in zip(sizes, (1.0, 0.01, 2.0), strict=True)
    ]
    return PoseSequence(batch(n).frames, torch.cat(parts, dim=1))


def test_the_loss_of_several_outputs_is_the_mean_of_their_relative_errors() -> None:
    spec, seen = spec_of(3), several()
    network = TrainableSdnn(spec)
    network.begin(16, 20)
    maps = network((seen.frames * 255).round().to(torch.uint8)).maps.flatten(0, 1)
    wanted = network.outputs(seen.targets.movedim(-1, 1).flatten(0, 1))
    pairs = list(zip(network.outputs(maps), wanted, strict=True))
    error = torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()
    torch.autograd.backward(error)
    subject = SpecSubject(TrainableSdnn(spec))
    optimizer = torch.optim.SGD(subject.parameters(), lr=0.01)
    mean = seen.targets.mean(dim=(0, -1))
    step = optimise(subject, optimizer, seen, mean, 1)
    assert step.error == pytest.approx(float(error.detach()), rel=1e-4)
    assert step.silence_error == pytest.approx(1)
    # Values of 0 to 1 have a mean square of 1/3 and a variance of 1/12.
    assert step.mean_target_error == pytest.approx(0.25 * 8 / 9, rel=0.05)
    for now, layer in zip(step.layers, network.trained, strict=True):
        gradients = [synapse.weight.grad for synapse in layer.synapses]
        norm = math.hypot(*(float(one.norm()) for one in gradients if one is not None))
        assert now.gradient_norm == pytest.approx(norm, rel=1e-3)
    names = [spec.layers[number].name for number in step.outputs]
    assert names == ["heads", "deep", "add1"]


def test_several_outputs_in_parts_are_those_of_the_whole_batch() -> None:
    whole, parts = (two_steps(in_parts=each, n_outputs=3) for each in (False, True))
    for one, other in zip(whole, parts, strict=True):
        expected, found = one.model_dump(), other.model_dump()
        for layer, same in zip(expected.pop("layers"), found.pop("layers"), strict=True):
            assert same == pytest.approx(layer, rel=1e-3, abs=1e-9)
        assert found == pytest.approx(expected, rel=1e-4)


class Several(Frames):
    """With targets for three outputs."""

    def read(self, index: int) -> PoseSequence:
        return PoseSequence(super().read(index).frames, several(3).targets[index % 3])


def test_a_conversion_with_several_outputs_is_diagnosed() -> None:
    options = DiagnoseOptions(steps=2, batch=2, learning_rate=1e-4)
    diagnosis = diagnose(lambda _: SpecSubject(TrainableSdnn(spec_of(3))), Several(24, 3), options)
    # What the last layer alone gives: of constant inputs, the same in every frame.
    assert diagnosis.readout is not None
    assert diagnosis.readout.first > 0
    assert diagnosis.readout.later == pytest.approx(diagnosis.readout.first, rel=0.05)
    assert {one.name for one in diagnosis.findings}.isdisjoint({"silent", "output-not-summed"})


def test_a_network_is_silent_where_all_outputs_are() -> None:
    step = diagnosed().steps[0].model_copy(update={"outputs": (8, 5)})
    mute = [now.model_copy(update={"events": 0}) for now in step.layers]
    loud = step.layers[5].model_copy(update={"events": 7})
    assert step.model_copy(update={"layers": tuple(mute)}).silent
    heard = step.model_copy(update={"layers": (*mute[:5], loud, *mute[6:])})
    assert (heard.silent, heard.output_events) == (False, 7)


def test_memory_of_branches_by_hand() -> None:
    """Input of 10 values; a of 40 is read by b and c, the input by a and c."""
    memory = StepMemory((10, 40, 30, 20), (10, 40, 30, 20), 0, ((0,), (1,), (2, 1, 0)))
    assert memory.read_again == 40 + 10
    assert memory.busiest == 30 + 40 + 10 + 20
    # While b runs backwards, gradients by a and the input have come from c; while a does, the
    # input's.
    assert memory.waiting == 40 + 10
    chain = StepMemory((10, 40, 30, 20), (10, 40, 30, 20), 0, ((0,), (1,), (2,)))
    assert (chain.read_again, chain.waiting) == (0, 0)
    assert chain.in_parts(2) == replace(chain, reads=()).in_parts(2)
    assert memory.whole(2) > chain.whole(2)
    assert memory.in_parts(2) > chain.in_parts(2)
