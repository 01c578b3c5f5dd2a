"""The engine's memory: a few large arrays, and tables that say where in them each layer's lie.

So one compiled function runs networks of any depth. Weights are even, so sums, states and
activations are even numbers of their unit: the engine holds all of them halved, in int32. Neurons
lie [H, W, P]: channels last, padded to P, a multiple of ``LANES``.
"""

import contextlib
import mmap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HALF_RANGE = 1 << 22
"""A halved state of 24 bits lies in [-HALF_RANGE, HALF_RANGE)."""

_LINE = 64  # bytes of a cache line; vectors that cross it are slow
_LARGE_PAGE = 1 << 21  # bytes


def _table(*names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names])


_FAN_OUT = (
    "fan_out",  # in ``Memory.fan_outs`` [row classes, column classes, lanes]: what a message causes
    "row_classes",  # in ``Memory.tables`` [H]: rows of a class reach the same taps
    "column_classes",  # in ``Memory.tables`` [W]
    "n_column_classes",
    "n_lanes",  # C, padded but for the input
)
"""Operations that the messages of a plane cause at one synapse."""

PLANE = _table(
    "height",
    "width",
    "channels",
    "row_slots",  # messages per row that there is room for
    "messages",  # in ``Memory.messages`` [H, row_slots], packed; see below
    "senders",  # in ``Memory.senders`` [H, W]: the pixels of each row that send, packed
    "n_senders",  # in ``Memory.n_senders`` [H]
    "n_messages",  # in ``Memory.n_senders`` [H]: of all pixels of a row
    "oversized",  # in ``Memory.oversized`` [H, row_slots]: numbers, where messages do not fit
    "maps",  # in ``Memory.maps`` [H, n_slots, map_channels]: messages by pixel and channel, else 0
    "mapped",  # in ``Memory.n_senders`` [H]: ``NO_MAP``, ``MAPPED`` or ``NOT_PACKED``
    "margin",  # columns of zeros before and behind a row of ``maps``
    "n_slots",  # W and both margins; 0 where nothing reads maps
    "worth_a_map",  # messages of a row from which on a reader takes a map of it
    "packed_below",  # messages of a row below which a reader takes them, or more than there can be
    "map_channels",  # C, padded; an even number for the input
    "column_fan_out",  # of the input: in ``Memory.fan_outs`` [row classes, C, W], its fan-out
    *_FAN_OUT,  # of the synapse whose operations are counted while messages are written
)
"""The messages of the input or of one population in one frame, as its receivers read them.

A sender is a column in the lower 16 bits, and above them how many messages its pixel sends. They
lie in the order of their senders, one pixel's behind the other's, each filled up with zeros to
whole groups (``GROUP``). A message has its channel in the upper 16 bits, its value in the lower.
"""

SYNAPSE = _table(
    "plane",  # that it reads
    "population",  # that it leads to
    "n_down",  # taps
    "n_across",
    "rows",  # in ``Memory.tables`` [H, n_down]: the output row of each tap, or ``NOWHERE``
    "runs",  # in ``Memory.tables`` [W, n_across, N_RUN]: see ``RUN``
    "n_runs",  # in ``Memory.tables`` [W]
    "step",  # columns from one output of a run to the next
    "n_weights",  # of one channel; where it is depthwise, of all
    "needed",  # in ``Memory.tables`` [H']: input rows that output rows up to this one need
    "first_needed",  # in ``Memory.tables`` [H']: the first one that this or a later row needs
    "weights",  # in ``Memory.weights`` [C, n_down, n_across, P'], in the order of the kernel;
    # where it is depthwise [n_down, n_across, C, outputs]
    "is_square",  # whether ``add_row`` serves columns ``first_whole`` to ``end_whole`` - 1
    "first_whole",
    "end_whole",
    "first",  # see ``Square``, as the next two
    "across",
    "phases",  # in ``Memory.tables`` [n_phases, N_PHASE]: see ``PHASE``
    "n_phases",  # zero where neither ``add_maps`` nor ``add_groups`` serves
    "share",  # in 16: of a row's neurons that have to send
    "margin",  # columns of zeros that they need before and behind a row of maps
    "pairing",  # of ``add_groups``; zero where it does not serve
    "pair_weights",  # in ``Memory.weights`` [n_down, n_across, P', 2]: those of ``add_groups``
    "plain_weights",  # in ``Memory.weights`` [C, n_down, n_across, outputs]
    "group_inputs",
    "group_outputs",
    "is_grouped",
    "is_depthwise",  # whether ``scatter_depthwise`` serves: each channel has outputs of its own
    "is_counted",  # whether its operations are counted by itself, with the fields that follow
    *_FAN_OUT,
)
"""What leads from a plane to a population."""

N_RUN = 3
RUN_FIRST, RUN_TAP, RUN_LENGTH = range(N_RUN)
"""A run: output columns, one ``step`` apart, that an input column reaches by taps whose weights lie
side by side. The first column, the place of its tap, and how many."""

N_PHASE = 9
(
    PHASE_COLUMN,
    PHASE_COLUMNS,
    PHASE_STRIDE,
    PHASE_TAP,
    PHASE_TAPS,
    PHASE_APART,
    PHASE_SOURCE,
    PHASE_STEP,
    PHASE_ACROSS,
) = range(N_PHASE)
"""Output columns and taps that meet all of them: all columns, or every s-th behind a transposed
convolution of stride s; all taps, or every s-th of a convolution of stride s. The first column, how
many, and from one to the next; the place of the first tap, how many, and from one to the next; the
input column that the first tap leads to the first output column, how far before it the next tap's
is, and how far behind it the one of the next output column.
"""

