"""The engine's outermost loop: frames through all layers, by one thread or several side by side.

Every thread runs ``run_frames``, and has a band of rows of every layer. A layer's band needs rows
of the layer before that another thread may hold, so all threads meet between layers. Within a band
a row of neurons is settled and sent as soon as all that reaches it has come in, while it is in the
cache.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions import neurons
from ann2sdnn.sdnn.engine.instructions.atomic import meet, ticks
from ann2sdnn.sdnn.engine.instructions.neurons import (
    LARGEST,
    N_COUNTS,
    OVERFLOWS,
    SENT,
    TOO_LARGE,
    VISITED,
)
from ann2sdnn.sdnn.engine.loops.emission import (
    begin,
    emit_pooled_row,
    emit_row,
    leave_row,
    settle_row,
)
from ann2sdnn.sdnn.engine.loops.encoding import encode
from ann2sdnn.sdnn.engine.loops.ends import SCATTER, WAITING, WORK, decode, write
from ann2sdnn.sdnn.engine.loops.maps import add_as_maps, is_dense
from ann2sdnn.sdnn.engine.loops.messages import count_operations, pack_row
from ann2sdnn.sdnn.engine.loops.scatter import (
    add_sums,
    scatter_depthwise,
    scatter_row,
    scatter_row_plainly,
)


class Scratch(NamedTuple):
    """What one thread writes notes on."""

    counts: NDArray[np.int64]
    """[N_COUNTS]."""
    down: NDArray[np.int64]
    """[taps, 2]: at least as many as any layer has by row."""
    reached: NDArray[np.uint8]
    """Zero; at least as many as the widest map has columns."""
    visits: NDArray[np.int32]
    """As many, and some more."""
    window: NDArray[np.int64]
    """At least as many as any pooling window has pixels."""
    maps: NDArray[np.int16]
    """At least as many as the largest row of ``Memory.maps`` has, and some more."""
    changes: NDArray[np.int16]
    """At least as many as the input has values in a row."""
    rows_in: NDArray[np.int64]
    """As many as there are synapses: rows of messages that a synapse has read in this frame."""


(
    MESSAGES,
    CAUSED,
    OPERATIONS,
    OVERFLOWN,
    OVERSIZED,
    TOUCHED,
    N_TOTALS,
) = range(7)
"""Of a layer and frame: messages, the operations that they cause at the synapse whose fan-out the
plane has, operations, overflows, oversized messages, and output pixels that were visited. The input
is layer 0, and has messages only."""

_FEWEST_ROWS = 4  # of a band: its neighbours' messages are read twice


@numba.njit(nogil=True, cache=True, _nrt=False)
def run_frames(tag, memory, ends, frames, outputs, totals, thread, progress, scratch):  # type: ignore[no-untyped-def]
    """Run ``frames`` [T, C, H, W], of the type of ``ends.pixels``, one after another, and write the
    ``outputs`` of each: float32 [T, O, H, W], or [0, O, H, W] where ``ends.decoded``, the last one,
    is all that is wanted.

    ``tag``: a ``Vector``'s. ``totals`` int64 [n_threads, T, L + 1, N_TOTALS] is added to; this is
    ``thread`` of them. ``progress`` is zero.
    """
    n_threads, n_frames, n_planes = totals.shape[0], totals.shape[1], totals.shape[2]
    step, now = 0, ticks(len(ends.ticks) > 0)
    for t in range(n_frames):
        for index in range(n_planes):
            run_step(tag, memory, ends, frames[t], index, totals[:, t, index], thread, scratch)
            step += 1
            now = _note(ends, thread, index, WORK, now)
            meet(progress, thread, n_threads, step)
            now = _note(ends, thread, index, WAITING, now)
        decode(memory, ends, thread, n_threads)
        if len(outputs):
            write(memory, ends, outputs[t], thread, n_threads)
        # The next frame's first messages may take the place of these.
        step += 1
        now = _note(ends, thread, n_planes, WORK, now)
        meet(progress, thread, n_threads, step)
        now = _note(ends, thread, n_planes, WAITING, now)


@numba.njit(nogil=True, cache=True, _nrt=False)
def _note(ends, thread, index, part, start):  # type: ignore[no-untyped-def]
    """Where it is measured, add the ticks since ``start`` to a ``part``; returns the clock."""
    now = ticks(len(ends.ticks) > 0)
    if len(ends.ticks):
        ends.ticks[thread, index, part] += now - start
    return now


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def run_step(tag, memory, ends, frame, index, totals, thread, scratch):  # type: ignore[no-untyped-def]
    """Encode a ``frame``, where ``index`` is 0, or run the layer that sends plane ``index``.

    ``totals`` int64 [n_threads, N_TOTALS].
    """
    n_threads = totals.shape[0]
    own = totals[thread]
    if index == 0:
        height = frame.shape[1]
        first, last = height * thread // n_threads, height * (thread + 1) // n_threads
        n, caused = encode(memory, ends, frame, first, last, scratch.changes)
        own[MESSAGES] += n
        own[CAUSED] += caused
        ends.largest[thread, 0] = ends.largest_message
        return
    population, bound = memory.populations[index - 1], np.int64(0)
    for s in range(population.first_synapse, population.end_synapse):
        for other in range(n_threads):
            bound = max(bound, ends.largest[other, memory.synapses[s].plane])
        if memory.synapses[s].is_counted:
            own[OPERATIONS] += count_operations(memory, s, thread, n_threads)
    ends.largest[thread, index] = _run_layer(
        tag, memory, ends, index - 1, bound, own, thread, n_threads, scratch
    )


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _run_layer(tag, memory, ends, index, bound, totals, thread, n_threads, scratch):  # type: ignore[no-untyped-def]
    """One layer in one frame; returns its largest message. ``bound``: that of what comes in."""
    population = memory.populations[index]
    counts, reached, visits, window = (
        scratch.counts,
        scratch.reached,
        scratch.visits,
        scratch.window,
    )
    counts[:] = 0
    out_first, out_last = _band(memory, index, thread, n_threads)
    first, last = _states_of(population, memory.planes[index + 1], out_first, out_last)
    begin(memory, index, first, last)
    is_exact = bound > population.largest
    out = out_first
    if first < last:
        for s in range(population.first_synapse, population.end_synapse):
            scratch.rows_in[s] = memory.tables[memory.synapses[s].first_needed + first]
        measures, scatter_ticks = len(ends.ticks) > 0, np.int64(0)
        for row in range(first, last):
            start = ticks(measures)
            for s in range(population.first_synapse, population.end_synapse):
                _scatter_until(tag, memory, s, row, first, last, is_exact, scratch)
            if is_exact:
                totals[OVERFLOWN] += add_sums(memory, index, row)
            scatter_ticks += ticks(measures) - start
            if not population.is_pooled:
                fresh = _fresh_row(memory, population, row, scratch.rows_in)
                emit_row(tag, memory, index, row, fresh, counts, visits, scratch.maps)
                leave_row(memory, index, row)
                continue
            settle_row(tag, memory, index, row, counts, visits)
            while population.pool_tiles and out < out_last and _is_complete(population, out, row):
                emit_pooled_row(tag, memory, index, out, counts, window, reached)
                out += 1
        if measures:
            ends.ticks[thread, index + 1, SCATTER] += scatter_ticks
    if population.is_pooled:
        for rest in range(out, out_last):
            emit_pooled_row(tag, memory, index, rest, counts, window, reached)
        for row in range(first, last):
            leave_row(memory, index, row)
    totals[MESSAGES] += counts[SENT]
    totals[CAUSED] += counts[neurons.CAUSED]
    totals[OVERFLOWN] += counts[OVERFLOWS]
    totals[OVERSIZED] += counts[TOO_LARGE]
    totals[TOUCHED] += counts[VISITED]
    return _largest(counts)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _scatter_until(tag, memory, index, row, first, last, is_exact, scratch):  # type: ignore[no-untyped-def]
    """Messages of all input rows at a synapse that complete ``row``, but for those before."""
    synapse, row_in = memory.synapses[index], scratch.rows_in[index]
    n_senders = memory.planes[synapse.plane].n_senders
    while row_in < memory.tables[synapse.needed + row]:
        if memory.n_senders[n_senders + row_in]:
            _scatter(tag, memory, index, row_in, first, last, is_exact, scratch)
        row_in += 1
    scratch.rows_in[index] = row_in


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _scatter(tag, memory, index, row_in, first, last, is_exact, scratch):  # type: ignore[no-untyped-def]
    """Messages of input row ``row_in`` at a synapse."""
    synapse, down, reached = memory.synapses[index], scratch.down, scratch.reached
    population, plane = memory.populations[synapse.population], memory.planes[synapse.plane]
    if is_exact:
        # Other threads may do the same: all write what they read.
        pack_row(memory, plane, row_in)
        start = population.sums
        scatter_row_plainly(memory, index, row_in, first, last, memory.sums, start, reached)
    elif is_dense(memory, index, row_in):
        add_as_maps(tag, memory, index, row_in, first, last, down, reached, scratch.maps)
    elif synapse.is_depthwise:
        scatter_depthwise(memory, index, row_in, first, last, down, reached)
    elif synapse.is_grouped:
        start = population.states
        scatter_row_plainly(memory, index, row_in, first, last, memory.states, start, reached)
    else:
        scatter_row(tag, memory, index, row_in, first, last, down, reached)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _fresh_row(memory, population, row, rows_in):  # type: ignore[no-untyped-def]
    """The first row behind ``row`` that no message of the first synapse has reached so far."""
    synapse, fresh = memory.synapses[population.first_synapse], row + 1
    rows = synapse.rows + (rows_in[population.first_synapse] - 1) * synapse.n_down
    for to in memory.tables[rows : rows + synapse.n_down]:
        fresh = max(fresh, to + 1)
    return fresh


@numba.njit(nogil=True, cache=True, _nrt=False)
def _band(memory, index, thread, n_threads):  # type: ignore[no-untyped-def]
    """Rows of its output that are the ``thread``'s, with about as many arriving messages each."""
    height = memory.planes[index + 1].height
    population = memory.populations[index]
    if n_threads == 1:
        return 0, height
    if height < _FEWEST_ROWS * n_threads or (population.is_pooled and not population.pool_tiles):
        return 0, height if thread == 0 else 0
    n_rows = np.int64(0)
    for s in range(population.first_synapse, population.end_synapse):
        n_rows = max(n_rows, memory.planes[memory.synapses[s].plane].height)
    total = np.int64(0)
    for row in range(n_rows):
        total += _load(memory, population, row, n_rows)
    seen, part, last = np.int64(0), 0, height
    first = 0 if thread == 0 else height
    for row in range(n_rows):
        while part < n_threads - 1 and seen * n_threads >= total * (part + 1):
            part += 1
            limit = row * height // n_rows
            if part == thread:
                first = limit
            if part == thread + 1:
                last = limit
        seen += _load(memory, population, row, n_rows)
    return first, last


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _load(memory, population, row, n_rows):  # type: ignore[no-untyped-def]
    """1, and the messages to all synapses in the rows that are ``row`` of ``n_rows`` on their
    maps.
    """
    load = np.int64(1)
    for s in range(population.first_synapse, population.end_synapse):
        plane = memory.planes[memory.synapses[s].plane]
        for own in range(row * plane.height // n_rows, (row + 1) * plane.height // n_rows):
            load += memory.n_senders[plane.n_messages + own]
    return load


@numba.njit(nogil=True, cache=True, _nrt=False)
def _states_of(population, plane, out_first, out_last):  # type: ignore[no-untyped-def]
    """The rows of states behind the output rows ``out_first`` to ``out_last`` - 1."""
    if not population.is_pooled:
        return out_first, out_last
    if out_first == out_last:
        return 0, 0
    first = out_first * population.pool_down
    last = out_last * population.pool_down
    return first, population.height if out_last == plane.height else last


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _is_complete(population, out, row):  # type: ignore[no-untyped-def]
    """Whether the windows of pooled row ``out`` end with ``row`` or before."""
    return out * population.pool_down + population.pool_height - 1 <= row


@numba.njit(nogil=True, cache=True, _nrt=False)
def _largest(counts):  # type: ignore[no-untyped-def]
    largest = np.int64(0)
    for k in range(LARGEST, N_COUNTS):
        largest = max(largest, counts[k] & 0x7FFFFFFF, counts[k] >> 32)
    return largest
