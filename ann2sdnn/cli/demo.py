"""The command `demo`: the whole pipeline on synthetic recordings, in minutes on two cores.

Its frames are overlapping windows, one every 3,750 events: eight times the output rate of disjoint
windows, and little changes from frame to frame. That is the data an SDNN is made for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Force, Quiet, Seed, console, reporter
from ann2sdnn.data.recordings.options import CROP_MULTIPLE
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.options.fields import CheckedOptions, number
from ann2sdnn.support.options.fields import size as pixels
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_STEPS
from ann2sdnn.support.progress import Reporter

if TYPE_CHECKING:
    from ann2sdnn.eval.results.evaluation import Evaluation

DATA, ANN, SDNN = "data", "ann", "sdnn"


@dataclass(frozen=True)
class DemoSize(CheckedOptions):
    """Amounts of data and steps, for minutes on two cores.

    Training is counted in steps, not by the clock.
    """

    kinds: tuple[str, ...] = ("walk", "jog", "jump", "hop", "knee lift", "kick")
    """Kinds of movements."""
    subjects: int = number(16, at_least=1, at_most=17)
    """Number of people; 1 to 12 are trained on, the others tested on."""
    movements: int = number(6, at_least=1, at_most=33)
    """Movements per person."""
    frames: int = number(24, at_least=1, at_most=MOST_FRAMES)
    """Frames per recording."""
    hop_events: int = number(3750, at_least=1, at_most=10**8)
    """New events per frame, over all four cameras."""
    train_steps: int = number(2000, at_least=1, at_most=MOST_STEPS)
    """Steps of training."""
    aware_share: float = number(0.25, above=0, at_most=1)
    """Share of the training on lava's grid."""
    change_price: float = number(0.3, at_least=0, at_most=1000)
    """Price on changes of activations in training."""
    crop: tuple[int, int] = pixels((192, 96), multiple=CROP_MULTIPLE)
    """Height and width in pixels of the windows trained on."""
    validation_frames: int = number(32, at_least=1, at_most=MOST_FRAMES)
    """Frames to validate each epoch on."""
    calibration_frames: int = number(72, at_least=1, at_most=MOST_FRAMES)
    """Frames to calibrate on."""
    # Thresholds add more on subjects not trained on: 0.15 px became 0.25 px for one network.
    budget_px: float = number(0.13, above=0, at_most=1000, unit="px")
    """Displacement that thresholds may add on the subjects trained on."""
    evaluation_frames: int = number(128, at_least=1, at_most=MOST_FRAMES)
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
    from ann2sdnn.calibration.thresholds.rules import RateDistortion
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
        hop_events=size.hop_events,
        normalise="fixed",
        seed=seed,
        workers=_cores(),
    )
    reporter.message(
        "1/4  Synthetic recordings: people before four event cameras, in overlapping windows"
    )
    synthesise(folder / DATA, synth_options, reporter=reporter)
    reporter.message("2/4  Training the ANN from scratch, the last part on lava's grid")
    train_options = TrainOptions(
        epochs=size.train_steps,  # at least as many as there are
        max_steps=size.train_steps,
        crop=size.crop,
        validation_frames=size.validation_frames,
        conversion_aware=True,
        aware_share=size.aware_share,
        change_price=size.change_price,
        seed=seed,
    )
    summary = train(folder / DATA, folder / ANN, train_options, reporter=reporter)
    reporter.message("3/4  Converting it, calibrated on the training subjects")
    convert_options = ConvertOptions(
        RateDistortion(budget_px=size.budget_px), max_frames=size.calibration_frames
    )
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