POPULATION = _table(
    "first_synapse",  # its synapses follow one another
    "end_synapse",
    "largest",  # message with which no sum over all synapses can leave 32 bits
    "height",
    "width",
    "padded",
    "states",  # in ``Memory.states`` [H, W, P]
    "sums",  # in ``Memory.sums`` [H, W, P]
    "touched",  # in ``Memory.touched`` [H, stride]; see ``emission``
    "stride",  # bytes of a row of ``touched``, a multiple of ``LANES``
    "touched_rows",  # in ``Memory.touched`` [H]
    "bias",  # in ``Memory.biases`` [P]
    "rules",  # in ``Memory.rules``
    "is_wide",
    "sent",  # in ``Memory.sent``, or ``sent_wide`` where it is wide: [H', W', P]
    "receives_changes",
    "sees_all",
    "is_pooled",
    "pool_height",
    "pool_width",
    "pool_down",
    "pool_across",
    "pool_above",
    "pool_before",
    "pool_start",  # what activations are pooled with in a window inside the map; else zero
    "pool_tiles",  # windows neither overlap nor leave gaps
)
"""One population of neurons."""


class Memory(NamedTuple):
    """All arrays of one engine; compiled loops take it as it is."""

    planes: NDArray[Any]
    synapses: NDArray[Any]
    populations: NDArray[Any]
    tables: NDArray[np.int64]
    weights: NDArray[np.int16]
    biases: NDArray[np.int32]
    fan_outs: NDArray[np.int32]
    rules: NDArray[np.int64]
    states: NDArray[np.int32]
    sums: NDArray[np.int64]
    sent: NDArray[np.int32]
    sent_wide: NDArray[np.int64]
    touched: NDArray[np.uint8]
    messages: NDArray[np.int32]
    maps: NDArray[np.int16]
    oversized: NDArray[np.int32]
    senders: NDArray[np.uint32]
    n_senders: NDArray[np.int64]


KINDS: Mapping[str, type[np.generic]] = {
    "tables": np.int64,
    "weights": np.int16,
    "biases": np.int32,
    "fan_outs": np.int32,
    "rules": np.int64,
    "states": np.int32,
    "sums": np.int64,
    "sent": np.int32,
    "sent_wide": np.int64,
    "touched": np.uint8,
    "messages": np.int32,
    "maps": np.int16,
    "oversized": np.int32,
    "senders": np.uint32,
    "n_senders": np.int64,
}


class Place(NamedTuple):
    """A part of one of the memory's arrays."""

    array: str
    start: int
    shape: tuple[int, ...]

    def view(self, memory: Memory) -> NDArray[Any]:
        """It, as an array of its shape."""
        whole: NDArray[Any] = getattr(memory, self.array)
        return whole[self.start : self.start + int(np.prod(self.shape))].reshape(self.shape)


class Builder:
    """Collects what an engine needs, then makes the arrays: zeros, but for what was given."""

    def __init__(self) -> None:
        self._sizes = dict.fromkeys(KINDS, 0)
        self._contents: list[tuple[Place, NDArray[Any]]] = []

    def reserve(self, array: str, *shape: int) -> Place:
        """Room for ``shape`` in ``array``, at the start of a cache line."""
        items = _LINE // np.dtype(KINDS[array]).itemsize
        start = self._sizes[array]
        self._sizes[array] = start + -(-int(np.prod(shape)) // items) * items
        return Place(array, start, shape)

    def hold(self, array: str, values: NDArray[Any]) -> int:
        """Keep ``values`` in ``array``; returns where."""
        place = self.reserve(array, *values.shape)
        self._contents.append((place, values))
        return place.start

    def share(self, array: str, sizes: Sequence[int], until: Sequence[int]) -> list[Place]:
        """Room for ``sizes``, written one after another; each is kept until number ``until`` of it
        has been written, and its place may be taken then.
        """
        lengths, kept, owners = list[int](), list[int](), list[int]()
        for index, (size, last) in enumerate(zip(sizes, until, strict=True)):
            free = [room for room, end in enumerate(kept) if end < index]
            if not free:
                free = [len(lengths)]
                lengths.append(0)
                kept.append(0)
            # The least that is large enough, else the largest.
            own = max(free, key=lambda room: (min(lengths[room], size), -lengths[room]))
            lengths[own], kept[own] = max(lengths[own], size), last
            owners.append(own)
        rooms = [self.reserve(array, length) for length in lengths]
        return [rooms[own] for own in owners]

    def build(
        self, planes: NDArray[Any], synapses: NDArray[Any], populations: NDArray[Any]
    ) -> Memory:
        """The memory."""
        arrays = {
            name: _aligned_zeros(size + _LINE, KINDS[name]) for name, size in self._sizes.items()
        }
        memory = Memory(planes, synapses, populations, **arrays)
        for place, values in self._contents:
            place.view(memory)[:] = values
        return memory


def _aligned_zeros(n: int, kind: type[np.generic]) -> NDArray[Any]:
    """Zeros whose memory the system hands out only where something is written.

    In large pages where there are any: a layer's neurons lie far apart, and the processor can look
    up few small pages at a time.
    """
    n_bytes = n * np.dtype(kind).itemsize
    if n_bytes < _LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        raw = np.zeros(n_bytes + _LINE, np.uint8)
        start = -raw.ctypes.data % _LINE
        return raw[start : start + n_bytes].view(kind)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    pages = mmap.mmap(-1, n_bytes + _LARGE_PAGE, flags=flags)
    with contextlib.suppress(OSError):  # a system without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(pages, np.uint8)
    start = -raw.ctypes.data % _LARGE_PAGE
    return raw[start : start + n_bytes].view(kind)
