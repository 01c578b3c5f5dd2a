"""The engine's loops over neurons: those that something reached are settled, and may send.

``Memory.touched`` holds a byte per pixel: 1 where a message came in this frame or the pixel has
not been visited yet. Where values come in and not changes, 2 is added for a pixel that was reached
in the frame before: its states start from zero. Rows without such pixels have 0 in
``touched_rows``.
"""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.emit_messages import (
    emit_pixels,
    emit_wide_window,
    emit_window,
    settle_pixel,
)
from ann2sdnn.sdnn.engine.instructions.list_flags import list_flags
from ann2sdnn.sdnn.engine.instructions.neurons import SENT, TOO_LARGE, VISITED, Row
from ann2sdnn.sdnn.engine.instructions.vector import LANES
from ann2sdnn.sdnn.engine.loops.maps import begin_map
from ann2sdnn.sdnn.engine.loops.messages import (
    MAPPED,
    NOT_PACKED,
    clear_row,
    fan_outs_of,
    in_groups,
    pack_row,
)


@numba.njit(nogil=True, cache=True, _nrt=False)
def begin(memory, index, first, last):  # type: ignore[no-untyped-def]
    """Before a frame, in rows ``first`` to ``last`` - 1: states of values start from zero."""
    population = memory.populations[index]
    if not population.receives_changes:
        for row in range(first, last):
            if memory.touched[population.touched_rows + row]:
                for x in range(population.width):
                    if memory.touched[population.touched + row * population.stride + x] & 2:
                        pixel = row * population.width + x
                        start = population.states + pixel * population.padded
                        memory.states[start : start + population.padded] = 0
    if population.sees_all:
        memory.touched[population.touched_rows + first : population.touched_rows + last] = 1
        for row in range(first, last):
            start = population.touched + row * population.stride
            for x in range(start, start + population.width):
                memory.touched[x] |= np.uint8(1)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def emit_row(tag, memory, index, row, fresh, counts, visits, maps):  # type: ignore[no-untyped-def]
    """Messages of a row without pooling. ``fresh``: the row whose states will be fetched next.

    ``counts``: see ``neurons``; ``visits`` and ``maps``: scratch.
    """
    population, plane = memory.populations[index], memory.planes[index + 1]
    if not memory.touched[population.touched_rows + row]:
        clear_row(memory, plane, row)
        return
    n = _visits(tag, memory, population, row, visits)
    map_from = begin_map(memory, plane, row, n)
    counts[VISITED] += n
    offset, slot = row * population.width * population.padded, row * plane.row_slots
    before = counts[SENT]
    is_packed = memory.n_senders[plane.mapped + row] != NOT_PACKED
    n_oversized = counts[TOO_LARGE]
    # Without a map, all pixels write to the same place.
    maps_at, map_bytes = np.int64(maps.ctypes.data), np.int64(0)
    if map_from >= 0:
        maps_at = np.int64(memory.maps.ctypes.data) + 2 * map_from
        map_bytes = 2 * plane.map_channels
    places = Row(
        memory.states.ctypes.data + 4 * (population.states + offset),
        memory.biases.ctypes.data + 4 * population.bias,
        memory.sent.ctypes.data + 4 * (population.sent + offset),
        memory.messages.ctypes.data + 4 * (plane.messages + slot) if is_packed else 0,
        memory.oversized.ctypes.data + 4 * (plane.oversized + slot),
        memory.senders.ctypes.data + 4 * (plane.senders + row * plane.width),
        population.padded // LANES,
        memory.fan_outs.ctypes.data + 4 * fan_outs_of(memory, plane, row),
        memory.tables.ctypes.data + 8 * plane.column_classes,
        maps_at,
        map_bytes,
        memory.states.ctypes.data
        + 4 * (population.states + fresh * population.width * population.padded),
    )
    rules_at = memory.rules.ctypes.data + 8 * population.rules
    memory.n_senders[plane.n_senders + row] = emit_pixels(
        tag, visits.ctypes.data, n, places, counts.ctypes.data, rules_at
    )
    n_messages = counts[SENT] - before
    memory.n_senders[plane.n_messages + row] = n_messages
    if not is_packed and (n_messages < plane.packed_below or counts[TOO_LARGE] > n_oversized):
        pack_row(memory, plane, row)
        memory.n_senders[plane.mapped + row] = MAPPED


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _visits(tag, memory, population, row, visits):  # type: ignore[no-untyped-def]
    """Write the columns of the pixels to be visited to ``visits``; returns how many."""
    flags_at = memory.touched.ctypes.data + population.touched + row * population.stride
    return list_flags(tag, flags_at, population.stride, visits.ctypes.data)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def settle_row(tag, memory, index, row, counts, visits):  # type: ignore[no-untyped-def]
    """Wrap a row's states, before they are pooled."""
    population = memory.populations[index]
    if not memory.touched[population.touched_rows + row]:
        return
    padded = population.padded
    states_at = memory.states.ctypes.data + 4 * (
        population.states + row * population.width * padded
    )
    for k in range(_visits(tag, memory, population, row, visits)):
        settle_pixel(
            states_at + 4 * np.int64(visits[k]) * padded, padded // LANES, counts.ctypes.data
        )


