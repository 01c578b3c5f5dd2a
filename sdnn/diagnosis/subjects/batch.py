"""A batch that layers run in parts: sequences, or a few of them, one after another.

lava-dl's MeanOnlyBatchNorm takes off the mean of the whole batch. It is found first, from all
parts, and then given to each of them; nothing else makes one sequence depend on the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.packed import Packed
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage


def _nothing(*_: Observed) -> None:
    """Nobody watches, and nothing is remembered."""


@dataclass(frozen=True, eq=False)
class Sent:
    """What one layer's neurons, or the input's, sent: ``parts`` of the batch."""

    parts: tuple[Packed, ...]

    @property
    def n_sequences(self) -> int:
        """Of all parts."""
        return sum(one.shape[0] for one in self.parts)

    @property
    def n_messages(self) -> int:
        """Values, zeros too."""
        return sum(one.shape.numel() for one in self.parts)

    @property
    def events(self) -> int:
        """Values that are not 0."""
        return sum(len(one.values) for one in self.parts)

    @property
    def mean_size(self) -> float:
        """Mean magnitude, zeros too."""
        total = sum(float(one.values.abs().sum(dtype=torch.float64)) for one in self.parts)
        return total / self.n_messages


@torch.no_grad()
def batch_mean(stage: Stage, arrived: Sent) -> Tensor | None:
    """[C]: the mean that the layer's norm takes off, over the batch; None where it has no norm."""
    if not stage.couples:
        return None
    # Of all at once, so that it is rounded as the whole batch's is.
    return joined(stage.drive, arrived).flatten(2).mean(dim=(0, 2))


@torch.no_grad()
def run_layer(
    stage: Stage,
    arrived: Sent,
    mean: Tensor | None,
    *,
    reset: Callable[[], None] = _nothing,
    watch: Callable[[Observed], None] = _nothing,
) -> Sent:
    """What a layer sends for what ``arrived``, with ``batch_mean`` taken off.

    ``reset`` forgets the part before; ``watch`` sees each part.
    """
    parts = []
    for one in arrived.parts:
        reset()
        seen = stage.observe(one.unpacked(), mean)
        watch(seen)
        parts.append(Packed.of(seen.messages))
    return Sent(tuple(parts))


@torch.no_grad()
def joined(compute: Callable[[Tensor], Tensor], arrived: Sent) -> Tensor:
    """``compute`` of every part, in one tensor [N, ...]."""
    found: Tensor | None = None
    first = 0
    for one in arrived.parts:
        own = compute(one.unpacked())
        if found is None:
            found = own.new_empty(arrived.n_sequences, *own.shape[1:])
        found[first : first + len(own)] = own
        first += len(own)
    assert found is not None, "a batch has a part"
    return found
