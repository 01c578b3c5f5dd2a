"""Ends a process the way Python does, but without the destructors of C libraries."""

import atexit
import contextlib
import os
import sys
import threading
from typing import Any, NoReturn


def leave(code: int) -> NoReturn:
    """End this process with the exit ``code``: threads joined, ``atexit`` functions run, flushed.

    ``sys.exit`` would then call the C library's ``exit``. After an exception in a backward pass
    (Ctrl-C, a signal, no memory), torch's autograd still holds tensors there, whose destructors
    wait for ever for the lock of an interpreter that is gone. Here no destructor runs. Another
    exception meanwhile, such as a second Ctrl-C, ends the process at once.
    """
    # What Python itself does before exit(); multiprocessing ends forked processes in this way too.
    steps: tuple[Any, ...] = (
        vars(threading)["_shutdown"],  # also ends the workers of concurrent.futures
        vars(atexit)["_run_exitfuncs"],
        _flush,
    )
    try:
        for step in steps:
            step()
    finally:
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
            if stream is not None:  # as it is where the caller has closed it
                stream.flush()
