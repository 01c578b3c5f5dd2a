"""Estimates the memory of an optimisation step and decides whether the batch runs in parts."""

from dataclasses import dataclass

from ann2sdnn.support.memory import check_memory

WHOLE_LIMIT = 4 * 10**9
_FLOAT = 4
# Tensors per value that a layer sends, measured with the dhp19-sdnn preset: kept of every layer
# until the backward pass, and used while one layer runs.
_KEPT, _WORKING = 6.0, 16.0
_GRADIENTS = 2.5  # per value of the largest layer and sequence, when running in parts
_PACKED = 1 / 32  # floats per value: one bit
_MORE = 1.5  # other sequences may have more values that are not 0 than the first
_BASE = 10**9  # interpreter, torch, lava
_REMEDY = "give a smaller --batch or fewer --frames, or smaller pictures with --crop or --shrink"


@dataclass(frozen=True)
class StepMemory:
    """Numbers of values for one sequence.

    ``values``: sent by the input and each layer, of which ``nonzero`` are not 0. ``targets``:
    compared with the output.
    """

    values: tuple[int, ...]
    nonzero: tuple[int, ...]
    targets: int

    def whole(self, batch: int) -> int:
        """Bytes for a step on ``batch`` sequences at once."""
        kept = _KEPT * sum(self.values) + 2 * self.targets
        return _BASE + round(_FLOAT * batch * kept)

    def in_parts(self, batch: int) -> int:
        """Bytes for a step on ``batch`` sequences, one at a time."""
        pairs = zip(self.values, self.nonzero, strict=True)
        packed = sum(min(n, _MORE * nonzero) + _PACKED * n for n, nonzero in pairs)
        kept = packed + _GRADIENTS * max(self.values) + 2 * self.targets
        return _BASE + round(_FLOAT * (batch * kept + _WORKING * max(self.values)))


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
