"""The engine's loops over messages: their products with weights are added to states, in integers.

A population's rows of neurons are cut into bands, one for each thread; ``first`` to ``last`` - 1
is one. Index: that of a synapse.
"""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.add_messages import (
    SIDE,
    Square,
    Taps,
    add_messages,
    add_row,
)
from ann2sdnn.sdnn.engine.loops.memory import HALF_RANGE, N_RUN, RUN_FIRST, RUN_LENGTH, RUN_TAP
from ann2sdnn.sdnn.engine.loops.messages import in_groups, message_at, messages_of


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def scatter_row(tag, memory, index, row, first, last, down, reached):  # type: ignore[no-untyped-def]
    """Add the messages of input row ``row`` to the states of a band.

    ``tag``: a ``Vector``'s. ``down`` int64 [n_down, 2] and ``reached`` uint8 [W'], which is zero,
    are scratch.
    """
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    n_senders = memory.n_senders[plane.n_senders + row]
    n_met = rows_met(memory, index, row, first, last, down, 2 * synapse.n_weights // synapse.n_down)
    if n_met == 0:
        return
    messages_at = memory.messages.ctypes.data + 4 * messages_of(plane, row)
    done = 0
    if synapse.is_square and n_met == SIDE:
        whole, end = _whole(memory, synapse, plane.senders + row * plane.width, n_senders)
        messages_at = _add_senders(
            tag, memory, index, row, 0, whole, n_met, messages_at, down, reached
        )
        senders = plane.senders + row * plane.width + whole
        messages_at = _add_square(
            tag, memory, index, senders, end - whole, messages_at, down, reached
        )
        done = end
    _add_senders(tag, memory, index, row, done, n_senders, n_met, messages_at, down, reached)
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def rows_met(memory, index, row, first, last, down, weights_bytes):  # type: ignore[no-untyped-def]
    """How many rows of the band input row ``row`` meets: writes to ``down`` int64 [n_down, 2] where
    their states lie, and where their taps' weights do, in bytes from the first.

    ``weights_bytes``: from the weights of a row of taps to those of the next.
    """
    synapse = memory.synapses[index]
    population = memory.populations[synapse.population]
    n_down, row_bytes = synapse.n_down, 4 * population.width * population.padded
    n_met = 0
    for i in range(n_down):
        to = memory.tables[synapse.rows + row * n_down + i]
        if first <= to < last:
            down[n_met, 0] = to * row_bytes
            down[n_met, 1] = i * weights_bytes
            n_met += 1
    return n_met


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _whole(memory, synapse, senders, n):  # type: ignore[no-untyped-def]
    """Of ``n`` senders from place ``senders``, the first that meets all taps, and the next that
    does not: columns at a border meet fewer.
    """
    first, end = 0, n
    while first < n and memory.senders[senders + first] & 0xFFFF < synapse.first_whole:
        first += 1
    while end > first and memory.senders[senders + end - 1] & 0xFFFF >= synapse.end_whole:
        end -= 1
    return first, end


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _add_square(tag, memory, index, senders, n, messages_at, down, reached):  # type: ignore[no-untyped-def]
    """Messages of ``n`` pixels from place ``senders``, each meeting all taps of a square kernel.

    Returns the address behind the last message.
    """
    synapse = memory.synapses[index]
    population = memory.populations[synapse.population]
    states_at = memory.states.ctypes.data + 4 * population.states
    top, middle, bottom = down[0, 0], down[1, 0], down[2, 0]
    newest = max(top, bottom)
    square = Square(
        states_at + top,
        states_at + middle,
        states_at + bottom,
        states_at + newest,
        # Of pooled neurons it lies elsewhere; any address may be fetched.
        memory.sent.ctypes.data + 4 * population.sent + newest,
        memory.weights.ctypes.data + 2 * synapse.weights,
        synapse.first,
        synapse.across,
        synapse.step,
        population.padded,
        reached.ctypes.data,
    )
    return add_row(tag, square, memory.senders.ctypes.data + 4 * senders, n, messages_at)


@numba.njit(nogil=True, cache=True, _nrt=False)
def _add_senders(tag, memory, index, row, done, end, n_met, messages_at, down, reached):  # type: ignore[no-untyped-def]
    """Messages of the senders ``done`` to ``end`` - 1 of a row, for any kernel.

    They go to the ``n_met`` rows that stand in ``down``. Returns the address behind the last.
    """
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    padded = population.padded
    channel_bytes = 2 * synapse.n_weights
    # Addresses and numbers, no slices or fields in the loop: the compiler cannot know that a store
    # leaves them as they are.
    states_at = memory.states.ctypes.data + 4 * population.states
    weights_at = memory.weights.ctypes.data + 2 * synapse.weights
    down_at, step = down.ctypes.data, synapse.step
    runs_from, most_runs, counts_from = synapse.runs, synapse.n_across, synapse.n_runs
    senders_from = plane.senders + row * plane.width
    for k in range(done, end):
        sender = np.int64(memory.senders[senders_from + k])
        column, n = sender & 0xFFFF, sender >> 16
        run = runs_from + column * most_runs * N_RUN
        for _ in range(memory.tables[counts_from + column]):
            to = memory.tables[run + RUN_FIRST]
            length = memory.tables[run + RUN_LENGTH]
            for x in range(length):
                reached[to + x * step] = 1
            taps = Taps(
                weights_at + 2 * memory.tables[run + RUN_TAP] * padded,
                down_at,
                n_met,
                length,
                4 * step * padded,
                padded,
                channel_bytes,
            )
            add_messages(tag, states_at + 4 * to * padded, taps, messages_at, n)
            run += N_RUN
        messages_at += 4 * in_groups(n)
    return messages_at


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def mark(memory, population, synapse, row, first, last, reached):  # type: ignore[no-untyped-def]
    """Mark the ``reached`` columns in all rows of the band that input row ``row`` meets."""
    flags, new = memory.touched.view(np.uint64), reached.view(np.uint64)
    n_words = population.stride // 8
    for i in range(synapse.n_down):
        to = memory.tables[synapse.rows + row * synapse.n_down + i]
        if first <= to < last:
            start = (population.touched + to * population.stride) // 8
            for k in range(n_words):
                flags[start + k] |= new[k]
            memory.touched[population.touched_rows + to] = 1
    for k in range(n_words):
        new[k] = 0


@numba.njit(nogil=True, cache=True, _nrt=False)
def scatter_row_plainly(memory, index, row, first, last, sums, start, reached):  # type: ignore[no-untyped-def]
    """As ``scatter_row``, one product after another, into ``sums`` from ``start`` [H', W', P'].

    For messages of any size where ``sums`` is int64, and for weights in groups.
    """
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    tables, outputs = memory.tables, synapse.group_outputs
    place = messages_of(plane, row)
    for s in range(memory.n_senders[plane.n_senders + row]):
        sender = np.int64(memory.senders[plane.senders + row * plane.width + s])
        column, n = sender & 0xFFFF, sender >> 16
        for k in range(n):
            channel, message = message_at(memory, plane, place + k)
            to_channel = channel // synapse.group_inputs * outputs
            for r in range(tables[synapse.n_runs + column]):
                run = synapse.runs + (column * synapse.n_across + r) * N_RUN
                for j in range(tables[run + RUN_LENGTH]):
                    tap, to = tables[run + RUN_TAP] + j, tables[run + RUN_FIRST] + j * synapse.step
                    reached[to] = 1
                    for i in range(synapse.n_down):
                        to_row = tables[synapse.rows + row * synapse.n_down + i]
                        if not first <= to_row < last:
                            continue
                        weight = (channel * synapse.n_down + i) * synapse.n_across + tap
                        weight = synapse.plain_weights + weight * outputs
                        pixel_to = to_row * population.width + to
                        neuron = start + pixel_to * population.padded + to_channel
                        for o in range(outputs):
                            sums[neuron + o] += message * np.int64(memory.weights[weight + o])
        place += in_groups(n)
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False)
def scatter_depthwise(memory, index, row, first, last, down, reached):  # type: ignore[no-untyped-def]
    """As ``scatter_row``, where each channel has outputs of its own: one product after another."""
    synapse = memory.synapses[index]
    plane, population = memory.planes[synapse.plane], memory.populations[synapse.population]
    n_met = rows_met(memory, index, row, first, last, down, 2 * synapse.n_weights // synapse.n_down)
    if n_met == 0:
        return
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    messages, states, weights = memory.messages, memory.states, memory.weights
    tables, senders = memory.tables, memory.senders
    outputs, padded, step = np.uint64(synapse.group_outputs), population.padded, synapse.step
    tap_weights, is_one_to_one = plane.channels * synapse.group_outputs, outputs == 1
    runs_from, most_runs, counts_from = synapse.runs, synapse.n_across, synapse.n_runs
    states_from, weights_from = population.states, synapse.weights
    senders_from, place = plane.senders + row * plane.width, np.uint64(messages_of(plane, row))
    for s in range(memory.n_senders[plane.n_senders + row]):
        sender = np.int64(senders[senders_from + s])
        column, n = sender & 0xFFFF, sender >> 16
        end = place + np.uint64(n)
        run = runs_from + column * most_runs * N_RUN
        for _ in range(tables[counts_from + column]):
            for x in range(tables[run + RUN_LENGTH]):
                to, tap = tables[run + RUN_FIRST] + x * step, tables[run + RUN_TAP] + x
                reached[to] = 1
                for i in range(n_met):
                    pixel = np.uint64(states_from + down[i, 0] // 4 + to * padded)
                    own = np.uint64(weights_from + down[i, 1] // 2 + tap * tap_weights)
                    for k in range(place, end):
                        packed = messages[k]
                        message = np.int64(np.int16(packed))
                        channel = np.uint64((packed >> 16) & 0xFFFF)
                        if is_one_to_one:
                            states[pixel + channel] += message * np.int64(weights[own + channel])
                            continue
                        for o in range(channel * outputs, (channel + np.uint64(1)) * outputs):
                            states[pixel + o] += message * np.int64(weights[own + o])
            run += N_RUN
        place += np.uint64(in_groups(n))
    mark(memory, population, synapse, row, first, last, reached)


@numba.njit(nogil=True, cache=True, _nrt=False)
def add_sums(memory, index, row):  # type: ignore[no-untyped-def]
    """Add a row's exact sums to its states, wrapped to 24 bits; returns how many wrapped.

    Index: that of a population.
    """
    population = memory.populations[index]
    overflows = 0
    if not memory.touched[population.touched_rows + row]:
        return overflows
    for x in range(population.width):
        pixel = row * population.width + x
        if memory.touched[population.touched + row * population.stride + x]:
            for c in range(population.padded):
                neuron = pixel * population.padded + c
                reached = memory.sums[population.sums + neuron] + np.int64(
                    memory.states[population.states + neuron]
                )
                state = ((reached + HALF_RANGE) & (2 * HALF_RANGE - 1)) - HALF_RANGE
                overflows += state != reached
                memory.states[population.states + neuron] = state
                memory.sums[population.sums + neuron] = 0
    return overflows
