"""The command `diagnose`: the reasons why a network does not learn."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli_options import Force, Out, Quiet, Seed, console, crop_size, reporter
from ann2sdnn.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.data.pose_sequences import PictureSize, SequenceSource, Targets
    from ann2sdnn.sdnn.diagnosis_sources import Candidate


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
    from ann2sdnn.data.pose_sequences import PictureSize
    from ann2sdnn.eval.diagnosis_output import print_diagnosis, write_outputs
    from ann2sdnn.files import refuse_existing
    from ann2sdnn.memory import available_bytes
    from ann2sdnn.sdnn.diagnosis import DiagnoseOptions
    from ann2sdnn.sdnn.diagnosis import diagnose as run
    from ann2sdnn.sdnn.diagnosis_sources import from_preset, from_spec

    refuse_existing(out, force=force)
    size = PictureSize(None if crop is None else crop_size(crop, "64x64"), shrink)
    repairs = tuple(repair or ())
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
    options = DiagnoseOptions(
        steps=steps,
        batch=batch,
        sequences=max(sequences, batch),
        learning_rate=candidate.learning_rate if learning_rate is None else learning_rate,
        seed=seed,
    )
    source = _source(data, channel, frames, size, candidate)
    diagnosis = run(
        candidate.build,
        source,
        options,
        settings=candidate.settings,
        repairs=repairs,
        available=available_bytes(),
        reporter=reporter(quiet),
    )
    write_outputs(out, diagnosis, force=force)
    print_diagnosis(diagnosis, console(), last_line=f"Wrote {out}")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(diagnose)


def _source(
    data: Path, channel: int, frames: int, size: "PictureSize", candidate: "Candidate"
) -> "SequenceSource":
    from ann2sdnn.data.dhp19_sdnn import SUFFIX, StoredSequences, read_experiment_file
    from ann2sdnn.data.pose_sequences import RecordedSequences
    from ann2sdnn.data.recording import open_recordings

    if channel not in range(4):
        raise UsageError(f"--channel {channel}; expected 0 to 3")
    if frames < 2:
        raise UsageError(f"--frames {frames}; a sequence needs 2 or more")
    if data.suffix == SUFFIX:
        return StoredSequences(read_experiment_file(data), channel, size)
    targets: Targets = candidate.targets
    return RecordedSequences(open_recordings(data), channel, frames, size, targets)
