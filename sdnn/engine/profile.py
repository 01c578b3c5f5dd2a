"""Where the engine's time goes: ticks of the processor's clock by layer, and what they are in
seconds.
"""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.instructions.atomic import ticks as read_clock
from ann2sdnn.sdnn.engine.loops.ends import SCATTER, WAITING, WORK
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS, TOUCHED
from ann2sdnn.support.errors import UsageError

_HAVE_A_CLOCK = ("x86_64", "AMD64", "x86", "i686")  # one that programs may read everywhere


@dataclass(frozen=True, eq=False)
class Profile:
    """Time and work of an SDNN with L layers in the engine: sums over ``frames`` frames.

    Arrays [L + 2] are of the input, each layer, and decoding. Several threads meet behind each
    layer. Their times are means over the threads, so ``work`` and ``waiting`` add up to the time
    from one meeting to the next, which the slowest thread makes.
    """

    frames: int
    threads: int
    seconds: float
    """By the wall clock. What exceeds all ``work`` and ``waiting`` was spent outside of the
    compiled loops: in Python, and until the other threads had begun."""
    work: NDArray[np.float64]
    """[L + 2] seconds."""
    scatter: NDArray[np.float64]
    """[L + 2] seconds of ``work``, in which messages met weights and were added to states."""
    waiting: NDArray[np.float64]
    """[L + 2] seconds in which threads waited for others."""
    messages: NDArray[np.int64]
    """[L + 1]: sent by the input and each layer."""
    operations: NDArray[np.int64]
    """[L + 1]: synaptic operations; none in the input."""
    visited: NDArray[np.float64]
    """[L + 1]: share of the neurons that were visited to see whether they send; all of a pixel are
    visited together. NaN for the input."""


class Stopwatch:
    """The wall clock and the processor's, started together."""

    def __init__(self) -> None:
        """Raises UsageError for a processor whose clock programs may not read."""
        if platform.machine() not in _HAVE_A_CLOCK:
            raise UsageError(
                f"a profile needs a clock of the processor that programs may read, and"
                f" {platform.machine()} has none; run it on x86"
            )
        read_clock(True)  # it is compiled by its first call
        self._started = time.perf_counter(), read_clock(True)

    def profile(
        self,
        ticks: NDArray[np.int64],
        counts: NDArray[np.int64],
        shapes: Sequence[Shape],
        n_frames: int,
    ) -> Profile:
        """What ran since the start.

        ``ticks`` int64 [n_threads, L + 2, N_TICKS] and ``counts`` int64 [L + 1, N_TOTALS] are sums
        over ``n_frames`` frames, ``shapes`` those of the input and each layer.
        """
        seconds = time.perf_counter() - self._started[0]
        seconds_per_tick = seconds / (read_clock(True) - self._started[1])
        times = ticks.mean(axis=0) * seconds_per_tick
        pixels = np.array([height * width for _, height, width in shapes])
        visited = counts[:, TOUCHED] / (pixels * n_frames)
        visited[0] = np.nan
        return Profile(
            frames=n_frames,
            threads=len(ticks),
            seconds=seconds,
            work=times[:, WORK],
            scatter=times[:, SCATTER],
            waiting=times[:, WAITING],
            messages=counts[:, MESSAGES],
            operations=counts[:, OPERATIONS],
            visited=visited,
        )
