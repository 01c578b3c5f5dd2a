"""What a training run is told; every field is recorded in its ``train.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ann2sdnn.data.pose.cameras import camera_channels
from ann2sdnn.data.recordings.samples import CROP_MULTIPLE, Augmentation
from ann2sdnn.support.options.fields import choice, number, numbers, random_seed, size
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_MINUTES, MOST_WORKERS
from ann2sdnn.support.options.recorded import RecordedOptions

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

    epochs: int = number(30, at_least=1, at_most=10**6, option="--epochs")
    max_minutes: float | None = number(
        None, above=0, at_most=MOST_MINUTES, unit="minutes", option="--max-minutes"
    )
    batch_size: int = number(2, at_least=1, at_most=2**16, option="--batch-size")
    # RMSprop moves a weight by about the rate per step, and weights are around 0.1.
    learning_rate: float = number(LEARNING_RATE, above=0, at_most=1, option="--learning-rate")
    lr_steps: tuple[float, ...] = numbers((0.5, 0.75, 0.9), above=0, below=1, growing=True)
    lr_factor: float = number(0.3, above=0, at_most=1)
    warmup_steps: int = number(100, at_least=0, at_most=10**9)
    crop: tuple[int, int] | None = size((192, 96), multiple=CROP_MULTIPLE, option="--crop")
    mirror: bool = True
    channels: tuple[int, ...] = camera_channels()
    output_slope: float = number(0.1, at_least=0, at_most=1)
    validation_frames: int = number(
        64, at_least=1, at_most=MOST_FRAMES, option="--validation-frames"
    )
    validate_every: int = number(1, at_least=1, at_most=10**6)
    seed: int = random_seed(0)
    init: str | None = None
    conversion_aware: bool = False
    aware_share: float = number(AWARE_SHARE, above=0, at_most=1, option="--aware-share")
    workers: int | None = number(None, at_least=0, at_most=MOST_WORKERS)
    # More than any machine has; each is a process.
    devices: int = number(1, at_least=1, at_most=256, option="--devices")
    num_nodes: int = number(1, at_least=1, at_most=2**16, option="--num-nodes")
    accelerator: str = "auto"
    precision: Precision = choice("32-true", option="--precision")

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
