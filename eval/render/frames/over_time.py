"""Errors frame by frame, the sequences one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.convert.render.summary import named_groups
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.timeline import TimedSequence, Timeline, Values
from ann2sdnn.support.page.document import Picture
from ann2sdnn.support.page.figures import ANN, MIXED, SDNN, legend_above, new_grid
from ann2sdnn.support.terminal import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_FRAMES = 512  # more are too narrow to be seen
_MOST_MARKED = 64  # frames up to which each has a marker
_RING = "#000000"
_STYLES = {"ann": ANN, "sdnn": SDNN, "mixed": MIXED}


def over_time(evaluation: Evaluation) -> Picture | None:
    """Error and displacement of every frame; None where the task keeps none."""
    timeline = evaluation.timeline
    if timeline is None:
        return None
    shown = timeline.first(_n_shown(timeline.sequences))
    if not any(shown.kinds()):
        return None
    return Picture(
        "Error over time",
        " ".join(_meaning(timeline, shown)),
        partial(_draw, shown),
    )


def _meaning(timeline: Timeline, shown: Timeline) -> Iterator[str]:
    rows = "; below, ".join(kind.meaning for kind, _ in shown.kinds())
    above = "Above, " if len(tuple(shown.kinds())) > 1 else "For every frame, "
    yield (
        f"{above}{rows}. A line and a ring mark the first frame of a sequence, before which states"
        " are reset."
    )
    first, later = _first_and_later(timeline.sequences)
    if np.isfinite(first) and np.isfinite(later):
        yield (
            f"The SDNN's distance from the ANN is {first:.3g} in first frames, and {later:.3g} in"
            " the others, of all sequences."
        )
    left = len(timeline.sequences) - len(shown.sequences)
    if left:
        n_shown = counted(len(shown.sequences), "sequence")
        yield f"Shown are the first {n_shown}; {left} more are left out."
    yield named_groups("sequence", [sequence.name for sequence in shown.sequences])


def _n_shown(sequences: Sequence[TimedSequence]) -> int:
    """As many whole sequences as have room, at least the first."""
    ends = np.cumsum([sequence.n_frames for sequence in sequences])
    return max(int(np.searchsorted(ends, _MOST_FRAMES, side="right")), 1)


def _first_and_later(sequences: Sequence[TimedSequence]) -> tuple[float, float]:
    """Mean distance of the SDNN in first frames and in all others; NaN where there is none."""
    moved = [sequence.moved["sdnn"] for sequence in sequences if "sdnn" in sequence.moved]
    firsts = [values[:1] for values in moved]
    others = [values[1:] for values in moved]
    return _mean(firsts), _mean(others)


def _mean(parts: Sequence[Values]) -> float:
    values = np.concatenate([np.empty(0), *parts])
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _draw(shown: Timeline) -> "Figure":
    kinds = tuple(shown.kinds())
    lengths = [sequence.n_frames for sequence in shown.sequences]
    figure, rows = new_grid(9.0, 0.8 + 2.0 * len(kinds), len(kinds), 1, sharex=True)
    for (kind, values), (axes,) in zip(kinds, rows, strict=True):
        _draw_row(axes, lengths, values)
        axes.set_ylabel(kind.label)
        axes.set_ylim(bottom=0)
    legend_above(rows[0][0])
    rows[-1][0].set_xlabel("frame, the sequences one after the other")
    return figure


def _draw_row(
    axes: "Axes", lengths: Sequence[int], of_sequences: Sequence[Mapping[str, Values]]
) -> None:
    starts = np.cumsum([0, *lengths[:-1]])
    for start in starts:
        axes.axvline(float(start), color="#bbbbbb", linewidth=0.8, zorder=0.5)
    # A frame without a number, after each sequence, interrupts the line.
    at = np.concatenate(
        [[*range(start, start + n), np.nan] for start, n in zip(starts, lengths, strict=True)]
    )
    is_first = np.isin(at, starts)
    marker_size = 3.5 if sum(lengths) <= _MOST_MARKED else 0.0
    for name, style in _STYLES.items():
        values = [of_sequence[name] for of_sequence in of_sequences if name in of_sequence]
        if len(values) < len(of_sequences):
            continue
        heights = np.concatenate([[*each, np.nan] for each in values])
        (line,) = axes.plot(at, heights, color=style.colour, linewidth=1.2, label=style.label)
        line.set(marker=style.marker, markersize=marker_size)
        if name == "sdnn":
            (rings,) = axes.plot(at[is_first], heights[is_first], label="SDNN, first frame")
            rings.set(linestyle="none", marker="o", markersize=8, color=_RING, fillstyle="none")
