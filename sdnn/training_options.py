"""What a fine-tuning run of an SDNN is told; every field is recorded in its ``training.json``."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ann2sdnn.data.cameras import FRONT_CHANNELS, N_CAMERAS
from ann2sdnn.data.samples import Augmentation
from ann2sdnn.recorded_options import RecordedOptions

_PRUNED_BY = 0.5  # of the training; what comes after heals

Target = Literal["ann", "labels"]


@dataclass(frozen=True)
class SdnnTrainOptions(RecordedOptions):
    """Options of a run; raises UsageError for values that cannot work.

    The defaults are those of the run that docs/fine-tuning.md shows.

    ``penalty``: what 100 million synaptic operations a frame add to the loss, in which predicting
    nothing costs about 1.
    ``sparsity``: share of every layer's weights, but the first's and the last's, that is 0 at the
    end. It grows over the first part of the training (Zhu and Gupta 2017), and the smallest go.
    ``budget_px``: at the end, choose all thresholds anew by rate and distortion for this mean
    displacement against the ANN, as ``convert`` does; None keeps those that were trained.
    ``target``: what its heat maps are to be, those that the ANN finds in the same frames or those
    of the labels.
    ``scratch``: fresh weights instead of the conversion's.
    ``epochs``: an epoch takes one run of frames out of every recording and camera.
    ``max_minutes``: stop after that time, the schedule then follows the time instead.
    ``chunk_frames`` consecutive frames make one step of the optimiser; ``chunks`` of them follow
    one another, the network's state carried over, before it is shown another run.
    ``batch_size``: runs side by side.
    ``learning_rate``: of a weight, per step, in units of the root mean square of its layer's
    weights; ``threshold_rate``: of a threshold, in units of itself. Both fall to 0 on a cosine.
    ``crop``: (height, width) in pixels of the windows trained on, None for whole frames; all
    frames of a run show the same window. ``mirror``: flip half of the runs left to right.
    ``channels``: cameras of the frame files.
    ``output_slope``: the gradient that the last ReLU passes where it is silent.
    ``validation_frames``: whole pictures of the test side that the engine runs after each epoch.
    ``verified_frames``: whole pictures of the training side on which ranges are counted at the end.
    ``pictures_every``: epochs from one drawing of the curves and a sheet of pictures to the next.
    ``device``: as torch names it. ``workers``: processes that read data; None chooses.
    """

    changeable: ClassVar[tuple[str, ...]] = (
        "validation_frames",
        "verified_frames",
        "pictures_every",
        "workers",
        "budget_px",
    )

    penalty: float = 0.6
    sparsity: float = 0.6
    budget_px: float | None = None
    target: Target = "ann"
    scratch: bool = False
    epochs: int = 4
    max_minutes: float | None = None
    batch_size: int = 4
    chunk_frames: int = 2
    chunks: int = 1
    learning_rate: float = 3e-3
    threshold_rate: float = 0.0
    crop: tuple[int, int] | None = (192, 96)
    mirror: bool = True
    channels: tuple[int, ...] = FRONT_CHANNELS
    output_slope: float = 0.1
    validation_frames: int = 64
    verified_frames: int = 128
    pictures_every: int = 1
    seed: int = 0
    device: str = "cpu"
    workers: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        whole = ("epochs", "batch_size", "chunks", "pictures_every")
        for name in (*whole, "validation_frames", "verified_frames"):
            self._require(getattr(self, name) >= 1, name, "a whole number of at least 1")
        self._require(
            self.max_minutes is None or 0 < self.max_minutes < math.inf,
            "max_minutes",
            "a positive number of minutes",
        )
        self._require(
            self.budget_px is None or 0 < self.budget_px < math.inf,
            "budget_px",
            "a positive number of pixels",
        )
        self._require(0 <= self.sparsity < 1, "sparsity", "a share in 0..1")
        self._require(
            self.target in get_args(Target), "target", "one of " + ", ".join(get_args(Target))
        )
        self._require(self.chunk_frames >= 2, "chunk_frames", "at least 2 frames")
        self._require(0 <= self.penalty < math.inf, "penalty", "0 or a positive number")
        self._require(0 < self.learning_rate < 1, "learning_rate", "a number between 0 and 1")
        self._require(0 <= self.threshold_rate < 1, "threshold_rate", "a number in 0..1")
        self._require(0 <= self.output_slope <= 1, "output_slope", "a number in 0..1")
        self._require(self.workers is None or self.workers >= 0, "workers", "at least 0")
        self._require(self.seed >= 0, "seed", "a whole number of at least 0")
        self._require(
            bool(self.channels)
            and len(set(self.channels)) == len(self.channels)
            and all(channel in range(N_CAMERAS) for channel in self.channels),
            "channels",
            f"different numbers from 0 to {N_CAMERAS - 1}",
        )
        _ = Augmentation(self.crop)

    @property
    def run_frames(self) -> int:
        """Consecutive frames that the network sees before it is reset."""
        return self.chunk_frames * self.chunks

    def sparsity_at(self, progress: float) -> float:
        """Share of the weights that is 0 when the share ``progress`` in 0..1 is done."""
        left = 1 - min(1.0, progress / _PRUNED_BY)
        return self.sparsity * (1 - left**3)

    def rate_at(self, progress: float, step: int) -> float:
        """What both rates are multiplied with when the share ``progress`` in 0..1 is done."""
        return 0.5 * (1 + math.cos(math.pi * progress)) * min(1.0, (step + 1) / 20)
