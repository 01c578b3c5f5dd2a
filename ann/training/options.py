"""Options of `train-ann`, recorded in a run's ``train.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ann2sdnn.ann.architectures import ARCHITECTURES, DHP19
from ann2sdnn.data.pose.cameras import SENSOR_HEIGHT, USED_WIDTH
from ann2sdnn.data.recordings.options import SIDE_MULTIPLE
from ann2sdnn.data.recordings.run_options import PoseRunOptions
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import choice, free, number, numbers, size
from ann2sdnn.support.options.limits import MOST_WORKERS
from ann2sdnn.support.training.schedule import pruned_share, warm_up

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

# Defaults of a new network, and of a network that is fine-tuned.
LEARNING_RATE, FINE_TUNING_RATE = 1e-3, 2e-4
AWARE_SHARE, FINE_TUNING_AWARE_SHARE = 0.4, 1.0
# Share of the training over which the price on activations rises. At once it could silence a new
# network, whose loss is near that of predicting nothing.
PRICE_RISES = 0.5
# Share of the training over which weights are pruned; accuracy recovers in the rest.
PRUNED_BY = 0.6
# Counting activations costs nearly half a step, so only some steps pay, accordingly more.
PRICED_EVERY = 2
# What `--sparse` sets.
SPARSE: Mapping[str, Any] = {
    "conversion_aware": True,
    "activation_price": 0.1,
    "change_price": 0.3,
    "threshold_noise": 0.1,
    "sparsity": 0.6,
}


def risen(progress: float) -> float:
    """Share 0..1 of prices and noise that holds with the share ``progress`` of a training done."""
    return min(1.0, progress / PRICE_RISES)


@dataclass(frozen=True)
class TrainOptions(PoseRunOptions):
    """Options of a training run; raises UsageError for values that cannot work."""

    changeable: ClassVar[tuple[str, ...]] = (
        "epochs",
        "max_steps",
        "max_minutes",
        "validate_every",
        "workers",
    )

    epochs: int = number(30, at_least=1, at_most=10**6, option="--epochs")
    """Passes over the training subjects."""
    batch_size: int = number(2, at_least=1, at_most=2**16, option="--batch-size")
    """Pictures per step and device."""
    # RMSprop moves a weight by about the rate per step, and weights are around 0.1.
    learning_rate: float = number(
        LEARNING_RATE,
        above=0,
        at_most=1,
        option="--learning-rate",
        shown_default=f"{LEARNING_RATE:g}; {FINE_TUNING_RATE:g} with --init",
    )
    """Learning rate of RMSprop (rho 0.9, epsilon 1e-7, as in the DHP19 paper's code) at the start
    of training."""
    lr_steps: tuple[float, ...] = numbers((0.5, 0.75, 0.9), above=0, below=1, growing=True)
    """Shares of the training after each of which the learning rate is multiplied by
    ``lr_factor``."""
    lr_factor: float = number(0.3, above=0, at_most=1)
    """Factor on the learning rate at each of ``lr_steps``."""
    warmup_steps: int = number(100, at_least=0, at_most=10**9)
    """Steps over which the learning rate grows from zero."""
    validate_every: int = number(1, at_least=1, at_most=10**6)
    """Epochs from one validation to the next; the last epoch always has one."""
    network: str | None = choice(
        None,
        of=ARCHITECTURES,
        option="--network",
        shown_default=f"{DHP19.name}; with --init that of the file",
    )
    """Architecture: the DHP19 paper's, or an hourglass with skips and as many operations."""
    init: str | None = free(None, option="--init")
    """Network to start from: ONNX file, checkpoint, published Keras file, or pretrained."""
    conversion_aware: bool = free(False, option="--conversion-aware")
    """End the training with the weights on lava's grid, for an exact conversion."""
    aware_share: float = number(
        AWARE_SHARE,
        above=0,
        at_most=1,
        option="--aware-share",
        shown_default=f"{AWARE_SHARE:g}; {FINE_TUNING_AWARE_SHARE:g} with --init",
    )
    """Share of the training with the weights on the grid."""
    sparse: bool = free(False, option="--sparse")
    """Train for sigma-delta: few messages, small changes between frames, few weights, on lava's
    grid. Sets the options below and --conversion-aware; those that are given count."""
    # The upper bound is a thousand times the loss of an all-zero prediction: nothing is sent.
    activation_price: float = number(0.0, at_least=0, at_most=1000, option="--activation-price")
    """Loss added for the share of the dense operations that non-zero activations cause (an all-zero
    prediction has loss 1). It rises from 0 over the first part of the training, and a batch pays
    in proportion to what the network has learned, 1 - loss."""
    change_price: float = number(0.0, at_least=0, at_most=1000, option="--change-price")
    """Loss added for the share that changes of activations from a frame to the next cause, as of
    ``activation_price``. Steps that pay see pairs of consecutive frames."""
    message_cost: float = number(0.0, at_least=0, at_most=1e6, option="--message-cost")
    """Operations that both prices count for a message beside those it causes."""
    # The upper bound makes every activation a multiple of a hundred times its mean: noise.
    threshold_noise: float = number(0.0, at_least=0, at_most=100, option="--threshold-noise")
    """Steps to which activations are rounded at random in training, as thresholds will round them,
    over the mean non-zero activation of their channel. They grow like the prices."""
    sparsity: float = number(0.0, at_least=0, below=1, option="--sparsity")
    """Share of the weights of each hidden layer that are 0 at the end. It grows over the first part
    of the training; the smallest weights go."""
    vary: bool = free(False, option="--vary", panel="Data")
    """Draw other pictures from the events in every epoch: of longer or shorter windows, turned,
    enlarged, thinned, softened, brighter or darker, with noise. Needs overlapping windows."""
    vary_share: float = number(1.0, above=0, at_most=1, option="--vary-share", panel="Data")
    """Share of the pictures that --vary changes; the others are as they were recorded."""
    resize: tuple[int, int] | None = size(
        None,
        multiple=SIDE_MULTIPLE,
        whole=(SENSOR_HEIGHT, USED_WIDTH),
        option="--resize",
        shown_default="whole pictures",
        panel="Data",
    )
    """Height and width that pictures are resized to, in multiples of 4, or a part of them such as
    1/2; --crop follows. The network's file says it, so conversions resize too."""
    workers: int | None = number(
        None, at_least=0, at_most=MOST_WORKERS, option="--workers", panel="Hardware"
    )
    """Processes that read data; chosen where not given."""
    # More than any machine has; each is a process.
    devices: int = number(1, at_least=1, at_most=256, option="--devices", panel="Hardware")
    """Devices of this machine."""
    num_nodes: int = number(1, at_least=1, at_most=2**16, option="--num-nodes", panel="Hardware")
    """Machines."""
    accelerator: str = "auto"
    """Kind of device, as lightning-fabric names it."""
    precision: Precision = choice("32-true", option="--precision", panel="Hardware")
    """Arithmetic of the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vary_share < 1 and not self.vary:
            raise UsageError(
                f"--vary-share {self.vary_share:g}; without --vary no picture is changed: give "
                "--vary, too, or leave out --vary-share"
            )

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Learning rate of step ``step`` (from 0), with the share ``progress`` in 0..1 done."""
        passed = sum(progress >= share for share in self.lr_steps)
        return self.learning_rate * self.lr_factor**passed * warm_up(step, self.warmup_steps + 1)

    def pays(self, step: int) -> bool:
        """Whether step ``step`` pays for its activations."""
        return (self.activation_price > 0 or self.change_price > 0) and not step % PRICED_EVERY

    def shows_pairs(self, step: int) -> bool:
        """Whether step ``step`` sees pairs of consecutive frames."""
        return self.change_price > 0 and self.pays(step)

    def price_share(self, step: int, progress: float) -> float:
        """Factor on both prices in step ``step``, with the share ``progress`` in 0..1 done."""
        return PRICED_EVERY * risen(progress) if self.pays(step) else 0.0

    def noise_at(self, progress: float) -> float:
        """``threshold_noise`` with the share ``progress`` in 0..1 done."""
        return self.threshold_noise * risen(progress)

    def sparsity_at(self, progress: float) -> float:
        """``sparsity`` with the share ``progress`` in 0..1 done."""
        return self.sparsity * pruned_share(progress, until=PRUNED_BY)

    @classmethod
    def with_changes(cls, changes: Mapping[str, Any]) -> "TrainOptions":
        """The defaults with ``changes``.

        Where they name an ``init``, other defaults are those of fine-tuning; where they are
        ``sparse``, those of ``SPARSE``. With ``resize`` pictures are cropped only where ``crop`` is
        named.
        """
        defaults: dict[str, Any] = {}
        if changes.get("init") is not None:
            defaults = {"learning_rate": FINE_TUNING_RATE, "aware_share": FINE_TUNING_AWARE_SHARE}
        if changes.get("resize") is not None:
            defaults["crop"] = None
        if changes.get("sparse"):
            defaults = {**defaults, **SPARSE}
        return cls(**{**defaults, **changes})
