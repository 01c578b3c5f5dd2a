"""The evaluation: the ANN and the SDNN's operating points on the same frames, in one pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.convert.folder import REPORT_FILE, conversion_files
from ann2sdnn.convert.report.calibrated import calibrated_on
from ann2sdnn.convert.report.report import ConversionReport, read_report
from ann2sdnn.convert.report.search_curve import read_search_curve
from ann2sdnn.data.sources.frames import Frames, PoseFrames
from ann2sdnn.data.sources.labels import class_names
from ann2sdnn.data.sources.registry import (
    remarks,
    source_files,
    source_of,
)
from ann2sdnn.eval.measure.assemble import assemble
from ann2sdnn.eval.measure.parts import Asked, run_in_parts
from ann2sdnn.eval.measure.run import open_evaluated, run_here
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.output import check_evaluation_files, write_evaluation
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.tasks.task import TimedScores
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.progress import SILENT, Reporter


def evaluate(
    folder: Path, data: Path, options: EvaluateOptions, *, reporter: Reporter = SILENT
) -> Evaluation:
    """Compare the networks of the conversion in ``folder`` on the frames in ``data``.

    Memory is bounded: a few frames at a time, in order, states reset before every sequence. With
    several ``workers`` all values are the same, but for times. Raises ModelError for a folder that
    is no intact conversion and for outputs that the task does not score, DataError for frames that
    cannot be read or lack the task's labels, OutputError where a worker was killed.
    """
    if options.out is not None:
        inputs = (*conversion_files(folder), *source_files(data))
        check_evaluation_files(options.out, force=options.force, inputs=inputs)
    opened = open_evaluated(folder, data, options)
    search = read_search_curve(folder / REPORT_FILE)
    own, unread = _conversion_report(folder / REPORT_FILE)
    conversion, sequences = opened.conversion, opened.sequences
    with reporter.task("evaluate", opened.n_frames, "frames") as task:
        if options.workers > 1 or options.scheduler is not None:
            measured = run_in_parts(opened, Asked(folder, data, options), task)
        else:
            measured = run_here(opened, options, task)
    scores, tail = measured.scores, measured.tail
    report = assemble(
        conversion.points,
        measured.work,
        scores,
        sequences,
        frames_sha256=measured.frames_sha256,
        tail=tail.report(),
        task=opened.task,
        split=options.split,
        backend=options.backend,
        warnings=(
            *tail.warnings,
            *_class_warnings(conversion.spec, sequences),
            *_warnings(data, options, sequences, opened.task),
            *remarks(sequences),
            *calibration_warnings(folder, sequences),
            *unread,
        ),
    )
    evaluation = Evaluation(
        report,
        scores.examples(),
        search=search,
        film=measured.film,
        timeline=scores.timeline() if isinstance(scores, TimedScores) else None,
        conversion=own,
    )
    if options.out is not None:
        write_evaluation(evaluation, options.out)
    return evaluation


def _conversion_report(path: Path) -> tuple[ConversionReport | None, tuple[str, ...]]:
    """The conversion's report where there is one, and a warning where it is of an older version."""
    if not path.is_file():
        return None, ()
    try:
        return read_report(path), ()
    except ModelError as error:
        return None, (f"The page has no part on the conversion: {error}.",)


def _warnings(
    data: Path, options: EvaluateOptions, sequences: Sequence[Frames], scored_as: str
) -> tuple[str, ...]:
    """The source's, but for those of recordings with poses where no pose is scored."""
    if scored_as != "pose" and all(isinstance(frames, PoseFrames) for frames in sequences):
        return ()
    return tuple(source_of(data).warnings(data, options.split))


def _class_warnings(spec: Spec, sequences: Sequence[Frames]) -> Iterator[str]:
    """A warning where the data names another number of classes than the network has outputs."""
    names = class_names(sequences)
    if names and are_classes(spec.output_shapes) and len(names) != spec.output_shape[0]:
        yield (
            f"The data has {len(names)} classes, from 0 {names[0]} to {len(names) - 1} {names[-1]},"
            f" and the network {spec.output_shape[0]}; name all classes of the network in its order"
            " in classes.txt, so that they have the same numbers."
        )


def calibration_warnings(folder: Path, sequences: Sequence[Frames]) -> Iterator[str]:
    """A warning where calibration of the conversion in ``folder`` saw sequences of these names."""
    calibrated = set(calibrated_on(folder / REPORT_FILE))
    groups = dict.fromkeys(frames.group for frames in sequences)
    shared = [group for group in groups if group in calibrated]
    if shared:
        named = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
        yield (
            f"{len(shared)} of {len(groups)} sequences have the names of sequences that the network"
            f" was calibrated on ({named}); if they are the same, errors on other data are larger,"
            " so evaluate on data that calibration has not seen."
        )
