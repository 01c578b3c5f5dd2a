"""How each task's errors are shown: columns of the summary, their terms, and the verdict's words.

A task that has no view of its own is shown like the task "output".
"""

from collections.abc import Callable
from dataclasses import dataclass

from ann2sdnn.eval.results.schema import (
    Displacement,
    EvaluationReport,
    PoseErrors,
    SdnnResult,
)
from ann2sdnn.support.terminal import number, percent


@dataclass(frozen=True)
class Method:
    """A row of the summary. ``errors``: against labels; ``against_ann``: difference from the ANN,
    None where that is unknown. ``skips``: the ANN that skips zeros, whose difference is 0.
    """

    name: str
    meaning: str
    errors: PoseErrors
    against_ann: Displacement | None = None
    skips: bool = False
    events: float | None = None
    synops: float | None = None


Column = tuple[str, Callable[[Method], str]]
Words = Callable[[EvaluationReport, SdnnResult, Displacement], str | None]


@dataclass(frozen=True)
class TaskView:
    """``columns``: of errors, left of those of work, for a report. ``terms``: their names and
    explanations. ``note``: a sentence below the table. ``words``: how far a network lies from the
    ANN, in the verdict; None where that is unknown.
    """

    columns: Callable[[EvaluationReport], tuple[Column, ...]]
    terms: tuple[tuple[str, str], ...]
    note: str
    words: Words


def view_of(report: EvaluationReport) -> TaskView:
    """The view of the report's task."""
    return VIEWS.get(report.task, VIEWS["output"])


def right(share: float | None) -> str:
    """A share near 1 in per cent, with a digit after the point."""
    return number(share, ".1%")


def _of_labels(heading: str, field: str, form: str) -> Column:
    return (heading, lambda method: number(getattr(method.errors, field, None), form))


def _against(method: Method, field: str) -> float | None:
    return 0.0 if method.skips else getattr(method.against_ann, field, None)


def _of_ann(heading: str, field: str, form: str) -> Column:
    return (heading, lambda method: number(_against(method, field), form))


def _changed(heading: str) -> Column:
    return (heading, lambda method: percent(_against(method, "class_changed")))


def _capped(method: Method) -> str:
    moved = 0.0 if method.skips else getattr(method.errors, "displacement_capped_px", None)
    return number(moved, ".2f")


_OUTPUT_ERROR = _of_ann("output\nerror", "output_relative_error", ".3g")
_CHANGED = _changed("class\nchanged")
_OUTPUT_TERM = (
    "output error",
    "Relative L2 error of all outputs against the ANN's: the length of the difference over the"
    " length of the ANN's outputs, over all frames. Of several outputs, the root of the mean of the"
    " squares of their own errors.",
)
_CHANGED_TERM = (
    "class changed",
    "Frames in which another output is the largest than in the ANN, of those in which the ANN has"
    " one largest.",
)
_PLAIN_TERM = ("plain mean", "The same mean without the cap.")


def _pose_words(
    report: EvaluationReport, network: SdnnResult, difference: Displacement
) -> str | None:
    moved = network.displacement_capped_px
    return None if moved is None else f"{moved:.2f} px from the ANN"


def _class_words(
    report: EvaluationReport, network: SdnnResult, difference: Displacement
) -> str | None:
    if network.accuracy is None or difference.class_changed is None:
        return None
    ann = "" if report.ann is None else f" (the ANN {right(report.ann.accuracy)})"
    changed = percent(difference.class_changed)
    return f"{right(network.accuracy)} right{ann}, another class than the ANN's in {changed}"


def _value_words(
    report: EvaluationReport, network: SdnnResult, difference: Displacement
) -> str | None:
    if network.mean_absolute_error is None:
        return _output_words(report, network, difference)
    ann = None if report.ann is None else report.ann.mean_absolute_error
    against = "" if ann is None else f" (the ANN {ann:.3g})"
    moved = number(difference.output_displacement, ".3g")
    return f"a mean error of {network.mean_absolute_error:.3g}{against}, {moved} from the ANN"


def _output_words(
    report: EvaluationReport, network: SdnnResult, difference: Displacement
) -> str | None:
    if difference.output_relative_error is None:
        return None
    error = f"a relative error of {difference.output_relative_error:.2g} against the ANN"
    if difference.class_changed is None:
        return error
    return f"{error}, another class in {percent(difference.class_changed)}"


def _output_columns(report: EvaluationReport) -> tuple[Column, ...]:
    compared = report.comparison or Displacement()
    classes = (_CHANGED,) if compared.class_changed is not None else ()
    moved = _of_ann("moved\npx", "displacement_px_mean", ".2f")
    return (
        _OUTPUT_ERROR,
        *classes,
        *((moved,) if compared.displacement_px_mean is not None else ()),
    )


VIEWS: dict[str, TaskView] = {
    "pose": TaskView(
        columns=lambda report: (
            _of_labels("error\npx", "mpjpe_px", ".2f"),
            _of_labels("error\nmm", "mpjpe_mm", ".1f"),
            ("moved\npx", _capped),
            _of_ann("plain\nmean", "displacement_px_mean", ".2f"),
        ),
        terms=(
            (
                "error",
                "Mean distance between a joint and its label (MPJPE): px in the picture, mm in the"
                " room from both front cameras together. Joints without a label are left out.",
            ),
            (
                "moved",
                "Mean distance between a network's joint and the ANN's, where the ANN is confident"
                " (above 0.3), each distance capped at 5 px, so that a joint that jumps far does"
                " not decide the mean. It judges the conversion; the error judges the ANN as well.",
            ),
            _PLAIN_TERM,
        ),
        note="error: mean distance to the labels; moved: to the ANN's joints where it is confident,"
        " capped at 5 px each (plain mean: not capped)",
        words=_pose_words,
    ),
    "classify": TaskView(
        columns=lambda report: (
            ("right", lambda method: right(getattr(method.errors, "accuracy", None))),
            _CHANGED,
            _OUTPUT_ERROR,
        ),
        terms=(
            ("right", "Frames in which the largest output is the class of the label."),
            _CHANGED_TERM,
            _OUTPUT_TERM,
        ),
        note="right: the label's class; class changed: another than the ANN's; output error:"
        " relative, against the ANN",
        words=_class_words,
    ),
    "regress": TaskView(
        columns=lambda report: (
            _of_labels("error", "mean_absolute_error", ".3g"),
            _of_ann("moved", "output_displacement", ".3g"),
            _OUTPUT_ERROR,
        ),
        terms=(
            (
                "error",
                "Mean absolute difference between outputs and labels, in the labels' unit. Values"
                " that are not known are left out.",
            ),
            ("moved", "Mean absolute difference from the ANN's outputs, in the same unit."),
            _OUTPUT_TERM,
        ),
        note="error: mean absolute difference from the labels; moved: from the ANN, in the same"
        " unit; output error: relative, against the ANN",
        words=_value_words,
    ),
    "output": TaskView(
        columns=_output_columns,
        terms=(_OUTPUT_TERM, _CHANGED_TERM),
        note="output error: relative L2 error of all outputs against the ANN's",
        words=_output_words,
    ),
}
