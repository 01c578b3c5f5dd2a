"""Operating points: the same integers with thresholds and memory for different uses."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ann2sdnn.sdnn.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """A converted network's operating points, which differ in thresholds and memory only."""

    lava: Spec
    """Every layer is stateful, as slayer and lava need it; `network.net` is made from it."""

    engine: Spec | None = None
    """Layers are stateful where that saves operations. Only the engine runs it. None where it is
    not clearly cheaper than ``lava`` on the calibration frames, or was not searched."""

    memoryless: Spec | None = None
    """No layer is stateful, thresholds for the same budget: what the SDNN is compared with. None
    where no budget was searched for; then it is ``lava`` with its state reset before every frame."""

    def __iter__(self) -> Iterator[tuple[str, Spec]]:
        """The names and specs of the points that there are."""
        for each in fields(self):
            spec = getattr(self, each.name)
            if spec is not None:
                yield each.name, spec
