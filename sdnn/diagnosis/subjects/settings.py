"""The network and settings of the `dhp19_sdnn` experiment, and a repair for each of its faults.

The settings are those of the experiment's first version (github.com/sgluege/dhp19_sdnn, August
2023), whose authors saw "no learning whatsoever".
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ann2sdnn.data.recordings.sequences import N_TARGETS
from ann2sdnn.sdnn.diagnosis.subjects.subject import StageKind
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, number

Pooling = Literal["sum", "average", "max"]
Initialisation = Literal["default", "he", "data"]


@dataclass(frozen=True)
class BlockPlan:
    """One slayer block; a transposed convolution has a 2x2 kernel and stride 2."""

    name: str
    kind: StageKind
    in_channels: int
    out_channels: int
    dilation: int = 1


# The DHP19 network with the experiment's changes: 2x2 transposed convolutions, and `Pool` blocks
# instead of max pooling.
BLOCKS = (
    BlockPlan("conv1", "conv", 1, 16),
    BlockPlan("pool1", "pool", 16, 16),
    BlockPlan("conv2a", "conv", 16, 32),
    BlockPlan("conv2b", "conv", 32, 32),
    BlockPlan("conv2d", "conv", 32, 32),
    BlockPlan("pool2", "pool", 32, 32),
    BlockPlan("conv3a", "conv", 32, 64, 2),
    BlockPlan("conv3b", "conv", 64, 64, 2),
    BlockPlan("conv3c", "conv", 64, 64, 2),
    BlockPlan("conv3d", "conv", 64, 64, 2),
    BlockPlan("conv3_up", "convT", 64, 32),
    BlockPlan("conv4a", "conv", 32, 32, 2),
    BlockPlan("conv4b", "conv", 32, 32, 2),
    BlockPlan("conv4c", "conv", 32, 32, 2),
    BlockPlan("conv4d", "conv", 32, 32, 2),
    BlockPlan("conv4_up", "convT", 32, 16),
    BlockPlan("conv5a", "conv", 16, 16),
    BlockPlan("conv5d", "conv", 16, 16),
    BlockPlan("pred_cube", "conv", 16, N_TARGETS),
)


@dataclass(frozen=True)
class ExperimentSettings(CheckedOptions):
    """The experiment's choices; every default is its own."""

    # As of convert: no message of 16 bits is larger.
    threshold: float = number(0.1, at_least=0, at_most=512, option="--threshold")
    """Threshold of every neuron, in units of the activation."""
    tau_grad: float = number(0.5, above=0, at_most=1000)
    """Time constant of slayer's surrogate gradient."""
    scale_grad: float = number(1.0, above=0, at_most=1000)
    """Scale of slayer's surrogate gradient."""
    weight_scale: float = number(2.0, above=0, at_most=1000)
    """Factor on torch's default initialisation."""
    weight_norm: bool = True
    """Whether weights are normalised (weight norm)."""
    mean_norm: bool = True
    """Whether MeanOnlyBatchNorm follows every convolution."""
    initialisation: Initialisation = "default"
    """``default``: torch's, times ``weight_scale``; ``he``: variance 2 / fan-in; ``data``: layer by
    layer on the first batch until pre-activations have unit variance (Mishkin and Matas 2015), a
    tenth of that deviation in the last layer, whose heat maps are nearly empty."""
    pooling: Pooling = "sum"
    """How the pooling layers pool."""
    input_scale: float = number(1.0, at_least=1e-6, at_most=1e6)
    """A pixel of 0..1 times this is the network's input."""
    sum_output: bool = False
    """Whether the running sum of the last block's messages is compared with the target."""
    output_relu: bool = True
    """Whether the last block is rectified."""
    weight_grid: bool = True
    """Whether weights are rounded to lava's multiples of 1/32."""
    event_cost: float = number(0.01, at_least=0, at_most=1000)
    """Weight of the penalty (mean |message| - 0.01)^2 per block."""
    learning_rate: float = number(1e-3, above=0, at_most=1)
    """Learning rate of RMSprop."""
    blocks: tuple[BlockPlan, ...] = BLOCKS
    """The layers."""


# The settings that each `diagnose --repair` changes.
REPAIRS: dict[str, dict[str, Any]] = {
    "sum-output": {"sum_output": True},
    "initialisation": {"initialisation": "data"},
    "he": {"initialisation": "he"},
    "threshold": {"threshold": 1 / 64},
    "pool": {"pooling": "average"},
    "max-pool": {"pooling": "max"},
    "input-scale": {"input_scale": 3.9},
    "event-cost": {"event_cost": 0.0},
    "learning-rate": {"learning_rate": 3e-4},
    "norm": {"mean_norm": False},
    "output-relu": {"output_relu": False},
    "weight-grid": {"weight_grid": False},
}

# Repairs without effect on the control, which has no sum, thresholds or grid.
OF_SIGMA_DELTA_ONLY = ("sum-output", "threshold", "weight-grid")


def repaired(settings: ExperimentSettings, repairs: Iterable[str]) -> ExperimentSettings:
    """The settings with these faults repaired.

    Raises UsageError for an unknown repair, and for two repairs that change the same setting.
    """
    changed: dict[str, str] = {}
    for name in repairs:
        if name not in REPAIRS:
            raise UsageError(f"--repair {name}; expected some of {', '.join(REPAIRS)}")
        for setting in REPAIRS[name]:
            if setting in changed:
                raise UsageError(
                    f"--repair {changed[setting]} and --repair {name} both change {setting};"
                    " choose one"
                )
            changed[setting] = name
        settings = replace(settings, **REPAIRS[name])
    return settings
