"""Statistics of one layer over a batch, which may be seen in parts."""

import math

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed

_SAMPLE = 10_000


class Watched:
    """Counts and sizes of what a layer did in one optimisation step."""

    def __init__(self) -> None:
        self.n_messages = 0
        self.activation_max = -math.inf
        self._sent: Tensor | None = None  # [C]
        self._energy = 0.0
        self._n_preactivations = 0
        self._positive: list[Tensor] = []
        self._sample: Tensor | None = None

    @torch.no_grad()
    def see(self, observed: Observed) -> None:
        """Add a part of the batch."""
        messages, activation = observed.messages, observed.activation
        axes = tuple(one for one in range(messages.dim()) if one != 1)
        sent = messages.count_nonzero(dim=axes)
        self._sent = sent if self._sent is None else self._sent + sent
        self.n_messages += messages.numel()
        squares = observed.preactivation.square()
        self._energy += float(squares.mean(dtype=torch.float64)) * squares.numel()
        self._n_preactivations += squares.numel()
        self.activation_max = max(self.activation_max, float(activation.max()))
        self._positive.append(activation[activation > 0])

    def finish(self) -> None:
        """Nothing more will be seen: of the activations keep the sample only."""
        self._sample = _evenly(self._positive)
        self._positive = []

    @property
    def events(self) -> int:
        """Messages that are not 0."""
        return 0 if self._sent is None else int(self._sent.sum())

    @property
    def dead_channels(self) -> float:
        """Share of channels that sent nothing at all."""
        return 1.0 if self._sent is None else float((self._sent == 0).float().mean())

    @property
    def preactivation_rms(self) -> float:
        """Root mean square of the pre-activations."""
        return math.sqrt(self._energy / self._n_preactivations)

    def positive(self) -> Tensor:
        """Evenly spaced ones of the activations above 0: a quantile of millions is slow."""
        if self._sample is None:
            self.finish()
        return torch.empty(0) if self._sample is None else self._sample


def _evenly(parts: list[Tensor]) -> Tensor:
    """Every n-th of the values of all ``parts``, as if they were one."""
    every = max(1, sum(len(part) for part in parts) // _SAMPLE)
    found, passed = [], 0
    for part in parts:
        found.append(part[-passed % every :: every])
        passed += len(part)
    return torch.cat(found) if found else torch.empty(0)
