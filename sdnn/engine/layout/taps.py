"""Tables of a synapse's taps, which loops and kernels go by, made from its wiring."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions.add_messages import SIDE, SQUARES
from ann2sdnn.sdnn.engine.instructions.vector import padded
from ann2sdnn.sdnn.engine.layout.wiring import NOWHERE
from ann2sdnn.sdnn.engine.loops.memory import (
    N_PHASE,
    N_RUN,
    PHASE_ACROSS,
    PHASE_COLUMNS,
    PHASE_SOURCE,
    PHASE_STEP,
    PHASE_TAPS,
    RUN_FIRST,
    RUN_LENGTH,
)


class Runs(NamedTuple):
    """``order`` of the taps; ``table`` [W, KW, N_RUN] of the runs, ``n`` [W] of them."""

    order: NDArray[np.int64]
    step: int
    table: NDArray[np.int64]
    n: NDArray[np.int64]


def runs_of(columns: NDArray[np.int64]) -> Runs:
    """Runs of the taps of ``columns`` [W, KW].

    Taps that reach columns one after another stand side by side: in a convolution of stride s every
    s-th, backwards.
    """
    order = _tap_order(columns)
    step = _step(columns)
    table = np.zeros((*columns.shape, N_RUN), np.int64)
    n = np.zeros(len(columns), np.int64)
    for x, row in enumerate(columns[:, order]):
        previous = None
        for place, to in enumerate(row):
            if to == NOWHERE:
                continue
            if previous == (place - 1, to - step):
                table[x, n[x] - 1, RUN_LENGTH] += 1
            else:
                table[x, n[x]] = to, place, 1
                n[x] += 1
            previous = (place, to)
    return Runs(order, step, table, n)


def _step(columns: NDArray[np.int64]) -> int:
    """The smallest distance of two columns that one input column reaches."""
    distances = np.diff(np.sort(columns, axis=1), axis=1)
    reached = np.sort(columns, axis=1)[:, :-1] != NOWHERE
    return int(distances[reached].min(initial=columns.max() + 1)) or 1


def _tap_order(columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Taps that some column reaches together follow one another by output column."""
    n_taps = columns.shape[1]
    _, groups = np.unique(columns != NOWHERE, axis=0, return_inverse=True)
    busiest = [columns[np.argmax(groups.reshape(-1) == g)] for g in np.unique(groups)]
    order: list[int] = []
    for row in sorted(busiest, key=lambda row: -int((row != NOWHERE).sum())):
        taps = [int(tap) for tap in np.argsort(row, kind="stable") if row[tap] != NOWHERE]
        order += [tap for tap in taps if tap not in order]
    return np.array(order + [tap for tap in range(n_taps) if tap not in order], np.int64)


def square_of(shape: tuple[int, ...], runs: Runs) -> dict[str, int]:
    """Which columns ``add_row`` serves, if any, for weights [C, n_down, n_across, O]."""
    _, n_down, n_across, outputs = shape
    whole = np.flatnonzero(runs.table[:, 0, RUN_LENGTH] == SIDE)
    if (n_down, n_across) != (SIDE, SIDE) or padded(outputs) not in SQUARES or not len(whole):
        return {}
    first = runs.table[whole, 0, RUN_FIRST]
    across = int(first[1] - first[0]) if len(whole) > 1 else 0
    is_even = np.array_equal(whole, whole[0] + np.arange(len(whole)))
    if not is_even or not np.array_equal(first, first[0] + across * np.arange(len(whole))):
        return {}
    return {
        "is_square": 1,
        "first_whole": int(whole[0]),
        "end_whole": int(whole[-1]) + 1,
        "first": int(first[0] - across * whole[0]),
        "across": across,
    }


def find_phases(columns: NDArray[np.int64], step: int, out_width: int) -> NDArray[np.int64]:
    """The phases of ``columns`` [W, KW], see ``PHASE``: [n, N_PHASE].

    None where neither the taps of all columns nor the columns of all taps lie evenly.
    """
    even = _even_outputs(columns, step, out_width) or _even_inputs(columns, out_width)
    return np.array(even, np.int64).reshape(-1, N_PHASE)


