"""How the engine's results are compared: runs, and steps with frames or with changed pixels."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.instructions.vector import GROUP
from ann2sdnn.sdnn.engine.loops.messages import NOT_PACKED
from ann2sdnn.sdnn.engine.run import BackendResult

Changes = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True)
class Unwired(Convolution):
    """A convolution that does not say where its taps fall, so that it runs layer by layer."""

    def axis_taps(self, *_: Any) -> Any:
        return None


def drifting(shape: Shape, seed: int, n: int = 4) -> Tensor:
    """Noise of which two thirds stay from frame to frame."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n, *shape)).astype(np.uint8)
    for before, after in itertools.pairwise(frames):
        np.copyto(after, before, where=rng.random(shape) < 2 / 3)
    return torch.from_numpy(frames)


def assert_equal(found: BackendResult, expected: BackendResult) -> None:
    for name in ("events", "synops", "overflows", "oversized", "outputs"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    if found.messages is None or expected.messages is None:
        return
    for index, (ours, theirs) in enumerate(zip(found.messages, expected.messages, strict=True)):
        assert torch.equal(ours.double(), theirs.double()), f"messages of plane {index}"


def changes(before: Tensor, after: Tensor, seed: int) -> Changes:
    """The pixels that differ, and some that do not."""
    old, new = (one.permute(1, 2, 0).reshape(-1).numpy() for one in (before, after))
    listed = (old != new) | (np.random.default_rng(seed).random(len(new)) < 0.1)
    at = np.flatnonzero(listed)
    return at.astype(np.int64), new[at]


def pixel_steps(frames: Tensor) -> list[Changes]:
    frames = torch.cat((torch.zeros_like(frames[:1]), frames))
    return [changes(*pair, seed) for seed, pair in enumerate(itertools.pairwise(frames))]


def input_plane(engine: Engine) -> list[Any]:
    """Rows of the input: per sender its column, and its messages; none where they are not packed,
    because a map is read, which other planes take the place of.
    """
    memory = engine._layout.memory
    plane = memory.planes[0]
    rows = []
    for row in range(plane["height"]):
        n, n_messages = (
            memory.n_senders[plane[name] + row] for name in ("n_senders", "n_messages")
        )
        start = plane["senders"] + row * plane["width"]
        senders = memory.senders[start : start + n].tolist()
        places = [-(-(sender >> 16) // GROUP) * GROUP for sender in senders]
        first = plane["messages"] + row * plane["row_slots"]
        starts = [first + sum(places[:k]) for k in range(n)]
        messages = [
            memory.messages[at : at + (sender >> 16)].tolist()
            for at, sender in zip(starts, senders, strict=True)
            if memory.n_senders[plane["mapped"] + row] != NOT_PACKED
        ]
        rows.append((senders, messages, int(n_messages)))
    return rows


def assert_same_steps(by_frames: Engine, by_pixels: Engine, frames: Tensor) -> None:
    is_encoded = not by_frames._foreign and by_frames._ends.input_remembers
    for frame, (at, values) in zip(frames, pixel_steps(frames), strict=True):
        expected, found = by_frames.step(frame), by_pixels.step_pixels(at, values)
        assert torch.equal(found.output, expected.output)
        assert found.counts.tolist() == expected.counts.tolist()
        if is_encoded:
            rows = zip(input_plane(by_pixels), input_plane(by_frames), strict=True)
            for (senders, messages, n), (others, packed, n_others) in rows:
                assert (senders, n) == (others, n_others)
                assert messages == packed or not packed
    ours, theirs = by_pixels.state_dict(), by_frames.state_dict()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
