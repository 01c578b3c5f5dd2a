"""What `diagnose` measures; it finds the experiment's faults, and none in a healthy network."""

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import needs_lava  # noqa: F401
import pytest
import torch
from diagnosis_cases import SMALL, Wandering
from networks import random_spec

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.diagnose import diagnose
from ann2sdnn.sdnn.diagnosis.findings import findings
from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
from ann2sdnn.sdnn.diagnosis.report import Diagnosis
from ann2sdnn.sdnn.diagnosis.steps import event_penalty, forward, optimise
from ann2sdnn.sdnn.diagnosis.subjects.plain import PlainSubject
from ann2sdnn.sdnn.diagnosis.subjects.settings import (
    REPAIRS,
    ExperimentSettings,
    repaired,
)
from ann2sdnn.sdnn.diagnosis.subjects.sources import from_spec
from ann2sdnn.sdnn.diagnosis.subjects.subject import Subject
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder, SdnnRunState
from ann2sdnn.support.errors import ModelError, UsageError
from ann2sdnn.support.files.writing import sha256

HEALTHY = ("sum-output", "initialisation", "threshold", "pool", "event-cost", "learning-rate")


def experiment(settings: ExperimentSettings, *, side: int = 24, steps: int = 2) -> Diagnosis:
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    options = DiagnoseOptions(steps=steps, batch=2, learning_rate=settings.learning_rate)
    return diagnose(lambda frames: ExperimentSubject(settings, frames), Wandering(side, 3), options)


@cache
def as_it_was() -> Diagnosis:
    return experiment(ExperimentSettings())


def small(*repairs: str, **changes: object) -> ExperimentSettings:
    settings = repaired(ExperimentSettings(blocks=SMALL), repairs)
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


@cache
def healthy() -> Diagnosis:
    return experiment(small(*HEALTHY), steps=3)


def names(diagnosis: Diagnosis) -> set[str]:
    return {found.name for found in diagnosis.findings}


def test_the_experiments_faults_are_found() -> None:
    assert names(as_it_was()) >= {
        "silent",
        "output-not-summed",
        "signal-shrinks",
        "pool-sums",
        "few-levels",
    }
    silent = next(one for one in as_it_was().findings if one.name == "silent")
    assert silent.evidence["error"] == pytest.approx(silent.evidence["silence_error"])
    assert "equals that of predicting nothing" in silent.sentence
    pool = next(one for one in as_it_was().findings if one.name == "pool-sums")
    assert pool.evidence == {"gain": 4.0, "layers": 2}


def test_a_healthy_network_has_no_finding() -> None:
    assert healthy().findings == ()
    last = healthy().steps[-1]
    assert not last.silent
    assert last.error != pytest.approx(last.silence_error, rel=0.01)


@pytest.mark.parametrize(("peak", "expected"), [(0.02, {"loss-of-silence"}), (0.9, set())])
def test_an_error_like_that_of_silence_counts_for_a_faint_output_only(
    peak: float, expected: set[str]
) -> None:
    *before, last = healthy().steps
    same = last.model_copy(update={"error": last.silence_error, "output_peak": peak})
    diagnosis = healthy().model_copy(update={"steps": (*before, same)})
    assert {found.name for found in findings(diagnosis)} == expected


def test_one_batch_without_an_answer_is_no_silence() -> None:
    first, second, third = healthy().steps
    mute = second.model_copy(update={"layers": as_it_was().steps[1].layers[-5:]})
    assert mute.silent
    for steps, expected in (((first, mute, third), set()), ((first, third, mute), {"silent"})):
        diagnosis = healthy().model_copy(update={"steps": steps})
        assert {found.name for found in findings(diagnosis)} == expected


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        ({"sum_output": False}, "output-not-summed"),
        ({"pooling": "sum"}, "pool-sums"),
        ({"threshold": 0.001}, "threshold-zero"),
        ({"threshold": 50.0}, "silent"),
        (
            {"threshold": 0.5, "initialisation": "default", "weight_scale": 0.5},
            "threshold-above-activations",
        ),
        ({"input_scale": 40.0}, "input-clipped"),
        ({"event_cost": 100.0}, "event-cost"),
        ({"learning_rate": 0.1}, "large-first-step"),
    ],
)
def test_one_fault_gives_its_finding_with_numbers(fault: dict[str, object], finding: str) -> None:
    diagnosis = experiment(small(*HEALTHY, **fault))
    found = [one for one in diagnosis.findings if one.name == finding]
    assert len(found) == 1
    assert found[0].evidence
    assert found[0].remedy


