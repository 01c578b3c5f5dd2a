"""Threads of an engine."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """Threads that wait for work; they end with their engine."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._size = self._process = 0

    def run(self, n_threads: int, work: Callable[[int], None]) -> None:
        """``work(thread)`` for all threads side by side, the first of them the caller's."""
        if n_threads == 1:
            work(0)
            return
        # A process that was forked has none of the threads.
        if self._pool is None or (self._size, self._process) != (n_threads, os.getpid()):
            self._pool = ThreadPoolExecutor(n_threads - 1)
            self._size, self._process = n_threads, os.getpid()
        others = [self._pool.submit(work, thread) for thread in range(1, n_threads)]
        work(0)
        for other in others:
            other.result()
