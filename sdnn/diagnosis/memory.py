"""Estimates the memory of an optimisation step and decides whether the batch runs in parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from ann2sdnn.support.memory import check_memory

WHOLE_LIMIT = 4 * 10**9
_FLOAT = 4
# Tensors per value that a layer sends, measured with the dhp19-sdnn preset: kept of every layer
# until the backward pass, and used while one layer runs.
_KEPT, _WORKING = 6.0, 16.0
# With branches, measured with a conversion: kept per value that is read once more, and used while a
# layer runs, per value that it reads or sends.
_KEPT_AGAIN, _WORKING_BOTH = 2.0, 8.0
_GRADIENTS = 2.5  # per value of the largest layer and sequence, when running in parts
_PACKED = 1 / 32  # floats per value: one bit
_MORE = 1.5  # other sequences may have more values that are not 0 than the first
_BASE = 10**9  # interpreter, torch, lava
_REMEDY = "give a smaller --batch or fewer --frames, or smaller pictures with --crop or --shrink"


@dataclass(frozen=True)
class StepMemory:
    """Numbers of values for one sequence.

    ``values``: sent by the input and each layer, of which ``nonzero`` are not 0. ``targets``:
    compared with the output. ``reads``: for each layer which of ``values`` it reads; () for layers
    that read the one before.
    """

    values: tuple[int, ...]
    nonzero: tuple[int, ...]
    targets: int
    reads: Sequence[Sequence[int]] = ()

    def whole(self, batch: int) -> int:
        """Bytes for a step on ``batch`` sequences at once."""
        kept = _KEPT * sum(self.values) + _KEPT_AGAIN * self.read_again + 2 * self.targets
        return _BASE + round(_FLOAT * batch * kept)

    def in_parts(self, batch: int) -> int:
        """Bytes for a step on ``batch`` sequences, one at a time."""
        pairs = zip(self.values, self.nonzero, strict=True)
        packed = sum(min(n, _MORE * nonzero) + _PACKED * n for n, nonzero in pairs)
        kept = packed + _GRADIENTS * max(self.values) + self.waiting + 2 * self.targets
        working = max(_WORKING * max(self.values), _WORKING_BOTH * self.busiest)
        return _BASE + round(_FLOAT * (batch * kept + working))

    @property
    def read_again(self) -> int:
        """Values that layers read beyond the first reader of each."""
        read = [plane for planes in self.reads for plane in planes]
        return sum(self.values[plane] for plane in read) - sum(
            self.values[plane] for plane in set(read)
        )

    @property
    def busiest(self) -> int:
        """The most values that a layer reads and sends."""
        sizes = [
            sum(self.values[plane] for plane in planes) + sent
            for planes, sent in zip(self.reads, self.values[1:], strict=False)
        ]
        return max(sizes, default=0)

    @property
    def waiting(self) -> int:
        """Values whose gradients wait for other readers while a layer runs backwards, at most."""
        last = {plane: index for index, planes in enumerate(self.reads) for plane in planes}
        return max(
            (
                sum(self.values[plane] for plane in last if plane <= index < last[plane])
                for index in range(len(self.reads))
            ),
            default=0,
        )


def takes_parts(memory: StepMemory, batch: int, available: int | None) -> bool:
    """Whether to run one sequence at a time: above 4 GB, or above the bytes ``available``.

    Raises UsageError where that needs more than ``available``, too.
    """
    whole = memory.whole(batch)
    if batch == 1 or whole <= min(WHOLE_LIMIT, whole if available is None else available):
        check_memory(whole, "a step on one sequence", _REMEDY, available=available)
        return False
    what = f"a step on {batch} sequences, one at a time,"
    check_memory(memory.in_parts(batch), what, _REMEDY, available=available)
    return True
