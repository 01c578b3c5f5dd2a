"""Sequences of any source for `diagnose`, whose targets are the outputs of a conversion's ANN."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import DataError


class TaughtSequences:
    """Disjoint sequences of ``length`` consecutive whole frames, with the ANN's outputs as targets.

    ``frames``: uint8 frames [T, C, H, W] that ``graph`` takes. Raises DataError where all of them
    are shorter than ``length``.
    """

    def __init__(self, frames: Sequence[Frames], length: int, graph: Graph) -> None:
        turns = max((one.n_frames // length for one in frames), default=0)
        if turns == 0:
            raise DataError(
                f"no sequence has {length} frames; choose another data set or fewer --frames"
            )
        self._ann = FloatNetwork(graph)
        # Those of different sequences take turns.
        self._parts = [
            one.part(turn * length, (turn + 1) * length)
            for turn in range(turns)
            for one in frames
            if turn < one.n_frames // length
        ]

    def __len__(self) -> int:
        return len(self._parts)

    def read(self, index: int) -> PoseSequence:
        """Frames [C, H, W, T] of 0 to 1 and the ANN's outputs [O, H, W, T]."""
        chunks = [torch.from_numpy(np.array(chunk)) for chunk in self._parts[index].chunks()]
        outputs: list[Tensor] = [self._ann(self._ann.encode(chunk)) for chunk in chunks]
        pictures = torch.cat(chunks).to(torch.float32) / 255.0
        return PoseSequence(pictures.movedim(0, -1), torch.cat(outputs).movedim(0, -1).clone())
