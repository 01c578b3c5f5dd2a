"""How far outputs lie from reference outputs, and how much of a budget that uses.

Pixels are measured on heat maps of joints, relative L2 errors on every output. Both have 95%
intervals from resampling recordings. In pixels, distances count at most 5 px each, because a few
joints that jump to another peak of their map would otherwise decide the mean; how many jump is
limited by itself.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.capped import CappedDisplacement, Displacement
from ann2sdnn.data.pose.displacement import (
    MIN_CONFIDENCE,
    bootstrap_interval,
    displacement_px,
)
from ann2sdnn.data.pose.energies import energies
from ann2sdnn.data.pose.heatmaps import decode_heatmaps

Unit: TypeAlias = Literal["px", "error"]
Interval: TypeAlias = tuple[float, float]

_MOVED_PER_PX = 0.05  # largest share of joints moved by more than 5 px, per px of the budget


@dataclass(frozen=True)
class Budget:
    """What thresholds may add: ``limit`` in pixels, or as a relative error of the output."""

    unit: Unit
    limit: float

    @property
    def moved_over_5px(self) -> float:
        """The largest share of joints that may move by more than 5 px: 1% for 0.2 px."""
        return _MOVED_PER_PX * self.limit

    def __str__(self) -> str:
        return f"{self.limit:g} px" if self.unit == "px" else f"{self.limit:g} (relative error)"


@dataclass(frozen=True)
class Deviation:
    """Difference of outputs from the reference's.

    ``error``: relative L2 error, with its 95% ``interval``. ``displacement``: None where the ANN
    is confident of no joint, or outputs are no maps.
    """

    error: float
    interval: Interval | None
    displacement: Displacement | None

    def measured(self, unit: Unit) -> float:
        """The value that a budget in ``unit`` bounds."""
        return self.error if unit == "error" else self._displacement.capped_px

    def interval_of(self, unit: Unit) -> Interval | None:
        """The 95% interval of ``measured``."""
        return self.interval if unit == "error" else self._displacement.interval

    def used(self, budget: Budget) -> float:
        """Share of the budget that is used; up to 1 keeps it."""
        share = self.measured(budget.unit) / budget.limit
        if budget.unit == "error":
            return share
        return max(share, self._displacement.moved_over_5px / budget.moved_over_5px)

    @property
    def _displacement(self) -> Displacement:
        if self.displacement is None:
            raise ValueError("there are no displacements without a confident joint")
        return self.displacement


@dataclass(frozen=True, eq=False)
class Reference:
    """Outputs of one chunk of frames to compare with: decoded joints, and the maps in packed form.

    ``pixels`` [n, J, 2]: None for outputs with one pixel per channel.
    """

    pixels: NDArray[np.int64] | None
    maps: "PackedMaps"

    @classmethod
    def of(cls, outputs: Tensor) -> "Reference":
        """Of outputs [n, J, H, W]."""
        return cls(joints_of(outputs), PackedMaps.of(outputs))


def joints_of(outputs: Tensor) -> NDArray[np.int64] | None:
    """The pixels [n, J, 2] of the joints in maps [n, J, H, W]; None for one pixel per channel."""
    return decode_heatmaps(outputs)[0] if outputs.shape[2:] != (1, 1) else None


class DeviationMeter:
    """Adds up deviations over recordings, whose sequences (cameras) depend on each other."""

    def __init__(self) -> None:
        self._moved = CappedDisplacement()
        self._error: defaultdict[str, float] = defaultdict(float)
        self._energy: defaultdict[str, float] = defaultdict(float)

    def add(
        self,
        group: str,
        outputs: Tensor,
        pixels: NDArray[np.int64] | None,
        reference: Reference,
        confidence: NDArray[np.float32] | None,
    ) -> None:
        """Add one chunk of the recording ``group``: ``outputs`` [n, J, H, W], their joints
        ``pixels``, and the ANN's ``confidence`` [n, J].
        """
        maps = reference.maps
        # The error of packing is not this network's.
        self._error[group] += maps.error_of(outputs) - maps.lost
        self._energy[group] += maps.energy
        if pixels is not None and reference.pixels is not None and confidence is not None:
            self._moved.add(group, displacement_px(reference.pixels, pixels, confidence))

    def result(self) -> Deviation:
        """The deviation over all chunks."""
        errors = np.maximum(list(self._error.values()), 0.0)
        energies = np.array(list(self._energy.values()))
        total = max(float(energies.sum()), 1e-30)
        interval = bootstrap_interval(errors, energies)
        return Deviation(
            error=float(np.sqrt(errors.sum() / total)),
            interval=None if interval is None else (interval[0] ** 0.5, interval[1] ** 0.5),
            displacement=self._moved.result(),
        )


@dataclass(frozen=True, eq=False)
class PackedMaps:
    """An output in half precision: half the memory, at 1% of the errors that matter.

    ``lost``: the energy of the error of packing; ``energy``: of the output.
    """

    peak: float
    values: Tensor
    lost: float
    energy: float

    @classmethod
    def of(cls, outputs: Tensor) -> "PackedMaps":
        """Of outputs [n, J, H, W]."""
        outputs = outputs.contiguous()  # as an engine's are, which it is compared with
        low, high = torch.aminmax(outputs)
        peak = max(-float(low), float(high)) or 1.0
        packed = cls(peak, (outputs / peak).half(), 0.0, 0.0)
        _, energy = energies(outputs, outputs, np.float32(1))
        return replace(packed, lost=packed.error_of(outputs), energy=energy)

    def error_of(self, outputs: Tensor) -> float:
        """The energy of the difference of ``outputs`` from the packed ones."""
        error, _ = energies(outputs, self.values.float(), np.float32(self.peak))
        return error


def confident(confidence: Sequence[NDArray[np.float32] | None]) -> int:
    """Number of joints of which the ANN is confident."""
    return sum(int((each > MIN_CONFIDENCE).sum()) for each in confidence if each is not None)
