"""The commands `synth`, `prepare` and `show`: recordings."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import DATA, Force, Quiet, reporter
from ann2sdnn.cli.parsing.derive import Given
from ann2sdnn.support.errors import UsageError

if TYPE_CHECKING:
    from ann2sdnn.data.raw.options import PrepareOptions
    from ann2sdnn.data.recordings.options import ShowOptions
    from ann2sdnn.data.sources.options import OtherData
    from ann2sdnn.data.sources.source import SourceOptions
    from ann2sdnn.data.synthetic.options import SynthOptions


class Format(str, Enum):
    """File format that synth writes."""

    DHP19 = "dhp19"
    DHP19_SDNN = "dhp19-sdnn"


def synth(
    out: Annotated[
        Path, typer.Argument(help="Folder to create; a file for dhp19-sdnn.", show_default=False)
    ],
    options: "SynthOptions",
    given: Given,
    raw: Annotated[
        Path | None, typer.Option(help="Folder for the raw recordings, as prepare reads them.")
    ] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="DHP19's files, or dhp19_sdnn's file of tensors.")
    ] = Format.DHP19,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make synthetic DHP19 recordings: frames and labels in the data set's own format.

    Example: ann2sdnn synth recordings --subjects 4 --movements 3 --workers 2
    """
    given.not_with("scheduler", "workers")
    n_movements = len(options.entries)
    if "movements" in given and options.movements > n_movements:
        kinds = ",".join(options.kinds or ())
        raise UsageError(
            f"--movements {options.movements}; --kinds {kinds} has {n_movements} in all"
        )
    if kind is Format.DHP19_SDNN:
        from ann2sdnn.data.synthetic.experiment import synthesise_experiment_file

        n = synthesise_experiment_file(out, options, raw=raw, force=force, reporter=reporter(quiet))
        typer.echo(f"Wrote {n} sequences of 8 frames to {out}")
        return
    from ann2sdnn.data.synthetic.generate import synthesise

    summary = synthesise(out, options, raw=raw, force=force, reporter=reporter(quiet))
    typer.echo(f"Wrote {len(summary.recordings)} recordings of {options.frames} frames to {out}")


def prepare(
    root: Annotated[
        Path, typer.Argument(help="DHP19 with DVS_movies/ and Vicon_data/.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the frames.", show_default=False)],
    options: "PrepareOptions",
    given: Given,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Turn raw DHP19 recordings (AEDAT and Vicon files) into frames and labels.

    Ends with exit code 1 when every recording was skipped.

    Example: ann2sdnn prepare DHP19 recordings --workers 4
    """
    from ann2sdnn.data.raw.prepare import prepare as run_prepare

    given.not_with("scheduler", "workers")
    summary = run_prepare(root, out, options, force=force, reporter=reporter(quiet))
    for status in ("written", "kept", "skipped"):
        rows = summary.with_status(status)
        frames = sum(row.frames for row in rows)
        typer.echo(f"{status:>8}: {len(rows)} recordings, {frames} frames")
    skipped = summary.with_status("skipped")
    for row in skipped:
        typer.echo(f"  {row}")
    if len(skipped) == len(summary.rows):
        typer.echo(f"Nothing was prepared: all {len(skipped)} recordings were skipped")
        raise typer.Exit(1)
    if skipped:
        typer.echo(
            f"{out} holds {len(summary.rows) - len(skipped)} of {len(summary.rows)} recordings;"
            f" {len(skipped)} were skipped"
        )


def show(
    data: Annotated[Path, typer.Argument(help=DATA, show_default=False)],
    options: "ShowOptions",
    shown: "OtherData",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("pictures"),
    recording: Annotated[
        str | None,
        typer.Option(help="Recording or sequence, S1_session2_mov1; the first by default."),
    ] = None,
    force: Force = False,
) -> None:
    """Draw a sequence: a contact sheet and an animation; of DHP19 with the labelled skeleton.

    Example: ann2sdnn show recordings --out pictures --fps 20
    """
    from ann2sdnn.data.recordings.label_check import label_warnings
    from ann2sdnn.data.recordings.pictures import show as draw
    from ann2sdnn.data.recordings.recording import open_recordings
    from ann2sdnn.data.sources.dhp19 import Dhp19Source
    from ann2sdnn.data.sources.registry import open_frames, source_of
    from ann2sdnn.support.files.targets import check_files

    check_files(out, (), force=force)
    if not isinstance(source_of(data), Dhp19Source):
        _show_sequence(data, options, shown.source, out, recording, force=force)
        return
    if shown.source is not None:
        open_frames(data, shown.source)  # refuses options of another source
    recordings = {each.name.stem: each for each in open_recordings(data)}
    name = next(iter(recordings)) if recording is None else recording
    if name not in recordings:
        raise UsageError(f"{data} has no recording {name}; it has {', '.join(sorted(recordings))}")
    for warning in label_warnings([recordings[name]]):
        typer.echo(f"Warning: {warning}", err=True)
    files = draw(recordings[name], out, options, force=force)
    typer.echo(f"Wrote {files.sheet} and {files.animation}")


def _show_sequence(
    data: Path,
    options: "ShowOptions",
    source: "SourceOptions | None",
    out: Path,
    name: str | None,
    *,
    force: bool,
) -> None:
    """Draw a sequence of any source but recordings of poses."""
    from ann2sdnn.data.sources.registry import open_frames, source_files
    from ann2sdnn.data.sources.sheet import draw_sequence

    if out.resolve() in {path.resolve() for path in source_files(data)}:
        raise UsageError(f"--out {out} is a folder of the data; choose another for the pictures")
    opened = open_frames(data, source, reporter=reporter(quiet=True))
    sequences = {frames.name: frames for frames in opened}
    chosen = next(iter(sequences)) if name is None else name
    if chosen not in sequences:
        raise UsageError(f"{data} has no sequence {chosen}; it has {', '.join(sequences)}")
    files = draw_sequence(sequences[chosen], out, options, force=force)
    typer.echo(files.colours)
    typer.echo(f"Wrote {files.sheet} and {files.animation}")
