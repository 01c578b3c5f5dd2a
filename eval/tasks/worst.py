"""Keeps the frames in which the SDNN lies furthest from the ANN, for people to look at."""

from collections.abc import Callable, Sequence

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.eval.results.examples import Example

MOST_EXAMPLES = 6


class WorstFrames:
    """The frames with the largest scores, one to six of all sequences."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Example]] = []

    def add(self, frames: Frames, scores: Sequence[float], caption: Callable[[int], str]) -> None:
        """Look at one sequence with a score for each frame; only scores above 0 count.

        ``caption``: what to write below the frame of an index.
        """
        least = self._kept[-1][0] if len(self._kept) == MOST_EXAMPLES else 0.0
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        for index in order[:MOST_EXAMPLES]:
            if scores[index] > least:
                frame = next(frames.part(index, index + 1).chunks())[0]
                example = Example(f"{frames.name}, frame {index}", frame, caption=caption(index))
                self._kept.append((scores[index], example))
        self._kept = sorted(self._kept, key=lambda kept: -kept[0])[:MOST_EXAMPLES]

    def merge(self, later: "WorstFrames") -> None:
        """Keep frames of ``later`` as if its sequences had been looked at here now."""
        self._kept = sorted((*self._kept, *later._kept), key=lambda kept: -kept[0])[:MOST_EXAMPLES]

    def examples(self) -> tuple[Example, ...]:
        """The frames kept, the largest score first."""
        return tuple(example for _, example in self._kept)
