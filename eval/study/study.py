"""All results: runs the steps in a folder and writes results.md, results.json and results.csv."""

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

from ann2sdnn.eval.study.document import document
from ann2sdnn.eval.study.options import StudiedNetwork, StudyOptions
from ann2sdnn.eval.study.records import MethodRow, Results
from ann2sdnn.eval.study.runner import (
    STEPS_FILE,
    Execute,
    StepRecords,
    network_file,
    run_steps,
)
from ann2sdnn.eval.study.steps import StudySteps, study_steps
from ann2sdnn.eval.study.tables import study_table
from ann2sdnn.support import __version__
from ann2sdnn.support.files.targets import check_writable, refuse_use
from ann2sdnn.support.files.writing import files_in, write_text
from ann2sdnn.support.progress import SILENT, Reporter

RESULT_FILES = ("results.md", "results.json", "results.csv")


def study(
    folder: Path,
    networks: Sequence[StudiedNetwork],
    options: StudyOptions,
    execute: Execute,
    *,
    typed: Sequence[str] = (),
    again: bool = False,
    reporter: Reporter = SILENT,
) -> Results:
    """Measure ``networks`` in ``folder``, after the last finished step of a run before.

    ``execute`` runs one command. ``typed``: the options of this command, for the document.
    ``again``: makes every step again. Raises ModelError for a network without a file, OutputError
    where the folder holds anything else, and what the commands raise.
    """
    for network in networks:
        network_file(network.file)
    refuse_use(folder, folder / STEPS_FILE, force=True)
    check_writable(folder, inside=True)
    steps = study_steps(options, networks)
    with files_in(folder):
        records = run_steps(folder, steps, execute, again=again, reporter=reporter)
        results = _results(folder, steps, records, typed)
        for name, text in zip(RESULT_FILES, _texts(results), strict=True):
            write_text(folder / name, text)
    return results


def _results(
    folder: Path, steps: StudySteps, records: StepRecords, typed: Sequence[str]
) -> Results:
    return Results(
        version=__version__,
        made_by=shlex.join(("ann2sdnn", "results", "OUT", *typed)),
        recordings=tuple(step.command for step in steps.recordings),
        imports=tuple(step.command for step in steps.imports),
        seconds=sum(records.steps[str(step.output)].seconds for step in steps),
        tables=tuple(study_table(folder, one) for one in steps.studies),
    )


def _texts(results: Results) -> tuple[str, str, str]:
    return (
        document(results),
        results.model_dump_json(by_alias=True, indent=2) + "\n",
        _csv(results),
    )


def _csv(results: Results) -> str:
    """A line per row of the tables; empty where a number is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(MethodRow.model_fields)
    writer.writerow(("network", "windows", *names))
    for table in results.tables:
        for row in table.rows:
            values = row.model_dump()
            writer.writerow((table.network, table.windows, *(values[name] for name in names)))
    return text.getvalue()
