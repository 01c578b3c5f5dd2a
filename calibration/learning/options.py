"""Options of distillation."""

from dataclasses import dataclass, field

from ann2sdnn.support.options.fields import CheckedOptions, number, numbers, random_seed, size
from ann2sdnn.support.options.limits import MOST_MINUTES


@dataclass(frozen=True)
class Variety(CheckedOptions):
    """How training windows are cut and varied."""

    crop: tuple[int, int] = size((160, 208))
    """Rows and columns of a window, at most the frame's."""
    plain: float = number(0.4, at_least=0, at_most=1)
    """Share of windows left as recorded; the others are flipped, mixed and scaled."""
    brightness: tuple[float, float] = numbers((0.6, 1.05), at_least=0, at_most=10, fewest=2)
    """Range of factors on the brightness; larger ones would leave the calibrated range."""
    mixed: float = number(0.25, at_least=0, at_most=1)
    """Share of windows mixed with another."""


@dataclass(frozen=True)
class DistilOptions(CheckedOptions):
    """How integer weights are fine-tuned by distillation."""

    panel = "Calibration"

    minutes: float = number(
        8.0, above=0, at_most=MOST_MINUTES, unit="minutes", option="--distil", none="0"
    )
    """Minutes of distillation of the integer weights; 0 for none."""
    steps: int | None = number(None, at_least=1, at_most=10**8, option="--distil-steps")
    """Steps of distillation, instead of minutes."""
    rate: float = number(2.5e-3, above=0, at_most=1000)
    """Change of a weight per step at the beginning, over the RMS of its layer's weights."""
    batch: int = number(2, at_least=1, at_most=4096)
    """Windows per step."""
    seed: int = random_seed(0)
    """Seed of the windows that distillation draws."""
    variety: Variety = field(default_factory=Variety)
    """Augmentation of the windows."""
