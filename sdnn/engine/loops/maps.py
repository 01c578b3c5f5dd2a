"""The engine's loops for rows in which most neurons send: unpacked, then multiplied whole."""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.add_groups import add_groups
from ann2sdnn.sdnn.engine.instructions.add_maps import Maps, add_maps
from ann2sdnn.sdnn.engine.instructions.vector import GROUP
from ann2sdnn.sdnn.engine.loops.memory import (
    N_PHASE,
    N_RUN,
    PHASE_ACROSS,
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
from ann2sdnn.sdnn.engine.loops.messages import (
    MAPPED,
    NO_MAP,
    NOT_PACKED,
    in_groups,
    messages_of,
)
from ann2sdnn.sdnn.engine.loops.scatter import mark, rows_met

# Rows that send less in the next frame are packed later, neuron by neuron, which is slow: a quarter
# more messages than it takes, and a quarter of the neurons, before a row is not packed.
_HESITATION = 4
_WORTH_NOT_PACKING = 4


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def is_dense(memory, index, row):  # type: ignore[no-untyped-def]
    """Whether ``add_as_maps`` is the faster way for the messages of input row ``row``."""
    synapse = memory.synapses[index]
    plane = memory.planes[synapse.plane]
    n_messages, n_neurons = memory.n_senders[plane.n_messages + row], plane.width * plane.channels
    return synapse.n_phases > 0 and 16 * n_messages >= synapse.share * n_neurons


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def begin_map(memory, plane, row, n_visited):  # type: ignore[no-untyped-def]
    """Where the map of a ``row`` begins, in ``Memory.maps``, if one is likely to be read; else -1.

    That is where a row sent much in the frame before: to be called before it is cleared. Where it
    sent so much that nothing but the map is likely to be read, its messages are not to be packed;
    see ``mapped``. The map is zero but for the pixels to be visited, which are all to be written.
    """
    n_messages = memory.n_senders[plane.n_messages + row]
    if plane.n_slots == 0 or n_messages < plane.worth_a_map:
        memory.n_senders[plane.mapped + row] = NO_MAP
        return np.int64(-1)
    is_packed = n_messages < max(
        plane.packed_below + plane.packed_below // _HESITATION,
        plane.width * plane.channels // _WORTH_NOT_PACKING,
    )
    memory.n_senders[plane.mapped + row] = MAPPED if is_packed else NOT_PACKED
    start = clear_margins(memory, plane, row)
    if n_visited < plane.width:
        memory.maps[start : start + plane.width * plane.map_channels] = 0
    return start


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def clear_margins(memory, plane, row):  # type: ignore[no-untyped-def]
    """Write the zeros before and behind the map of a row; returns where it begins."""
    channels = plane.map_channels
    start, margin = plane.maps + row * plane.n_slots * channels, plane.margin * channels
    end = start + plane.n_slots * channels
    memory.maps[start : start + margin] = 0
    memory.maps[end - margin : end] = 0
    return start + margin


@numba.njit(nogil=True, cache=True, _nrt=False)
def add_as_maps(tag, memory, index, row, first, last, down, reached, maps):  # type: ignore[no-untyped-def]
    """As ``scatter_row``, with the same result. ``maps`` int16 [N] is scratch."""
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    # Weights of a row of taps, and of one of them.
    row_bytes, tap_bytes = 2 * synapse.n_weights // synapse.n_down, 2 * population.padded
    weights_at = memory.weights.ctypes.data + 2 * synapse.weights
    if synapse.pairing:
        row_bytes, tap_bytes = 4 * population.padded * synapse.n_across, 4 * population.padded
        weights_at = memory.weights.ctypes.data + 2 * synapse.pair_weights
    n_met = rows_met(memory, index, row, first, last, down, row_bytes)
    if n_met == 0:
        return
    map_at, pixel_bytes = _map_at(memory, plane, row, maps), 2 * plane.map_channels
    tables, column_bytes = memory.tables, 4 * population.padded
    states_at = memory.states.ctypes.data + 4 * population.states
    for i in range(n_met):
        for p in range(synapse.n_phases):
            phase = synapse.phases + p * N_PHASE
            own = Maps(
                states_at + down[i, 0] + tables[phase + PHASE_COLUMN] * column_bytes,
                map_at + tables[phase + PHASE_SOURCE] * pixel_bytes,
                tables[phase + PHASE_ACROSS] * pixel_bytes,
                tables[phase + PHASE_STEP] * pixel_bytes,
                weights_at + down[i, 1] + tables[phase + PHASE_TAP] * tap_bytes,
                tables[phase + PHASE_COLUMNS],
                np.int64(plane.channels),
                tables[phase + PHASE_TAPS],
                population.padded,
                tables[phase + PHASE_STRIDE] * column_bytes,
                tables[phase + PHASE_APART] * tap_bytes,
                2 * synapse.n_weights,
            )
            if synapse.pairing:
                add_groups(tag, synapse.pairing, own)
            else:
                add_maps(tag, own)
    _reach(memory, index, row, reached)
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _map_at(memory, plane, row, maps):  # type: ignore[no-untyped-def]
    """The address of the first column of a row's map, which is written to ``maps`` unless it stands
    in the memory.
    """
    margin = plane.margin * plane.map_channels
    if memory.n_senders[plane.mapped + row] != NO_MAP:
        start = plane.maps + row * plane.n_slots * plane.map_channels
        return memory.maps.ctypes.data + 2 * (start + margin)
    _unpack(memory, plane, row, maps)
    return maps.ctypes.data + 2 * margin


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _unpack(memory, plane, row, maps):  # type: ignore[no-untyped-def]
    """Write a row's messages to ``maps`` [margin + W + margin, map_channels], else zeros."""
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    messages, channels, margin = memory.messages, plane.map_channels, plane.margin
    maps[: plane.n_slots * channels] = 0
    place = np.uint64(messages_of(plane, row))
    senders_from = plane.senders + row * plane.width
    for s in range(memory.n_senders[plane.n_senders + row]):
        sender = np.int64(memory.senders[senders_from + s])
        column, n = sender & 0xFFFF, sender >> 16
        pixel = np.uint64((margin + column) * channels)
        end = place + np.uint64(in_groups(n))
        # Backwards: what fills up the last group is a zero for channel 0, whose own value follows.
        k = end
        while k != place:
            k -= np.uint64(GROUP)
            for q in range(GROUP - 1, -1, -1):
                packed = messages[k + np.uint64(q)]
                maps[pixel + np.uint64((packed >> 16) & 0xFFFF)] = np.int16(packed)
        place = end


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _reach(memory, index, row, reached):  # type: ignore[no-untyped-def]
    """Mark the columns that a row's messages reach; all where nearly all pixels send. It costs less
    to visit a few more than to look for them, and what nothing reached sends nothing.
    """
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    n_senders, tables, step = memory.n_senders[plane.n_senders + row], memory.tables, synapse.step
    if 8 * n_senders >= 7 * plane.width:
        reached[: population.width] = 1
        return
    runs_from, most_runs, counts_from = synapse.runs, synapse.n_across, synapse.n_runs
    senders_from = plane.senders + row * plane.width
    for s in range(n_senders):
        column = np.int64(memory.senders[senders_from + s] & 0xFFFF)
        run = runs_from + column * most_runs * N_RUN
        for _ in range(tables[counts_from + column]):
            to = tables[run + RUN_FIRST]
            for x in range(tables[run + RUN_LENGTH]):
                reached[to + x * step] = 1
            run += N_RUN
