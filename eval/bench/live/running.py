"""The SDNN in the engine, whose operating point can change between two frames."""

from collections.abc import Sequence

from torch import Tensor

from ann2sdnn.eval.bench.live.points import LivePoint, keeps_state
from ann2sdnn.sdnn.engine.engine import Engine, StepResult


class RunningSdnn:
    """Runs ``points[index]``. ``is_first``: the next frame is the first one after a reset, so that
    everything is sent. ``engine``: the one that runs now.
    """

    def __init__(self, points: Sequence[LivePoint], index: int) -> None:
        self._points = points
        self.index = index
        self.is_first = True
        self.engine = Engine(points[index].spec)

    def step(self, frame: Tensor) -> StepResult:
        """Process the next frame [C, H, W]; as ``Engine.step``."""
        self.is_first = False
        return self.engine.step(frame)

    def reset(self) -> None:
        """The next frame is the first of a sequence."""
        self.engine.reset()
        self.is_first = True

    def change_to(self, index: int) -> None:
        """Go on at ``points[index]``, with the state where its layers remember the same."""
        if index == self.index:
            return
        before, after = self._points[self.index].spec, self._points[index].spec
        state = self.engine.state_dict() if keeps_state(before, after) else None
        self.index = index
        self.engine = Engine(after)
        if state is None:
            self.is_first = True
        else:
            self.engine.load_state_dict(state)
