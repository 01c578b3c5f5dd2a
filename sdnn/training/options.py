"""What a fine-tuning run of an SDNN is told; every field is recorded in its ``training.json``."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from ann2sdnn.data.pose.cameras import camera_channels
from ann2sdnn.data.recordings.samples import CROP_MULTIPLE
from ann2sdnn.support.options.fields import choice, number, random_seed, size
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_MINUTES, MOST_WORKERS
from ann2sdnn.support.options.recorded import RecordedOptions

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

    # A thousand times what an all-zero prediction costs: nothing is sent any more.
    penalty: float = number(0.6, at_least=0, at_most=1000, option="--penalty")
    sparsity: float = number(0.6, at_least=0, below=1, option="--sparsity")
    budget_px: float | None = number(None, above=0, at_most=1000, unit="px", option="--budget-px")
    target: Target = choice("ann", option="--target")
    scratch: bool = False
    epochs: int = number(4, at_least=1, at_most=10**6, option="--epochs")
    max_minutes: float | None = number(
        None, above=0, at_most=MOST_MINUTES, unit="minutes", option="--max-minutes"
    )
    batch_size: int = number(4, at_least=1, at_most=2**16, option="--batch-size")
    chunk_frames: int = number(2, at_least=2, at_most=MOST_FRAMES, option="--chunk-frames")
    chunks: int = number(1, at_least=1, at_most=MOST_FRAMES, option="--chunks")
    learning_rate: float = number(3e-3, above=0, below=1, option="--learning-rate")
    threshold_rate: float = number(0.0, at_least=0, below=1, option="--threshold-rate")
    crop: tuple[int, int] | None = size((192, 96), multiple=CROP_MULTIPLE, option="--crop")
    mirror: bool = True
    channels: tuple[int, ...] = camera_channels()
    output_slope: float = number(0.1, at_least=0, at_most=1)
    validation_frames: int = number(
        64, at_least=1, at_most=MOST_FRAMES, option="--validation-frames"
    )
    verified_frames: int = number(128, at_least=1, at_most=MOST_FRAMES, option="--verified-frames")
    pictures_every: int = number(1, at_least=1, at_most=10**6, option="--pictures-every")
    seed: int = random_seed(0)
    device: str = "cpu"
    workers: int | None = number(None, at_least=0, at_most=MOST_WORKERS, option="--workers")

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
