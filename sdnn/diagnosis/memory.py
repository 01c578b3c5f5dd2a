"""How much memory an optimisation step needs, and whether the batch is taken in parts for it."""

from dataclasses import dataclass

from ann2sdnn.support.memory import check_memory, gigabytes

WHOLE_LIMIT = 4 * 10**9
_FLOAT = 4
# Tensors that a step holds for each value that a layer sends (measured with the dhp19-sdnn preset):
# until the backward pass has come by, of all layers; and while one layer is at work.
_KEPT, _WORKING = 6.0, 16.0
_GRADIENTS = 2.5  # of the largest layer's values, of all sequences, where only one is at work
_PACKED = 1 / 32  # a bit for each value, beside those that are not 0
_MORE = 1.5  # than the first sequence's share of values that are not 0
_BASE = 10**9  # interpreter, torch, lava


@dataclass(frozen=True)
class StepMemory:
    """What one layer after another sends for one sequence: ``values`` of which ``nonzero`` are not
    0, input first; ``targets``: values that its output is compared with.
    """

    values: tuple[int, ...]
    nonzero: tuple[int, ...]
    targets: int

    def whole(self, batch: int) -> int:
        """Bytes for a step on ``batch`` sequences at once."""
        kept = _KEPT * sum(self.values) + 2 * self.targets
        return _BASE + round(_FLOAT * batch * kept)

    def in_parts(self, batch: int) -> int:
        """Bytes for the same, one sequence after another."""
        packed = sum(
            min(all_, _MORE * some) + _PACKED * all_
            for all_, some in zip(self.values, self.nonzero, strict=True)
        )
        kept = packed + _GRADIENTS * max(self.values) + 2 * self.targets
        return _BASE + round(_FLOAT * (batch * kept + _WORKING * max(self.values)))


def takes_parts(memory: StepMemory, batch: int, available: int | None) -> bool:
    """Whether the batch is taken one sequence after another: where all at once need more than 4 GB,
    or than is there.

    Raises UsageError where even one after another needs more than the bytes ``available``.
    """
    whole = memory.whole(batch)
    if batch == 1 or whole <= min(WHOLE_LIMIT, whole if available is None else available):
        check_memory(whole, "a step on one sequence", _REMEDY, available=available)
        return False
    check_memory(
        memory.in_parts(batch),
        f"a step on {batch} sequences, one after another,",
        _REMEDY,
        available=available,
    )
    return True


_REMEDY = "give a smaller --batch or fewer --frames, or smaller pictures with --crop or --shrink"


def in_parts_note(memory: StepMemory, batch: int) -> str:
    """What a user is told about a batch in parts."""
    return (
        f"All {batch} sequences of a step at once need about {gigabytes(memory.whole(batch))} of"
        " memory, so they are run one after another and their gradients added up: the same step,"
        " in more time."
    )
