"""A command that is ended in a backward pass ends, and Python's own clean-up has run."""

import subprocess
import sys

import pytest

# A hook raises while a gradient in numpy's memory waits in autograd's queue. Freed by the C
# library's exit, without an interpreter, it crashes the process or lets it wait for ever.
_ENDED_BACKWARD = """
import atexit, os, signal, sys, threading, time
import numpy as np
import torch
from ann2sdnn.cli import app as cli

def fail(gradient):
    {failure}
    time.sleep(1)

def command(*arguments, **options):
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread ended"))).start()
    weights = torch.ones(1000, requires_grad=True)
    first, second = 2 * weights, 3 * weights
    second.grad_fn.register_prehook(fail)  # the later one comes first, and the other waits
    arrays = [np.ones(1000, np.float32) for _ in range(2)]
    atexit.register(print, "at exit")
    torch.autograd.backward((first, second), [torch.from_numpy(each) for each in arrays])

cli.app = command
cli.main()
"""


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "ann2sdnn: terminated\n"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "ann2sdnn: interrupted\n"),
        ("raise MemoryError('no more')", 2, "ann2sdnn: out of memory (no more)"),
        ("raise RuntimeError('torch says no')", 1, "Traceback (most recent call last)"),
    ],
)
def test_a_command_ended_in_a_backward_pass_ends(failure: str, code: int, told: str) -> None:
    program = _ENDED_BACKWARD.format(failure=failure)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (code, "thread ended\nat exit\n")
    assert done.stderr.startswith(told)
