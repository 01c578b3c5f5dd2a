"""Batches of an epoch, which follow from the seed and the epoch alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ann2sdnn.data.recordings.samples import Follower, PoseSamples, Sample
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.training.trainer import chosen_workers

_MOST_WORKERS = 4


@dataclass(frozen=True)
class Share:
    """Process ``rank`` of ``of``."""

    rank: int = 0
    of: int = 1


def steps_per_epoch(n_samples: int, batch_size: int, share: Share) -> int:
    """Whole batches per epoch and process; raises UsageError where there is none."""
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
    """Sample indices of the batches of this process; an incomplete last batch is left out."""
    steps = steps_per_epoch(n_samples, batch_size, share)
    order = np.random.default_rng((seed, epoch)).permutation(n_samples)
    batches = order[: steps * share.of * batch_size].reshape(steps, share.of, batch_size)
    return [list(map(int, batch)) for batch in batches[:, share.rank]]


def paired(batch: Sequence[int]) -> list[int | Follower]:
    """The first half of ``batch`` (at least one picture), and the pictures that follow these."""
    leaders = batch[: max(1, len(batch) // 2)]
    return [*leaders, *(Follower(leader) for leader in leaders)]


def epoch_loader(
    samples: PoseSamples,
    batches: Sequence[list[int | Follower]],
    *,
    epoch: int,
    workers: int | None,
    pin_memory: bool,
) -> "torch.utils.data.DataLoader[Sample]":
    """Load ``batches`` of ``samples`` with the augmentation of ``epoch``.

    ``workers`` None: no worker processes where the samples lie in memory.
    """
    samples.epoch = epoch  # before worker processes are started, which copy it
    return torch.utils.data.DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=chosen_workers(workers, 0 if samples.cached else _MOST_WORKERS),
        pin_memory=pin_memory,
    )