def test_the_sentence_of_a_lost_threshold_says_what_was_asked_for_and_what_is_there() -> None:
    diagnosis = experiment(small(*HEALTHY, threshold=0.001))
    found = next(one for one in diagnosis.findings if one.name == "threshold-zero")
    assert found.evidence["asked"] == 0.001
    assert found.evidence["exported"] == 0
    assert found.evidence["in_force"] == pytest.approx(1 / 4096)


def test_thresholds_are_cut_to_multiples_of_a_64th() -> None:
    layer = as_it_was().layers[0]
    assert (layer.asked_threshold, layer.threshold) == (0.1, 6 / 64)


def test_events_gradients_and_losses_are_those_of_the_network() -> None:
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    source = Wandering(24, 3)
    batch = source.read(0)
    batch = PoseSequence(batch.frames[None], batch.targets[None])
    settings = small(*HEALTHY, event_cost=0.5, weight_norm=False)
    torch.manual_seed(0)
    subject = ExperimentSubject(settings, batch.frames)
    # Alone, without anybody watching.
    torch.manual_seed(0)
    twin = ExperimentSubject(settings, batch.frames)
    messages = [twin.encode(batch.frames)]
    for stage in twin.stages:
        messages.append(stage.block(messages[-1]))
    error = (messages[-1].cumsum(-1) - batch.targets).square().mean()
    penalty = 0.5 * sum(event_penalty(one) for one in messages)
    torch.autograd.backward(error + penalty)
    before = twin.stages[2].block.synapse.weight.detach().clone()
    optimizer = torch.optim.SGD(subject.parameters(), lr=0.01)
    step = optimise(subject, optimizer, batch, torch.zeros(13, 24, 24), 1)
    assert step.error == pytest.approx(float(error))
    assert step.event_penalty == pytest.approx(float(penalty))
    assert step.silence_error == pytest.approx(9 / 24**2)
    assert step.mean_target_error == pytest.approx(step.silence_error)
    for now, sent in zip(step.layers, messages[1:], strict=True):
        assert now.events == int((sent != 0).sum())
    gradient = twin.stages[2].block.synapse.weight.grad
    middle = step.layers[2]
    assert middle.gradient_norm == pytest.approx(float(gradient.norm()))
    expected = 0.01 * float(gradient.norm() / before.norm())
    assert middle.weight_change == pytest.approx(expected, rel=1e-4)
    assert step.layers[1].gradient_norm is None  # a pool learns nothing


def test_a_dead_channel_is_one_that_sends_nothing() -> None:
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    batch = Wandering(24, 3).read(0)
    batch = PoseSequence(batch.frames[None], batch.targets[None])
    settings = small(*HEALTHY, mean_norm=False, weight_norm=False)
    subject = ExperimentSubject(settings, batch.frames)
    with torch.no_grad():
        subject.stages[0].block.synapse.weight[:2] = -1.0
        subject.stages[0].block.synapse.weight[2:] = 1.0
    optimizer = torch.optim.SGD(subject.parameters(), lr=0.0)
    step = optimise(subject, optimizer, batch, torch.zeros(13, 24, 24), 1)
    assert step.layers[0].dead_channels == 2 / 8


def test_a_converted_network_is_not_suspected() -> None:
    from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    spec = random_spec(threshold=1)
    spec = dataclasses.replace(spec, layers=spec.layers[:4])  # up to 16 x 20 again
    height, width = spec.output_shape[1:]

    class Frames(Wandering):
        def read(self, index: int) -> PoseSequence:
            frames = super().read(index).frames[:, : spec.input_shape[1], : spec.input_shape[2]]
            targets = torch.zeros(spec.output_shape[0], height, width, self.frames)
            targets[:, 3:8, 3:8] = 1
            return PoseSequence(frames, targets)

    options = DiagnoseOptions(steps=2, batch=1, learning_rate=1e-5)
    diagnosis = diagnose(lambda _: SpecSubject(TrainableSdnn(spec)), Frames(24, 3, 1), options)
    assert names(diagnosis).isdisjoint(
        {"output-not-summed", "threshold-zero", "pool-sums", "few-levels", "large-first-step"}
    )
    assert diagnosis.readout is not None
    assert diagnosis.readout.later == pytest.approx(diagnosis.readout.first, rel=0.05)
    assert [layer.threshold for layer in diagnosis.layers] == [1 / 64] * 4


def test_a_dense_layer_is_measured_neuron_by_neuron() -> None:
    from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    subject = SpecSubject(TrainableSdnn(random_spec(dense=True)))
    last = forward(subject, Wandering(24, 3).read(0).frames[None, :, :16, :20]).observed[-1]
    assert last.preactivation.shape == (1, 3, 1, 1, 3)
    assert torch.equal(last.preactivation.relu(), last.activation)


