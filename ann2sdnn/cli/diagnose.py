"""The command `diagnose`: the reasons why a network does not learn."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import Force, Out, Quiet, console, reporter
from ann2sdnn.data.recordings.sequences import SequenceOptions
from ann2sdnn.sdnn.diagnosis.diagnose import DiagnoseOptions
from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.sequences import SequenceSource
    from ann2sdnn.sdnn.diagnosis.subjects.sources import Candidate
    from ann2sdnn.support.progress import Reporter


class Preset(str, Enum):
    """A network built from scratch."""

    DHP19_SDNN = "dhp19-sdnn"
    DHP19_ANN = "dhp19-ann"


def diagnose(
    data: Annotated[
        Path,
        typer.Option(help="Folder of recordings, or a dhp19-sdnn file (.pt).", show_default=False),
    ],
    out: Out,
    cut: SequenceOptions,
    options: DiagnoseOptions,
    given: Given,
    preset: Annotated[
        Preset | None,
        typer.Option(help="The experiment's network, or the same without sigma-delta."),
    ] = None,
    network: Annotated[
        Path | None, typer.Option(help="A conversion's folder instead.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="With --network: the folder train-sdnn trains it in.", show_default=False
        ),
    ] = None,
    repair: Annotated[
        list[str] | None, typer.Option(help="Repair one fault of the preset; may be repeated.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Other than the preset's 0.1.")] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Watch a network's first optimisation steps layer by layer, and say what is wrong.

    Example: ann2sdnn diagnose --data recordings --out diagnosis --crop 64x64
    """
    from ann2sdnn.data.recordings.experiment_file import SUFFIX
    from ann2sdnn.data.recordings.recording import recording_files
    from ann2sdnn.eval.diagnosis.output import print_diagnosis, write_outputs
    from ann2sdnn.sdnn.diagnosis.diagnose import diagnose as run
    from ann2sdnn.support.files.targets import check_folder
    from ann2sdnn.support.memory import available_bytes

    is_stored = data.suffix == SUFFIX
    given.only_if(not is_stored, "frames", needs="a folder of recordings as --data")
    repairs = tuple(repair or ())
    if "sequences" not in given:
        options = replace(options, sequences=max(options.sequences, options.batch))
    if options.batch > options.sequences:
        raise UsageError(
            f"--sequences {options.sequences}; a batch alone has {options.batch} sequences"
        )
    if "learning_rate" in given and "learning-rate" in repairs:
        raise UsageError("--learning-rate and --repair learning-rate; choose one")
    inputs = tuple(path for path in (*recording_files(data), network, checkpoint) if path)
    check_folder(out, force=force, inputs=inputs)
    candidate = _candidate(preset, network, checkpoint, repairs, threshold)
    if "learning_rate" not in given:
        options = replace(options, learning_rate=candidate.learning_rate)
    progress = reporter(quiet)
    diagnosis = run(
        candidate.build,
        _source(data, cut, candidate, progress),
        options,
        settings=candidate.settings,
        repairs=repairs,
        available=available_bytes(),
        reporter=progress,
    )
    write_outputs(out, diagnosis, force=force, inputs=inputs)
    print_diagnosis(diagnosis, console(), last_line=f"Wrote {out}")


def _candidate(
    preset: Preset | None,
    network: Path | None,
    checkpoint: Path | None,
    repairs: tuple[str, ...],
    threshold: float | None,
) -> "Candidate":
    from ann2sdnn.convert.folder import SPEC_FILE
    from ann2sdnn.sdnn.diagnosis.subjects.sources import from_preset, from_spec

    if network is None:
        if checkpoint is not None:
            raise UsageError("--checkpoint needs --network, the conversion that was trained")
        return from_preset((preset or Preset.DHP19_SDNN).value, repairs, threshold=threshold)
    if preset is not None or repairs or threshold is not None:
        raise UsageError(
            "--network and --preset, --repair or --threshold; the last three belong together"
        )
    return from_spec(network / SPEC_FILE, checkpoint)


def _source(
    data: Path, cut: SequenceOptions, candidate: "Candidate", reporter: "Reporter"
) -> "SequenceSource":
    from ann2sdnn.data.recordings.experiment_file import (
        SUFFIX,
        StoredSequences,
        read_experiment_file,
    )
    from ann2sdnn.data.recordings.label_check import warn_of_labels
    from ann2sdnn.data.recordings.recording import open_recordings
    from ann2sdnn.data.recordings.sequences import RecordedSequences

    if data.suffix == SUFFIX:
        return StoredSequences(read_experiment_file(data), cut.channel, cut.size)
    recordings, targets = open_recordings(data), candidate.targets
    warn_of_labels(recordings, reporter)
    return RecordedSequences(recordings, cut.channel, cut.frames, cut.size, targets)
