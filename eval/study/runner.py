"""Runs the steps of a study, and leaves out those that are done.

A step is done when its record in steps.json says that the same command line made its output from
the same inputs with this version of the package, and the output's files are still as they were.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from ann2sdnn.ann.weights.pretrained import SHIPPED
from ann2sdnn.eval.study.steps import Step, StudySteps
from ann2sdnn.support import __version__
from ann2sdnn.support.errors import Ann2SdnnError, ModelError
from ann2sdnn.support.files.json_text import Record, read_model
from ann2sdnn.support.files.marker import MARKER
from ann2sdnn.support.files.writing import sha256, write_text
from ann2sdnn.support.progress import Reporter

STEPS_FILE = "steps.json"

Execute = Callable[[Sequence[str]], int]
"""Runs a command of this package with these words; returns its exit code."""


class StepRecord(Record):
    """One finished step."""

    command: str = Field(description="as typed in the folder of the results")
    seconds: float = Field(description="wall-clock on the machine that ran it")
    made_from: str = Field(
        description="SHA-256 of version, command line, and what the command read"
    )
    files: dict[str, int] = Field(description="what it wrote: bytes by path")


class StepRecords(Record):
    """steps.json: the finished steps by output."""

    schema_version: int = Field(default=1, alias="schema")
    steps: dict[str, StepRecord] = Field(default_factory=dict)


def run_steps(
    folder: Path, steps: StudySteps, execute: Execute, *, again: bool, reporter: Reporter
) -> StepRecords:
    """Run those of ``steps`` that are not done in ``folder``; with ``again`` all of them.

    steps.json is written after every step. Raises what the commands raise, and Ann2SdnnError where
    one ends with another exit code than 0.
    """
    records = StepRecords() if again else _read(folder)
    every = tuple(steps)
    made_from: dict[Path, str] = {}
    _write(folder, records)  # the sign of a folder that can be continued
    for number, step in enumerate(every, start=1):
        made_from[step.output] = _made_from(step, made_from)
        place = f"{number}/{len(every)}"
        known = records.steps.get(str(step.output))
        if known is not None and _is_done(folder, step, known, made_from[step.output]):
            reporter.message(f"{place}  done: {step.command}")
            continue
        reporter.message(f"{place}  {step.command}")
        records = _without(records, step, every)
        _write(folder, records)
        started = time.monotonic()
        _run(folder, step, execute)
        record = StepRecord(
            command=step.command,
            seconds=round(time.monotonic() - started, 1),
            made_from=made_from[step.output],
            files=_files(folder, step.output),
        )
        records = StepRecords(steps={**records.steps, str(step.output): record})
        _write(folder, records)
    return records


def _without(records: StepRecords, step: Step, every: Sequence[Step]) -> StepRecords:
    """``records`` without ``step`` and what was made from its output, directly or not."""
    gone = {step.output}
    for each in every:
        if gone.intersection(part for part in each.inputs if isinstance(part, Path)):
            gone.add(each.output)
    outputs = {str(output) for output in gone}
    return StepRecords(steps={k: one for k, one in records.steps.items() if k not in outputs})


def _run(folder: Path, step: Step, execute: Execute) -> None:
    """Run a step; what an interrupted or older one left is replaced where ann2sdnn wrote it."""
    replace = ("--force",) if (folder / step.output).exists() else ()
    code = execute((*step.words(folder), *replace))
    if code != 0:
        raise Ann2SdnnError(
            f"`{step.command}` in {folder} ended with exit code {code}; run it alone to see why"
        )


def _is_done(folder: Path, step: Step, known: StepRecord, made_from: str) -> bool:
    return known.made_from == made_from and known.files == _files(folder, step.output)


def _made_from(step: Step, made_from: dict[Path, str]) -> str:
    """What the output depends on; ``made_from``: of the steps before, by their outputs."""
    read = [made_from[part] if part in made_from else _digest(part) for part in step.inputs]
    text = "\n".join((__version__, step.command, *read))
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(part: str | Path) -> str:
    return sha256(network_file(part))


def network_file(part: str | Path) -> Path:
    """A file of the user's, or the shipped network's; ModelError where there is none."""
    file = SHIPPED / "model.onnx" if part == "pretrained" else Path(part)
    if not file.is_file():
        raise ModelError(f"{file} is no file; name the file of a network")
    return file


def _files(folder: Path, output: Path) -> dict[str, int]:
    """Sizes of the files that ``output`` is or holds, by path in ``folder``."""
    place = folder / output
    every = [place] if place.is_file() else sorted(place.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in every
        if path.is_file() and path.name != MARKER
    }


def _write(folder: Path, records: StepRecords) -> None:
    write_text(folder / STEPS_FILE, records.model_dump_json(by_alias=True, indent=2) + "\n")


def _read(folder: Path) -> StepRecords:
    """steps.json; nothing is done where there is none, or one that cannot be read."""
    try:
        return read_model(folder / STEPS_FILE, StepRecords, schema=1)
    except ValueError:
        return StepRecords()
