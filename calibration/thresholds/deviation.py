"""How far outputs lie from reference outputs, and how much of a budget that uses.

Pixels are measured on heat maps of joints, changed classes on outputs of one pixel, relative L2
errors on every output: of several, the root of the mean of their squares. All have 95% intervals
from resampling recordings. In pixels, distances count at most 5 px each, because a few joints that
jump to another peak of their map would otherwise decide the mean; how many jump is limited by
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import balancing
from ann2sdnn.calibration.thresholds.margins import ClassChange, Margins
from ann2sdnn.calibration.thresholds.units import UNITS, Unit
from ann2sdnn.data.pose.capped import CappedDisplacement, Displacement
from ann2sdnn.data.pose.displacement import (
    MIN_CONFIDENCE,
    Pixels,
    bootstrap_interval,
    displacement_px,
)
from ann2sdnn.data.pose.energies import energies
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.planes import separated

Interval: TypeAlias = tuple[float, float]

_MOVED_PER_PX = 0.05  # largest share of joints moved by more than 5 px, per px of the budget


@dataclass(frozen=True)
class Budget:
    """What thresholds may add: at most ``limit`` in ``unit``."""

    unit: Unit
    limit: float

    @property
    def moved_over_5px(self) -> float:
        """The largest share of joints that may move by more than 5 px: 1% for 0.2 px."""
        return _MOVED_PER_PX * self.limit

    def __str__(self) -> str:
        form = UNITS[self.unit]
        limit = form.amount(self.limit, "g")
        return limit if form.suffix else f"{limit} ({form.called})"


@dataclass(frozen=True)
class Deviation:
    """Difference of outputs from the reference's.

    ``error``: relative L2 error, with its 95% ``interval``. ``displacement``: None where the ANN
    is confident of no joint, or outputs are no maps. ``classes``: None where outputs are no
    classes.
    """

    error: float
    interval: Interval | None
    displacement: Displacement | None
    classes: ClassChange | None = None

    def measured(self, unit: Unit) -> float:
        """The value that a budget in ``unit`` bounds."""
        if unit == "error":
            return self.error
        return self._displacement.capped_px if unit == "px" else self._classes.share

    def interval_of(self, unit: Unit) -> Interval | None:
        """The 95% interval of ``measured``."""
        if unit == "error":
            return self.interval
        return self._displacement.interval if unit == "px" else self._classes.interval

    def used(self, budget: Budget) -> float:
        """Share of the budget that is used; up to 1 keeps it. Of classes the upper end of the
        interval is taken, or the count (``ClassChange.bound``).
        """
        if budget.unit == "class":
            return self._classes.bound / budget.limit
        share = self.measured(budget.unit) / budget.limit
        if budget.unit == "error":
            return share
        return max(share, self._displacement.moved_over_5px / budget.moved_over_5px)

    @property
    def _displacement(self) -> Displacement:
        if self.displacement is None:
            raise ValueError("there are no displacements without a confident joint")
        return self.displacement

    @property
    def _classes(self) -> ClassChange:
        if self.classes is None:
            raise ValueError("there are no classes without a frame that has one largest output")
        return self.classes


@dataclass(frozen=True, eq=False)
class Reference:
    """Outputs of one chunk of frames to compare with: decoded joints, and the maps in packed form.

    ``pixels`` [n, J, 2], of frames before they are resized: None for outputs with one pixel per
    channel, and for several outputs. ``maps``: one for each output, of ``shapes``. ``scores``
    [n, K, 1, 1]: as they are, None for outputs that can be no classes.
    """

    pixels: Pixels | None
    maps: "tuple[PackedMaps, ...]"
    shapes: tuple[Shape, ...]
    scores: Tensor | None = None

    @classmethod
    def of(
        cls, outputs: Tensor, shapes: Sequence[Shape] = (), scale: PictureScale = WHOLE
    ) -> "Reference":
        """Of outputs [n, J, H, W]; ``shapes``: of several outputs, which are joined there;
        ``scale``: of frames that were resized.
        """
        own = (outputs.shape[1], outputs.shape[2], outputs.shape[3])
        shapes = tuple(shapes) or (own,)
        scores = outputs.clone() if are_classes(shapes) else None
        maps = tuple(PackedMaps.of(one) for one in separated(outputs, shapes))
        return cls(joints_of(outputs, scale), maps, shapes, scores)

    def errors_of(self, outputs: Tensor) -> NDArray[np.float64]:
        """The energy of the difference of each output; the error of packing is not included."""
        parts = separated(outputs, self.shapes)
        errors = [own.error_of(one) - own.lost for own, one in zip(self.maps, parts, strict=True)]
        return np.array(errors)

    @property
    def energies(self) -> NDArray[np.float64]:
        """The energy of each output."""
        return np.array([own.energy for own in self.maps])


def are_classes(shapes: Sequence[Shape]) -> bool:
    """Whether a network's outputs, of ``shapes``, can be scores of classes: a single output of
    several values of one pixel.
    """
    return len(shapes) == 1 and shapes[0][0] > 1 and tuple(shapes[0][1:]) == (1, 1)


def joints_of(outputs: Tensor, scale: PictureScale = WHOLE) -> Pixels | None:
    """The pixels [n, J, 2] of the joints in maps [n, J, H, W]; None for one pixel per channel.

    ``scale``: of frames that were resized; the pixels are those of the whole picture.
    """
    return scale.to_whole(decode_heatmaps(outputs)[0]) if outputs.shape[2:] != (1, 1) else None


class DeviationMeter:
    """Adds up deviations over recordings, whose sequences (cameras) depend on each other."""

    def __init__(self) -> None:
        self._moved, self._margins = CappedDisplacement(), Margins()
        # Of each output.
        self._error: dict[str, NDArray[np.float64]] = {}
        self._energy: dict[str, NDArray[np.float64]] = {}

    def add(
        self,
        group: str,
        outputs: Tensor,
        pixels: Pixels | None,
        reference: Reference,
        confidence: NDArray[np.float32] | None,
    ) -> None:
        """Add one chunk of the recording ``group``: ``outputs`` [n, J, H, W], their joints
        ``pixels``, and the ANN's ``confidence`` [n, J].
        """
        self._error[group] = self._error.get(group, 0) + reference.errors_of(outputs)
        self._energy[group] = self._energy.get(group, 0) + reference.energies
        if reference.scores is not None:
            self._margins.add(group, reference.scores, outputs)
        if pixels is not None and reference.pixels is not None and confidence is not None:
            self._moved.add(group, displacement_px(reference.pixels, pixels, confidence))

    def result(self) -> Deviation:
        """The deviation over all chunks."""
        by_output = np.array(list(self._energy.values()))
        weights = np.square(balancing(by_output.sum(axis=0).tolist()))
        errors = np.maximum(list(self._error.values()), 0.0) @ weights
        energies = by_output @ weights
        total = max(float(energies.sum()), 1e-30)
        interval = bootstrap_interval(errors, energies)
        return Deviation(
            error=float(np.sqrt(errors.sum() / total)),
            interval=None if interval is None else (interval[0] ** 0.5, interval[1] ** 0.5),
            displacement=self._moved.result(),
            classes=self._margins.result(),
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
