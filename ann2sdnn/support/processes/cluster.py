"""Runs jobs on a Dask cluster, whose workers see the same files under the same paths."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import Empty, Queue
from typing import Any, TypeVar
from uuid import uuid4

from ann2sdnn.support import __version__
from ann2sdnn.support.errors import ProcessError, UsageError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
Advance = Callable[[int], None]

_CONNECT_S = 30  # for the scheduler to answer
_ALONE_S = 60.0  # without any worker, until the run is given up
_POLL_S = 0.5
_LOOK_S = 2.0  # in a job, from one look at whether the run is over to the next


def run_on_cluster(
    function: Callable[[_Job, Advance], _Result],
    jobs: Sequence[_Job],
    scheduler: str,
    advance: Advance,
    *,
    hint: str = "",
) -> Iterator[_Result]:
    """As ``run_jobs`` in the workers of the Dask scheduler at the address ``scheduler``.

    ``advance`` gets what a job has counted when it ends. A job whose worker was lost is given to
    another. Raises UsageError where there is no scheduler or a worker has another version of this
    package, and ProcessError, whose sentence ends in ``hint``, when jobs keep losing workers or
    there is none for a minute.
    """
    distributed = _imported()
    with _client(distributed, scheduler) as client:
        _check_versions(client, scheduler)
        stop = distributed.Event(f"ann2sdnn-{uuid4().hex}", client=client)
        work = partial(_work, function, stop.name)
        pending = {client.submit(work, job, pure=False) for job in jobs}
        ended: Queue[Any] = Queue()
        for future in pending:
            future.add_done_callback(ended.put)
        try:
            while pending:
                future = _next(ended, client, scheduler, hint)
                pending.discard(future)
                result, count = _result_of(distributed, future, hint)
                advance(count)
                yield result
        finally:
            _stop(client, stop, pending)


def _imported() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            f"--scheduler needs the package distributed, which cannot be imported ({error}); pip"
            " install 'ann2sdnn[dask]'"
        ) from error
    return distributed


@contextmanager
def _client(distributed: Any, scheduler: str) -> Iterator[Any]:
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({reason}); start one with"
            " `dask scheduler` and name its address, such as tcp://host:8786"
        ) from error
    with client:
        yield client


def _check_versions(client: Any, scheduler: str) -> None:
    """Raise UsageError for workers with another version of this package, or without it."""
    answers = client.run(_version, on_error="return")
    for worker, version in answers.items():
        if version != __version__:
            raise UsageError(
                f"--scheduler {scheduler}: the worker {worker} has ann2sdnn {version}, and this"
                f" command {__version__}; install the same version there"
            )


def _version() -> str:
    return __version__


def _next(ended: "Queue[Any]", client: Any, scheduler: str, hint: str) -> Any:
    """The next future that ends; ProcessError where there is no worker for long."""
    seen = time.monotonic()
    while True:
        try:
            return ended.get(timeout=_POLL_S)
        except Empty:
            pass
        if client.status != "running":
            raise ProcessError(
                f"the Dask scheduler {scheduler} has ended; run the command again{hint}"
            )
        if client.nthreads():
            seen = time.monotonic()
        elif time.monotonic() - seen > _ALONE_S:
            raise ProcessError(
                f"the Dask scheduler {scheduler} has had no worker for {_ALONE_S:.0f} seconds;"
                f" start some with `dask worker {scheduler}` and run the command again{hint}"
            )


def _result_of(distributed: Any, future: Any, hint: str) -> Any:
    try:
        return future.result()
    except distributed.KilledWorker as error:
        raise ProcessError(
            "the workers that were given one of the jobs were killed, perhaps for want of memory;"
            f" give each more memory and run the command again{hint}"
        ) from error
    except distributed.CancelledError as error:
        raise ProcessError(
            f"a job was cancelled, perhaps because the scheduler ended; run the command again{hint}"
        ) from error


def _stop(client: Any, stop: Any, pending: set[Any]) -> None:
    """Let running jobs end at their next count, and forget the others."""
    if client.status != "running":
        return
    if pending:
        stop.set()
    client.cancel(list(pending))


def _work(function: Callable[[Any, Advance], Any], stop: str, job: Any) -> tuple[Any, int]:
    counter = _Counter(stop)
    return function(job, counter), counter.total


class _StoppedError(Exception):
    """The run is over."""


class _Counter:
    """Counts the work of a job in a worker; raises where the run is over."""

    def __init__(self, stop: str) -> None:
        self.total, self._stop, self._looked = 0, stop, time.monotonic()

    def __call__(self, amount: int) -> None:
        self.total += amount
        if time.monotonic() - self._looked > _LOOK_S:
            import distributed

            self._looked = time.monotonic()
            if distributed.Event(self._stop).is_set():
                raise _StoppedError
