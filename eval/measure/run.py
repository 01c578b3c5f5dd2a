"""Opens the networks and frames of an evaluation, and runs them in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.convert.folder import SPEC_FILE, OpenedConversion, open_conversion
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.registry import open_frames, source_of
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.measure.film import film_of
from ann2sdnn.eval.measure.side_by_side import SideBySide, Work, network_names
from ann2sdnn.eval.measure.tail import TailComparison
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.results.examples import Film
from ann2sdnn.eval.tasks.registry import TASKS, task_for
from ann2sdnn.eval.tasks.task import BaselineSide, Evaluated, Scores
from ann2sdnn.graph.onnx.tail import Tail, tail_of
from ann2sdnn.support.progress import NoteReporter, Task


@dataclass(frozen=True, eq=False)
class Opened:
    """What an evaluation runs, and on what.

    ``task``: the name of the task. ``scores``: its empty scores. ``networks``: names of those that
    run. ``host``: the tail of the network's file.
    """

    conversion: OpenedConversion
    sequences: tuple[Frames, ...]
    task: str
    scores: Scores
    networks: tuple[str, ...]
    host: Tail | None

    @property
    def n_frames(self) -> int:
        """Frames of all sequences."""
        return sum(frames.n_frames for frames in self.sequences)

    def tail(self) -> TailComparison:
        """An empty comparison of the file's own outputs."""
        return TailComparison(self.conversion.graph, self.host, self.networks)


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on all sequences; ``frames_sha256``: of their values, in order."""

    scores: Scores
    tail: TailComparison
    work: Work
    film: Film | None
    frames_sha256: str


def open_evaluated(folder: Path, data: Path, options: EvaluateOptions) -> Opened:
    """Open the conversion in ``folder`` and the frames in ``data``; errors as of ``evaluate``."""
    conversion = open_conversion(folder)
    sequences = resized(
        open_frames(data, options.source, split=options.split, max_frames=options.max_frames),
        conversion.spec.preprocessing.resize,
    )
    task = options.task or task_for(conversion.spec, sequences)
    networks = network_names(conversion.points, options.compare)
    baseline, side = baseline_sequences(data, options)
    evaluated = Evaluated(folder / SPEC_FILE, sequences, baseline, side, networks)
    scores = TASKS[task].scores(conversion.spec, evaluated)
    host = tail_of(conversion.model, conversion.graph)
    return Opened(conversion, sequences, task, scores, networks, host)


def run_here(opened: Opened, options: EvaluateOptions, task: Task) -> Measured:
    """Run the networks over all sequences in this process; ``task`` counts frames."""
    networks = SideBySide(opened.conversion, options.compare, options.backend, NoteReporter(task))
    tail = opened.tail()
    film = run_sequences(networks, opened.sequences, opened.scores, tail, task)
    return Measured(opened.scores, tail, networks.work(), film, networks.frames_sha256)


def run_sequences(
    networks: SideBySide,
    sequences: Sequence[Frames],
    scores: Scores,
    tail: TailComparison,
    task: Task,
) -> Film | None:
    """Run ``networks`` over ``sequences``, for ``scores`` and ``tail``.

    Returns the film of the first sequence, where the scores make one.
    """
    film = None
    for frames in sequences:
        scores.add(frames, tail.watched(networks.run(frames, task)))
        film = film or film_of(scores, networks.sdnn, networks.spec)
    return film


def baseline_sequences(
    data: Path, options: EvaluateOptions
) -> tuple[tuple[Frames, ...], BaselineSide]:
    """Sequences that a baseline may learn from, and whose they are; see ``Evaluated``."""
    source = source_of(data)
    evaluated = source.open(data, options.source, options.split)
    groups = {frames.group for frames in evaluated}
    training = source.open(data, options.source, "train")
    others = tuple(frames for frames in training if frames.group not in groups)
    return (others, "train") if others else (evaluated, "evaluated")
