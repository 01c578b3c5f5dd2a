"""Runs a function over jobs in worker processes, which never outlive the run."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from signal import SIG_IGN, SIGINT, signal
from typing import Any, TypeVar

from ann2sdnn.support.errors import OutputError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
Advance = Callable[[int], None]

_POLL_S = 0.2


def run_jobs(
    function: Callable[[_Job, Advance], _Result],
    jobs: Sequence[_Job],
    workers: int,
    advance: Advance,
    *,
    hint: str = "",
    scheduler: str | None = None,
) -> Iterator[_Result]:
    """Yield ``function(job, count)`` for each of ``jobs``, as they end.

    ``function`` calls ``count`` with the work it has done since the last call; ``advance`` gets the
    sum of all jobs in this process. When the run is interrupted, the next call of ``count`` in a
    worker raises, so that whatever the job has half-written goes away. With one worker everything
    runs in this process, in order. With the address of a ``scheduler``, the workers of that Dask
    cluster run the jobs instead (``cluster.py``). Raises OutputError, whose sentence ends in
    ``hint``, when a worker process was killed, and what ``run_on_cluster`` raises.
    """
    if scheduler is not None:
        from ann2sdnn.support.processes.cluster import run_on_cluster

        yield from run_on_cluster(function, jobs, scheduler, advance, hint=hint)
        return
    workers = min(workers, len(jobs))
    if workers < 2:
        for job in jobs:
            yield function(job, advance)
        return
    context = get_context("spawn")
    counted, stop, seen = context.Value("q", 0), context.Event(), 0
    with ProcessPoolExecutor(workers, context, _start_worker, (counted, stop)) as pool:
        pending = {pool.submit(_work, function, job) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, _POLL_S, FIRST_COMPLETED)
                seen, before = counted.value, seen
                advance(seen - before)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise OutputError(
                "a worker process was killed, perhaps for want of memory; run the command again"
                f" with fewer workers{hint}"
            ) from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def run_in_order(
    function: Callable[[_Job, Advance], _Result],
    jobs: Sequence[_Job],
    workers: int,
    advance: Advance,
    *,
    hint: str = "",
    scheduler: str | None = None,
) -> Iterator[_Result]:
    """As ``run_jobs``, in the order of ``jobs``: a result waits for those of earlier jobs."""
    waiting: dict[int, _Result] = {}
    following = 0
    numbered = partial(_numbered, function)
    results = run_jobs(
        numbered, [*enumerate(jobs)], workers, advance, hint=hint, scheduler=scheduler
    )
    for number, result in results:
        waiting[number] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _numbered(
    function: Callable[[_Job, Advance], _Result], job: tuple[int, _Job], advance: Advance
) -> tuple[int, _Result]:
    number, own = job
    return number, function(own, advance)


class _StoppedError(Exception):
    """The run is over."""


class _Worker:
    """What a worker process shares with the one that started it."""

    counted: Any
    stop: Any


def _start_worker(counted: Any, stop: Any) -> None:
    _Worker.counted, _Worker.stop = counted, stop
    signal(SIGINT, SIG_IGN)  # the parent is interrupted too, and says when to stop
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(function: Callable[[Any, Advance], Any], job: Any) -> Any:
    return function(job, _count_or_stop)


def _count_or_stop(amount: int) -> None:
    with _Worker.counted.get_lock():
        _Worker.counted.value += amount
    if _Worker.stop.is_set():
        raise _StoppedError
