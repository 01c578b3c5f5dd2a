"""Why the `dhp19_sdnn` experiment did not learn: its faults repaired one by one, and all but one.

    python benchmarks/training/no_learning.py DATA OUT [--steps N] [--seed N] [--only NAME ...]

DATA is a folder made by `ann2sdnn synth`. Every run is `ann2sdnn diagnose` with other repairs on
the same sequences, small enough for a minute or two on one core; its numbers are kept in
OUT/runs/NAME.json, and a run that is there already is not done again. OUT/table.md and
OUT/no-learning.png are made from them.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ann2sdnn.data.recordings.options import PictureSize
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.recordings.sequences import RecordedSequences
from ann2sdnn.eval.diagnosis.plots import COLOURS, LINE_STYLES
from ann2sdnn.sdnn.diagnosis.diagnose import diagnose
from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, read_diagnosis, write_diagnosis
from ann2sdnn.sdnn.diagnosis.subjects.plain import PlainSubject
from ann2sdnn.sdnn.diagnosis.subjects.settings import ExperimentSettings, repaired
from ann2sdnn.sdnn.diagnosis.subjects.subject import Subject
from ann2sdnn.support.page.figures import numbers, plain, to_png

# What together makes the network learn.
ALL = ("sum-output", "initialisation", "threshold", "pool", "event-cost", "learning-rate")
# More that could be at fault.
OTHERS = ("input-scale", "weight-grid", "output-relu")
# A sum pool multiplies by four, which makes up for some of the initialisation.
PAIR = ("initialisation", "pool")
# What a network without sigma-delta could have of all this.
PLAIN = ("initialisation", "pool", "event-cost", "learning-rate")
LAST_STEPS = 8  # the end of a run is the mean over so many: every sequence once

# What a network gets that is written down in torch and left as it is.
TORCH = ExperimentSettings(
    weight_scale=1.0, weight_norm=False, mean_norm=False, pooling="max", event_cost=0.0
)


# What the experiment's authors found to "do the trick".
LATER = ExperimentSettings(threshold=0.001, learning_rate=1e-4, event_cost=0.0)


@dataclass(frozen=True)
class Variant:
    """One run: the network with some repairs."""

    name: str
    repairs: tuple[str, ...]
    plain: bool = False
    start: ExperimentSettings = field(default_factory=ExperimentSettings)


def variants() -> tuple[Variant, ...]:
    """The experiment as it was, one repair each, all of them, all but one, and the controls."""
    alone = [Variant(f"only {one}", (one,)) for one in ALL]
    others_alone = [Variant(f"only {one}", (one,)) for one in OTHERS]
    without = [Variant(f"all but {one}", tuple(o for o in ALL if o != one)) for one in ALL]
    untaught = tuple(one for one in PLAIN if one != "initialisation")
    controls = [
        Variant("ANN, torch's default", (), plain=True, start=TORCH),
        Variant("ANN as it was", (), plain=True),
        Variant("ANN without norm", ("norm",), plain=True),
        Variant("ANN, only initialisation", ("initialisation",), plain=True),
        Variant("ANN, all", PLAIN, plain=True),
        Variant("ANN, all but initialisation", untaught, plain=True),
    ]
    first = (Variant("as it was", ()), Variant("all", ALL))
    more = [
        Variant("all but initialisation and pool", tuple(o for o in ALL if o not in PAIR)),
        Variant(
            "all but initialisation, pool and sum", ("threshold", "event-cost", "learning-rate")
        ),
        Variant("as its authors repaired it", (), start=LATER),
        Variant("all and weight-grid", (*ALL, "weight-grid")),
        Variant(
            "all with He's initialisation",
            tuple("he" if one == "initialisation" else one for one in ALL),
        ),
    ]
    return (*first, *without, *controls, *alone, *more, *others_alone)


def run(variant: Variant, data: Path, steps: int, seed: int) -> Diagnosis:
    """Train one variant and watch it."""
    settings = repaired(variant.start, variant.repairs)
    source = RecordedSequences(
        open_recordings(data), channel=1, length=4, size=PictureSize((48, 48), shrink=4)
    )
    options = DiagnoseOptions(
        steps=steps, batch=2, sequences=16, learning_rate=settings.learning_rate, seed=seed
    )
    return diagnose(_builder(settings, variant.plain), source, options, repairs=variant.repairs)


def table(results: Sequence[tuple[Variant, Diagnosis]]) -> str:
    """What each run did to the loss, the gradients and the events."""
    lines = [
        "| Run | error / error of silence at the end | at its best | output peak | output events a"
        " frame, first step | second | last | layers without gradient, second step | last |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant, diagnosis in results:
        ratios = error_ratios(diagnosis)
        frames = diagnosis.batch * diagnosis.frames
        steps = diagnosis.steps
        first, second, last = steps[0], steps[min(1, len(steps) - 1)], steps[-1]
        events = [f"{step.layers[-1].events / frames:,.0f}" for step in (first, second, last)]
        dead = [str(without_gradient(diagnosis, step)) for step in (1, -1)]
        end = sum(ratios[-LAST_STEPS:]) / len(ratios[-LAST_STEPS:])
        cells = (
            variant.name,
            f"{end:.3f}",
            f"{min(ratios):.3f}",
            f"{last.output_peak:.2f}",
            *events,
            *dead,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _baseline(results)])


def error_ratios(diagnosis: Diagnosis) -> list[float]:
    """The error of every step over that of predicting nothing."""
    return [step.error / step.silence_error for step in diagnosis.steps]


def without_gradient(diagnosis: Diagnosis, step: int) -> int:
    """Layers with weights whose gradient is exactly 0."""
    return sum(layer.gradient_norm == 0 for layer in diagnosis.steps[step].layers)


def curves(
    results: Sequence[tuple[Variant, Diagnosis]], chosen: Callable[[str], bool]
) -> dict[str, list[float]]:
    """The chosen runs' errors over steps."""
    return {one.name: error_ratios(d) for one, d in results if chosen(one.name)}


