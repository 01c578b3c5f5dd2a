"""Hundreds of bad inputs and option values through the commands, each in a process of its own.

Whatever a command is given, it ends within a minute, without a traceback, with one sentence and
exit code 2 (or 1 where the documents say so); it leaves nothing behind and its inputs as they were.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_inputs.case import Case
from bad_inputs.file_cases import (
    flipped_cases,
    hdf5_cases,
    mismatched_cases,
    report_cases,
    whole_file_cases,
)
from bad_inputs.onnx_cases import onnx_cases
from bad_inputs.option_cases import contradiction_cases, number_cases, text_cases
from bad_inputs.output_cases import output_cases
from bad_inputs.world import contents, make_world

pytestmark = pytest.mark.slow

_TIMEOUT_S = 60
_PEAK_BYTES = 6 * 2**30
_CRASHES = ("Traceback", "Segmentation fault", "Fatal Python error")


class Server:
    """Runs cases in copies of a good world, side by side with nothing."""

    def __init__(self, world: Path, folder: Path) -> None:
        self.world, self.folder = world, folder
        self._good = contents(world)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        script = Path(__file__).parent / "bad_inputs" / "server.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._reply()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def faults(self, case: Case) -> list[str]:
        """What went wrong: nothing, if all is as it should be."""
        copy, log = self.folder / "world", self.folder / "log.txt"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.world, copy, symlinks=True)
        case.damage(copy)
        before = contents(copy)
        reply = self._ask(
            {
                "arguments": list(case.arguments),
                "folder": str(copy),
                "log": str(log),
                "timeout_s": _TIMEOUT_S,
            }
        )
        text = log.read_text(errors="replace")
        return [*_ending(case, reply, text), *_traces(reply["code"], before, contents(copy))]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        return reply


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    world = make_world(tmp_path_factory.mktemp("good"))
    server = Server(world, tmp_path_factory.mktemp("bad"))
    yield server
    server.close()


def test_numbers_that_no_option_can_have(server: Server) -> None:
    _assert_no_faults(server, number_cases())


def test_texts_that_no_option_can_have(server: Server) -> None:
    _assert_no_faults(server, text_cases())


def test_options_that_contradict_one_another(server: Server) -> None:
    _assert_no_faults(server, contradiction_cases())


def test_places_that_cannot_be_written(server: Server) -> None:
    _assert_no_faults(server, output_cases())


def test_damaged_files(server: Server) -> None:
    _assert_no_faults(server, whole_file_cases())
    _assert_no_faults(server, flipped_cases(60))


def test_damaged_hdf5_files(server: Server) -> None:
    _assert_no_faults(server, hdf5_cases(server.world))


def test_damaged_reports(server: Server) -> None:
    _assert_no_faults(server, report_cases(server.world))


def test_files_in_the_wrong_place(server: Server) -> None:
    _assert_no_faults(server, mismatched_cases())


def test_changed_networks(server: Server) -> None:
    _assert_no_faults(server, onnx_cases(120))


def _assert_no_faults(server: Server, cases: Iterator[Case]) -> None:
    found, count = [], 0
    for case in cases:
        count += 1
        found += [f"{case.name}: {fault}" for fault in server.faults(case)]
    assert count > 10
    assert not found, f"{len(found)} faults in {count} cases:\n" + "\n".join(found)


def _ending(case: Case, reply: dict[str, Any], text: str) -> Iterator[str]:
    """Faults in how the command ended and in what it said."""
    if reply["timed_out"]:
        yield f"still running after {_TIMEOUT_S} s"
        return
    if reply["peak_bytes"] > _PEAK_BYTES:
        yield f"took {reply['peak_bytes'] / 2**30:.1f} GiB"
    if any(crash in text for crash in _CRASHES):
        yield f"a traceback: {text.strip().splitlines()[-1]}"
    elif reply["code"] == 0:
        if case.must_fail:
            yield f"accepted: {text.strip()[-300:]}"
    elif reply["code"] not in case.codes:
        yield f"exit code {reply['code']}: {text.strip()[-300:]}"
    elif reply["code"] == 2 and not _is_a_sentence(text):
        yield f"no single sentence: {text.strip()[-300:]}"


def _is_a_sentence(text: str) -> bool:
    """One line from the program (after progress and warnings), or a usage message."""
    lines = text.strip().splitlines()
    told = [line for line in lines if line.startswith("ann2sdnn: ")]
    return "Usage: " in text or (len(told) == 1 and lines[-1] == told[0])


def _traces(code: int, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What a refused command left behind, and what any command did to what was there."""
    changed = sorted(name for name in before if after.get(name) != before[name])
    if changed and code != 0:
        yield f"changed or removed {', '.join(changed[:5])}"
    new = sorted(set(after) - set(before))
    if new and code != 0:
        yield f"left behind {', '.join(new[:5])}"
