"""The engine's loop over a row in which most neurons send: it is unpacked, then multiplied whole."""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.add_maps import Maps, add_maps
from ann2sdnn.sdnn.engine.instructions.vector import GROUP
from ann2sdnn.sdnn.engine.loops.memory import N_RUN, RUN_FIRST, RUN_LENGTH
from ann2sdnn.sdnn.engine.loops.scatter import in_groups, mark, messages_of, rows_met

_SHARE = 8  # in 16: of a row's neurons that have to send


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def is_dense(memory, index, row):  # type: ignore[no-untyped-def]
    """Whether ``add_as_maps`` is the faster way for the messages of input row ``row``."""
    synapse, plane = memory.synapses[index], memory.planes[index]
    n_messages, n_neurons = memory.n_senders[plane.n_messages + row], plane.width * plane.channels
    return synapse.is_even and 16 * n_messages >= _SHARE * n_neurons


@numba.njit(nogil=True, cache=True, _nrt=False)
def add_as_maps(tag, memory, index, row, first, last, down, reached, maps):  # type: ignore[no-untyped-def]
    """As ``scatter_row``, with the same result. ``maps`` int16 [N] is scratch."""
    synapse, plane = memory.synapses[index], memory.planes[index]
    population = memory.populations[index]
    n_met = rows_met(memory, index, row, first, last, down)
    if n_met == 0:
        return
    _unpack(memory, index, row, reached, maps)
    n_slots = plane.width + 2 * synapse.margin
    for i in range(n_met):
        add_maps(
            tag,
            Maps(
                memory.states.ctypes.data + 4 * population.states + down[i, 0],
                maps.ctypes.data + 4 * (synapse.margin - synapse.first),
                n_slots,
                memory.weights.ctypes.data + 2 * synapse.weights + down[i, 1],
                population.width,
                np.int64(plane.channels),
                synapse.n_across,
                synapse.step,
                population.padded,
                2 * synapse.n_weights,
            ),
        )
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _unpack(memory, index, row, reached, maps):  # type: ignore[no-untyped-def]
    """Write a row's messages to ``maps`` [pairs of channels, margin + W + margin, 2], else zeros.

    Marks the columns that they reach.
    """
    synapse, plane = memory.synapses[index], memory.planes[index]
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    messages, tables, step = memory.messages, memory.tables, synapse.step
    margin = synapse.margin
    pair_values = 2 * (plane.width + 2 * margin)
    maps[: (plane.channels + 1) // 2 * pair_values] = 0
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
                pair = np.uint64(packed >> 17) * np.uint64(pair_values)
                maps[pair + pixel + np.uint64((packed >> 16) & 1)] = np.int16(packed)
        place = end
        run = runs_from + column * most_runs * N_RUN
        for _ in range(tables[counts_from + column]):
            to = tables[run + RUN_FIRST]
            for x in range(tables[run + RUN_LENGTH]):
                reached[to + x * step] = 1
            run += N_RUN
