"""Batches of an epoch: the same ones whenever that epoch is run with the same seed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ann2sdnn.data.recordings.samples import PoseSamples, Sample, default_workers
from ann2sdnn.support.errors import UsageError


@dataclass(frozen=True)
class Share:
    """Which of ``of`` processes this one is."""

    rank: int = 0
    of: int = 1


def steps_per_epoch(n_samples: int, batch_size: int, share: Share) -> int:
    """Whole batches an epoch and process; raises UsageError when there is not even one."""
    steps = n_samples // (batch_size * share.of)
    if not steps:
        raise UsageError(
            f"a batch of {batch_size} pictures on each of {share.of} devices is more than the "
            f"{n_samples} pictures of the training side; choose a smaller batch size"
        )
    return steps


def epoch_batches(
    n_samples: int, batch_size: int, share: Share, *, seed: int, epoch: int
) -> list[list[int]]:
    """Sample indices of this process' batches; an incomplete last batch is left out."""
    steps = steps_per_epoch(n_samples, batch_size, share)
    order = np.random.default_rng((seed, epoch)).permutation(n_samples)
    batches = order[: steps * share.of * batch_size].reshape(steps, share.of, batch_size)
    return [list(map(int, batch)) for batch in batches[:, share.rank]]


def epoch_loader(
    samples: PoseSamples,
    batches: list[list[int]],
    *,
    epoch: int,
    workers: int | None,
    pin_memory: bool,
) -> "torch.utils.data.DataLoader[Sample]":
    """Load ``batches`` of ``samples`` as they look in ``epoch``."""
    samples.epoch = epoch  # before worker processes are started, which copy it
    return torch.utils.data.DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=default_workers(samples) if workers is None else workers,
        pin_memory=pin_memory,
    )


class Stopwatch:
    """Hands batches on and adds up the time that was spent waiting for them."""

    def __init__(self, loader: "torch.utils.data.DataLoader[Sample]") -> None:
        self.loader = loader
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Sample]:
        """Yield the loader's batches."""
        started = time.perf_counter()
        for batch in self.loader:
            self.waited_s += time.perf_counter() - started
            yield batch
            started = time.perf_counter()
