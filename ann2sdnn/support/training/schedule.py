"""Schedules of a training: the share that is done, and factors of the learning rate."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def cosine(progress: float) -> float:
    """Factor that falls from 1 to 0 on a cosine as ``progress`` rises from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def warm_up(step: int, steps: int) -> float:
    """Factor that rises linearly over the first ``steps`` steps, and is 1 from there on."""
    return min(1.0, (step + 1) / steps)


def pruned_share(progress: float, *, until: float) -> float:
    """Share of the final sparsity, from 0 to 1, that weights have at ``progress`` of a training.

    It is 1 from ``until`` on, and grows fastest first (Zhu and Gupta 2017, with exponent 3).
    """
    left = 1 - min(1.0, progress / until)
    return 1 - left**3


@dataclass
class Clock:
    """Share of a training that is done: of its steps or of its time, whichever is larger."""

    steps: int | None
    """Steps of the whole training; None where only time ends it."""
    minutes: float | None
    """Time of the whole training; None where only steps end it."""
    elapsed_s: float = 0.0
    """Time of earlier sessions of the same run."""
    agree: Callable[[float], float] = lambda seconds: seconds
    """Makes the time the same in all processes."""
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin to count the time of this session."""
        self.started = time.monotonic() - self.elapsed_s

    @property
    def seconds(self) -> float:
        """Time of the run so far, earlier sessions included."""
        return time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Share of the training that is done after ``step`` steps; 1 or more at its end."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        if self.minutes is None:
            return by_steps
        return max(by_steps, self.agree(self.seconds) / (60 * self.minutes))
