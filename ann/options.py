"""What a training run is told; every field is recorded in its ``train.json``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ann2sdnn.data.cameras import FRONT_CHANNELS, N_CAMERAS
from ann2sdnn.data.samples import Augmentation
from ann2sdnn.recorded_options import RecordedOptions

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

# Where nothing else is asked for: of a new network, and of one that is fine-tuned.
LEARNING_RATE, FINE_TUNING_RATE = 1e-3, 2e-4
AWARE_SHARE, FINE_TUNING_AWARE_SHARE = 0.4, 1.0


@dataclass(frozen=True)
class TrainOptions(RecordedOptions):
    """Options of a training run; raises UsageError for values that cannot work.

    ``epochs``: passes over the training side; the learning rate follows the share that is done.
    ``max_minutes``: stop after that wall-clock time, the schedule then follows the time instead.
    ``batch_size``: pictures a step and device.
    ``learning_rate``: of RMSprop (rho 0.9, epsilon 1e-7, as in the DHP19 paper's code) before
    ``lr_steps``, the shares of the training after each of which it is multiplied by
    ``lr_factor``; over the first ``warmup_steps`` steps it grows from zero.
    ``crop``: (height, width) in pixels of the windows trained on, None for whole frames.
    ``mirror``: flip half of the pictures left to right (left and right joints change places).
    ``channels``: cameras of the frame files.
    ``output_slope``: what the last ReLU passes of negative values during training only.
    ``validation_frames``: whole pictures of the test side that are decoded, spread evenly, every
    ``validate_every`` epochs and after the last one.
    ``init``: file of the network to start from (``ann.initial``), None for a new one.
    ``conversion_aware``: put the weights on lava's grid for the last ``aware_share`` of the
    training.
    ``workers``: processes that read data; None chooses.
    ``devices``, ``num_nodes``, ``accelerator``, ``precision``: as in lightning-fabric.
    """

    changeable: ClassVar[tuple[str, ...]] = ("epochs", "max_minutes", "validate_every", "workers")

    epochs: int = 30
    max_minutes: float | None = None
    batch_size: int = 2
    learning_rate: float = LEARNING_RATE
    lr_steps: tuple[float, ...] = (0.5, 0.75, 0.9)
    lr_factor: float = 0.3
    warmup_steps: int = 100
    crop: tuple[int, int] | None = (192, 96)
    mirror: bool = True
    channels: tuple[int, ...] = FRONT_CHANNELS
    output_slope: float = 0.1
    validation_frames: int = 64
    validate_every: int = 1
    seed: int = 0
    init: str | None = None
    conversion_aware: bool = False
    aware_share: float = AWARE_SHARE
    workers: int | None = None
    devices: int = 1
    num_nodes: int = 1
    accelerator: str = "auto"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        """Check every field, and the fields against each other."""
        for name in ("epochs", "batch_size", "validation_frames", "validate_every"):
            self._require(getattr(self, name) >= 1, name, "a whole number of at least 1")
        for name in ("devices", "num_nodes"):
            self._require(getattr(self, name) >= 1, name, "a whole number of at least 1")
        self._require(0 < self.learning_rate < math.inf, "learning_rate", "a positive number")
        self._require(0 < self.lr_factor <= 1, "lr_factor", "a number in 0..1")
        self._require(self.warmup_steps >= 0, "warmup_steps", "a whole number of at least 0")
        self._require(0 <= self.output_slope <= 1, "output_slope", "a number in 0..1")
        self._require(self.seed >= 0, "seed", "a whole number of at least 0")
        self._require(0 < self.aware_share <= 1, "aware_share", "a share of the training in 0..1")
        self._require(self.workers is None or self.workers >= 0, "workers", "at least 0")
        self._require(
            self.max_minutes is None or 0 < self.max_minutes < math.inf,
            "max_minutes",
            "a positive number of minutes",
        )
        self._require(
            all(0 < step < 1 for step in self.lr_steps)
            and list(self.lr_steps) == sorted(set(self.lr_steps)),
            "lr_steps",
            "growing shares of the training between 0 and 1",
        )
        self._require(
            bool(self.channels)
            and len(set(self.channels)) == len(self.channels)
            and all(channel in range(N_CAMERAS) for channel in self.channels),
            "channels",
            f"different numbers from 0 to {N_CAMERAS - 1}",
        )
        self._require(
            self.precision in get_args(Precision),
            "precision",
            "one of " + ", ".join(get_args(Precision)),
        )
        self.augmentation()

    def augmentation(self) -> Augmentation:
        """What is done to training pictures at random."""
        return Augmentation(self.crop, self.mirror)

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Learning rate of step ``step`` (from 0), with the share ``progress`` in 0..1 done."""
        passed = sum(progress >= step for step in self.lr_steps)
        rising = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return self.learning_rate * self.lr_factor**passed * rising

    @classmethod
    def with_changes(cls, changes: Mapping[str, Any]) -> "TrainOptions":
        """The defaults with ``changes``; those of fine-tuning where they name an ``init``."""
        if changes.get("init") is None:
            return cls(**changes)
        gentle = {"learning_rate": FINE_TUNING_RATE, "aware_share": FINE_TUNING_AWARE_SHARE}
        return cls(**{**gentle, **changes})
