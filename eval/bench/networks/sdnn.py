"""The SDNN in the engine, at lava's operating point and its own, and in slayer."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.eval.bench.networks.subject import NotTimedError, Subject, TimedNetwork
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend
from ann2sdnn.sdnn.lava.importing import has_lava
from ann2sdnn.support.progress import Reporter

_COMPARED_AT_ONCE = 2  # frames whose messages are held of two backends


def make_backends(
    conversion: OpenedConversion, *, with_slayer: bool = True
) -> tuple[Backend, Backend | None]:
    """Engine and slayer at lava's operating point; None where lava is not installed or not wanted.

    Raises UsageError for a network with memoryless layers, which slayer does not have.
    """
    slayer = make_backend("slayer", conversion.spec) if with_slayer and has_lava() else None
    return make_backend("engine", conversion.spec), slayer


def compare_messages(subject: Subject, reporter: Reporter) -> tuple[int, bool | None]:
    """Number of messages compared (silence included), and whether all are equal; None for none."""
    if subject.slayer is None:
        return 0, None
    compared, equal = 0, True
    with reporter.task("Messages compared", len(subject.frames), "frames") as task:
        for chunk in torch.split(subject.frames, _COMPARED_AT_ONCE):
            first, second = (
                backend.run(chunk, keep_messages=True).messages
                for backend in (subject.engine, subject.slayer)
            )
            if first is None or second is None:
                return 0, None
            equal = equal and len(first) == len(second)
            for ours, theirs in zip(first, second, strict=False):
                compared += ours.numel()
                equal = equal and torch.equal(ours, theirs)
            task.advance(len(chunk))
    return compared, equal if compared else None


def engine_network(subject: Subject) -> TimedNetwork:
    """Lava's operating point in the engine."""
    return _of_backend(subject.engine)


def own_point_network(subject: Subject) -> TimedNetwork | None:
    """The engine's own operating point; None where the conversion has none."""
    point = subject.conversion.points.engine
    return None if point is None else _of_backend(make_backend("engine", point))


def slayer_network(subject: Subject) -> TimedNetwork:
    """Lava's operating point in slayer; NotTimedError where lava is not installed."""
    if subject.slayer is None:
        raise NotTimedError(
            "slayer was not timed: it needs lava-dl, which pip installs on Python 3.10 only"
        )
    return _of_backend(subject.slayer)


def _of_backend(backend: Backend) -> TimedNetwork:
    if not isinstance(backend, Engine):
        return TimedNetwork(backend.reset, lambda frames: iter(backend.run(frames).outputs))

    def run(frames: Tensor) -> Iterator[Tensor]:
        for frame in frames:
            yield backend.step(frame).output

    return TimedNetwork(backend.reset, run)
