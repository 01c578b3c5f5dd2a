"""Shows a diagnosis in the terminal, and writes its folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ann2sdnn.eval.diagnosis.plots import events_over_steps_plot, layer_plot
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, Step, write_diagnosis
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.page.blocks import short_names
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.figures import to_png
from ann2sdnn.support.terminal import MISSING, narrow, percent, sheet_text

JSON_FILE = "diagnosis.json"
GRADIENTS_FILE = "gradients.png"
EVENTS_FILE = "events.png"
OVER_STEPS_FILE = "events-over-steps.png"

_DRAWN_STEPS = 5


def write_outputs(
    folder: Path, diagnosis: Diagnosis, *, force: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Write diagnosis.json and the plots, all or none; raises what ``atomic_folder`` raises."""
    names = [layer.name for layer in diagnosis.layers]
    gradients, events = {}, {}
    for step in _drawn(diagnosis.steps):
        label = f"step {step.index}"
        gradients[label] = [now.gradient_norm for now in step.layers]
        events[label] = [step.input_events, *(now.events for now in step.layers)]
    figures = {
        GRADIENTS_FILE: layer_plot(names, gradients, "gradient norm of the weights"),
        EVENTS_FILE: layer_plot(["input", *names], events, "events in the batch"),
    }
    if len(diagnosis.steps) > 2:
        densities = [[now.density for now in step.layers] for step in diagnosis.steps]
        figures[OVER_STEPS_FILE] = events_over_steps_plot(names, densities)
    with atomic_folder(folder, force=force, inputs=inputs) as temporary:
        write_diagnosis(temporary / JSON_FILE, diagnosis)
        for name, figure in figures.items():
            (temporary / name).write_bytes(to_png(figure))


def print_diagnosis(diagnosis: Diagnosis, console: Console, *, last_line: str) -> None:
    """Print the layers, the losses, the findings, and ``last_line``."""
    console.print(sheet_text(layer_sheet(diagnosis)))
    console.print(sheet_text(loss_sheet(diagnosis)))
    console.print(findings_text(diagnosis))
    console.print(Text(last_line), soft_wrap=True)


def layer_sheet(diagnosis: Diagnosis) -> Sheet:
    """One row per layer: before training, in the first step, and in the last step."""
    shown = diagnosis.steps[:1] + diagnosis.steps[1:][-1:]
    rows = []
    names = short_names([layer.name for layer in diagnosis.layers])
    for index, layer in enumerate(diagnosis.layers):
        first = shown[0].layers[index]
        cells = [
            names[index],
            str(layer.levels_used) if layer.level_fractions else MISSING,
            _short(layer.threshold),
            _short(first.activation_p99),
            percent(first.below_threshold) if layer.threshold else MISSING,
            _short(first.preactivation_rms),
        ]
        for step in shown:
            now = step.layers[index]
            cells += [narrow(now.events), percent(now.dead_channels), _tiny(now.gradient_norm)]
        rows.append(tuple(cells))
    notes = [
        "levels: of lava's 256 that weights use; active p99: 99th percentile of the activations"
        " above 0; below thr.: share of them below the threshold; size: of pre-activations, root"
        " mean square, in step 1; dead: channels that sent nothing; grad: norm of the weight's"
        " gradient"
    ]
    if diagnosis.sequences_at_once not in (None, diagnosis.batch):
        notes.append(
            f"{diagnosis.sequences_at_once} of the {diagnosis.batch} sequences of a step ran at a"
            " time, to save memory; their gradients were summed"
        )
    return Sheet(
        f"{diagnosis.network}: {diagnosis.batch} sequences of {diagnosis.frames} frames of"
        f" {diagnosis.height}x{diagnosis.width} pixels per step",
        (
            *("layer", "levels", "thres-\nhold", "active\np99", "below\nthr.", "size\n(rms)"),
            *(f"{head}\n#{step.index}" for step in shown for head in ("events", "dead", "grad")),
        ),
        tuple(rows),
        notes=tuple(notes),
    )


def loss_sheet(diagnosis: Diagnosis) -> Sheet:
    """The loss of some steps beside the errors of two outputs that ignore the frames."""
    rows = []
    for step in _drawn(diagnosis.steps):
        errors = (step.error, step.event_penalty, step.silence_error, step.mean_target_error)
        losses = (f"{loss:.4g}" for loss in (step.loss, *errors))
        rows.append((str(step.index), *losses, _short(step.output_peak)))
    headings = ("loss", "error", "event\npenalty", "error of\nsilence", "of the mean\ntarget")
    return Sheet("Loss", ("step", *headings, "output\npeak"), tuple(rows))


def findings_text(diagnosis: Diagnosis) -> RenderableType:
    """Each finding with its remedy, or that there is none."""
    if not diagnosis.findings:
        return Text("\nNo finding: nothing measured keeps this network from learning.")
    lines = [
        Text.assemble(f"{number}. {finding.sentence}\n", (f"   Remedy: {finding.remedy}", "dim"))
        for number, finding in enumerate(diagnosis.findings, 1)
    ]
    return Group(Text("\nFindings", style="bold"), *lines)


def _drawn(steps: Sequence[Step]) -> Sequence[Step]:
    """The first two and the last of many, and some between them."""
    if len(steps) <= _DRAWN_STEPS:
        return steps
    between = [1 + (len(steps) - 2) * k // (_DRAWN_STEPS - 2) for k in range(_DRAWN_STEPS - 2)]
    return [steps[i] for i in (0, *between, len(steps) - 1)]


def _tiny(value: float | None) -> str:
    """One digit and a short exponent: 3e-7."""
    if value is None:
        return MISSING
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _short(value: float | None) -> str:
    """Two digits."""
    if value is None:
        return MISSING
    return f"{value:.2g}" if value == 0 or 1e-3 <= value < 99.5 else _tiny(value)
