"""Numba's kernels keep to torch's number of threads, in a process of their own."""

import subprocess
import sys

CODE = """
import numba, numpy as np, torch
from ann2sdnn.sdnn.engine.threads import follow_torch
torch.set_num_threads(1)
@numba.njit(parallel=True)
def add(values):
    for i in numba.prange(len(values)):
        values[i] += 1
{call}
add(np.zeros(8))
print(torch.get_num_threads(), numba.get_num_threads())
"""


def threads_after(call: str) -> list[int]:
    code = CODE.format(call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(one) for one in done.stdout.split()]


def test_one_thread_stays_one() -> None:
    assert threads_after("follow_torch()") == [1, 1]
