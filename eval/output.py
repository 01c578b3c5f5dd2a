"""The files of an evaluation: evaluation.json for programs, a page and a picture for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.eval.examples import Example
from ann2sdnn.eval.schema import EvaluationReport, write_json
from ann2sdnn.files import atomic_file, files_in, write_text
from ann2sdnn.targets import check_files

JSON_FILE = "evaluation.json"
HTML_FILE = "report.html"
PICTURE_FILE = "poses.png"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers, and a few frames to look at."""

    report: EvaluationReport
    examples: tuple[Example, ...]


def check_evaluation_files(out: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless the files can be written into ``out``.

    Raises DataError for a damaged `drift` run there, which the page is to show.
    """
    from ann2sdnn.eval.drift_output import read_drift

    check_files(out, (JSON_FILE, HTML_FILE, PICTURE_FILE), force=force, inputs=inputs)
    read_drift(out)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write the files into the folder ``out``, replacing old ones.

    The page shows the plot of the `drift` run that lies in the folder, if one does.
    """
    from ann2sdnn.eval import plots
    from ann2sdnn.eval.drift_output import read_drift
    from ann2sdnn.eval.figures import to_png
    from ann2sdnn.eval.html import render_html

    page = render_html(evaluation, read_drift(out))
    with files_in(out):
        write_json(out / JSON_FILE, evaluation.report)
        write_text(out / HTML_FILE, page)
        if evaluation.examples:
            with atomic_file(out / PICTURE_FILE) as temporary:
                temporary.write_bytes(to_png(plots.skeletons(evaluation.examples)))
