"""The engine's loop over the input: pixels that changed are its messages."""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.vector import GROUP
from ann2sdnn.sdnn.engine.loops.maps import clear_margins
from ann2sdnn.sdnn.engine.loops.messages import (
    MAPPED,
    NOT_PACKED,
    clear_row,
    end_row,
    in_groups,
    messages_of,
)

_SPAN = 16  # columns that are looked at together


@numba.njit(nogil=True, cache=True, _nrt=False)
def encode(memory, ends, frame, first, last, changes):  # type: ignore[no-untyped-def]
    """Messages of rows ``first`` to ``last`` - 1 of a ``frame``; returns how many, and the
    operations that they cause.

    They are changes from what was last sent, or all that is not zero, of ``ends.least_change`` or
    more. ``changes`` int16 [C, W] is scratch.
    """
    plane = memory.planes[0]
    n_messages, caused = np.int64(0), np.int64(0)
    for row in range(first, last):
        if not ends.input_remembers:
            ends.pixels[:, row] = 0
        clear_row(memory, plane, row)
        if not _differs(frame, ends.pixels, row):
            continue
        n, operations = _note_changes(memory, ends, frame, row, changes)
        n_messages += n
        caused += operations
        if plane.n_slots > 0 and n >= plane.worth_a_map:
            _write_map(memory, plane, row, changes)
        if plane.n_slots > 0 and n >= plane.packed_below:
            memory.n_senders[plane.mapped + row] = NOT_PACKED
            n_senders = _list_senders(memory, plane, row, changes)
        else:
            n_senders = _pack(memory, plane, row, changes)
        end_row(memory, plane, row, n_senders, n)
    return n_messages, caused


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _differs(frame, pixels, row):  # type: ignore[no-untyped-def]
    """Whether a ``row`` is another than that of ``pixels``."""
    differs = pixels.dtype.type(0)
    for c in range(frame.shape[0]):
        for x in range(frame.shape[2]):
            differs |= frame[c, row, x] ^ pixels[c, row, x]
    return differs != 0


@numba.njit(nogil=True, cache=True, _nrt=False)
def _note_changes(memory, ends, frame, row, changes):  # type: ignore[no-untyped-def]
    """Write the messages of a ``row`` to ``changes``, zeros where nothing is sent, and what is sent
    to ``ends.pixels``. Returns how many messages there are, and the operations that they cause.

    Nothing is decided by a single pixel, so that vector instructions serve.
    """
    plane = memory.planes[0]
    # No fields in the loops: the compiler cannot know that a store leaves them as they are.
    width, gain, least = np.uint64(plane.width), np.int16(ends.gain), ends.least_change
    keeps_sent = ends.input_remembers and least > 1
    after, before = frame.reshape(-1), ends.pixels.reshape(-1)
    row_class = memory.tables[plane.row_classes + row]
    costs = memory.fan_outs
    n, caused = np.int64(0), np.int64(0)
    for c in range(plane.channels):
        here = np.uint64((c * plane.height + row) * plane.width)
        to = np.uint64(c * plane.width)
        own = np.uint64(plane.column_fan_out + (row_class * plane.channels + c) * plane.width)
        for x in range(width):
            new, old = after[here + x], before[here + x]
            change = np.int32(np.int32(new) - np.int32(old))
            sends = abs(change) >= least
            changes[to + x] = np.int16(change) * gain if sends else np.int16(0)
            before[here + x] = new if sends or not keeps_sent else old
            caused += np.int64(costs[own + x]) if sends else np.int64(0)
            n += np.int64(sends)
    return n, caused


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _write_map(memory, plane, row, changes):  # type: ignore[no-untyped-def]
    """Write a row's map."""
    start = clear_margins(memory, plane, row)
    memory.n_senders[plane.mapped + row] = MAPPED
    maps, apart, width = memory.maps, np.uint64(plane.map_channels), np.uint64(plane.width)
    for c in range(plane.channels):
        own, place = np.uint64(c * plane.width), np.uint64(start + c)
        for x in range(width):
            maps[place] = changes[own + x]
            place += apart
    for c in range(plane.channels, plane.map_channels):
        place = np.uint64(start + c)
        for _ in range(width):
            maps[place] = 0
            place += apart


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _list_senders(memory, plane, row, changes):  # type: ignore[no-untyped-def]
    """Write which pixels of a row send, and how many messages; returns how many do."""
    senders, senders_from = memory.senders, np.uint64(plane.senders + row * plane.width)
    width, n_senders = np.uint64(plane.width), np.uint64(0)
    # Numbers first, by vectors; then those that are not zero move together.
    for x in range(width):
        senders[senders_from + x] = x
    for c in range(plane.channels):
        own = np.uint64(c * plane.width)
        for x in range(width):
            n = np.uint32(1 << 16) if changes[own + x] != 0 else np.uint32(0)
            senders[senders_from + x] += n
    for x in range(width):
        sender = senders[senders_from + x]
        senders[senders_from + n_senders] = sender
        n_senders += np.uint64(sender > 0xFFFF)
    return np.int64(n_senders)


@numba.njit(nogil=True, cache=True, _nrt=False)
def _pack(memory, plane, row, changes):  # type: ignore[no-untyped-def]
    """Write a row's messages and senders; returns how many pixels send.

    Which pixels change is hard to predict, so all of some that lie side by side are written where
    one does.
    """
    messages, senders = memory.messages, memory.senders
    senders_from = np.uint64(plane.senders + row * plane.width)
    channels, width = np.uint64(plane.channels), plane.width
    place, n_senders = np.uint64(messages_of(plane, row)), np.uint64(0)
    for first in range(0, width, _SPAN):
        end = min(first + _SPAN, width)
        any_is = np.int16(0)
        for c in range(plane.channels):
            for x in range(c * width + first, c * width + end):
                any_is |= changes[x]
        if any_is == 0:
            continue
        for x in range(np.uint64(first), np.uint64(end)):
            n = np.uint64(0)
            for c in range(channels):
                message = np.int64(changes[c * np.uint64(width) + x])
                messages[place + n] = (np.int64(c) << 16) | (message & 0xFFFF)
                n += np.uint64(message != 0)
            # What fills up the last group; the rest of it is written again by the next pixel.
            for k in range(GROUP):
                messages[place + n + np.uint64(k)] = 0
            senders[senders_from + n_senders] = x | (n << np.uint64(16))
            n_senders += np.uint64(n > 0)
            place += np.uint64(in_groups(np.int64(n)))
    return np.int64(n_senders)
