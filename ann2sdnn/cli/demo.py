"""The command `demo`: the whole pipeline on synthetic recordings, in minutes on two cores."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Force, Quiet, Seed, console, reporter
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.options.fields import CheckedOptions, number
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_MINUTES
from ann2sdnn.support.progress import Reporter

if TYPE_CHECKING:
    from ann2sdnn.eval.results.evaluation import Evaluation

DATA, ANN, SDNN = "data", "ann", "sdnn"


@dataclass(frozen=True)
class DemoSize(CheckedOptions):
    """Amounts of data and time, chosen so that two cores need less than eight minutes."""

    kinds: tuple[str, ...] = ("walk", "jog", "jump", "hop", "knee lift", "kick")
    """Kinds of movements."""
    subjects: int = number(8, at_least=1, at_most=17)
    """Number of people."""
    movements: int = number(6, at_least=1, at_most=33)
    """Movements per person."""
    frames: int = number(24, at_least=1, at_most=MOST_FRAMES)
    """Frames per recording."""
    train_minutes: float = number(3.5, above=0, at_most=MOST_MINUTES)
    """Minutes of training."""
    calibration_frames: int = number(96, at_least=1, at_most=MOST_FRAMES)
    """Frames to calibrate on."""
    evaluation_frames: int = number(192, at_least=1, at_most=MOST_FRAMES)
    """Frames to compare on."""


def demo(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("runs/demo"),
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole pipeline on synthetic data: train, convert, compare. Minutes on two cores.

    Example: ann2sdnn demo --out runs/demo
    """
    from ann2sdnn.eval.render.document import print_evaluation
    from ann2sdnn.eval.render.output import HTML_FILE

    evaluation = run_demo(out, seed=seed, force=force, reporter=reporter(quiet))
    print_evaluation(evaluation, console(), last_line=f"Report: {out / HTML_FILE}")


def run_demo(
    out: Path,
    *,
    seed: int,
    force: bool,
    reporter: Reporter,
    size: DemoSize | None = None,
) -> "Evaluation":
    """Synthesise, train, convert, evaluate; leaves data/, ann/, sdnn/, evaluation.json and
    report.html in ``out``, all or nothing. Raises what the stages raise.
    """
    from ann2sdnn.data.synthetic.options import SynthOptions

    _ = SynthOptions(seed=seed)  # refuses a seed before anything is made
    with atomic_folder(out, force=force) as folder:
        return _stages(folder, seed, size or DemoSize(), reporter)


def _stages(folder: Path, seed: int, size: DemoSize, reporter: Reporter) -> "Evaluation":
    from ann2sdnn.ann.network import is_pose_network
    from ann2sdnn.ann.training.options import TrainOptions
    from ann2sdnn.ann.training.train import train
    from ann2sdnn.convert.conversion import convert
    from ann2sdnn.convert.options import ConvertOptions
    from ann2sdnn.data.synthetic.generate import synthesise
    from ann2sdnn.data.synthetic.options import SynthOptions
    from ann2sdnn.eval.evaluate import evaluate
    from ann2sdnn.eval.options import EvaluateOptions

    synth_options = SynthOptions(
        subjects=size.subjects,
        movements=size.movements,
        frames=size.frames,
        kinds=size.kinds,
        seed=seed,
        workers=_cores(),
    )
    reporter.message("1/4  Synthetic recordings: people before four event cameras")
    synthesise(folder / DATA, synth_options, reporter=reporter)
    reporter.message("2/4  Training the ANN from scratch, the last part on lava's grid")
    train_options = TrainOptions(max_minutes=size.train_minutes, seed=seed, conversion_aware=True)
    summary = train(folder / DATA, folder / ANN, train_options, reporter=reporter)
    reporter.message("3/4  Converting it, calibrated on the training subjects")
    convert_options = ConvertOptions(max_frames=size.calibration_frames)
    convert(
        summary.onnx,
        folder / DATA,
        folder / SDNN,
        convert_options,
        is_trainable=is_pose_network,
        reporter=reporter,
    )
    reporter.message("4/4  Comparing both on subjects they have not seen")
    evaluate_options = EvaluateOptions(max_frames=size.evaluation_frames, out=folder)
    return evaluate(folder / SDNN, folder / DATA, evaluate_options, reporter=reporter)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
