"""The order of a run's steps: what may change places so that fewer layers are needed."""

from collections.abc import Sequence
from dataclasses import replace

from ann2sdnn.graph.onnx.elements import Clip, Leaky, Pooling, Step


def ordered(steps: Sequence[Step]) -> list[Step]:
    """The steps in an order that needs fewer layers; only values between them differ."""
    return _pooled_before_leaky(_joined_clips(_clipped_before_padding(_joined_clips(steps))))


def _joined_clips(steps: Sequence[Step]) -> list[Step]:
    """The steps with each Clip that follows another one joined with it."""
    joined: list[Step] = []
    for step in steps:
        last = joined[-1].element if joined else None
        if isinstance(step.element, Clip) and isinstance(last, Clip):
            low, high = step.element.low, step.element.high
            both = Clip(last.name, min(max(last.low, low), high), min(max(last.high, low), high))
            joined[-1] = Step(both, step.tensor)
        else:
            joined.append(step)
    return joined


def _clipped_before_padding(steps: Sequence[Step]) -> list[Step]:
    """The steps with each ReLU or Clip moved before the padded max poolings that it follows.

    Both commute, and after a ReLU padding with zeros is padding with minus infinity.
    """
    ordered: list[Step] = []
    for step in steps:
        start = len(ordered)
        if isinstance(step.element, Clip) and step.element.low >= 0:
            while start and _is_max_pooling(ordered[start - 1]):
                start -= 1
        moved = ordered[start:]
        if not any(isinstance(m.element, Pooling) and any(m.element.pool.pads) for m in moved):
            ordered.append(step)
            continue
        # Only the output of the last step is the same as before.
        ordered[start:] = [replace(other, tensor=None) for other in (step, *moved)]
        ordered[-1] = replace(ordered[-1], tensor=step.tensor)
    return ordered


def _pooled_before_leaky(steps: Sequence[Step]) -> list[Step]:
    """The steps with each rising LeakyReLU moved behind the max poolings that follow it.

    Both commute, and there are fewer values after the pooling.
    """
    ordered: list[Step] = []
    for step in steps:
        before = ordered[-1].element if ordered else None
        pool = step.element.pool if isinstance(step.element, Pooling) else None
        rises = isinstance(before, Leaky) and bool((before.slope >= 0).all())
        if rises and pool is not None and pool.kind == "max" and not any(pool.pads):
            ordered[-1:] = [Step(step.element, None), replace(ordered[-1], tensor=step.tensor)]
        else:
            ordered.append(step)
    return ordered


def _is_max_pooling(step: Step) -> bool:
    return isinstance(step.element, Pooling) and step.element.pool.kind == "max"
