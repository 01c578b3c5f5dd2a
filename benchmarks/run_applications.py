"""Networks with data of their own, from training to evaluation: one row of a table for each.

    python benchmarks/run_applications.py OUT [--only NAME ...] [--train-only]
        [--frames N] [--budget-error E]

Trains each network of `benchmarks/applications` in OUT/NAME (up to a few minutes on one core), and
converts and evaluates it as `ann2sdnn convert` and `ann2sdnn evaluate` do, with their default
options or those given. A network, conversion or evaluation that is there already is not made
again. The digits need scikit-learn.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from applications.application import (
    CALIBRATION_FILE,
    MODEL_FILE,
    TEST_FILE,
    Application,
    make,
)
from applications.digits import MOVING, PICTURES
from applications.drive import DRIVE, HELD_DRIVE
from applications.motion import MOTION
from applications.resnet import RESNET
from applications.scores import Scores, frame_scores, given, pixel_scores
from applications.shapes import SHAPES
from applications.unet import UNET

from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.progress import SILENT, PlainReporter, Reporter
from ann2sdnn.support.terminal import compact

_ALL = (PICTURES, MOVING, SHAPES, MOTION, DRIVE, HELD_DRIVE, RESNET, UNET)
APPLICATIONS = {each.name: each for each in _ALL}
DEFAULTS = ConvertOptions(split="all")  # calibration.npz and test.npz are used whole
HEADINGS = (
    "data",
    "ANN",
    "memoryless",
    "SDNN",
    "SDNN against ANN",
    "operations: dense",
    "skipping zeros",
    "memoryless",
    "SDNN",
    "messages",
)


@dataclass(frozen=True)
class Row:
    """What `evaluate` measured of one network; operations and messages per frame, without the
    first frame of each sequence.
    """

    name: str
    scores: Scores
    dense_operations: float
    nonzero_operations: float
    memoryless_operations: float
    sdnn_operations: float
    messages: float

    def cells(self) -> tuple[str, ...]:
        """The row in words, in the order of ``HEADINGS``."""
        scores = self.scores
        form = ("{:.4f}" if scores.are_errors else "{:.1%}").format
        compared = (scores.ann, scores.memoryless, scores.sdnn, scores.difference)
        return (
            self.name,
            *map(form, compared),
            *map(compact, (self.dense_operations, self.nonzero_operations)),
            *map(compact, (self.memoryless_operations, self.sdnn_operations)),
            compact(self.messages),
        )


def row_of(name: str, report: EvaluationReport, scores: Scores) -> Row:
    """The row of an evaluation."""
    ann, memoryless, sdnn = given(report.ann), given(report.memoryless), given(report.sdnn)
    return Row(
        name,
        scores,
        ann.macs_per_frame,
        ann.sustained_nonzero_macs_per_frame,
        memoryless.sustained_synops_per_frame,
        sdnn.sustained_synops_per_frame,
        sdnn.sustained_events_per_frame,
    )


def run(
    application: Application,
    folder: Path,
    options: ConvertOptions = DEFAULTS,
    reporter: Reporter = SILENT,
) -> Row:
    """Train, convert and evaluate in ``folder``, and the row of the evaluation."""
    train(application, folder)
    suffix = "".join(f"-{each:g}" for each in _changed(options))
    conversion, evaluation = folder / f"sdnn{suffix}", folder / f"evaluation{suffix}"
    test = folder / TEST_FILE
    rule = options.thresholds
    assert isinstance(rule, RateDistortion)
    if rule.budget_error is None:
        options = replace(options, thresholds=replace(rule, task=application.task))
    if not conversion.is_dir():
        model, frames = folder / MODEL_FILE, folder / CALIBRATION_FILE
        convert(model, frames, conversion, options, reporter=reporter)
    written = evaluation / "evaluation.json"
    if not written.is_file():
        on_test = EvaluateOptions(split="all", out=evaluation)
        evaluate(conversion, test, on_test, reporter=reporter)
    report = EvaluationReport.model_validate_json(written.read_text(encoding="utf-8"))
    is_of_pixels = report.task == "output"  # without labels that `evaluate` takes
    scores = pixel_scores(conversion, test) if is_of_pixels else frame_scores(report)
    return row_of(application.name, report, scores)


def _changed(options: ConvertOptions) -> Iterator[float]:
    """The values that are not the default ones, for the folder's name."""
    if options.max_frames != DEFAULTS.max_frames:
        yield options.max_frames or 0
    assert isinstance(options.thresholds, RateDistortion)
    if options.thresholds.budget_error is not None:
        yield options.thresholds.budget_error


def train(application: Application, folder: Path) -> None:
    """Write the network and its data into ``folder`` if it is not there."""
    if not folder.is_dir():
        with atomic_folder(folder, force=False) as unfinished:
            make(application, unfinished)


def table(rows: list[Row]) -> str:
    """Rows as a table of a document."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=APPLICATIONS, default=list(APPLICATIONS))
    parser.add_argument("--train-only", action="store_true", help="convert and evaluate nothing")
    parser.add_argument("--frames", type=int, default=DEFAULTS.max_frames, help="of convert")
    parser.add_argument("--budget-error", type=float, help="of convert")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = [APPLICATIONS[name] for name in arguments.only]
    if arguments.train_only:
        for application in chosen:
            train(application, arguments.out / application.name)
        return
    options = replace(
        DEFAULTS,
        thresholds=RateDistortion(budget_error=arguments.budget_error),
        max_frames=arguments.frames or None,
    )
    reporter = PlainReporter(sys.stderr)
    rows = [run(each, arguments.out / each.name, options, reporter) for each in chosen]
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()
