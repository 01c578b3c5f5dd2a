"""Runs command lines in forks of one process that has imported what they need.

A fork starts in milliseconds where a new interpreter needs seconds, and each command still has a
process of its own, so that a crash, a hang or a leak is seen and stays where it happened. Requests
and replies are lines of JSON: {arguments, folder, log, timeout_s}, {code, timed_out, peak_bytes}.
"""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

_POLL_S = 0.01


def serve() -> None:
    """Answer requests on standard input until it ends."""
    _import_everything()
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)  # noqa: T201


def _import_everything() -> None:
    import h5py  # noqa: F401
    import numba  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch

    torch.set_num_threads(1)  # a fork of a process with threads may never return

    import ann2sdnn.ann.training.train
    import ann2sdnn.cli.app
    import ann2sdnn.convert.conversion
    import ann2sdnn.eval.bench.bench
    import ann2sdnn.eval.evaluate  # noqa: F401


def _run(request: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _child(request)
    deadline = time.monotonic() + request["timeout_s"]
    timed_out = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if not timed_out and time.monotonic() > deadline:
            timed_out = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(_POLL_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what a command started has to end with it
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "timed_out": timed_out, "peak_bytes": usage.ru_maxrss * 1024}


def _child(request: dict[str, Any]) -> None:
    os.setsid()
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["ann2sdnn", *request["arguments"]]
    code = 70
    try:
        from ann2sdnn.cli.app import exit_code

        code = exit_code()
    except BaseException:
        traceback.print_exc()
    finally:
        for output in (sys.stdout, sys.stderr):
            output.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    serve()
