"""SIGTERM and SIGHUP end a command as Ctrl-C does: one sentence, nothing left behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A command that says when it is at work in its temporary folder, and then goes on for ever.
_COMMAND = """
import sys, time
from pathlib import Path
from ann2sdnn.cli import app as cli
from ann2sdnn.support.files.writing import atomic_folder

def command(*arguments, **options):
    with atomic_folder(Path(sys.argv[1])) as folder:
        (folder / "half").write_text("x")
        print("ready", flush=True)
        while True:
            time.sleep(0.05)

cli.app = command
cli.main()
"""
_IGNORED = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"


def started(out: Path, before: str = "") -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", before + _COMMAND, str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_cleans_up_and_says_so(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = started(tmp_path / "to" / "out")
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)  # as `timeout` does
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) in (
        (128 + number, "ann2sdnn: terminated\n"),
        (128 + signal.SIGTERM, "ann2sdnn: terminated\n"),  # both came before either was handled
    )
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    process = started(tmp_path / "out", before=_IGNORED)  # as `nohup` does
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM


def test_forked_processes_end_as_without_a_handler() -> None:
    fork = """
import os, signal, time
from ann2sdnn.support.processes.termination import raise_on_termination
raise_on_termination()
pid = os.fork()
if pid == 0:
    while True:
        time.sleep(0.05)
time.sleep(0.1)
os.kill(pid, signal.SIGTERM)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + 100)
"""
    done = subprocess.run(
        [sys.executable, "-c", fork], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (100 - signal.SIGTERM, "")
