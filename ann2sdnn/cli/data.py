"""The commands `synth`, `prepare` and `show`: recordings."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ann2sdnn.cli.derive import Given
from ann2sdnn.cli.options import Force, Quiet, Seed, reporter
from ann2sdnn.data.recordings.pictures import ShowOptions
from ann2sdnn.support.errors import UsageError


class Normalise(str, Enum):
    """What scales event counts to 0..255."""

    FRAME = "frame"
    FIXED = "fixed"


class Format(str, Enum):
    """What is written: DHP19's own files, or the data file of the `dhp19_sdnn` experiment."""

    DHP19 = "dhp19"
    DHP19_SDNN = "dhp19-sdnn"


WindowEvents = Annotated[int, typer.Option(help="Events of a frame, over all four cameras.")]
HopEvents = Annotated[
    int | None, typer.Option(help="Events from a frame to the next; overlapping windows.")
]


def synth(
    given: Given,
    out: Annotated[
        Path, typer.Argument(help="Folder to create; a file for dhp19-sdnn.", show_default=False)
    ],
    subjects: Annotated[int, typer.Option(help="Number of people.")] = 17,
    movements: Annotated[int, typer.Option(help="Movements of each, of DHP19's 33.")] = 33,
    frames: Annotated[int, typer.Option(help="Frames of a recording.")] = 64,
    window_events: WindowEvents = 30_000,
    hop_events: HopEvents = None,
    normalise: Annotated[Normalise, typer.Option(help="Scale of a frame.")] = Normalise.FRAME,
    kinds: Annotated[
        str | None, typer.Option(help="Only these kinds, such as walk,jog,'star jump'.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Processes side by side.")] = 1,
    first_subject: Annotated[int, typer.Option(help="Number of the first person.")] = 1,
    raw: Annotated[
        Path | None, typer.Option(help="Folder for the raw recordings, as prepare reads them.")
    ] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="DHP19's files, or dhp19_sdnn's file of tensors.")
    ] = Format.DHP19,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make synthetic DHP19 recordings: frames and labels in the data set's own format."""
    from ann2sdnn.data.synthetic.generate import SynthOptions, synthesise

    options = SynthOptions(
        subjects=subjects,
        movements=movements,
        frames=frames,
        seed=seed,
        workers=workers,
        window_events=window_events,
        hop_events=hop_events,
        fixed_scale=normalise is Normalise.FIXED,
        first_subject=first_subject,
        kinds=None if kinds is None else tuple(kinds.split(",")),
    )
    n_movements = len(options.entries)
    if "movements" in given and movements > n_movements:
        raise UsageError(f"--movements {movements}; --kinds {kinds} has {n_movements} in all")
    if kind is Format.DHP19_SDNN:
        from ann2sdnn.data.synthetic.experiment import synthesise_experiment_file

        n = synthesise_experiment_file(out, options, raw=raw, force=force, reporter=reporter(quiet))
        typer.echo(f"Wrote {n} sequences of 8 frames to {out}")
        return
    summary = synthesise(out, options, raw=raw, force=force, reporter=reporter(quiet))
    typer.echo(f"Wrote {len(summary.recordings)} recordings of {frames} frames to {out}")


def prepare(
    root: Annotated[
        Path, typer.Argument(help="DHP19 with DVS_movies/ and Vicon_data/.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the frames.", show_default=False)],
    window_events: WindowEvents = 30_000,
    hop_events: HopEvents = None,
    normalise: Annotated[Normalise, typer.Option(help="Scale of a frame.")] = Normalise.FRAME,
    workers: Annotated[int, typer.Option(help="Recordings side by side.")] = 1,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Turn raw DHP19 recordings (AEDAT and Vicon files) into frames and labels.

    Ends with exit code 1 when every recording was skipped.
    """
    from ann2sdnn.data.events.windows import Windows
    from ann2sdnn.data.raw.prepare import PrepareOptions
    from ann2sdnn.data.raw.prepare import prepare as run_prepare

    windows = Windows(window_events, hop_events, fixed_scale=normalise is Normalise.FIXED)
    options = PrepareOptions(windows, workers)
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
    data: Annotated[Path, typer.Argument(help="Folder with recordings.", show_default=False)],
    options: ShowOptions,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("pictures"),
    recording: Annotated[
        str | None, typer.Option(help="Such as S1_session2_mov1; the first by default.")
    ] = None,
    force: Force = False,
) -> None:
    """Draw a recording: a contact sheet and an animation, with the labelled skeleton.

    Example: ann2sdnn show recordings --out pictures --fps 20
    """
    from ann2sdnn.data.recordings.label_check import label_warnings
    from ann2sdnn.data.recordings.pictures import show as draw
    from ann2sdnn.data.recordings.recording import open_recordings
    from ann2sdnn.support.files.targets import check_files

    check_files(out, (), force=force)
    found = {one.name.stem: one for one in open_recordings(data)}
    name = next(iter(found)) if recording is None else recording
    if name not in found:
        raise UsageError(f"{data} has no recording {name}; it has {', '.join(sorted(found))}")
    for warning in label_warnings([found[name]]):
        typer.echo(f"Warning: {warning}", err=True)
    files = draw(found[name], out, max_frames=options.max_frames, fps=options.fps, force=force)
    typer.echo(f"Wrote {files.sheet} and {files.animation}")
