"""Confusion of classes: how often each label is answered with each class, as table and plot."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.eval.results.classes import written_class
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.document import Picture, Sheet
from ann2sdnn.support.page.figures import new_grid
from ann2sdnn.support.terminal import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLUMNS = 12  # classes whose whole matrix fits 80 columns
_MOST_PAIRS = 10
_MOST_NUMBERS = 20  # classes up to which a plot's cells have numbers

_Counts = NDArray[np.int64]


class _Pair(NamedTuple):
    label: int
    answer: int
    frames: int
    share: float
    by_ann: int | None


def confusion_table(evaluation: Evaluation) -> Sheet | None:
    """The SDNN's matrix, or its most frequent confusions where it has many columns."""
    matrices, names = dict(_matrices(evaluation.report)), evaluation.report.class_names
    if not matrices:
        return None
    name = next(reversed(matrices))
    counts = matrices[name]
    if len(counts) > _MOST_COLUMNS:
        return Sheet.of(
            f"Most frequent confusions of the {name}",
            _pairs(counts, matrices.get("ANN")),
            ("label", lambda x: written_class(names, x.label)),
            ("answer", lambda x: written_class(names, x.answer)),
            ("frames", lambda x: f"{x.frames:,}"),
            ("of the\nlabel", lambda x: percent(x.share)),
            ("by the\nANN", lambda x: "-" if x.by_ann is None else f"{x.by_ann:,}"),
            words=("answer",) if names else (),
        )
    rows = tuple(
        (written_class(names, label), *map(str, row)) for label, row in enumerate(counts.tolist())
    )
    return Sheet(
        f"Confusion: frames by label (row) and class of the {name} (column)",
        ("label", *map(str, range(len(counts)))),
        rows,
    )


def confusion_plot(evaluation: Evaluation) -> Picture | None:
    """The matrices of both networks."""
    matrices = dict(_matrices(evaluation.report))
    if not matrices:
        return None
    return Picture(
        "Confusion of classes",
        "Share of the frames of a label (row) that a network answers with a class (column). What is"
        " off the diagonal is wrong; what only the SDNN has there, the conversion has changed.",
        partial(_draw, matrices, evaluation.report.class_names),
        full_colour=True,
    )


def _matrices(report: EvaluationReport) -> Iterator[tuple[str, _Counts]]:
    for name, network in (("ANN", report.ann), ("SDNN", report.sdnn)):
        if network is not None and network.confusion is not None:
            yield name, np.array(network.confusion, np.int64)


def _pairs(counts: _Counts, of_ann: _Counts | None) -> list[_Pair]:
    """Wrong answers, the most frequent first."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        _Pair(
            int(label),
            int(answer),
            int(wrong[label, answer]),
            float(wrong[label, answer] / counts[label].sum()),
            None if of_ann is None else int(of_ann[label, answer]),
        )
        for label, answer in places
        if wrong[label, answer]
    ]


def _draw(matrices: dict[str, _Counts], names: Sequence[str]) -> "Figure":
    figure, (row,) = new_grid(4.5 * len(matrices), 4.2, 1, len(matrices))
    for axes, (name, counts) in zip(row, matrices.items(), strict=True):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axes.grid(visible=False)
        axes.set(title=name, xlabel=f"class of the {name}", ylabel="label")
        if len(counts) <= _MOST_NUMBERS:
            axes.set_xticks(range(len(counts)))
            axes.set_yticks(
                range(len(counts)), [written_class(names, n) for n in range(len(counts))]
            )
            for (label, answer), frames in np.ndenumerate(counts):
                if frames:
                    colour = "white" if shares[label, answer] > 0.5 else "black"
                    axes.text(
                        answer, label, str(frames), ha="center", va="center", color=colour, size=7
                    )
    return figure
