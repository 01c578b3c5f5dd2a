"""The training framework: options, state, folder, schedule and loop of any run."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from damage import accepted, byte_damages, state_damages
from hypothesis import given
from hypothesis import strategies as st

from ann2sdnn.support.errors import ModelError, OutputError, UsageError
from ann2sdnn.support.files.marker import MARKER
from ann2sdnn.support.files.nested import read_nested, write_nested
from ann2sdnn.support.files.writing import files_in, write_text
from ann2sdnn.support.options.fields import number
from ann2sdnn.support.progress import SILENT, SilentReporter
from ann2sdnn.support.training.fabric import Stepper, adam, fabric_on, usable_device
from ann2sdnn.support.training.options import RunOptions
from ann2sdnn.support.training.run_folder import RunFolder
from ann2sdnn.support.training.schedule import Clock, cosine, warm_up
from ann2sdnn.support.training.state import EpochRow, RunState, load_optimizer
from ann2sdnn.support.training.trainer import Trainer, chosen_workers


@dataclass(frozen=True)
class LineOptions(RunOptions):
    changeable: ClassVar[tuple[str, ...]] = ("epochs", "max_steps")

    epochs: int = number(3, at_least=1, at_most=100, option="--epochs")
    learning_rate: float = number(0.1, above=0, at_most=10, option="--learning-rate")
    sizes: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class LineEpoch(EpochRow):
    loss: float


@dataclass(kw_only=True)
class LineState(RunState):
    schema: ClassVar[int] = 7

    options: LineOptions
    history: list[LineEpoch] = field(default_factory=list)
    note: str = ""


class LineFolder(RunFolder[LineState]):
    state_type = LineState
    record_name = "train.json"
    others = ("model.onnx", "pictures/*.png")


class LineTrainer(Trainer[LineState]):
    """Fits y = 2 x with one weight, four points per epoch."""

    def __init__(self, state: LineState, folder: LineFolder, stop_in: int | None = None) -> None:
        fabric = fabric_on("cpu")
        super().__init__(fabric, state, SILENT, steps_per_epoch=4, elapsed_s=0.0)
        self.folder, self.stop_in = folder, stop_in
        self.line = torch.nn.Linear(1, 1, bias=False)
        self.line.load_state_dict(state.weights)
        self.optimizer = adam(self.line.parameters())
        self.stepper = Stepper(fabric, self.line, self.optimizer, state.optimizer)

    def batches(self, epoch: int) -> Iterable[torch.Tensor]:
        generator = torch.Generator().manual_seed(epoch)
        return [torch.randn(5, 1, generator=generator) for _ in range(4)]

    def learn(self, batch: torch.Tensor) -> None:
        if self.state.epoch == self.stop_in and self.steps == 2:
            raise KeyboardInterrupt
        rate = self.state.options.learning_rate * cosine(self.progress)
        self.stepper.set_rates([rate])
        error = (self.stepper.module(batch) - 2 * batch).square().sum()
        self.stepper.step(error)
        self.count(error, (2 * batch).square().sum())

    def end_epoch(self, loss: float, started: float) -> None:
        self.state.history.append(LineEpoch(self.state.epoch, loss))
        self.state.weights = self.line.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.folder.write(self.state)


def new_state(**changes: Any) -> LineState:
    weights = {"weight": torch.tensor([[0.5]])}
    return LineState(options=LineOptions(**changes), data={"a": 3}, weights=weights, optimizer={})


def test_a_resumed_run_ends_with_the_same_weight(tmp_path: Path) -> None:
    whole, parts = LineFolder(tmp_path / "whole"), LineFolder(tmp_path / "parts")
    LineTrainer(new_state(), whole).train()
    with pytest.raises(KeyboardInterrupt):
        LineTrainer(new_state(), parts, stop_in=1).train()
    state = parts.resumed(None, {"a": 3})
    assert (state.epoch, state.step) == (1, 4)
    LineTrainer(state, parts).train()
    expected, actual = whole.read(), parts.read()
    assert torch.equal(expected.weights["weight"], actual.weights["weight"])
    assert expected.history == actual.history
    assert [row.epoch for row in actual.history] == [1, 2, 3]
    assert actual.history[-1].loss < actual.history[0].loss < 1


def test_an_interrupted_run_says_how_to_continue(tmp_path: Path) -> None:
    lines: list[str] = []

    class Listener(SilentReporter):
        def message(self, text: str) -> None:
            lines.append(text)

    for epoch in (0, 2):
        trainer = LineTrainer(new_state(), LineFolder(tmp_path / str(epoch)), stop_in=epoch)
        trainer.reporter = Listener()
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    # Nothing was written in the first epoch, so there is nothing to continue.
    assert lines == ["stopped after epoch 2; continue with --resume"]


def test_a_diverging_run_names_its_learning_rate(tmp_path: Path) -> None:
    state = new_state(learning_rate=2.5)
    state.weights = {"weight": torch.tensor([[1e30]])}
    with pytest.raises(ModelError, match=r"in epoch 1, step 1: .* learning rate below 2\.5"):
        LineTrainer(state, LineFolder(tmp_path)).train()


def test_a_run_with_nan_names_step_and_layer_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    class Spoilt(LineTrainer):
        def learn(self, batch: torch.Tensor) -> None:
            if self.state.step == 5:
                self.line.weight.data[:] = math.nan
            super().learn(batch)

    folder = LineFolder(tmp_path)
    with pytest.raises(
        ModelError,
        match=r"epoch 2, step 6: the loss is nan and weight is .* after epoch 1",
    ):
        Spoilt(new_state(), folder).train()
    state = folder.read()
    assert (state.epoch, state.step) == (1, 4)
    assert bool(torch.isfinite(state.weights["weight"]).all())


def test_time_ends_a_run_after_one_step_at_least(tmp_path: Path) -> None:
    state = new_state(epochs=100, max_minutes=1e-9)
    LineTrainer(state, LineFolder(tmp_path)).train()
    assert (state.epoch, state.step) == (1, 1)


def test_steps_end_a_run_and_its_schedule(tmp_path: Path) -> None:
    progress: list[float] = []

    class Noted(LineTrainer):
        def learn(self, batch: torch.Tensor) -> None:
            progress.append(self.progress)
            super().learn(batch)

    state, folder = new_state(epochs=100, max_steps=6), LineFolder(tmp_path)
    trainer = Noted(state, folder)
    trainer.train()
    # The second of the four-step epochs is cut short, whatever the time.
    assert (state.epoch, state.step, trainer.n_epochs) == (2, 6, 2)
    assert progress == [n / 6 for n in range(6)]
    with pytest.raises(UsageError, match=r"--max-steps 5; the run in .* has made 6 already"):
        folder.resumed(LineOptions(epochs=100, max_steps=5), {"a": 3})
    fewer = new_state(epochs=1, max_steps=6)
    LineTrainer(fewer, LineFolder(tmp_path / "fewer")).train()
    assert fewer.step == 4


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path)
    state = new_state(sizes=(4, 5), max_minutes=2.5)
    state.history, state.epoch, state.step, state.note = [LineEpoch(1, 0.25)], 1, 4, "a note"
    folder.write(state, {"more": 1})
    again = folder.read()
    assert torch.equal(again.weights.pop("weight"), state.weights.pop("weight"))
    assert again == state
    text = folder.record.read_text()
    assert '"schema": 1' in text
    assert '"more": 1' in text
    assert '"loss": 0.25' in text


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path)
    state = new_state()
    state.history, state.epoch = [LineEpoch(1, 0.25)], 1
    folder.write(state)
    path = folder.state
    read = accepted(path, lambda _path: folder.read(), byte_damages(path), state_damages(path))
    # Whether these belong to a network and its data is for whoever has them.
    assert read == {"data is {'other': 1}", "optimizer is {'other': 1}", "weights.weight cut"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", 6),
        ("json", '{"options": {"epochs": 3}, "history": [{"epoch": 2, "loss": 0.5}]}'),
        ("json", '{"options": {"epochs": 3}, "history": [{"epoch": 1, "loss": NaN}]}'),
        ("json", '{"options": {"epochs": 3}, "history": [{"epoch": 1}]}'),
        ("json", '{"options": {"epochs": 3.5}, "history": [{"epoch": 1, "loss": 0.5}]}'),
        ("json", '{"options": {"epochs": 0}, "history": [{"epoch": 1, "loss": 0.5}]}'),
        ("json", '{"options": {"colour": 1}, "history": [{"epoch": 1, "loss": 0.5}]}'),
        ("epoch", 2),
        ("epoch", True),
        ("step", -1),
        ("data", {"a": 1.5}),
        ("weights", {}),
        ("weights", {"weight": torch.tensor(math.nan)}),
        ("unknown", 1),
    ],
)
def test_other_content_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    folder = LineFolder(tmp_path)
    state = new_state()
    state.history, state.epoch = [LineEpoch(1, 0.25)], 1
    folder.write(state)
    content = read_nested(folder.state)
    write_nested(folder.state, {**content, name: value})
    with pytest.raises(ModelError, match=r"state\.safetensors cannot be .* again with --force"):
        folder.read()


def test_a_run_is_resumed_with_its_own_data_and_options(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path)
    LineTrainer(new_state(), folder).train()
    assert folder.resumed(LineOptions(epochs=5), {"a": 3}).options.epochs == 5
    with pytest.raises(UsageError, match=r"other recordings \(1 of them, now 2\)"):
        folder.resumed(None, {"a": 3, "b": 1})
    with pytest.raises(UsageError, match=r"another sizes \(\(2, 3\), now \(2,\)\)"):
        folder.resumed(LineOptions(sizes=(2,)), {"a": 3})
    with pytest.raises(UsageError, match=r"--epochs 2; the run in .* has made 3 already"):
        folder.resumed(LineOptions(epochs=2), {"a": 3})


def test_options_come_from_the_run_that_is_resumed(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path / "run")
    assert folder.chosen_options({"seed": 5}, resume=False) == LineOptions(seed=5)
    with pytest.raises(OutputError, match="no training run to resume"):
        folder.chosen_options({}, resume=True)
    LineTrainer(new_state(seed=9), folder).train()
    assert folder.chosen_options({"epochs": 8}, resume=True) == LineOptions(seed=9, epochs=8)


def test_a_run_replaces_only_files_of_a_run(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path)
    state, record = folder.state, folder.record

    def check(*, resume: bool = False, force: bool = False) -> None:
        folder.check(resume=resume, force=force)

    check()
    (tmp_path / "model.onnx").write_text("a network of mine")
    with pytest.raises(OutputError, match="exists already"):
        check()
    with pytest.raises(OutputError, match=r"holds something else .*no train\.json"):
        check(force=True)
    with pytest.raises(OutputError, match="holds no training run to resume"):
        check(resume=True)
    state.write_text("")
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(OutputError, match="a run of another training command"):
        check(resume=True)
    (tmp_path / "training.json").unlink()
    state.unlink()
    (tmp_path / "model.onnx").unlink()
    with files_in(tmp_path):
        write_text(state, "")
        with pytest.raises(OutputError, match=r"holds something else .*no train\.json"):
            check(force=True)  # another command's run
        write_text(record, "")
    check(resume=True)
    check(force=True)
    (tmp_path / "model.onnx").write_text("a network of mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"model\.onnx exists already, and no \.ann2sdnn"):
            check(resume=resume, force=not resume)
    (tmp_path / MARKER).unlink()
    check(resume=True)  # a run of a version that had no markers


def test_only_files_of_the_run_are_cleared(tmp_path: Path) -> None:
    folder = LineFolder(tmp_path)
    folder.write(new_state())
    with files_in(tmp_path):
        write_text(tmp_path / "pictures" / "1.png", "ours")
        write_text(tmp_path / "spec.h5", "ours")
    (tmp_path / "pictures" / "holiday.png").write_text("mine")
    folder.clear(["spec.h5"])
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == [MARKER, "holiday.png"]


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_cosine_falls_from_one_to_zero(first: float, second: float) -> None:
    assert (cosine(0), cosine(0.5), cosine(1)) == pytest.approx((1, 0.5, 0), abs=1e-15)
    assert cosine(7.0) == cosine(1)
    if first < second:
        assert cosine(first) >= cosine(second)


def test_the_warm_up_is_linear() -> None:
    assert [warm_up(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warm_up(0, 1) == 1


def test_a_clock_follows_steps_or_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(100, 30)  # half a minute passes from one look to the next
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    assert Clock(8, None).progress(2) == 0.25
    assert Clock(None, 2.0).progress(2) == 0.25
    assert Clock(8, 2.0).progress(4) == 0.5
    assert Clock(8, 2.0).progress(1) == 0.25
    assert Clock(8, 2.0, elapsed_s=60).progress(1) == 0.75
    clock = Clock(8, 2.0, agree=lambda own: own + 30)  # another process is half a minute ahead
    assert clock.progress(1) == 0.5
    clock.start()
    assert clock.progress(1) == 0.5


def test_workers_are_chosen_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert [chosen_workers(None, most) for most in (0, 4, 8)] == [0, 4, 6]
    assert chosen_workers(3, 0) == 3


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99"])
def test_a_device_that_cannot_compute_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name} cannot be used"):
        usable_device(name)


def test_a_step_is_clipped_by_its_norm() -> None:
    """By plain gradient descent, on a loss whose gradient is (3, 4)."""
    line = torch.nn.Linear(2, 1, bias=False)
    line.load_state_dict({"weight": torch.zeros(1, 2)})
    stepper = Stepper(fabric_on("cpu"), line, torch.optim.SGD(line.parameters(), lr=1.0))
    assert stepper.step((line.weight * torch.tensor([3.0, 4.0])).sum(), max_norm=1.0) == 5
    torch.testing.assert_close(line.weight.detach(), torch.tensor([[-0.6, -0.8]]))
    stepper.set_rates([0.5])
    assert stepper.step((line.weight * torch.tensor([3.0, 4.0])).sum()) == 0
    torch.testing.assert_close(line.weight.detach(), torch.tensor([[-2.1, -2.8]]))


def test_an_optimizer_of_another_shape_is_refused() -> None:
    wide, narrow = (torch.nn.Linear(n, 1, bias=False) for n in (3, 2))
    other = adam(wide.parameters())
    wide.weight.sum().backward()  # type: ignore[no-untyped-call]
    other.step()
    with pytest.raises(ValueError, match=r"exp_avg of the optimizer has the shape \[1, 3\]"):
        load_optimizer(adam(narrow.parameters()), other.state_dict())
