"""The commands `evaluate`, `bench` and `live`: ANN against SDNN."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ann2sdnn.cli.options import DATA, Data, Folder, Force, Quiet, console, reporter
from ann2sdnn.cli.parsing.derive import Given

if TYPE_CHECKING:
    from ann2sdnn.eval.bench.live.options import LiveOptions
    from ann2sdnn.eval.bench.options import BenchOptions
    from ann2sdnn.eval.options import EvaluateOptions

_OF_PRETRAINED = Path("pretrained-evaluation")  # not into the installed package


def evaluate(
    folder: Folder,
    data: Data,
    options: "EvaluateOptions",
    given: Given,
    compare: Annotated[tuple[str, str], typer.Option(help="The two networks to compare.")] = (
        "ann",
        "sdnn",
    ),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write; the conversion's folder by default, and pretrained-evaluation"
            " for pretrained."
        ),
    ] = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Show the tables of layers and, of poses, of movements, joints and cameras too.",
        ),
    ] = False,
    energy: Annotated[
        bool, typer.Option("--energy", help="Show the energy per frame too, an estimate.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Run ANN and SDNN on the same frames and compare accuracy, sparsity and cost.

    Example: ann2sdnn evaluate sdnn --data recordings --frames 200
    """
    from ann2sdnn.ann.weights.pretrained import SHIPPED
    from ann2sdnn.eval.evaluate import evaluate as run_evaluation
    from ann2sdnn.eval.render.document import print_evaluation
    from ann2sdnn.eval.render.energy import OPTION
    from ann2sdnn.eval.render.output import HTML_FILE

    given.not_with("scheduler", "workers")
    target = out or (_OF_PRETRAINED if folder == SHIPPED else folder)
    options = replace(options, compare=compare, out=target, force=force)
    evaluation = run_evaluation(folder, data, options, reporter=reporter(quiet))
    last_line = f"Report: {target / HTML_FILE}"
    shown = (OPTION,) if energy else ()
    print_evaluation(evaluation, console(), last_line=last_line, layers=layers, options=shown)


def bench(
    folder: Folder,
    data: Data,
    options: "BenchOptions",
    given: Given,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.")] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Time engine and slayer, and the ANN in torch, ONNX Runtime and OpenVINO (where installed).

    All run on the same frames, alternating; int8 and bf16 too, and each one's distance from the
    float32 ANN is measured. Ends with exit code 1 when engine and slayer sent different messages.

    Example: ann2sdnn bench sdnn --data recordings --json bench.json
    """
    from ann2sdnn.convert.folder import conversion_files
    from ann2sdnn.data.sources.registry import source_files
    from ann2sdnn.eval.bench.bench import bench as run_bench
    from ann2sdnn.eval.bench.profile_sheet import profile_sheets
    from ann2sdnn.eval.bench.sheet import bench_sheet
    from ann2sdnn.support.files.targets import check_file
    from ann2sdnn.support.files.writing import write_text
    from ann2sdnn.support.terminal import sheet_text

    given.only_if(json is not None, "force", needs="--json")
    inputs = (*conversion_files(folder), *source_files(data))
    if json is not None:
        check_file(json, force=force, inputs=inputs)
    report = run_bench(folder, data, options, reporter=reporter(quiet))
    for sheet in (bench_sheet(report), *profile_sheets(report.profiles or {})):
        console().print(sheet_text(sheet))
    if json is not None:
        write_text(json, report.model_dump_json(indent=2) + "\n", force=force, inputs=inputs)
        typer.echo(f"Wrote {json}")
    if report.messages_equal is False:
        raise typer.Exit(1)


def live(
    folder: Folder,
    source: Annotated[
        str,
        typer.Option(
            help=f"{DATA} Or a movement to make a recording of, such as walk, jog or wave.",
            show_default=False,
        ),
    ],
    options: "LiveOptions",
    given: Given,
    quiet: Quiet = False,
) -> None:
    """Play a recording through ANN and SDNN in real time, in a local page or the terminal.

    Shows events, what both networks answer, operations against dense, messages per layer and
    milliseconds per frame; thresholds can be changed while it runs. Only this machine reaches the
    page, and only with the token in its address. Ctrl-C ends it.

    Example: ann2sdnn live pretrained --source walk
    """
    from ann2sdnn.eval.bench.live.live import live as play
    from ann2sdnn.eval.bench.live.source import is_movement

    given.not_with("terminal", "port")
    given.only_if(is_movement(source), "seed", needs="a movement to make as --source")
    play(folder, source, options, console(), reporter=reporter(quiet))
