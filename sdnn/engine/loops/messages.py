"""Planes: where the messages of a row lie, how they are written and read; see ``PLANE``."""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.neurons import OVERSIZED
from ann2sdnn.sdnn.engine.instructions.vector import GROUP

NO_MAP, MAPPED, NOT_PACKED = range(3)
"""Whether a row has no map, a map too, or a map only: its messages are not packed, only its senders
are listed."""


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def messages_of(plane, row):  # type: ignore[no-untyped-def]
    """Where the messages of a ``row`` begin."""
    return plane.messages + row * plane.row_slots


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def in_groups(n):  # type: ignore[no-untyped-def]
    """The places that ``n`` messages of a pixel take."""
    return (n + GROUP - 1) & -GROUP


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def message_at(memory, plane, place):  # type: ignore[no-untyped-def]
    """Channel and value of the message at ``place``."""
    packed = np.int64(memory.messages[place])
    channel, low = (packed >> 16) & 0xFFFF, packed & 0xFFFF
    message = low - ((low & 0x8000) << 1)
    if message == OVERSIZED:
        message = np.int64(memory.oversized[plane.oversized + place - plane.messages])
    return channel, message


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def clear_row(memory, plane, row):  # type: ignore[no-untyped-def]
    """Note that nothing of a row is sent."""
    for numbers in (plane.n_senders, plane.n_messages, plane.mapped):
        memory.n_senders[numbers + row] = 0


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def send(memory, plane, row, n_senders, column, n, place):  # type: ignore[no-untyped-def]
    """Note that a pixel sends the ``n`` messages at ``place``; returns the place of the next."""
    memory.senders[plane.senders + row * plane.width + n_senders] = column | (n << 16)
    end = place + in_groups(n)
    memory.messages[place + n : end] = 0
    return end


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def end_row(memory, plane, row, n_senders, n_messages):  # type: ignore[no-untyped-def]
    """Note how many pixels of a row send, and how many messages."""
    memory.n_senders[plane.n_senders + row] = n_senders
    memory.n_senders[plane.n_messages + row] = n_messages


@numba.njit(nogil=True, cache=True, _nrt=False)
def pack_row(memory, plane, row):  # type: ignore[no-untyped-def]
    """Write the messages of a row that has a map only.

    Every place is written once: threads that do so side by side write the same.
    """
    if memory.n_senders[plane.mapped + row] != NOT_PACKED:
        return
    start = plane.maps + (row * plane.n_slots + plane.margin) * plane.map_channels
    dense = plane.oversized + row * plane.row_slots
    place = messages_of(plane, row)
    for s in range(memory.n_senders[plane.n_senders + row]):
        sender = np.int64(memory.senders[plane.senders + row * plane.width + s])
        offset, n = (sender & 0xFFFF) * plane.map_channels, place
        for c in range(plane.channels):
            message = np.int64(memory.maps[start + offset + c])
            if message == 0:
                continue
            memory.messages[n] = (c << 16) | (message & 0xFFFF)
            if message == OVERSIZED:
                # In the same plane, no place is behind the one that is read.
                whole = memory.oversized[dense + offset + c]
                memory.oversized[plane.oversized + n - plane.messages] = whole
            n += 1
        end = place + in_groups(n - place)
        memory.messages[n:end] = 0
        place = end


@numba.njit(nogil=True, cache=True, _nrt=False)
def unpack(memory, index, maps):  # type: ignore[no-untyped-def]
    """Write the messages of plane ``index`` into ``maps`` int64 [C, H, W], which are zero."""
    plane = memory.planes[index]
    for row in range(plane.height):
        pack_row(memory, plane, row)
        place = messages_of(plane, row)
        for s in range(memory.n_senders[plane.n_senders + row]):
            sender = np.int64(memory.senders[plane.senders + row * plane.width + s])
            x, n = sender & 0xFFFF, sender >> 16
            for k in range(n):
                channel, message = message_at(memory, plane, place + k)
                maps[channel, row, x] = message
            place += in_groups(n)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def fan_outs_of(memory, counted, row):  # type: ignore[no-untyped-def]
    """Where what the messages of a ``row`` cause begins, [column classes, lanes].

    ``counted``: the plane or the synapse that has the tables.
    """
    row_class = memory.tables[counted.row_classes + row]
    return counted.fan_out + row_class * counted.n_column_classes * counted.n_lanes


@numba.njit(nogil=True, cache=True, _nrt=False)
def count_operations(memory, index, thread, n_threads):  # type: ignore[no-untyped-def]
    """Operations that the messages of the ``thread``'s part of the rows cause at a synapse."""
    synapse = memory.synapses[index]
    plane = memory.planes[synapse.plane]
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    messages, own, n_lanes, operations = (
        memory.messages,
        memory.fan_outs,
        synapse.n_lanes,
        np.int64(0),
    )
    for row in range(plane.height * thread // n_threads, plane.height * (thread + 1) // n_threads):
        place, senders = np.uint64(messages_of(plane, row)), plane.senders + row * plane.width
        fan_outs = fan_outs_of(memory, synapse, row)
        for s in range(memory.n_senders[plane.n_senders + row]):
            sender = np.int64(memory.senders[senders + s])
            n = np.uint64(sender >> 16)
            column_class = memory.tables[synapse.column_classes + (sender & 0xFFFF)]
            start = np.uint64(fan_outs + column_class * n_lanes)
            for k in range(place, place + n):
                operations += own[start + np.uint64((messages[k] >> 16) & 0xFFFF)]
            place += np.uint64(in_groups(sender >> 16))
    return operations
