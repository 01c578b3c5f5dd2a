"""How the engine's time grows with messages: `python benchmarks/engine_cost.py DIR DATA OUT`.

DIR is a conversion, DATA what `bench --data` takes. Thresholds of lava's operating point are
multiplied by several factors, from 0 (every change is sent) to where hardly anything is. Each of
these networks runs on the frames of the first recording, alternating with the ANN in ONNX Runtime
(float32), and the conversion itself also on a scene that does not move. Two least-squares lines go
through the fastest rounds, without the still scene: time against messages, and against the pixels
of all layers whose neurons were visited because a message reached them. The first frame of a
recording, in which all is sent, is not timed. OUT/engine-cost.csv has the numbers,
OUT/engine-cost.png their picture. Minutes; timings depend on the machine and what else it does.
"""

import argparse
import csv
import io
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion, open_conversion
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.graph.onnx.file.session import open_session
from ann2sdnn.graph.operations import file_input
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS, TOUCHED
from ann2sdnn.sdnn.spec.grid import STATE_MAX, Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.files.writing import atomic_file, write_text
from ann2sdnn.support.page.figures import ANN, SDNN, new_grid, to_small_png

Quantity = Literal["messages", "operations", "visited_pixels"]
KINDS: dict[Quantity, int] = {
    "messages": MESSAGES,
    "operations": OPERATIONS,
    "visited_pixels": TOUCHED,
}
LINES: tuple[Quantity, Quantity] = ("messages", "visited_pixels")
FACTORS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
STILL = "still scene"
ANN_ROW = "ANN, ONNX Runtime float32"
CSV_FILE, PNG_FILE = "engine-cost.csv", "engine-cost.png"


@dataclass
class Case:
    """A network and the uint8 frames [T, C, H, W] that it runs on; counts and ms are per frame.

    ``forget`` the frames so far, ``step`` through the next one.
    """

    name: str
    frames: Tensor
    forget: Callable[[], None]
    step: Callable[[Tensor], object]
    counts: dict[Quantity, float] | None = None
    all_ms: list[float] = field(default_factory=list)

    @property
    def ms(self) -> float:
        """The fastest round: other work on the machine only adds."""
        return min(self.all_ms)

    def time(self) -> None:
        """Add a round: all frames but the first, which is not timed."""
        first, *others = self.frames
        self.forget()
        self.step(first)
        started = time.perf_counter()
        for frame in others:
            self.step(frame)
        self.all_ms.append((time.perf_counter() - started) * 1e3 / len(others))


@dataclass(frozen=True)
class Line:
    """The time as a constant and a multiple of something counted."""

    constant_ms: float
    ns_each: float
    worst_ms: float
    """The largest distance of a point from it."""


def with_thresholds_times(spec: Spec, factor: float) -> Spec:
    """``spec`` with all thresholds times ``factor``, as far as the 24 bits of states allow."""
    layers = tuple(
        replace(
            layer,
            threshold=min(round(factor * layer.threshold), largest_threshold(layer, spec.grid)),
        )
        for layer in spec.layers
    )
    return replace(spec, layers=layers)


def largest_threshold(layer: SpecLayer, grid: Grid) -> int:
    """The largest one that a state of ``layer`` can reach."""
    return STATE_MAX << grid.threshold_bits >> (grid.spike_exp + layer.shift)


def line_through(points: Sequence[tuple[float, float]]) -> Line:
    """Least squares through (number, ms)."""
    numbers, ms = np.array(points, np.float64).T
    slope, constant = np.polyfit(numbers, ms, 1)
    worst = np.abs(constant + slope * numbers - ms).max()
    return Line(float(constant), float(slope) * 1e6, float(worst))


def sdnn_case(name: str, spec: Spec, frames: Tensor) -> Case:
    """The engine, its work counted."""
    engine = Engine(spec)
    work = np.mean([engine.step(frame).counts.sum(axis=0) for frame in frames][1:], axis=0)
    counts = {quantity: float(work[kind]) for quantity, kind in KINDS.items()}
    return Case(name, frames, engine.reset, engine.step, counts)


def ann_case(conversion: OpenedConversion, frames: Tensor) -> Case:
    """The ANN in ONNX Runtime, frame by frame."""
    session = open_session(conversion.model.model)
    name = session.get_inputs()[0].name

    def step(frame: Tensor) -> object:
        x = file_input(conversion.graph, frame[None].to(torch.float32))
        return session.run(None, {name: x.numpy()})

    return Case(ANN_ROW, frames, lambda: None, step)


