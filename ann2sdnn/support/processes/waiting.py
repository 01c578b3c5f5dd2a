"""Lets OpenMP's threads sleep while they wait for each other, instead of spinning.

A thread that spins keeps its core until the scheduler takes it away. With two threads on two cores
and any other busy process, every parallel loop then waits for a thread that waits for a core:
measured with ``benchmarks/waiting.py``, a training step takes several times longer and a compiled
pass a hundred times.
"""

import os
import sys

POLICY = "OMP_WAIT_POLICY"
THREADS = "OMP_NUM_THREADS"
_PASSIVE = "PASSIVE"
# Variables that say how threads wait, of the OpenMP standard, of GNU's and of LLVM's library.
SAYS_HOW_TO_WAIT = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
# Packages that load an OpenMP library, which reads the variables when it is loaded.
_LOADS_OPENMP = ("torch", "numba")


def let_threads_sleep() -> None:
    """Set ``OMP_WAIT_POLICY=PASSIVE`` in this process's environment, for it and its children.

    Does nothing where one of the variables that say how threads wait is set, and nothing after
    torch or numba was imported, since this process would not notice.
    """
    if any(name in os.environ for name in SAYS_HOW_TO_WAIT):
        return
    if not any(package in sys.modules for package in _LOADS_OPENMP):
        os.environ[POLICY] = _PASSIVE
