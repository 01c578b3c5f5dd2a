"""Times networks on the same frames, in turns."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ann2sdnn.eval.bench.networks.subject import TimedNetwork
from ann2sdnn.support.progress import Reporter

_CHUNK_FRAMES = 4  # shown to every network at a time


@dataclass(frozen=True)
class Times:
    """Milliseconds of one network in every round: per frame but the first, and of the first."""

    later_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)


@contextlib.contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """How many threads torch has, which all networks follow; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def chunks_of(frames: Tensor) -> Sequence[Tensor]:
    """The frames [T, C, H, W] as networks get them: the first alone, then a few at a time."""
    return (frames[:1], *torch.split(frames[1:], _CHUNK_FRAMES))


def time_networks(
    networks: Mapping[str, TimedNetwork], frames: Tensor, rounds: int, reporter: Reporter
) -> dict[str, Times]:
    """Run every network on ``frames`` [T, C, H, W] in every round, T at least 2.

    Networks that have never run need a round before, to compile and to fill caches.
    """
    times = {name: Times() for name in networks}
    first, *later = chunks_of(frames)
    with reporter.task("Rounds", rounds * len(networks), "runs") as task:
        for _ in range(rounds):
            for name, network in networks.items():
                network.forget()
                started = time.perf_counter()
                _run(network, first)
                begun = time.perf_counter()
                for chunk in later:
                    _run(network, chunk)
                ended = time.perf_counter()
                times[name].first_ms.append((begun - started) * 1e3)
                times[name].later_ms.append((ended - begun) * 1e3 / (len(frames) - 1))
                task.advance(note=name)
    return times


def _run(network: TimedNetwork, frames: Tensor) -> None:
    for _ in network.run(frames):
        pass
