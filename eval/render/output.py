"""Writes the files of an evaluation: evaluation.json, the HTML page and a picture."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ann2sdnn.eval.drift.output import read_drift
from ann2sdnn.eval.render.document import render_html
from ann2sdnn.eval.render.frames.examples import example_pictures
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import to_json
from ann2sdnn.support.files.targets import check_files
from ann2sdnn.support.files.writing import atomic_file, files_in
from ann2sdnn.support.page.figures import to_png

JSON_FILE = "evaluation.json"
HTML_FILE = "report.html"
PICTURE_FILES = {"pose": "poses.png"}
OTHER_PICTURE_FILE = "examples.png"


def check_evaluation_files(out: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless the files can be written into ``out``.

    Raises DataError for a damaged `drift` run there, which the page is to show.
    """
    pictures = (*PICTURE_FILES.values(), OTHER_PICTURE_FILE)
    check_files(out, (JSON_FILE, HTML_FILE, *pictures), force=force, inputs=inputs)
    read_drift(out)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write the files into the folder ``out``, all or none, replacing old ones.

    The page shows the plot of the `drift` run that lies in the folder, if one does.
    """
    page = render_html(replace(evaluation, drift=read_drift(out)))
    shown = evaluation.examples
    picture = out / PICTURE_FILES.get(evaluation.report.task, OTHER_PICTURE_FILE)
    with (
        files_in(out),
        atomic_file(out / JSON_FILE) as json_part,
        atomic_file(out / HTML_FILE) as html_part,
        atomic_file(picture) if shown else nullcontext() as picture_part,
    ):
        json_part.write_text(to_json(evaluation.report), encoding="utf-8")
        html_part.write_text(page, encoding="utf-8")
        if picture_part is not None:
            picture_part.write_bytes(to_png(example_pictures(shown)))