def cases_of(conversion: OpenedConversion, frames: Tensor) -> list[Case]:
    """The ANN, a network per factor, and the conversion itself on the last frame repeated."""
    still = frames[-1:].expand_as(frames).contiguous()
    return [
        ann_case(conversion, frames),
        sdnn_case(STILL, conversion.spec, still),
        *(
            sdnn_case(f"{factor:g}", with_thresholds_times(conversion.spec, factor), frames)
            for factor in FACTORS
        ),
    ]


def moving(cases: Sequence[Case], quantity: Quantity) -> list[tuple[float, float]]:
    """(number, ms) of the networks that a line goes through."""
    return [
        (case.counts[quantity], case.ms)
        for case in cases
        if case.counts is not None and case.name != STILL
    ]


def table(cases: Sequence[Case]) -> str:
    """A CSV row per case; what is counted, and times, are per frame."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("thresholds_times", *KINDS, "ms_least", "ms_median", "ms_most"))
    for case in cases:
        counts = case.counts
        work = ("" if counts is None else f"{counts[quantity]:.0f}" for quantity in KINDS)
        times = (f"{ms:.3f}" for ms in (case.ms, statistics.median(case.all_ms), max(case.all_ms)))
        writer.writerow((case.name, *work, *times))
    return text.getvalue()


def draw(cases: Sequence[Case]) -> Figure:
    """Ms against messages and against visited pixels: networks, lines, still scene and ANN."""
    figure, ((left, right),) = new_grid(9.0, 4.3, 1, 2)
    for axes, quantity in zip((left, right), LINES, strict=True):
        _panel(axes, cases, quantity)
    left.set_ylabel("ms per frame")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, cases: Sequence[Case], quantity: Quantity) -> None:
    points = moving(cases, quantity)
    line = line_through(points)
    ends = np.array([0.0, 1.06 * max(x for x, _ in points)])
    (ann,) = (case for case in cases if case.name == ANN_ROW)
    (still,) = (case for case in cases if case.name == STILL)
    axes.axhline(ann.ms, color=ANN.colour, linestyle="--", label=ANN_ROW)
    on_line = line.constant_ms + line.ns_each * ends / 1e6
    axes.plot(ends / 1e3, on_line, color="#888888", linewidth=1.2, label="least squares")
    xs, ys = np.array(points).T
    axes.plot(
        xs / 1e3, ys, SDNN.marker, color=SDNN.colour, label="SDNN, engine, thresholds times n"
    )
    axes.plot([0], [still.ms], "kx", label=STILL, clip_on=False, zorder=3)
    for case in cases:
        if case.counts is not None and case.name != STILL:
            at = (case.counts[quantity] / 1e3, case.ms)
            axes.annotate(case.name, at, (6, -9), textcoords="offset points", fontsize=8)
    name = quantity.replace("_", " ")
    axes.set_title(
        f"{line.ns_each:.0f} ns per {name[:-1]} + {line.constant_ms:.1f} ms", fontsize=10
    )
    axes.set_xlim(0, ends[1] / 1e3)
    axes.set_ylim(0, 1.08 * max(ann.ms, *ys))
    axes.set_xlabel(f"thousand {name} per frame")


def main() -> None:
    """Measure, write both files, and print the table and the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("conversion", type=Path, metavar="DIR")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--frames", type=int, default=16, help="frames of the first recording")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--threads", type=int, default=1, help="threads of every network")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    conversion = open_conversion(given.conversion)
    sequence = open_frames(given.data)[0].part(0, given.frames)
    cases = cases_of(conversion, torch.from_numpy(np.concatenate(list(sequence.chunks()))))
    for turn in range(given.rounds + 1):
        for case in cases:
            case.time()
            if turn == 0:  # the first one warms up
                case.all_ms.clear()
    given.out.mkdir(parents=True, exist_ok=True)
    write_text(given.out / CSV_FILE, table(cases))
    with atomic_file(given.out / PNG_FILE) as temporary:
        temporary.write_bytes(to_small_png(draw(cases)))
    sys.stdout.write(table(cases))
    for quantity in LINES:
        line = line_through(moving(cases, quantity))
        sys.stdout.write(
            f"{quantity}: {line.constant_ms:.2f} ms + {line.ns_each:.1f} ns each, at most"
            f" {line.worst_ms:.2f} ms from what was measured\n"
        )


if __name__ == "__main__":
    main()
