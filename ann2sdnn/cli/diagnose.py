"""The command `diagnose`: the reasons why a network does not learn."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import Force, Out, Quiet, console, reporter
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, free, number

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.options import SequenceOptions
    from ann2sdnn.data.recordings.sequences import SequenceSource
    from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
    from ann2sdnn.sdnn.diagnosis.subjects.sources import Candidate
    from ann2sdnn.support.progress import Reporter


@dataclass(frozen=True)
class NetworkOptions(CheckedOptions):
    """The network to diagnose: a preset with repairs, or a conversion."""

    panel = "Network"

    preset: str | None = choice(None, ("dhp19-sdnn", "dhp19-ann"), option="--preset")
    """Network from scratch: the experiment's, or the same without sigma-delta."""
    repairs: tuple[str, ...] = free((), option="--repair", repeated=True)
    """Repair one fault of the preset; may be repeated."""
    # As of convert: no message of 16 bits is larger.
    threshold: float | None = number(None, at_least=0, at_most=512, option="--threshold")
    """Threshold instead of the preset's 0.1."""
    network: Path | None = free(None, option="--network")
    """Folder of a conversion, instead of a preset."""
    checkpoint: Path | None = free(None, option="--checkpoint")
    """Folder in which train-sdnn trains that conversion."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network is None and self.checkpoint is not None:
            raise UsageError("--checkpoint needs --network, the conversion that was trained")
        of_preset = self.preset is not None or self.repairs or self.threshold is not None
        if self.network is not None and of_preset:
            raise UsageError(
                "--network and --preset, --repair or --threshold; the last three belong together"
            )

    def candidate(self) -> "Candidate":
        """The network and what goes with it; raises ModelError or UsageError."""
        from ann2sdnn.convert.folder import SPEC_FILE
        from ann2sdnn.sdnn.diagnosis.subjects.sources import from_preset, from_spec

        if self.network is not None:
            return from_spec(self.network / SPEC_FILE, self.checkpoint)
        return from_preset(self.preset or "dhp19-sdnn", self.repairs, threshold=self.threshold)


def diagnose(
    data: Annotated[
        Path,
        typer.Option(help="Folder of recordings, or a dhp19-sdnn file (.pt).", show_default=False),
    ],
    out: Out,
    subject: NetworkOptions,
    cut: "SequenceOptions",
    options: "DiagnoseOptions",
    given: Given,
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
    if "sequences" not in given:
        options = replace(options, sequences=max(options.sequences, options.batch))
    if options.batch > options.sequences:
        raise UsageError(
            f"--sequences {options.sequences}; a batch alone has {options.batch} sequences"
        )
    if "learning_rate" in given and "learning-rate" in subject.repairs:
        raise UsageError("--learning-rate and --repair learning-rate; choose one")
    read = (*recording_files(data), subject.network, subject.checkpoint)
    inputs = tuple(path for path in read if path is not None)
    check_folder(out, force=force, inputs=inputs)
    candidate = subject.candidate()
    if "learning_rate" not in given:
        options = replace(options, learning_rate=candidate.learning_rate)
    progress = reporter(quiet)
    diagnosis = run(
        candidate.build,
        _source(data, cut, candidate, progress),
        options,
        settings=candidate.settings,
        repairs=subject.repairs,
        available=available_bytes(),
        reporter=progress,
    )
    write_outputs(out, diagnosis, force=force, inputs=inputs)
    print_diagnosis(diagnosis, console(), last_line=f"Wrote {out}")


def _source(
    data: Path, cut: "SequenceOptions", candidate: "Candidate", reporter: "Reporter"
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
