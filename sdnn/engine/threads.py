"""One number of threads for torch and for numba's kernels, which share one OpenMP."""

from multiprocessing import parent_process

import numba
import torch


def follow_torch() -> None:
    """Let numba's parallel kernels use as many threads as torch does; call it before they run.

    Left alone numba uses all cores, and when it starts them it sets torch's number to that as well:
    `OMP_NUM_THREADS=1` would hold only until the first kernel, and two busy processes that spin for
    each other's cores are many times slower than two with one thread each.
    """
    n_threads = torch.get_num_threads()
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(n_threads)


def use_one_thread_in_workers() -> None:
    """In a process that another has started, as a pool does: torch and numba use one thread.

    Every worker with as many threads as there are cores would be slower, as above.
    """
    if parent_process() is not None:
        torch.set_num_threads(1)
        follow_torch()
