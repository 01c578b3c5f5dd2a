"""Runs the networks of an evaluation in several processes, a sequence at a time.

Networks begin each sequence without a state, so sequences are independent. A process returns what
it counted of one sequence, and the counts are merged in the order of the sequences: every value is
that of one process, to the last bit.
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from ann2sdnn.eval.measure.run import Measured, Opened, open_evaluated, run_sequences
from ann2sdnn.eval.measure.side_by_side import SideBySide, Work, add_frames
from ann2sdnn.eval.measure.tail import TailAnswers
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.results.examples import Film
from ann2sdnn.eval.tasks.task import MergedScores
from ann2sdnn.sdnn.engine.threads import use_one_thread_in_workers
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.memory import NETWORK_WORKER_BYTES, available_bytes, check_workers
from ann2sdnn.support.processes.pool import Advance, run_in_order
from ann2sdnn.support.progress import Task


@dataclass(frozen=True)
class Asked:
    """An evaluation, as each process opens it for itself.

    ``number``: of this evaluation alone, so that a process that outlives it does not take the files
    of an earlier one for those of a later one.
    """

    folder: Path
    data: Path
    options: EvaluateOptions
    number: str = field(default_factory=lambda: uuid4().hex)


def run_in_parts(opened: Opened, asked: Asked, task: Task) -> Measured:
    """Run the networks over all sequences in the processes that the options ask for.

    ``opened`` is what this process has opened for ``asked``; ``task`` counts frames. Raises
    UsageError for a task whose scores cannot be merged, and where there is not enough memory,
    OutputError where a process was killed.
    """
    total, tail, options = opened.scores, opened.tail(), asked.options
    if not isinstance(total, MergedScores):
        raise UsageError(
            f"scores of the task {opened.task} cannot be merged; evaluate with --workers 1 and"
            " without --scheduler"
        )
    places = range(len(opened.sequences))
    if options.scheduler is None:
        check_workers(
            min(options.workers, len(places)),
            available=available_bytes(),
            each=NETWORK_WORKER_BYTES,
        )
    jobs = [_Job(asked, None), *(_Job(asked, place) for place in places)]
    results = run_in_order(_run, jobs, options.workers, task.advance, scheduler=options.scheduler)
    frames_sha256 = next(results)
    assert isinstance(frames_sha256, str)
    work: Work | None = None
    film: Film | None = None
    for part in results:
        assert isinstance(part, _Part)
        total.merge(part.scores)
        tail.answers.merge(part.answers)
        film = film or part.film
        if work is None:
            work = part.work
        else:
            work.merge(part.work)
    assert work is not None
    return Measured(total, tail, work, film, frames_sha256)


@dataclass(frozen=True)
class _Job:
    """The sequence at ``place`` to run; None for the digest of all frames."""

    asked: Asked
    place: int | None


@dataclass(frozen=True, eq=False)
class _Part:
    """What was measured on one sequence."""

    scores: MergedScores
    answers: TailAnswers
    work: Work
    film: Film | None


@dataclass(frozen=True)
class _Counter:
    """A task that only counts."""

    count: Advance

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.count(amount)


def _run(job: _Job, advance: Advance) -> "_Part | str":
    use_one_thread_in_workers()
    opened = _opened(job.asked)
    return _digest(opened, advance) if job.place is None else _part(job, opened, advance)


@lru_cache(maxsize=1)
def _opened(asked: Asked) -> Opened:
    return open_evaluated(asked.folder, asked.data, asked.options)


def _digest(opened: Opened, advance: Advance) -> str:
    """``frames_sha256`` of all sequences, which takes them in order."""
    seen = hashlib.sha256()
    for frames in opened.sequences:
        for chunk in frames.chunks():
            add_frames(seen, chunk)
            advance(0)
    return seen.hexdigest()


def _part(job: _Job, opened: Opened, advance: Advance) -> _Part:
    options, place = job.asked.options, job.place
    assert place is not None
    assert isinstance(opened.scores, MergedScores)
    networks = SideBySide(opened.conversion, options.compare, options.backend)
    scores, tail = opened.scores.empty(place), opened.tail()
    film = run_sequences(
        networks, opened.sequences[place : place + 1], scores, tail, _Counter(advance)
    )
    return _Part(scores, tail.answers, networks.work(), film if place == 0 else None)
