"""The engine's two ends: what it keeps of the frame before, and what the host has summed up."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions.neurons import OVERSIZED
from ann2sdnn.sdnn.engine.loops.messages import in_groups, message_at, messages_of
from ann2sdnn.sdnn.spec.spec import Spec

HEAD = np.dtype(
    [
        ("plane", np.int64),
        ("first", np.int64),  # in ``Ends.received`` and ``Ends.decoded``
        ("scale", np.int64),  # in ``Ends.scale``
    ]
)
"""An output of the network."""

WORK, SCATTER, WAITING, N_TICKS = range(4)
"""A thread's ticks of the processor's clock: what a layer took, the scatter among it, and the wait
for other threads behind it."""


class Ends(NamedTuple):
    """What an engine keeps for its two ends, the frames and the host."""

    pixels: NDArray[np.uint8] | NDArray[np.int16]
    """[C, H, W]: in pixels or in levels, for which the loops are compiled. What was last sent, or
    the frame before where the input is memoryless."""
    gain: np.int64
    """Message units per count of a pixel, or 1 for levels."""
    least_change: np.int64
    """That is sent, in what ``pixels`` has: 1 for every change."""
    largest_message: np.int64
    """Bound of the input's messages."""
    input_remembers: bool
    largest: NDArray[np.int64]
    """[n_threads, L + 1]: bound of the messages of each plane."""
    heads: NDArray[Any]
    """The outputs; see ``HEAD``."""
    received: NDArray[np.int64]
    """The sum of all messages to the host: of each output [H, W, O], one after another."""
    decoded: NDArray[np.float32]
    """The same in units of the original network's output: of each output [O, H, W], in the shape of
    the network's output."""
    message_step: np.float32
    scale: NDArray[np.float32]
    """Of all channels of all outputs."""
    output_remembers: bool
    ticks: NDArray[np.int64]
    """[n_threads, L + 2, N_TICKS]: of the input, each layer, and decoding; added to. Of no thread
    where nothing is measured."""


def ends_of(spec: Spec, stateful: tuple[bool, ...]) -> Ends:
    """Those of a new engine for ``spec``, whose input and layers are ``stateful`` or not."""
    code, planes = spec.input_code, spec.output_planes
    pixels: NDArray[np.uint8] | NDArray[np.int16] = np.zeros(spec.input_shape, np.uint8)
    if not code.is_plain:
        pixels = np.zeros(spec.input_shape, np.int16)
    gain = int(code.gain) if code.is_plain else 1
    scales = [spec.layers[plane - 1].scale for plane in planes]
    sizes = [int(np.prod(shape)) for shape in spec.output_shapes]
    heads = np.zeros(len(planes), HEAD)
    heads["plane"] = planes
    heads["first"][1:] = np.cumsum(sizes[:-1])
    heads["scale"][1:] = np.cumsum([scale.size for scale in scales[:-1]])
    return Ends(
        pixels=pixels,
        gain=np.int64(gain),
        least_change=np.int64(max(1, -(-code.threshold // gain))),
        largest_message=np.int64(code.largest_message),
        input_remembers=stateful[0],
        largest=np.zeros((1, len(stateful)), np.int64),
        heads=heads,
        received=np.zeros(sum(sizes), np.int64),
        decoded=np.zeros(spec.output_shape, np.float32),
        message_step=np.float32(spec.grid.message_step),
        scale=np.concatenate(scales).astype(np.float32),
        output_remembers=stateful[planes[0]],
        ticks=np.zeros((0, len(stateful) + 1, N_TICKS), np.int64),
    )


@numba.njit(nogil=True, cache=True, _nrt=False)
def decode(memory, ends, thread, n_threads):  # type: ignore[no-untyped-def]
    """Add the messages of all outputs to what the host has summed up, and decode the sums.

    A part of the rows for each thread.
    """
    for k in range(len(ends.heads)):
        head = ends.heads[k]
        plane = memory.planes[head.plane]
        first = plane.height * thread // n_threads
        last = plane.height * (thread + 1) // n_threads
        if not ends.output_remembers:
            _forget(ends, head, plane, first, last)
        _decode_rows(memory, ends, head, plane, first, last)


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _forget(ends, head, plane, first, last):  # type: ignore[no-untyped-def]
    decoded, n_pixels = ends.decoded.reshape(-1), plane.height * plane.width
    begin, end = first * plane.width, last * plane.width
    ends.received[head.first + begin * plane.channels : head.first + end * plane.channels] = 0
    for c in range(plane.channels):
        start = head.first + c * n_pixels
        decoded[start + begin : start + end] = 0


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def _decode_rows(memory, ends, head, plane, first, last):  # type: ignore[no-untyped-def]
    # No fields in the loop: the compiler cannot know that a store leaves them as they are.
    received, decoded, messages = ends.received, ends.decoded.reshape(-1), memory.messages
    channels, n_pixels = np.uint64(plane.channels), np.uint64(plane.height * plane.width)
    scale, step, start = ends.scale, ends.message_step, np.uint64(head.first)
    scale_from = np.uint64(head.scale)
    for row in range(first, last):
        place, senders = np.uint64(messages_of(plane, row)), plane.senders + row * plane.width
        for s in range(memory.n_senders[plane.n_senders + row]):
            sender = memory.senders[senders + s]
            pixel = np.uint64(row * plane.width) + np.uint64(sender & 0xFFFF)
            for k in range(place, place + np.uint64(sender >> 16)):
                packed = messages[k]
                channel, message = np.uint64((packed >> 16) & 0xFFFF), np.int64(np.int16(packed))
                if message == OVERSIZED:
                    message = message_at(memory, plane, np.int64(k))[1]
                own = start + pixel * channels + channel
                total = received[own] + message
                received[own] = total
                value = np.float32(total) * step / scale[scale_from + channel]
                decoded[start + channel * n_pixels + pixel] = value
            place += np.uint64(in_groups(np.int64(sender >> 16)))


@numba.njit(nogil=True, cache=True, _nrt=False)
def write(memory, ends, output, thread, n_threads):  # type: ignore[no-untyped-def]
    """Copy what is decoded to ``output`` float32, in the shape of ``ends.decoded``: the rows that
    the thread decoded.
    """
    source, target = ends.decoded.reshape(-1), output.reshape(-1)
    for h in range(len(ends.heads)):
        plane = memory.planes[ends.heads[h].plane]
        height, width = plane.height, plane.width
        first, last = height * thread // n_threads, height * (thread + 1) // n_threads
        for c in range(plane.channels):
            start = ends.heads[h].first + c * height * width
            for k in range(start + first * width, start + last * width):
                target[k] = source[k]
