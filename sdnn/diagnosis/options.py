"""Options of `diagnose`."""

from dataclasses import dataclass

from ann2sdnn.support.options.fields import CheckedOptions, number, random_seed


@dataclass(frozen=True)
class DiagnoseOptions(CheckedOptions):
    """The optimisation steps to watch."""

    panel = "Training"

    steps: int = number(2, at_least=1, at_most=10**6, option="--steps")
    """Optimisation steps."""
    batch: int = number(8, at_least=1, at_most=10**4, option="--batch")
    """Sequences per step."""
    sequences: int = number(16, at_least=1, at_most=10**6, option="--sequences")
    """Sequences that take turns, evenly spaced over the data."""
    learning_rate: float = number(
        1e-3,
        above=0,
        at_most=1,
        option="--learning-rate",
        shown_default="the preset's; else 0.0001",
    )
    """Learning rate of RMSprop."""
    seed: int = random_seed(0)
    """Seed of the initial weights."""
