"""The demo: what each of its four steps is asked for. The steps have tests of their own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.cli.demo import DemoSize, run_demo
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.support.errors import OutputError, UsageError
from ann2sdnn.support.progress import SILENT, SilentReporter

STAGES = {
    "ann2sdnn.data.synthetic.generate.synthesise": SynthOptions,
    "ann2sdnn.ann.training.train.train": TrainOptions,
    "ann2sdnn.convert.conversion.convert": ConvertOptions,
    "ann2sdnn.eval.evaluate.evaluate": EvaluateOptions,
}


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[type, Any]:
    """The options of each step by their type; the steps themselves are left out."""
    found: dict[type, Any] = {}

    def stage(*arguments: Any, **_more: Any) -> SimpleNamespace:
        kinds = tuple(STAGES.values())
        (options,) = (argument for argument in arguments if isinstance(argument, kinds))
        found[type(options)] = options
        return SimpleNamespace(onnx=Path("model.onnx"))

    for name in STAGES:
        monkeypatch.setattr(name, stage)
    return found


def test_nothing_follows_the_clock(asked: dict[type, Any], tmp_path: Path) -> None:
    run_demo(tmp_path / "demo", seed=5, force=False, reporter=SILENT, size=DemoSize(train_steps=40))
    train = asked[TrainOptions]
    assert train.max_minutes is None
    assert train.max_steps == 40
    assert train.epochs >= 40  # no epoch is longer than the training
    assert asked[ConvertOptions].quantise.distil is None
    assert {asked[SynthOptions].seed, train.seed} == {5}


def test_windows_overlap_and_training_has_a_price(asked: dict[type, Any], tmp_path: Path) -> None:
    listener = Listener()
    run_demo(tmp_path / "demo", seed=0, force=False, reporter=listener)
    synth, train = asked[SynthOptions], asked[TrainOptions]
    assert (synth.hop_events, synth.normalise) == (3750, "fixed")
    assert synth.hop_events * 8 == synth.window_events
    assert synth.subjects > 12  # so that 13 and above are neither trained nor calibrated on
    assert train.conversion_aware
    assert train.change_price > 0
    assert asked[EvaluateOptions].split == "test"
    assert [line[:4] for line in listener.lines] == ["1/4 ", "2/4 ", "3/4 ", "4/4 "]


def test_a_bad_seed_and_a_folder_in_use_are_refused_before_any_work(
    asked: dict[type, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="seed"):
        run_demo(tmp_path / "demo", seed=-1, force=False, reporter=SILENT)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="notes"):
        run_demo(tmp_path / "notes", seed=0, force=True, reporter=SILENT)
    assert not asked
