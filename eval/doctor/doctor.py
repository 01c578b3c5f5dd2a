"""Runs the probes and says which commands work."""

import json
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ann2sdnn.eval.doctor.machine import Fact, facts
from ann2sdnn.eval.doctor.parts import GROUPS, NEEDED_BY, PARTS, Part, remedy
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.nearest import did_you_mean

_PATIENCE_S = 600  # compiling the engine's code for the first time takes a while
_MODULE = "ann2sdnn.eval.doctor.probes"


class Finding(BaseModel):
    """What trying a part has shown; ``reason`` and ``remedy`` are for one that does not work."""

    name: str
    works: bool
    found: str = ""
    reason: str = ""
    remedy: str = ""
    enables: str = ""
    is_core: bool = False


class Checkup(BaseModel):
    """Everything that `doctor` found. ``commands``: whether each can run here."""

    machine: list[Fact]
    findings: list[Finding]
    commands: dict[str, bool]
    needed: list[str]

    @property
    def broken(self) -> list[Finding]:
        """What does not work and is of the core, or was asked for."""
        wanted = [each for each in self.findings if each.is_core or each.name in self.needed]
        return [each for each in wanted if not each.works]

    @property
    def exit_code(self) -> int:
        """0 where the core and everything asked for work, else 1."""
        return 1 if self.broken else 0


def check_parts(needed: Sequence[str]) -> None:
    """Raise UsageError for a name that is no part."""
    for name in needed:
        if name not in PARTS:
            near = did_you_mean(name, PARTS)
            raise UsageError(f"--need {name}; expected one of {', '.join(PARTS)}{near}")


def examine(commands: Collection[str], needed: Sequence[str], folder: Path) -> Checkup:
    """Try everything, in processes that run at the same time.

    Takes some seconds, and longer where the engine's code is not compiled yet.

    ``commands``: names of all commands. ``needed``: names of parts that are asked for; raises
    UsageError for others. ``folder``: where recordings would be written.
    """
    check_parts(needed)
    started = [(group, _start(group, needed)) for group in GROUPS]
    try:
        findings = [each for group, process in started for each in _findings(group, process)]
    finally:
        for _, process in started:
            process.kill()
            process.wait()
    works = {each.name: each.works for each in findings}
    core = all(each.works for each in findings if each.is_core)
    can_run = {
        name: name == "doctor" or (core and works.get(NEEDED_BY.get(name, ""), True))
        for name in commands
    }
    return Checkup(machine=facts(folder), findings=findings, commands=can_run, needed=list(needed))


def _start(group: Sequence[Part], needed: Collection[str]) -> "subprocess.Popen[str]":
    probes = [part.probe for part in group]
    if "lava" in needed and "lava" in probes:
        probes[probes.index("lava")] = "lava-run"  # takes ten seconds
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, *probes],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _findings(group: Sequence[Part], process: "subprocess.Popen[str]") -> list[Finding]:
    try:
        output, errors = process.communicate(timeout=_PATIENCE_S)
        ended = _ending(process.returncode, errors)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        ended = f"it did not end within {_PATIENCE_S} s"
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    found = [_finding(part, answer) for part, answer in zip(group, answers, strict=False)]
    # The first without an answer ended the process; the others of its group were not tried.
    for part in group[len(answers) :]:
        before = group[len(answers)].name
        reason = ended if part.name == before else f"not tried, since {before} ended the process"
        found.append(_finding(part, {"reason": reason, "is_missing": False}))
    return found


def _finding(part: Part, answer: dict[str, Any]) -> Finding:
    finding = Finding(
        name=part.name,
        works="found" in answer,
        found=answer.get("found", ""),
        enables=part.enables,
        is_core=part.is_core,
    )
    if finding.works:
        return finding
    mend = remedy(part, is_missing=answer["is_missing"], module=answer.get("module"))
    return finding.model_copy(update={"reason": answer["reason"], "remedy": mend})


def _ending(code: int, errors: str) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = errors.strip().splitlines() or [""]
    return f"its process ended with code {code}: {lines[-1]}"