@numba.njit(nogil=True, cache=True, _nrt=False)
def emit_pooled_row(tag, memory, index, row, counts, window, reached):  # type: ignore[no-untyped-def]
    """Messages of a row of pooled neurons, whose pixels are settled.

    ``window`` int64 [pixels of a window] and ``reached`` uint8 [W], which is zero, are scratch.
    """
    population, plane = memory.populations[index], memory.planes[index + 1]
    clear_row(memory, plane, row)
    top = row * population.pool_down - population.pool_above
    bottom = top + population.pool_height
    is_cut = top < 0 or bottom > population.height
    top, bottom = max(top, 0), min(bottom, population.height)
    any_is = False
    flags, new = memory.touched.view(np.uint64), reached.view(np.uint64)
    for y in range(top, bottom):
        if memory.touched[population.touched_rows + y]:
            any_is = True
            start = (population.touched + y * population.stride) // 8
            for k in range(population.stride // 8):
                new[k] |= flags[start + k]
    if not any_is:
        return
    before, n_senders, slot = counts[SENT], 0, row * plane.row_slots
    fan_outs = fan_outs_of(memory, plane, row)
    for x in range(plane.width):
        left = x * population.pool_across - population.pool_before
        right = left + population.pool_width
        is_padded = is_cut or left < 0 or right > population.width
        left, right = max(left, 0), min(right, population.width)
        is_reached = False
        for column in range(left, right):
            is_reached |= reached[column] != 0
        if is_reached:
            counts[VISITED] += 1
            start = np.int64(0) if is_padded else population.pool_start
            box = (top, bottom, left, right)
            own = fan_outs + memory.tables[plane.column_classes + x] * population.padded
            n = _emit_pooled(
                tag, memory, index, (row * plane.width + x, slot, own), start, box, counts, window
            )
            slot += in_groups(n)
            if n:
                sender = plane.senders + row * plane.width + n_senders
                memory.senders[sender] = x | (n << 16)
                n_senders += 1
    for k in range(population.stride // 8):
        new[k] = 0
    memory.n_senders[plane.n_senders + row] = n_senders
    memory.n_senders[plane.n_messages + row] = counts[SENT] - before


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _emit_pooled(tag, memory, index, places, start, box, counts, window):  # type: ignore[no-untyped-def]
    """Messages of a pooled pixel whose window is ``box``: rows and columns, first and end.

    ``places``: of the pixel, its messages and what they cause.
    """
    pixel, slot, fan_outs = places
    population, plane = memory.populations[index], memory.planes[index + 1]
    padded = population.padded
    states_at = memory.states.ctypes.data + 4 * population.states
    top, bottom, left, right = box
    n = 0
    for y in range(top, bottom):
        for column in range(left, right):
            window[n] = states_at + 4 * (y * population.width + column) * padded
            n += 1
    window_at, counts_at = window.ctypes.data, counts.ctypes.data
    rules_at = memory.rules.ctypes.data + 8 * population.rules
    sent = population.sent + pixel * padded
    sent_at = memory.sent.ctypes.data + 4 * sent
    if population.is_wide:
        sent_at = memory.sent_wide.ctypes.data + 8 * sent
    row = Row(
        0,
        memory.biases.ctypes.data + 4 * population.bias,
        sent_at,
        memory.messages.ctypes.data + 4 * (plane.messages + slot),
        memory.oversized.ctypes.data + 4 * (plane.oversized + slot),
        0,
        padded // LANES,
        memory.fan_outs.ctypes.data + 4 * fan_outs,
        0,
        0,
        0,
        0,
    )
    if population.is_wide:
        return emit_wide_window(tag, window_at, n, start, row, counts_at, rules_at)
    return emit_window(tag, window_at, n, start, row, counts_at, rules_at)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def leave_row(memory, index, row):  # type: ignore[no-untyped-def]
    """After a row's messages: what has to be visited in the next frame."""
    population = memory.populations[index]
    if not memory.touched[population.touched_rows + row]:
        return
    flags, first = memory.touched.view(np.uint64), population.touched + row * population.stride
    stays = np.uint64(0)
    kept = np.uint64(0 if population.receives_changes else 0x0101010101010101)
    for k in range(first // 8, (first + population.stride) // 8):
        flags[k] = (flags[k] & kept) << np.uint64(1)
        stays |= flags[k]
    memory.touched[population.touched_rows + row] = stays != 0
