"""The command `diagnose`: the reasons why a network does not learn."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import Force, Out, Quiet, Seed, console, crop_size, reporter
from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.sequences import SequenceOptions, SequenceSource
    from ann2sdnn.sdnn.diagnosis.subjects.sources import Candidate
    from ann2sdnn.support.progress import Reporter


class Preset(str, Enum):
    """A network built from scratch."""

    DHP19_SDNN = "dhp19-sdnn"
    DHP19_ANN = "dhp19-ann"


def diagnose(
    given: Given,
    data: Annotated[
        Path,
        typer.Option(help="Folder of recordings, or a dhp19-sdnn file (.pt).", show_default=False),
    ],
    out: Out,
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
    steps: Annotated[int, typer.Option(help="Optimisation steps.")] = 2,
    batch: Annotated[int, typer.Option(help="Sequences a step.")] = 8,
    sequences: Annotated[int, typer.Option(help="Sequences that take turns.")] = 16,
    frames: Annotated[int, typer.Option(help="Frames of a sequence.")] = 8,
    channel: Annotated[int, typer.Option(help="Camera, 0 to 3.")] = 1,
    crop: Annotated[str | None, typer.Option(help="HxW around the person, such as 64x64.")] = None,
    shrink: Annotated[int, typer.Option(help="Pixels a side that become one, before --crop.")] = 1,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of RMSprop; the preset's by default, else 0.0001.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Watch a network's first optimisation steps layer by layer, and say what is wrong."""
    from ann2sdnn.convert.conversion import SPEC_FILE
    from ann2sdnn.data.recordings.experiment_file import SUFFIX
    from ann2sdnn.data.recordings.recording import recording_files
    from ann2sdnn.data.recordings.sequences import PictureSize, SequenceOptions
    from ann2sdnn.eval.diagnosis.output import print_diagnosis, write_outputs
    from ann2sdnn.sdnn.diagnosis.diagnose import DiagnoseOptions
    from ann2sdnn.sdnn.diagnosis.diagnose import diagnose as run
    from ann2sdnn.sdnn.diagnosis.subjects.sources import from_preset, from_spec
    from ann2sdnn.support.files.targets import check_folder
    from ann2sdnn.support.memory import available_bytes

    stored = data.suffix == SUFFIX
    given.only_if(not stored, "frames", needs="a folder of recordings as --data")
    read = (*recording_files(data), network, checkpoint)
    inputs = tuple(one for one in read if one is not None)
    size = PictureSize(None if crop is None else crop_size(crop, "64x64"), shrink)
    chosen = SequenceOptions(channel, 2 if stored else frames, size)
    options = DiagnoseOptions(
        steps=steps,
        batch=batch,
        sequences=sequences if "sequences" in given else max(sequences, batch),
        learning_rate=DiagnoseOptions.learning_rate if learning_rate is None else learning_rate,
        seed=seed,
    )
    if batch > options.sequences:
        raise UsageError(f"--sequences {sequences}; a batch alone has {batch} sequences")
    repairs = tuple(repair or ())
    if learning_rate is not None and "learning-rate" in repairs:
        raise UsageError("--learning-rate and --repair learning-rate; choose one")
    check_folder(out, force=force, inputs=inputs)
    if network is not None:
        if preset is not None or repairs or threshold is not None:
            raise UsageError(
                "--network and --preset, --repair or --threshold; the last three belong together"
            )
        candidate = from_spec(network / SPEC_FILE, checkpoint)
    elif checkpoint is not None:
        raise UsageError("--checkpoint needs --network, the conversion that was trained")
    else:
        name = (preset or Preset.DHP19_SDNN).value
        candidate = from_preset(name, repairs, threshold=threshold)
    if learning_rate is None:
        options = replace(options, learning_rate=candidate.learning_rate)
    progress = reporter(quiet)
    source = _source(data, chosen, candidate, progress)
    diagnosis = run(
        candidate.build,
        source,
        options,
        settings=candidate.settings,
        repairs=repairs,
        available=available_bytes(),
        reporter=progress,
    )
    write_outputs(out, diagnosis, force=force, inputs=inputs)
    print_diagnosis(diagnosis, console(), last_line=f"Wrote {out}")


def _source(
    data: Path, options: "SequenceOptions", candidate: "Candidate", reporter: "Reporter"
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
        return StoredSequences(read_experiment_file(data), options.channel, options.size)
    recordings, targets = open_recordings(data), candidate.targets
    warn_of_labels(recordings, reporter)
    return RecordedSequences(recordings, options.channel, options.frames, options.size, targets)
