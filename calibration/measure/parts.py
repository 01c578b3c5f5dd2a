"""Statistics of the float network in several processes, a number of whole sequences each.

Extremes and histograms of parts merge exactly, and what is added up in floating point is added up
sequence by sequence. So the statistics are those of one process, to the last bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ann2sdnn.calibration.measure.observer import LayerObserver
from ann2sdnn.calibration.measure.statistics import TASK_NAME, Seen, observe, observed_start
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.engine.threads import use_one_thread_in_workers
from ann2sdnn.support.memory import NETWORK_WORKER_BYTES, available_bytes, check_workers
from ann2sdnn.support.processes.pool import Advance, run_in_order
from ann2sdnn.support.progress import SILENT, Reporter

Groups = Sequence[Sequence[Frames]]


def observe_in_parts(
    graph: Graph, groups: Groups, workers: int, reporter: Reporter = SILENT
) -> list[Seen]:
    """What the layers of ``graph`` do on the sequences of each of ``groups``.

    Each of the ``workers`` processes has one thread and takes about as many frames as the others.
    Raises what ``measure`` raises for frames, UsageError where there is not enough memory, and
    OutputError where a process was killed.
    """
    jobs = [_Job(graph, part) for part in shared(groups, workers)]
    check_workers(len(jobs), available=available_bytes(), each=NETWORK_WORKER_BYTES)
    total = [Seen(observed) for observed in _nothing_seen(graph, len(groups))]
    n_frames = sum(run.n_frames for group in groups for run in group)
    with reporter.task(TASK_NAME, n_frames, "frames") as task:
        for part in run_in_order(_observe_part, jobs, len(jobs), task.advance):
            for mine, theirs in zip(total, part, strict=True):
                mine.merge(theirs)
    return total


def shared(groups: Groups, workers: int) -> list[list[list[Frames]]]:
    """For each worker, at most ``workers`` of them, its sequences of every group, in order.

    A worker has consecutive sequences, with about as many frames as another worker.
    """
    every = [(number, run) for number, group in enumerate(groups) for run in group]
    share = sum(run.n_frames for _, run in every) / workers
    parts: dict[int, list[list[Frames]]] = {}
    begun = 0
    for number, run in every:
        middle = begun + run.n_frames / 2
        place = min(int(middle / share), workers - 1) if share else 0
        parts.setdefault(place, [[] for _ in groups])[number].append(run)
        begun += run.n_frames
    return [parts[place] for place in sorted(parts)]


@dataclass(frozen=True, eq=False)
class _Job:
    """The network, and sequences of each group."""

    graph: Graph
    groups: list[list[Frames]]


def _nothing_seen(graph: Graph, n: int) -> Iterator[list[LayerObserver]]:
    for _ in range(n):
        yield [LayerObserver(layer) for layer in graph.layers]


def _observe_part(job: _Job, advance: Advance) -> list[Seen]:
    use_one_thread_in_workers()
    waiting = observed_start(job.graph)
    every = []
    for runs in job.groups:
        seen = Seen([observer.again() for observer in waiting])
        observe(job.graph, runs, seen, advance)
        seen.observers = [observer.without_frames() for observer in seen.observers]
        every.append(seen)
    return every
