"""The files of an evaluation: evaluation.json for programs, report.html for people."""

from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.eval.examples import Example
from ann2sdnn.eval.schema import EvaluationReport, write_json
from ann2sdnn.files import refuse_existing, write_text

JSON_FILE = "evaluation.json"
HTML_FILE = "report.html"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers, and a few frames to look at."""

    report: EvaluationReport
    examples: tuple[Example, ...]


def refuse_existing_evaluation(out: Path, *, force: bool) -> None:
    """Raise OutputError when ``out`` holds one of the files already and ``force`` is false."""
    for name in (JSON_FILE, HTML_FILE):
        refuse_existing(out / name, force=force)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write both files into the folder ``out``, replacing old ones."""
    from ann2sdnn.eval.html import render_html

    write_json(out / JSON_FILE, evaluation.report)
    write_text(out / HTML_FILE, render_html(evaluation))
