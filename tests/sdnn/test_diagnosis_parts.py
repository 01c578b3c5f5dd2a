"""A step in parts is the step of the whole batch."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from diagnosis_cases import SMALL, Wandering
from networks import random_spec

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.diagnose import diagnose
from ann2sdnn.sdnn.diagnosis.memory import StepMemory, takes_parts
from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
from ann2sdnn.sdnn.diagnosis.parts import optimise_in_parts
from ann2sdnn.sdnn.diagnosis.report import Step
from ann2sdnn.sdnn.diagnosis.steps import optimise
from ann2sdnn.sdnn.diagnosis.subjects.batch import Packed
from ann2sdnn.sdnn.diagnosis.subjects.plain import PlainSubject
from ann2sdnn.sdnn.diagnosis.subjects.settings import ExperimentSettings, repaired
from ann2sdnn.sdnn.diagnosis.subjects.subject import Subject
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.progress import SILENT

GB = 10**9


def experiment(*repairs: str) -> Callable[[torch.Tensor], Subject]:
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    settings = repaired(ExperimentSettings(blocks=SMALL), repairs)
    return lambda frames: ExperimentSubject(settings, frames)


def plain(*repairs: str) -> Callable[[torch.Tensor], Subject]:
    settings = repaired(ExperimentSettings(blocks=SMALL), repairs)
    return lambda frames: PlainSubject(settings, frames)


def conversion() -> Callable[[torch.Tensor], Subject]:
    from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    return lambda _: SpecSubject(TrainableSdnn(random_spec(threshold=2)))


def batch_for(subject: str) -> PoseSequence:
    source = Wandering(24, 3)
    frames, targets = zip(*(source.read(index) for index in range(3)), strict=True)
    batch = PoseSequence(torch.stack(frames), torch.stack(targets))
    if subject != "conversion":
        return batch
    # What ``random_spec`` takes and gives.
    return PoseSequence(batch.frames[:, :, :16, :20], batch.targets[:, :4, :8, :20])


def steps(build: Callable[[torch.Tensor], Subject], batch: PoseSequence, how: str) -> list[Step]:
    torch.manual_seed(0)
    subject = build(batch.frames)
    optimizer = torch.optim.RMSprop(subject.parameters(), lr=1e-3)
    mean = batch.targets.mean(dim=(0, -1))
    found = []
    with SILENT.task("steps", 2, "steps") as task:
        for index in (1, 2):
            if how == "whole":
                found.append(optimise(subject, optimizer, batch, mean, index))
            else:
                found.append(optimise_in_parts(subject, optimizer, batch, mean, index, task=task))
    return found


@pytest.mark.lava
@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("as it was", experiment),
        ("healthy", lambda: experiment("sum-output", "initialisation", "threshold", "pool")),
        ("without a norm", lambda: experiment("norm", "max-pool")),
        ("control", lambda: plain("initialisation")),
        ("conversion", conversion),
    ],
)
def test_a_step_in_parts_is_the_step_of_the_whole_batch(
    name: str, build: Callable[[], Callable[[torch.Tensor], Subject]]
) -> None:
    batch = batch_for(name)
    for whole, parts in zip(
        steps(build(), batch, "whole"), steps(build(), batch, "parts"), strict=True
    ):
        expected, found = whole.model_dump(), parts.model_dump()
        for one, other in zip(expected.pop("layers"), found.pop("layers"), strict=True):
            assert other == pytest.approx(one, rel=1e-3, abs=1e-9)
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.lava
def test_the_whole_diagnosis_in_parts_says_so_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = DiagnoseOptions(steps=2, batch=2)
    whole = diagnose(experiment(), Wandering(24, 3), options)
    assert whole.sequences_at_once == 2
    monkeypatch.setattr("ann2sdnn.sdnn.diagnosis.memory.WHOLE_LIMIT", 0)
    parts = diagnose(experiment(), Wandering(24, 3), options)
    assert parts.sequences_at_once == 1
    assert [one.name for one in parts.findings] == [one.name for one in whole.findings]
    assert parts.layers == whole.layers


def test_packed_messages_come_back_as_they_were() -> None:
    messages = torch.randn(2, 3, 5, 7, 2) * (torch.rand(2, 3, 5, 7, 2) < 0.1)
    packed = Packed.of(messages)
    assert torch.equal(packed.unpacked(), messages)
    assert len(packed.values) == int(messages.count_nonzero())


# The dhp19-sdnn preset at 260x344 with 8 frames, as measured: 2.6 GB for each sequence at once.
FULL = StepMemory(
    values=(715_520, *(11_448_320,) * 4, *(5_724_160,) * 9, *(2_862_080,) * 5),
    nonzero=(20_000, *(600_000,) * 18),
    targets=9_301_760,
)


def test_the_default_batch_is_taken_in_parts_below_6_gb() -> None:
    assert FULL.whole(8) > 20 * GB
    assert FULL.in_parts(8) < 6 * GB
    assert takes_parts(FULL, 8, None)
    assert takes_parts(FULL, 8, 16 * GB)


def test_a_batch_that_fits_is_taken_whole_unless_memory_is_short() -> None:
    small = dataclasses.replace(FULL, values=tuple(n // 16 for n in FULL.values))
    assert not takes_parts(small, 8, None)
    assert takes_parts(small, 8, small.whole(8) - 1)


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_what_fits_in_no_way_is_refused_with_the_options_that_help(batch: int) -> None:
    with pytest.raises(UsageError, match="GB are free; give a smaller --batch or fewer --frames"):
        takes_parts(FULL, batch, GB)
