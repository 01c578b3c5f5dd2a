"""What the networks answered to a frame: joints, classes, and the difference between both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.data.pose.heatmaps import are_heatmaps
from ann2sdnn.eval.tasks.pose.drawn import LINES, Joints, drawn_joints
from ann2sdnn.sdnn.spec.spec import Spec

Kind = Literal["pose", "classes", "output"]
_MOST_CLASSES = 5


@dataclass(frozen=True)
class ClassScore:
    """One class and what both networks answered for it."""

    name: str
    ann: float
    sdnn: float


@dataclass(frozen=True)
class Answers:
    """``ann`` and ``sdnn``: (column, row) of each joint, None where the ANN is not confident; no
    joints for networks that do not answer with poses. ``classes``: the largest of the ANN's.
    """

    ann: Joints
    sdnn: Joints
    classes: tuple[ClassScore, ...]
    is_same_class: bool | None
    moved_px: float | None
    """Mean distance of the SDNN's joints from the ANN's, in the frame that the network sees."""
    relative_error: float | None
    """L2 norm of the difference over that of the ANN's outputs; None where these are all zero."""


class Reader:
    """Reads outputs of networks like ``spec``. ``names``: those of classes, as far as known."""

    def __init__(self, spec: Spec, names: Sequence[str] = ()) -> None:
        self.kind: Kind = "output"
        if are_heatmaps(spec.output_shape, spec.input_shape):
            self.kind = "pose"
        elif are_classes(spec.output_shapes):
            self.kind = "classes"
        self.bones = LINES if self.kind == "pose" else ()
        self._names = names

    def read(self, ann: Tensor, sdnn: Tensor) -> Answers:
        """What is shown of the outputs [O, H, W] of both networks."""
        ours, theirs, moved = drawn_joints(ann, sdnn) if self.kind == "pose" else ((), (), None)
        classes, same = self._classes(ann.flatten(), sdnn.flatten())
        size = float(torch.linalg.vector_norm(ann))
        error = float(torch.linalg.vector_norm(sdnn - ann)) / size if size > 0 else None
        return Answers(ours, theirs, classes, same, moved, error)

    def _classes(self, ann: Tensor, sdnn: Tensor) -> tuple[tuple[ClassScore, ...], bool | None]:
        if self.kind != "classes":
            return (), None
        largest = torch.argsort(ann, descending=True, stable=True)[:_MOST_CLASSES].tolist()
        chosen = int(sdnn.argmax())
        if chosen not in largest:
            largest[-1] = chosen
        scores = tuple(ClassScore(self._name(i), float(ann[i]), float(sdnn[i])) for i in largest)
        return scores, chosen == int(ann.argmax())

    def _name(self, index: int) -> str:
        return self._names[index] if index < len(self._names) else f"class {index}"
