"""The engine's loop over a frame that is given as the pixels that changed, as events change it.

Pixels are numbers (row * W + column) * C + channel in ascending order: row by row, and within a row
in the order in which an encoded frame has them.
"""

import numba
import numpy as np

from ann2sdnn.sdnn.engine.instructions.atomic import meet
from ann2sdnn.sdnn.engine.loops.ends import decode
from ann2sdnn.sdnn.engine.loops.frames import CAUSED, MESSAGES, run_step
from ann2sdnn.sdnn.engine.loops.messages import (
    clear_row,
    end_row,
    fan_outs_of,
    messages_of,
    send,
)


@numba.njit(nogil=True, cache=True, _nrt=False)
def are_ascending(at, n_pixels):  # type: ignore[no-untyped-def]
    """Whether all of ``at`` are pixels of an input of ``n_pixels``, each beyond the one before."""
    before = -1
    for pixel in at:
        if not before < pixel < n_pixels:
            return False
        before = pixel
    return True


@numba.njit(nogil=True, cache=True, _nrt=False)
def run_pixels(tag, memory, ends, at, values, totals, thread, progress, scratch):  # type: ignore[no-untyped-def]
    """One frame through all layers, as ``run_frames``: the one before, with ``values`` uint8 [n] in
    the pixels ``at`` int64 [n].

    ``totals`` int64 [n_threads, 1, L + 1, N_TOTALS].
    """
    n_threads, n_planes = totals.shape[0], totals.shape[2]
    if thread == 0:
        encode_pixels(memory, ends, at, values, totals[0, 0, 0])
    ends.largest[thread, 0] = ends.largest_message
    meet(progress, thread, n_threads, 1)
    for index in range(1, n_planes):
        run_step(tag, memory, ends, ends.pixels, index, totals[:, 0, index], thread, scratch)
        meet(progress, thread, n_threads, index + 1)
    decode(memory, ends, thread, n_threads)


@numba.njit(nogil=True, cache=True, _nrt=False)
def encode_pixels(memory, ends, at, values, totals):  # type: ignore[no-untyped-def]
    """Messages of the input, which remembers. ``totals`` int64 [N_TOTALS] is added to."""
    plane = memory.planes[0]
    channels, width = plane.channels, plane.width
    # Three numbers per row, 6 KB for 260 rows: less than the layers look through.
    for row in range(plane.height):
        clear_row(memory, plane, row)
    k = 0
    while k < len(at):
        row = at[k] // (width * channels)
        end = (row + 1) * width * channels
        own = n_senders = 0
        place, fan_outs = messages_of(plane, row), fan_outs_of(memory, plane, row)
        while k < len(at) and at[k] < end:
            pixel, n = at[k] // channels, 0
            x = pixel - row * width
            while k < len(at) and at[k] < (pixel + 1) * channels:
                c = at[k] - pixel * channels
                change = np.int64(values[k]) - np.int64(ends.pixels[c, row, x])
                if abs(change) >= ends.least_change:
                    memory.messages[place + n] = (c << 16) | ((change * ends.gain) & 0xFFFF)
                    caused = memory.tables[plane.column_classes + x] * channels + c
                    totals[CAUSED] += memory.fan_outs[fan_outs + caused]
                    ends.pixels[c, row, x] = values[k]
                    n += 1
                k += 1
            if n:
                place = send(memory, plane, row, n_senders, x, n, place)
                n_senders += 1
                own += n
        end_row(memory, plane, row, n_senders, own)
        totals[MESSAGES] += own