def loss_plot(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Errors over the error of predicting nothing, which is 1; one panel per group of runs."""
    figure = Figure(figsize=(4.4 * len(panels), 4.6), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=True):
        axes.axhline(1.0, color="#bbbbbb", linewidth=4, zorder=0)
        for index, (name, values) in enumerate(curves.items()):
            at = np.arange(1, len(values) + 1)
            axes.plot(
                at,
                numbers(values),
                color=COLOURS[index % len(COLOURS)],
                linestyle=LINE_STYLES[(index % 2 + index // len(COLOURS) * 2) % 4],
                linewidth=1.4,
                label=name,
            )
        plain(axes)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=7, frameon=False)
    grid[0, 0].set_ylabel("error / error of predicting nothing")
    every = [values for curves in panels.values() for values in curves.values()]
    # The end of every curve is shown; a large first error may lie outside.
    lowest = min(0.9, *(min(values) for values in every))
    highest = max(1.3, *(values[-1] for values in every))
    grid[0, 0].set_ylim(lowest - 0.05, min(highest + 0.1, 3.0))
    return figure


def _baseline(results: Sequence[tuple[Variant, Diagnosis]]) -> str:
    last = results[0][1].steps[-LAST_STEPS:]
    ratio = sum(step.mean_target_error / step.silence_error for step in last) / len(last)
    return f"The mean of the targets, which looks at no picture, stands at {ratio:.3f}."


def _builder(settings: ExperimentSettings, plain: bool) -> Callable[[Tensor], Subject]:
    if plain:
        return lambda frames: PlainSubject(settings, frames)
    from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

    return lambda frames: ExperimentSubject(settings, frames)


def _stem(name: str) -> str:
    return "".join(c for c in name.replace(" ", "-") if c.isalnum() or c == "-")


def _panels(results: Sequence[tuple[Variant, Diagnosis]]) -> dict[str, dict[str, list[float]]]:
    return {
        "one repair at a time": curves(results, lambda name: name.startswith(("as", "only"))),
        "all repairs, and all but one": curves(
            results, lambda name: name.startswith("all but") or name in ("all", "as it was")
        ),
        "the plain ANN": curves(results, lambda name: name.startswith("ANN")),
    }


def main() -> None:
    """Read the command line, do what is missing, write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights")
    parser.add_argument("--only", nargs="*", help="names of runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for variant in variants():
        path = arguments.out / "runs" / f"{_stem(variant.name)}.json"
        if not path.is_file():
            if arguments.only and variant.name not in arguments.only:
                continue
            done = run(variant, arguments.data, arguments.steps, arguments.seed)
            write_diagnosis(path, done)
            sys.stderr.write(f"{variant.name}: done\n")
        results.append((variant, read_diagnosis(path)))
    text = table(results)
    (arguments.out / "table.md").write_text(text + "\n", encoding="utf-8")
    (arguments.out / "no-learning.png").write_bytes(to_png(loss_plot(_panels(results))))
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