def test_a_checkpoint_of_training_is_what_is_diagnosed(tmp_path: Path) -> None:
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    spec = random_spec()
    path = tmp_path / "sdnn.h5"
    write_spec(path, spec)
    weights = TrainableSdnn(spec).state_dict()
    weights["layers.1.block.synapse.weight"] += 0.5
    digest = sha256(path)
    state = SdnnRunState(
        options=SdnnTrainOptions(), data={}, spec_sha256=digest, weights=weights, optimizer={}
    )
    (tmp_path / "run").mkdir()
    SdnnRunFolder(tmp_path / "run").write(state)
    subjects = [from_spec(path, run).build(torch.zeros(1)) for run in (None, tmp_path / "run")]
    differences = []
    for converted, trained in zip(subjects[0].stages, subjects[1].stages, strict=True):
        before, after = converted.weight(), trained.weight()
        assert before is not None
        assert after is not None
        differences.append(float((after - before).abs().max()))
    assert differences == pytest.approx([0, 0.5, 0, 0, 0])
    SdnnRunFolder(tmp_path / "run").write(dataclasses.replace(state, spec_sha256="0" * 64))
    with pytest.raises(ModelError, match="trained another conversion"):
        from_spec(path, tmp_path / "run")


def test_the_control_computes_what_the_sdnn_does_when_nothing_is_rounded() -> None:
    """Unrounded weights and the smallest threshold: summed messages are the ANN's activations."""
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    settings = small("sum-output", "weight-grid", "pool", threshold=0.0, mean_norm=False)
    settings = dataclasses.replace(settings, weight_scale=4.0, output_relu=False)
    frames = torch.stack([Wandering(24, 3).read(i).frames for i in range(2)])
    # Slayer rounds its input to 1/32.
    frames = (frames * 32).round() / 32
    sdnn, plain = ExperimentSubject(settings, frames), PlainSubject(settings, frames)
    with torch.no_grad():
        for stage, twin in zip(plain.stages, sdnn.stages, strict=True):
            weight = twin.weight()
            if weight is not None and stage.direction is not None and stage.length is not None:
                stage.direction.copy_(weight)
                stage.length.copy_(weight.flatten(1).norm(dim=1, keepdim=True))
        ours, theirs = (forward(one, frames).compared for one in (plain, sdnn))
    assert float(ours.abs().max()) > 0.5
    assert float((ours - theirs).abs().max()) < 0.02  # of some messages floored to 1/4096


def test_plain_networks_die_of_their_initial_weights_alone() -> None:
    settings = ExperimentSettings(weight_scale=1.0, mean_norm=False, event_cost=0.0)
    options = DiagnoseOptions(steps=1, batch=2)
    diagnosis = diagnose(lambda f: PlainSubject(settings, f), Wandering(24, 3), options)
    assert "signal-shrinks" in names(diagnosis)
    assert diagnosis.readout is None
    assert names(diagnosis).isdisjoint({"threshold-zero", "few-levels", "output-not-summed"})


def test_scaling_on_the_first_batch_gives_unit_variance() -> None:
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    frames = torch.stack([Wandering(24, 3).read(i).frames for i in range(2)])
    subjects: tuple[Subject, ...] = (
        ExperimentSubject(small(*HEALTHY), frames),
        PlainSubject(small(*HEALTHY), frames),
    )
    for subject in subjects:
        sizes = [
            float(one.preactivation.std())
            for stage, one in zip(subject.stages, forward(subject, frames).observed, strict=True)
            if stage.weight() is not None
        ]
        assert sizes[:-1] == pytest.approx([1.0] * 3, rel=0.2)
        assert sizes[-1] == pytest.approx(0.1, rel=0.4)


def every_repair() -> Iterator[tuple[str, ExperimentSettings]]:
    for name in REPAIRS:
        yield name, small(name)


@pytest.mark.parametrize(("name", "settings"), every_repair())
def test_every_repair_changes_the_settings_and_runs(
    name: str, settings: ExperimentSettings
) -> None:
    assert settings != small()
    assert experiment(settings, steps=1).steps[0].error > 0


def test_mistakes_are_refused() -> None:
    with pytest.raises(UsageError, match="--repair magic"):
        repaired(ExperimentSettings(), ["magic"])
    with pytest.raises(UsageError, match="--steps 0"):
        DiagnoseOptions(steps=0)
    with pytest.raises(UsageError, match="--batch 5"):
        diagnose(lambda f: PlainSubject(small(), f), Wandering(24, 3), DiagnoseOptions(batch=5))
