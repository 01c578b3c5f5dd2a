"""The evaluation: the ANN, the memoryless network and the SDNN on the same frames, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.convert.folder import conversion_files, open_conversion
from ann2sdnn.data.pose.cameras import camera_channels
from ann2sdnn.data.recordings.label_check import label_warnings
from ann2sdnn.data.recordings.recording import Recording, open_recordings, recording_files
from ann2sdnn.data.recordings.split import Side, choose
from ann2sdnn.data.sources.dhp19 import plan_runs
from ann2sdnn.eval.measure.assemble import assemble
from ann2sdnn.eval.measure.mean_pose import mean_pose
from ann2sdnn.eval.measure.side_by_side import SideBySide
from ann2sdnn.eval.render.output import check_evaluation_files, write_evaluation
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.examples import ExamplePicker
from ann2sdnn.sdnn.backends import BACKENDS
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, number
from ann2sdnn.support.options.limits import MOST_FRAMES
from ann2sdnn.support.progress import SILENT, NoteReporter, Reporter

NETWORKS = ("ann", "sdnn")


@dataclass(frozen=True)
class EvaluateOptions(CheckedOptions):
    """The networks to compare, and the frames to compare them on."""

    panel = "Data"

    compare: tuple[str, ...] = NETWORKS
    """Networks that run; the memoryless network runs with the SDNN."""
    backend: str = choice("engine", BACKENDS, option="--backend", panel="Comparison")
    """Backend that runs the SDNN."""
    split: Side = choice("test", option="--split")
    """Subjects to evaluate on: 1-12 train, 13-17 test, as in the DHP19 paper."""
    channels: tuple[int, ...] = camera_channels()
    """Cameras of a frame file, 0 to 3."""
    max_frames: int | None = number(
        None, at_least=1, at_most=MOST_FRAMES, option="--frames", none="0"
    )
    """Pictures to evaluate on, counted over all cameras; 0 for all."""
    out: Path | None = None
    """Folder for evaluation.json and report.html; None writes nothing."""
    force: bool = False
    """Whether files that are there already may be replaced."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = all(name in NETWORKS for name in self.compare)
        if not known or not self.compare or len(set(self.compare)) != len(self.compare):
            raise UsageError(
                f"--compare {' '.join(self.compare) or 'nothing'}; expected ann, sdnn or both"
            )


def evaluate(
    folder: Path, data: Path, options: EvaluateOptions, *, reporter: Reporter = SILENT
) -> Evaluation:
    """Compare the networks of the conversion in ``folder`` on the recordings in ``data``.

    Memory is bounded: a few frames at a time, in order, states reset before every run. Raises
    ModelError for a folder that is no intact conversion, DataError for recordings that cannot be
    read or a side without any.
    """
    if options.out is not None:
        inputs = (*conversion_files(folder), *recording_files(data))
        check_evaluation_files(options.out, force=options.force, inputs=inputs)
    conversion = open_conversion(folder)
    recordings = open_recordings(data)
    evaluated = _chosen(recordings, options.split, data)
    runs = plan_runs(evaluated, options.channels, options.max_frames)
    guess = mean_pose(recordings, evaluated, options.channels)
    picker = ExamplePicker(runs)
    with reporter.task("evaluate", sum(run.n_frames for run in runs), "frames") as task:
        notes = NoteReporter(task)
        side_by_side = SideBySide(conversion, options.compare, options.backend, guess, notes)
        for run in runs:
            picker.add(side_by_side.run(run, task))
    measured = side_by_side.measured(runs)
    report = assemble(conversion.spec, measured, split=options.split, backend=options.backend)
    warnings = (*report.warnings, *label_warnings(evaluated))
    report = report.model_copy(update={"warnings": warnings})
    evaluation = Evaluation(report, picker.examples())
    if options.out is not None:
        write_evaluation(evaluation, options.out)
    return evaluation


def _chosen(recordings: Sequence[Recording], side: Side, data: Path) -> tuple[Recording, ...]:
    chosen = choose(recordings, side)
    if not chosen:
        raise DataError(f"{data} has no recordings on the {side} side; choose another --split")
    return chosen
