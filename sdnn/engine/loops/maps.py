"""The engine's loops for rows in which most neurons send: unpacked, then multiplied whole."""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.add_maps import Maps, add_maps
from ann2sdnn.sdnn.engine.instructions.vector import GROUP
from ann2sdnn.sdnn.engine.loops.memory import (
    N_PHASE,
    N_RUN,
    PHASE_APART,
    PHASE_COLUMN,
    PHASE_COLUMNS,
    PHASE_SOURCE,
    PHASE_STEP,
    PHASE_STRIDE,
    PHASE_TAP,
    PHASE_TAPS,
    RUN_FIRST,
    RUN_LENGTH,
)
from ann2sdnn.sdnn.engine.loops.messages import in_groups, messages_of
from ann2sdnn.sdnn.engine.loops.scatter import mark, rows_met

_SHARE = 10  # in 16: of a row's neurons that have to send
_FEWEST_CHANNELS = 8


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def is_dense(memory, index, row):  # type: ignore[no-untyped-def]
    """Whether ``add_as_maps`` is the faster way for the messages of input row ``row``."""
    synapse = memory.synapses[index]
    plane = memory.planes[synapse.plane]
    n_messages, n_neurons = memory.n_senders[plane.n_messages + row], plane.width * plane.channels
    return (
        synapse.n_phases
        and plane.channels >= _FEWEST_CHANNELS
        and 16 * n_messages >= _SHARE * n_neurons
    )


@numba.njit(nogil=True, cache=True, _nrt=False)
def add_as_maps(tag, memory, index, row, first, last, down, reached, maps):  # type: ignore[no-untyped-def]
    """As ``scatter_row``, with the same result. ``maps`` int16 [N] is scratch."""
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    n_met = rows_met(memory, index, row, first, last, down)
    if n_met == 0:
        return
    _unpack(memory, index, row, reached, maps)
    n_slots, tables = plane.width + 2 * synapse.margin, memory.tables
    tap_bytes, column_bytes = 2 * population.padded, 4 * population.padded
    for i in range(n_met):
        for p in range(synapse.n_phases):
            phase = synapse.phases + p * N_PHASE
            column, tap = tables[phase + PHASE_COLUMN], tables[phase + PHASE_TAP]
            sums = memory.states.ctypes.data + 4 * population.states + column * column_bytes
            weights = memory.weights.ctypes.data + 2 * synapse.weights + tap * tap_bytes
            add_maps(
                tag,
                Maps(
                    sums + down[i, 0],
                    maps.ctypes.data + 4 * (synapse.margin + tables[phase + PHASE_SOURCE]),
                    n_slots,
                    weights + down[i, 1],
                    tables[phase + PHASE_COLUMNS],
                    np.int64(plane.channels),
                    tables[phase + PHASE_TAPS],
                    tables[phase + PHASE_STEP],
                    population.padded,
                    tables[phase + PHASE_STRIDE] * column_bytes,
                    tables[phase + PHASE_APART] * tap_bytes,
                    2 * synapse.n_weights,
                ),
            )
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _unpack(memory, index, row, reached, maps):  # type: ignore[no-untyped-def]
    """Write a row's messages to ``maps`` [pairs of channels, margin + W + margin, 2], else zeros.

    Marks the columns that they reach.
    """
    synapse = memory.synapses[index]
    plane = memory.planes[synapse.plane]
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    messages, tables, step = memory.messages, memory.tables, synapse.step
    margin, slots_from = synapse.margin, np.uint64(synapse.slots)
    maps[: (plane.channels + 1) // 2 * 2 * (plane.width + 2 * margin)] = 0
    place = np.uint64(messages_of(plane, row))
    senders_from = plane.senders + row * plane.width
    runs_from, most_runs, counts_from = synapse.runs, synapse.n_across, synapse.n_runs
    for s in range(memory.n_senders[plane.n_senders + row]):
        sender = np.int64(memory.senders[senders_from + s])
        column, n = sender & 0xFFFF, sender >> 16
        pixel = np.uint64(2 * (margin + column))
        end = place + np.uint64(in_groups(n))
        # Backwards: what fills up the last group is a zero for channel 0, whose own value follows.
        k = end
        while k != place:
            k -= np.uint64(GROUP)
            for q in range(GROUP - 1, -1, -1):
                packed = messages[k + np.uint64(q)]
                slot = np.uint64(tables[slots_from + np.uint64(packed >> 16)])
                maps[pixel + slot] = np.int16(packed)
        place = end
        run = runs_from + column * most_runs * N_RUN
        for _ in range(tables[counts_from + column]):
            to = tables[run + RUN_FIRST]
            for x in range(tables[run + RUN_LENGTH]):
                reached[to + x * step] = 1
            run += N_RUN
