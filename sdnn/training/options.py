"""Options of `train-sdnn`, recorded in a run's ``training.json``."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ann2sdnn.data.recordings.run_options import PoseRunOptions
from ann2sdnn.support.options.fields import choice, free, number
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_WORKERS
from ann2sdnn.support.training.schedule import cosine, pruned_share, warm_up

_PRUNED_BY = 0.5  # share of the training; accuracy recovers in the rest
_WARM_UP = 20  # steps

Target = Literal["ann", "labels"]


@dataclass(frozen=True)
class SdnnTrainOptions(PoseRunOptions):
    """Options of a run; raises UsageError for values that cannot work.

    The defaults are those of the run that docs/fine-tuning.md shows.
    """

    changeable: ClassVar[tuple[str, ...]] = (
        "validation_frames",
        "verified_frames",
        "pictures_every",
        "workers",
        "budget_px",
    )

    # The upper bound is a thousand times the loss of an all-zero prediction: nothing is sent.
    penalty: float = number(0.6, at_least=0, at_most=1000, option="--penalty", panel="Sparsity")
    """Loss added per 100 million synaptic operations per frame (an all-zero prediction has loss
    1)."""
    sparsity: float = number(0.6, at_least=0, below=1, option="--sparsity", panel="Sparsity")
    """Share of every layer's weights that is 0 at the end, except for weights on the input, weights
    of outputs, and shortcuts. It grows over the first part of the training (Zhu and Gupta 2017);
    the smallest weights go."""
    budget_px: float | None = number(
        None, above=0, at_most=1000, unit="px", option="--budget-px", panel="Sparsity"
    )
    """At the end choose all thresholds again by rate and distortion, for this displacement that
    they may add; without it the trained thresholds stay."""
    target: Target = choice("ann", option="--target")
    """Outputs to learn: the ANN's on the same frames, or the heat maps of labelled poses."""
    scratch: bool = free(False, option="--scratch")
    """Start from random weights instead of the conversion's."""
    epochs: int = number(4, at_least=1, at_most=10**6, option="--epochs")
    """Epochs; each takes one run of frames from every sequence (recording and camera)."""
    batch_size: int = number(4, at_least=1, at_most=2**16, option="--batch-size")
    """Sequences trained side by side."""
    chunk_frames: int = number(2, at_least=2, at_most=MOST_FRAMES, option="--chunk-frames")
    """Consecutive frames per step of the optimiser."""
    chunks: int = number(1, at_least=1, at_most=MOST_FRAMES, option="--chunks")
    """Steps per sequence; the network's state is carried over from one to the next."""
    learning_rate: float = number(3e-3, above=0, below=1, option="--learning-rate")
    """Change of a weight per step, in units of the root mean square of its layer's weights; falls
    to 0 on a cosine."""
    threshold_rate: float = number(0.0, at_least=0, below=1, option="--threshold-rate")
    """Change of a threshold per step, in units of itself; 0 keeps thresholds."""
    verified_frames: int = number(
        128, at_least=1, at_most=MOST_FRAMES, option="--verified-frames", panel="Data"
    )
    """Whole pictures of the training subjects on which ranges are counted at the end."""
    pictures_every: int = number(
        1, at_least=1, at_most=10**6, option="--pictures-every", panel="Output"
    )
    """Epochs from one drawing of the curves and sample pictures to the next."""
    device: str = free("cpu", option="--device", panel="Hardware")
    """Device as torch names it, such as cpu or cuda:0."""
    workers: int | None = number(
        None, at_least=0, at_most=MOST_WORKERS, option="--workers", panel="Hardware"
    )
    """Processes that read data; chosen by default."""

    def sparsity_at(self, progress: float) -> float:
        """Share of the weights that is 0 when the share ``progress`` in 0..1 is done."""
        return self.sparsity * pruned_share(progress, until=_PRUNED_BY)

    def rate_at(self, progress: float, step: int) -> float:
        """Factor of both rates at ``step`` (from 0) when the share ``progress`` is done."""
        return cosine(progress) * warm_up(step, _WARM_UP)
