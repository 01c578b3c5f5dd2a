"""A diagnosis for people: tables and findings at 80 columns, plots, and the folder of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ann2sdnn.eval.diagnosis.plots import (
    Curve,
    events_over_steps_plot,
    events_plot,
    gradient_flow_plot,
)
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, Step, write_diagnosis
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.page.figures import to_png
from ann2sdnn.support.page.numbers import MISSING, compact, percent

JSON_FILE = "diagnosis.json"
GRADIENTS_FILE = "gradients.png"
EVENTS_FILE = "events.png"
OVER_STEPS_FILE = "events-over-steps.png"

_DRAWN_STEPS = 5
_NAME_WIDTH = 9


def write_outputs(
    folder: Path, diagnosis: Diagnosis, *, force: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """diagnosis.json and the plots, all of them or nothing.

    Raises what ``atomic_folder`` raises.
    """
    names = [layer.name for layer in diagnosis.layers]
    steps = _drawn(diagnosis.steps)
    with atomic_folder(folder, force=force, inputs=inputs) as temporary:
        write_diagnosis(temporary / JSON_FILE, diagnosis)
        gradients = gradient_flow_plot(
            names,
            [Curve(_name(step), [now.gradient_norm for now in step.layers]) for step in steps],
        )
        (temporary / GRADIENTS_FILE).write_bytes(to_png(gradients))
        events = events_plot(
            ["input", *names],
            [
                Curve(_name(step), [step.input_events, *(now.events for now in step.layers)])
                for step in steps
            ],
        )
        (temporary / EVENTS_FILE).write_bytes(to_png(events))
        if len(diagnosis.steps) > 2:
            densities = [[now.density for now in step.layers] for step in diagnosis.steps]
            figure = events_over_steps_plot(names, densities)
            (temporary / OVER_STEPS_FILE).write_bytes(to_png(figure))


def print_diagnosis(diagnosis: Diagnosis, console: Console, *, last_line: str) -> None:
    """The layers, the losses, the findings, and ``last_line``."""
    console.print(layer_table(diagnosis))
    console.print(step_table(diagnosis))
    console.print(findings_text(diagnosis))
    console.print(Text(last_line), soft_wrap=True)


def layer_table(diagnosis: Diagnosis) -> RenderableType:
    """One row a layer: before anything is learned, and in the first and the last step."""
    first, last = diagnosis.steps[0], diagnosis.steps[-1]
    same = first is last
    # Twelve columns fit 80 with the one space that the box puts between them.
    table = _table(
        f"{diagnosis.network}: {diagnosis.batch} sequences of {diagnosis.frames} frames of"
        f" {diagnosis.height}x{diagnosis.width} pixels a step",
        padding=0,
    )
    table.add_column("layer", no_wrap=True)
    for head in ("levels", "thres-\nhold", "active\np99", "below\nthr.", "size\n(rms)"):
        table.add_column(head, justify="right", no_wrap=True)
    for step in (first,) if same else (first, last):
        for head in ("events", "dead", "grad"):
            table.add_column(f"{head}\n#{step.index}", justify="right", no_wrap=True)
    rows = zip(diagnosis.layers, first.layers, last.layers, strict=True)
    for layer, now, then in rows:
        cells = [
            str(layer.levels_used) if layer.level_fractions else MISSING,
            _short(layer.threshold),
            MISSING if now.activation_p99 is None else _short(now.activation_p99),
            percent(now.below_threshold) if layer.threshold else MISSING,
            _short(now.preactivation_rms),
        ]
        for one in (now,) if same else (now, then):
            gradient = MISSING if one.gradient_norm is None else _tiny(one.gradient_norm)
            cells += [_narrow(one.events), percent(one.dead_channels), gradient]
        table.add_row(escape(_end(layer.name)), *cells)
    legend = Text(
        "levels: of lava's 256 that weights use; active p99: of the activations above 0; below"
        " thr.: share of them; size: of pre-activations in step 1; dead: channels that sent"
        " nothing; grad: norm of the weight's gradient",
        style="dim",
    )
    if diagnosis.sequences_at_once not in (None, diagnosis.batch):
        legend.append(
            f"\n{diagnosis.sequences_at_once} of the {diagnosis.batch} sequences of a step at a"
            " time, for want of memory; their gradients are added up"
        )
    return Group(table, legend)


def step_table(diagnosis: Diagnosis) -> RenderableType:
    """The loss of some steps against the two answers that look at no picture."""
    table = _table("Loss")
    table.add_column("step", justify="right", no_wrap=True)
    for head in ("loss", "error", "event\npenalty", "error of\nsilence", "of the mean\ntarget"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("output\npeak", justify="right", no_wrap=True)
    for step in _drawn(diagnosis.steps):
        losses = (
            step.loss,
            step.error,
            step.event_penalty,
            step.silence_error,
            step.mean_target_error,
        )
        table.add_row(
            str(step.index), *(f"{value:.4g}" for value in losses), _short(step.output_peak)
        )
    return table


def findings_text(diagnosis: Diagnosis) -> RenderableType:
    """Each finding and its remedy, or that there is none."""
    if not diagnosis.findings:
        return Text("Nothing found that would keep this network from learning.")
    lines = Text("Findings\n", style="bold")
    for number, found in enumerate(diagnosis.findings, 1):
        lines.append(f"{number}. {found.sentence}\n", style="not bold")
        lines.append(f"   Remedy: {found.remedy}\n", style="not bold dim")
    return lines


def _drawn(steps: Sequence[Step]) -> Sequence[Step]:
    """The first two and the last of many, and some between them."""
    if len(steps) <= _DRAWN_STEPS:
        return steps
    between = [1 + (len(steps) - 2) * k // (_DRAWN_STEPS - 2) for k in range(_DRAWN_STEPS - 2)]
    return [steps[i] for i in (0, *between, len(steps) - 1)]


def _name(step: Step) -> str:
    return f"step {step.index}"


def _tiny(value: float) -> str:
    """Two digits and an exponent, short: 3e-07 as 3e-7."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _short(value: float) -> str:
    return f"{value:.2g}" if value == 0 or 1e-3 <= value < 99.5 else _tiny(value)


def _narrow(count: int) -> str:
    return compact(count).replace(" ", "")


def _end(name: str) -> str:
    """The end of a long name, which tells layers apart better than its beginning."""
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _table(title: str, padding: int = 1) -> Table:
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, padding, 0, 0),
    )
