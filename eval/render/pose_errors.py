"""Tables of pose errors: by movement, by joint and by camera."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ann2sdnn.convert.render.verdict import LAVA_NAME, MIXED_NAME, SDNN_NAME
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport, PoseErrors
from ann2sdnn.eval.tasks.pose.movements import words_of
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import number

_Values = dict[str, float | None]
_Column = tuple[str, str, Callable[[PoseErrors], _Values]]  # unit, format, values by name

_MOVEMENTS: tuple[_Column, ...] = (
    ("px", ".2f", lambda errors: errors.per_movement_px),
    ("mm", ".1f", lambda errors: errors.per_movement_mm),
)
_JOINTS: tuple[_Column, ...] = (
    ("px", ".2f", lambda errors: errors.per_joint_px),
    ("mm", ".1f", lambda errors: errors.per_joint_mm),
)
_CAMERAS: tuple[_Column, ...] = (("px", ".2f", lambda errors: errors.per_channel_px),)


def errors_of_movements(evaluation: Evaluation) -> Sheet | None:
    """Error of every network per movement, the worst first."""
    sheet = _sheet("Error per movement", "movement", evaluation.report, _MOVEMENTS, worst=True)
    if sheet is None:
        return None
    rows = tuple((row[0], words_of(row[0]), *row[1:]) for row in sheet.rows)
    headings = ("movement", "of the data set", *sheet.headings[1:])
    return Sheet(sheet.title, headings, rows, words=(headings[1],), on_demand=True)


def errors_of_joints(evaluation: Evaluation) -> Sheet | None:
    """Error of every network per joint."""
    return _sheet("Error per joint, in numbers", "joint", evaluation.report, _JOINTS)


def errors_of_cameras(evaluation: Evaluation) -> Sheet | None:
    """Error of every network per camera."""
    return _sheet("Error per camera", "camera", evaluation.report, _CAMERAS)


def _sheet(
    title: str,
    heading: str,
    report: EvaluationReport,
    columns: Sequence[_Column],
    *,
    worst: bool = False,
) -> Sheet | None:
    """A row per name in the first column's values; None where no network has any."""
    networks = tuple(_networks(report))
    if not networks:
        return None
    first = columns[0][2](networks[0][1])
    if not first:
        return None
    names = sorted(first, key=lambda name: -(first[name] or 0.0)) if worst else list(first)
    cells = [
        (f"{network}\n{unit}", partial(_cell, values(errors), form))
        for network, errors in networks
        for unit, form, values in columns
    ]
    return Sheet.of(title, names, (heading, str), *cells, on_demand=True)


def _cell(values: _Values, form: str, name: str) -> str:
    return number(values.get(name), form)


def _networks(report: EvaluationReport) -> Iterator[tuple[str, PoseErrors]]:
    named = (
        ("ANN", report.ann),
        ("Memoryless", report.memoryless),
        (SDNN_NAME if report.mixed is None else LAVA_NAME, report.sdnn),
        (MIXED_NAME, report.mixed),
    )
    for name, errors in named:
        if errors is not None:
            yield name, errors
