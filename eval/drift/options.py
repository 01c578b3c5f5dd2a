"""Options of `drift`."""

from dataclasses import dataclass

from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.support.options.fields import CheckedOptions, free, number, numbers, size
from ann2sdnn.support.options.limits import MOST_FRAMES


@dataclass(frozen=True)
class Treatment:
    """The neuron that runs, and the period in frames of resets of all states (None: never)."""

    neuron: NeuronModel
    reset_every: int | None = None

    @property
    def name(self) -> str:
        """For tables and legends."""
        return self.neuron if self.reset_every is None else f"reset every {self.reset_every}"


@dataclass(frozen=True)
class DriftOptions(CheckedOptions):
    """The frames to measure drift on, and how often the stock neuron is reset."""

    panel = "Measurement"

    frames: int = number(2000, at_least=1, at_most=MOST_FRAMES, option="--frames")
    """Frames to run; a shorter recording runs forwards and backwards in turn."""
    crop: Pair | None = size(None, option="--crop")
    """Height and width cut from the middle of the frames; whole frames by default."""
    source: SourceOptions | None = source_options(one_sequence=True)
    """Options of the data's source, such as the camera."""
    resets: tuple[int, ...] = numbers(
        (8, 32),
        at_least=1,
        at_most=MOST_FRAMES,
        unit="frames",
        distinct=True,
        option="--resets",
        none="none",
    )
    """Periods in frames after which the stock neuron is reset, one run per period; or none."""
    recording: str | None = free(None, option="--recording")
    """Recording or sequence, such as S1_session2_mov1; the longest by default."""

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """The treatments to compare, in order."""
        resets = (Treatment("stock", period) for period in self.resets)
        return (Treatment("corrected"), Treatment("stock"), *resets)
