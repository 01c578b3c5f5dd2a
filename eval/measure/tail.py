"""Computes a file's own outputs from those of all networks, and compares the answers.

A tail (Softmax, ArgMax, TopK, the decoding of boxes) is no part of the networks, which end before
it. What a user reads are the file's own outputs. Several outputs are compared without a tail too.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.eval.results.tail import TailDifference, TailOutput, TailReport
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.tail import Tail
from ann2sdnn.graph.planes import separated
from ann2sdnn.support.errors import ModelError

_Answers = Mapping[str, NDArray[Any]]


class TailComparison:
    """The file's outputs of each of ``networks`` against those of "ann", where that is one.

    ``tail``: of the file of ``graph``. Without one, a single output is not compared.
    """

    def __init__(self, graph: Graph, tail: Tail | None, networks: Sequence[str]) -> None:
        self._graph, self._tail = graph, tail
        self._is_shown = tail is not None or len(graph.output_planes) > 1
        self._compared = [name for name in networks if name != "ann"] if "ann" in networks else []
        self.answers = TailAnswers()

    def watched(self, outputs: Iterable[Mapping[str, Tensor]]) -> Iterator[Mapping[str, Tensor]]:
        """Hand on the ``outputs`` [n, O, H, W] of one sequence's chunks while they are compared."""
        for chunk in outputs:
            if self._is_shown and self._compared and self.answers.failure is None:
                try:
                    self._add(chunk)
                except ModelError as error:
                    self.answers.failure = str(error)
            yield chunk

    def _add(self, chunk: Mapping[str, Tensor]) -> None:
        # Networks that are the same one have the same tensor.
        answers = {
            id(chunk[name]): answers_of(self._graph, self._tail, chunk[name])
            for name in ("ann", *self._compared)
        }
        reference = answers[id(chunk["ann"])]
        for output, values in reference.items():
            counted = self.answers.outputs.setdefault(output, _Output(self._compared))
            counted.add(values, {name: answers[id(chunk[name])][output] for name in self._compared})

    def report(self) -> TailReport | None:
        """The differences over all sequences; None for a single output without a tail."""
        if not self._is_shown:
            return None
        answers = self.answers
        outputs = answers.outputs.items() if answers.failure is None else ()
        return TailReport(
            tensors=tuple(held.name for held in self._graph.held),
            operators=() if self._tail is None else self._tail.operators,
            outputs=tuple(output.record(name) for name, output in outputs),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence where the tail could not be run."""
        if self.answers.failure is None:
            return ()
        return (f"The file's own outputs were not compared: {self.answers.failure}.",)


def answers_of(graph: Graph, tail: Tail | None, outputs: Tensor) -> _Answers:
    """The file's outputs by name for the ``outputs`` [n, O, H, W] of a network.

    ``graph``: that of the file, with its ``tail``. Raises ModelError where that cannot be run.
    """
    parts = separated(outputs, graph.output_shapes)
    own = {held.name: part.numpy() for held, part in zip(graph.held, parts, strict=True)}
    if tail is not None:
        return tail.run(own)
    return {
        held.name: np.ascontiguousarray(held.data.packed(own[held.name])) for held in graph.held
    }


class TailAnswers:
    """The answers compared so far; ``failure`` says why they are no more, None where they are."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.outputs: dict[str, _Output] = {}

    def merge(self, later: "TailAnswers") -> None:
        """Count the answers of ``later`` as if they had been compared here now."""
        self.failure = self.failure or later.failure
        for name, output in later.outputs.items():
            if name in self.outputs:
                self.outputs[name].merge(output)
            else:
                self.outputs[name] = output


class _Output:
    """One output of the file, of all networks."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._differences = {name: _Difference() for name in networks}
        self._shapes: set[tuple[int, ...]] = set()
        self._type = ""

    def add(self, ann: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> None:
        """Count the answers of n frames."""
        frames = [np.asarray(frame) for frame in ann]
        self._shapes.update(frame.shape for frame in frames)
        self._type = "str" if frames[0].dtype.kind in "OU" else str(frames[0].dtype)
        for name, answers in others.items():
            for frame, answer in zip(frames, answers, strict=True):
                self._differences[name].add(frame, np.asarray(answer))

    def merge(self, later: "_Output") -> None:
        """Count the answers of ``later`` too."""
        self._shapes |= later._shapes
        self._type = later._type
        for name, difference in self._differences.items():
            difference.merge(later._differences[name])

    def record(self, name: str) -> TailOutput:
        """The output ``name`` in the report."""
        shape = next(iter(self._shapes)) if len(self._shapes) == 1 else None
        differences = {key: each.record() for key, each in self._differences.items()}
        return TailOutput(name=name, type=self._type, shape=shape, **differences)


class _Difference:
    """Sums over frames of one network's answers against the ANN's."""

    def __init__(self) -> None:
        self._n_frames = self._other_shape = self._changed_frames = 0
        self._n_elements = self._changed = 0
        self._is_real = False
        # Of every frame, so that the sums of merged parts are those of the whole.
        self._errors: list[float] = []
        self._energies: list[float] = []

    def add(self, ann: NDArray[Any], other: NDArray[Any]) -> None:
        """Count one frame's answers."""
        self._n_frames += 1
        self._is_real = ann.dtype.kind == "f"
        if ann.shape != other.shape:
            self._other_shape += 1
            self._changed_frames += 1
            return
        differs = ann != other
        if self._is_real:
            # Equal infinities, and values that are undefined in both, are no error.
            differs &= ~(np.isnan(ann) & np.isnan(other))
            distance = np.where(differs, other.astype(np.float64) - ann, 0.0)
            self._errors.append(float(np.square(distance).sum()))
            finite = np.where(np.isfinite(ann), ann.astype(np.float64), 0.0)
            self._energies.append(float(np.square(finite).sum()))
        self._n_elements += differs.size
        self._changed += int(differs.sum())
        self._changed_frames += bool(differs.any())

    def merge(self, later: "_Difference") -> None:
        """Count the frames of ``later`` too."""
        for name in ("n_frames", "other_shape", "changed_frames", "n_elements", "changed"):
            setattr(self, f"_{name}", getattr(self, f"_{name}") + getattr(later, f"_{name}"))
        self._is_real = later._is_real
        self._errors += later._errors
        self._energies += later._energies

    def record(self) -> TailDifference:
        """The shares, and the relative error."""
        other_shape = self._other_shape / self._n_frames
        if self._is_real:
            error_energy, energy = sum(self._errors), sum(self._energies)
            relative = math.sqrt(error_energy / energy) if energy > 0 else math.nan
            error = relative if math.isfinite(relative) else None
            return TailDifference(relative_error=error, other_shape=other_shape)
        elements = self._changed / self._n_elements if self._n_elements else None
        return TailDifference(
            changed_elements=elements,
            changed_frames=self._changed_frames / self._n_frames,
            other_shape=other_shape,
        )
