"""The command `diagnose`: the reasons why a network does not learn."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import Force, Out, Quiet, console, reporter
from ann2sdnn.cli.parsing.derive import Given
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, free, number

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.options import SequenceOptions
    from ann2sdnn.data.recordings.sequences import SequenceSource
    from ann2sdnn.data.sources.options import OtherData
    from ann2sdnn.data.sources.source import SourceOptions
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
    """Folder of a conversion, or pretrained, instead of a preset."""
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
        typer.Option(
            help="DHP19 recordings, or a dhp19-sdnn file (.pt); with --network any other frames.",
            show_default=False,
        ),
    ],
    out: Out,
    subject: NetworkOptions,
    cut: "SequenceOptions",
    options: "DiagnoseOptions",
    other: "OtherData",
    given: Given,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Watch a network's first optimisation steps layer by layer, and say what is wrong.

    Presets learn poses. A conversion learns them too where it gives a heat map per joint of DHP19
    recordings; elsewhere its target is the ANN's output, for frames of any source.

    Example: ann2sdnn diagnose --data recordings --out diagnosis --crop 64x64
    """
    from ann2sdnn.ann.weights.pretrained import conversion_folder
    from ann2sdnn.data.recordings.experiment_file import SUFFIX
    from ann2sdnn.data.sources.registry import source_files
    from ann2sdnn.eval.diagnosis.output import print_diagnosis, write_outputs
    from ann2sdnn.sdnn.diagnosis.diagnose import diagnose as run
    from ann2sdnn.support.files.targets import check_folder
    from ann2sdnn.support.memory import available_bytes

    given.only_if(data.suffix != SUFFIX, "frames", needs="a folder of recordings as --data")
    if "sequences" not in given:
        options = replace(options, sequences=max(options.sequences, options.batch))
    if options.batch > options.sequences:
        raise UsageError(
            f"--sequences {options.sequences}; a batch alone has {options.batch} sequences"
        )
    if "learning_rate" in given and "learning-rate" in subject.repairs:
        raise UsageError("--learning-rate and --repair learning-rate; choose one")
    if subject.network is not None:
        subject = replace(subject, network=conversion_folder(subject.network))
    read = (*source_files(data), subject.network, subject.checkpoint)
    inputs = tuple(path for path in read if path is not None)
    check_folder(out, force=force, inputs=inputs)
    candidate = subject.candidate()
    if "learning_rate" not in given:
        options = replace(options, learning_rate=candidate.learning_rate)
    progress = reporter(quiet)
    asked = _Asked(data, cut, other.source, subject.network, progress)
    diagnosis = run(
        candidate.build,
        _source(asked, candidate, given),
        options,
        settings=candidate.settings,
        repairs=subject.repairs,
        available=available_bytes(),
        reporter=progress,
    )
    write_outputs(out, diagnosis, force=force, inputs=inputs)
    print_diagnosis(diagnosis, console(), last_line=f"Wrote {out}")


def _source(asked: "_Asked", candidate: "Candidate", given: Given) -> "SequenceSource":
    """The sequences to learn from; raises UsageError for options without effect on them."""
    from ann2sdnn.data.recordings.experiment_file import (
        SUFFIX,
        StoredSequences,
        read_experiment_file,
    )
    from ann2sdnn.data.recordings.label_check import warn_of_labels
    from ann2sdnn.data.recordings.recording import open_recordings
    from ann2sdnn.data.recordings.sequences import RecordedSequences
    from ann2sdnn.data.sources.dhp19 import Dhp19Source, OneCameraOptions
    from ann2sdnn.data.sources.registry import open_frames, source_of

    data, cut = asked.data, asked.cut
    if data.suffix == SUFFIX:
        if asked.source is not None:
            raise UsageError(
                f"{data} is a file of dhp19-sdnn, on which options of other data have no effect;"
                " leave them out"
            )
        return StoredSequences(read_experiment_file(data), cut.channel, cut.size)
    if not isinstance(source_of(data), Dhp19Source):
        return _taught(asked, asked.source, given)
    if asked.source is not None:
        open_frames(data, asked.source)  # refuses options of another source
    if asked.network is not None and not _gives_poses(asked.network):
        return _taught(asked, OneCameraOptions(cut.channel), given)
    recordings, targets = open_recordings(data), candidate.targets
    warn_of_labels(recordings, asked.reporter)
    return RecordedSequences(recordings, cut.channel, cut.frames, cut.size, targets)


def _gives_poses(network: Path) -> bool:
    """Whether the conversion in ``network`` gives a heat map per joint, as large as the frames."""
    from ann2sdnn.convert.folder import SPEC_FILE
    from ann2sdnn.data.recordings.sequences import N_TARGETS
    from ann2sdnn.sdnn.spec.file import read_spec

    spec = read_spec(network / SPEC_FILE)
    return spec.output_shape == (N_TARGETS, *spec.input_shape[1:])


def _taught(asked: "_Asked", source: "SourceOptions | None", given: Given) -> "SequenceSource":
    """Frames of any ``source``, with the outputs of the conversion's ANN as targets."""
    from ann2sdnn.convert.folder import open_conversion
    from ann2sdnn.data.sources.dhp19 import OneCameraOptions
    from ann2sdnn.data.sources.frames import common_shape
    from ann2sdnn.data.sources.registry import open_frames
    from ann2sdnn.data.sources.resized import resized
    from ann2sdnn.eval.diagnosis.taught import TaughtSequences

    opened = open_frames(asked.data, source, reporter=asked.reporter)
    if asked.network is None:
        raise UsageError(
            f"{asked.data} holds no DHP19 recordings, and a preset learns their poses; diagnose a"
            " conversion with --network, whose target is the ANN's output"
        )
    is_recorded = isinstance(source, OneCameraOptions)
    given.only_if(is_recorded, "channel", needs="DHP19 recordings as --data")
    given.only_if(False, "crop", "shrink", needs="poses as targets")
    conversion = open_conversion(asked.network)
    frames = resized(opened, conversion.spec.preprocessing.resize)
    if common_shape(frames) != conversion.spec.input_shape:
        raise UsageError(
            f"the frames of {asked.data} are {list(common_shape(frames))}, and the conversion takes"
            f" {list(conversion.spec.input_shape)}; expected frames of its size"
        )
    return TaughtSequences(frames, asked.cut.frames, conversion.graph)


@dataclass(frozen=True)
class _Asked:
    """What the user named as data, and how it is read."""

    data: Path
    cut: "SequenceOptions"
    source: "SourceOptions | None"
    network: Path | None
    reporter: "Reporter"