def _even_outputs(columns: NDArray[np.int64], step: int, out_width: int) -> list[tuple[int, ...]]:
    """Where tap j of column x meets column first + stride * x + j * ``step``, where that is."""
    width, n_taps = columns.shape
    met = columns != NOWHERE
    neighbours = np.diff(columns, axis=0)[met[1:] & met[:-1]]
    if not len(neighbours) or neighbours[0] < 1:
        return []
    stride, (x, tap) = int(neighbours[0]), np.argwhere(met)[0]
    first = int(columns[x, tap] - stride * x - step * tap)
    to = first + stride * np.arange(width)[:, None] + step * np.arange(n_taps)
    if not np.array_equal(columns, np.where((to >= 0) & (to < out_width), to, NOWHERE)):
        return []
    phases = list[tuple[int, ...]]()
    for column in range(min(stride, out_width)):
        sources = column - first - step * np.arange(n_taps)
        taps = np.flatnonzero(sources % stride == 0)
        if not len(taps):
            continue
        sources = sources[taps] // stride
        n_columns = -(-(out_width - column) // stride)
        apart, further = (taps[1] - taps[0], sources[0] - sources[1]) if len(taps) > 1 else (0, 0)
        own = column, n_columns, stride, taps[0], len(taps), apart, sources[0], further, 1
        phases.append(own)
    return phases


def _even_inputs(columns: NDArray[np.int64], out_width: int) -> list[tuple[int, ...]]:
    """Where tap j of column first[j] + stride * x meets column x, and no other."""
    width, n_taps = columns.shape
    met = columns != NOWHERE
    own = np.flatnonzero(met[:, 0])
    if len(own) < 2 or not met.any(axis=0).all():
        return []
    stride, x = int(own[1] - own[0]), met.argmax(axis=0)
    first = x - stride * columns[x, np.arange(n_taps)]
    away = np.arange(width)[:, None] - first
    fits = (away % stride == 0) & (away >= 0) & (away < stride * out_width)
    if not np.array_equal(columns, np.where(fits, away // stride, NOWHERE)):
        return []
    phases, tap = list[tuple[int, ...]](), 0
    while tap < n_taps:
        steps = first[tap:-1] - first[tap + 1 :]
        n = 1 + (int(np.argmin([*(steps == steps[0]), False])) if len(steps) else 0)
        further = steps[0] if n > 1 else 0
        phases.append((0, out_width, 1, tap, n, 1, first[tap], further, stride))
        tap += n
    return phases


def margin_of(phases: NDArray[np.int64], width: int) -> int:
    """Columns before and behind ``width`` ones that ``phases`` [n, N_PHASE] lead to columns."""
    if not len(phases):
        return 0
    reach = phases[:, PHASE_TAPS] - 1
    firsts = phases[:, PHASE_SOURCE, None] - phases[:, PHASE_STEP, None] * np.stack(
        [np.zeros_like(reach), reach], axis=1
    )
    lasts = firsts + (phases[:, PHASE_COLUMNS, None] - 1) * phases[:, PHASE_ACROSS, None]
    return max(0, -int(firsts.min()), int(lasts.max()) - width + 1)


def needed(rows: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """[H']: how many input rows, from the first, it takes to complete each output row."""
    needed = np.zeros(height, np.int64)
    inputs = np.broadcast_to(np.arange(len(rows))[:, None] + 1, rows.shape)
    fits = rows != NOWHERE
    np.maximum.at(needed, rows[fits], inputs[fits])
    return np.maximum.accumulate(needed)


def first_needed(rows: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """[H']: the first input row that this output row or a later one needs."""
    first = np.full(height, len(rows), np.int64)
    inputs = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    fits = rows != NOWHERE
    np.minimum.at(first, rows[fits], inputs[fits])
    return np.minimum.accumulate(first[::-1])[::-1]
