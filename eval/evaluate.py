"""The evaluation: the ANN, the memoryless network and the SDNN on the same frames, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ann2sdnn.convert.conversion_folder import conversion_files, open_conversion
from ann2sdnn.data.cameras import FRONT_CHANNELS, N_CAMERAS
from ann2sdnn.data.recording import Recording, open_recordings, recording_files
from ann2sdnn.data.sequences import plan_runs
from ann2sdnn.data.split import Side, choose
from ann2sdnn.errors import DataError, UsageError
from ann2sdnn.eval.assemble import assemble
from ann2sdnn.eval.backends import check_backend
from ann2sdnn.eval.contest import Contest
from ann2sdnn.eval.examples import ExamplePicker
from ann2sdnn.eval.mean_pose import mean_pose
from ann2sdnn.eval.output import Evaluation, check_evaluation_files, write_evaluation
from ann2sdnn.progress import SILENT, NoteReporter, Reporter

NETWORKS = ("ann", "sdnn")


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate, and on what.

    ``compare``: which networks run; the memoryless network runs with the SDNN. ``backend`` runs the
    SDNN. ``split``: whose recordings. ``channels``: cameras. ``max_frames``: at most so many
    pictures, counted over all channels; None for all. ``out``: where evaluation.json and
    report.html are written, existing ones only with ``force``; None writes nothing.
    """

    compare: tuple[str, ...] = NETWORKS
    backend: str = "engine"
    split: Side = "test"
    channels: tuple[int, ...] = FRONT_CHANNELS
    max_frames: int | None = None
    out: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.compare if name not in NETWORKS]
        if unknown or not self.compare:
            raise UsageError(
                f"--compare got {' '.join(self.compare) or 'nothing'}; expected ann, sdnn or both"
            )
        check_backend(self.backend)
        if self.split not in get_args(Side):
            raise UsageError(f"there is no split {self.split!r}; choose train, test or all")
        allowed = set(self.channels) <= set(range(N_CAMERAS))
        if not self.channels or not allowed or len(set(self.channels)) != len(self.channels):
            raise UsageError(
                f"channels {self.channels} cannot be evaluated; expected different ones of 0 to 3"
            )
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"{self.max_frames} frames cannot be evaluated; allow at least 1")


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
        contest = Contest(conversion, options.compare, options.backend, guess, notes)
        for run in runs:
            picker.add(contest.play(run, task))
    measured = contest.measured(runs)
    report = assemble(conversion.spec, measured, split=options.split, backend=options.backend)
    evaluation = Evaluation(report, picker.examples())
    if options.out is not None:
        write_evaluation(evaluation, options.out)
    return evaluation


def _chosen(recordings: Sequence[Recording], side: Side, data: Path) -> tuple[Recording, ...]:
    chosen = choose(recordings, side)
    if not chosen:
        raise DataError(f"{data} has no recordings on the {side} side; choose another --split")
    return chosen
