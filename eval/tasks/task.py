"""The protocol of a task: scoring the outputs of networks that run side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.results.timeline import Timeline
from ann2sdnn.sdnn.spec.spec import Spec

_M = TypeVar("_M", bound="MergedScores")

BaselineSide = Literal["train", "evaluated"]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The sequences and networks of an evaluation."""

    model: Path
    """The file of the SDNN, for messages."""

    sequences: tuple[Frames, ...]
    """Input of the networks."""

    baseline: tuple[Frames, ...]
    """Whole sequences whose labels a baseline may use: those of the data's training side that are
    not evaluated or, where there are none, the evaluated ones.
    """

    baseline_from: BaselineSide
    """The side that ``baseline`` is from."""

    networks: tuple[str, ...]
    """Names of the networks that run, of "ann", "sdnn", "memoryless" and "mixed"."""


class Scores(Protocol):
    """Scores of all networks, accumulated sequence by sequence.

    Fields are those of evaluation.json (``eval/results/schema.py``); those that a task leaves out
    are null.
    """

    def add(self, frames: Frames, outputs: Iterable[Mapping[str, Tensor]]) -> None:
        """Score one sequence: ``outputs`` are those of its chunks in order, by network.

        Every output is consumed, float32 [n, O, H, W] in the ANN's units.
        """

    def of_network(self, name: str) -> dict[str, Any]:
        """Fields of one network: its errors and, but for "ann", its difference from the ANN."""

    def of_comparison(self) -> dict[str, Any]:
        """Fields that compare the SDNN with the ANN."""

    def of_report(self) -> dict[str, Any]:
        """Fields of the whole report, such as baselines."""

    def examples(self) -> tuple[Example, ...]:
        """A few frames to look at."""


@runtime_checkable
class MergedScores(Scores, Protocol):
    """Scores that several processes count, each of other sequences.

    Merged in the order of the sequences, they are those of one process, to the last bit.
    """

    def empty(self: _M, first: int) -> _M:
        """Empty scores for the sequences of the evaluation from place ``first`` on."""

    def merge(self: _M, later: _M) -> None:
        """Count what ``later`` has counted, as if its sequences had been added here now."""


@runtime_checkable
class FilmedScores(Protocol):
    """Scores that also keep the first frames of the first sequence, in order."""

    def film(self) -> tuple[Example, ...]:
        """These frames, with the answers to them."""


@runtime_checkable
class TimedScores(Protocol):
    """Scores that also keep the errors of every frame."""

    def timeline(self) -> Timeline:
        """The sequences in the order in which they were scored."""


class Task(Protocol):
    """A way to score outputs."""

    def recognises(self, spec: Spec, sequences: Sequence[Frames]) -> bool:
        """Whether the outputs of ``spec`` on ``sequences`` are scored this way unless another task
        is named. Raises DataError for labels that cannot be read.
        """

    def scores(self, spec: Spec, evaluated: Evaluated) -> Scores:
        """Empty scores for the conversion ``spec``.

        Raises ModelError for a network whose output is not what the task scores, DataError for
        frames without the labels that it needs.
        """
