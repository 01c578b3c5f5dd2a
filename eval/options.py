"""Options of `evaluate` and `simulate`."""

from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.eval.tasks.registry import TASKS
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.sdnn.backends import BACKENDS
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, free, number, size
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_WORKERS

NETWORKS = ("ann", "sdnn")


@dataclass(frozen=True)
class EvaluateOptions(CheckedOptions):
    """The networks to compare, and the frames to compare them on."""

    panel = "Data"

    compare: tuple[str, ...] = NETWORKS
    """Networks that run; with the SDNN, the memoryless network and the engine's own point do."""
    backend: str = choice("engine", BACKENDS, option="--backend", panel="Comparison")
    """Backend that runs the SDNN; the engine runs the memoryless network and its own point."""
    task: str | None = choice(
        None, TASKS, option="--task", panel="Comparison", shown_default="from network and labels"
    )
    """How outputs are scored: poses, classes, values, or any output against the ANN's."""
    split: Side = choice("test", option="--split")
    """Side of the data to evaluate on. Of sequences the last quarter tests, the eighth before it
    validates; of DHP19's subjects 13-17 test, as in its paper, and 11 and 12 validate. Compare
    settings on ``validation``."""
    source: SourceOptions | None = source_options()
    """Options of the data's source, such as its cameras."""
    max_frames: int | None = number(
        None, at_least=1, at_most=MOST_FRAMES, option="--frames", none="0"
    )
    """Frames to evaluate on, counted over all sequences; 0 for all."""
    workers: int = number(1, at_least=1, at_most=MOST_WORKERS, option="--workers")
    """Processes that evaluate sequences side by side, with one thread each."""
    scheduler: str | None = free(None, option="--scheduler")
    """Address of a Dask scheduler, such as tcp://host:8786, whose workers evaluate instead.
    They see the same files under the same paths."""
    out: Path | None = None
    """Folder for evaluation.json and report.html; None writes nothing."""
    force: bool = False
    """Whether files that are there already may be replaced."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = all(name in NETWORKS for name in self.compare)
        if not known or not self.compare or len(set(self.compare)) != len(self.compare):
            raise UsageError(
                f"--compare {' '.join(self.compare) or 'nothing'}; expected ann, sdnn or both"
            )


@dataclass(frozen=True)
class SimulateOptions(CheckedOptions):
    """The frames to simulate, and the neuron that lava-nc runs."""

    panel = "Simulation"

    frames: int = number(8, at_least=1, at_most=MOST_FRAMES, option="--frames")
    """Frames of the first sequence."""
    crop: Pair | None = size(None, option="--crop")
    """Height and width cut from the middle of the frames; whole frames by default."""
    source: SourceOptions | None = source_options(one_sequence=True)
    """Options of the data's source, such as the camera."""
    model: NeuronModel = choice("corrected", option="--model")
    """Neuron model: corrected, or stock as in lava-nc."""
    hang_seconds: float = number(
        300.0, above=0, at_most=604_800, unit="seconds", option="--hang-seconds"
    )
    """Give up after this many seconds without progress."""
