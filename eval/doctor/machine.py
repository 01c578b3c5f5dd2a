"""Facts about the machine: Python, how threads wait, memory, and space on the disk."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from ann2sdnn.support.memory import available_bytes, gigabytes
from ann2sdnn.support.processes.waiting import POLICY, SAYS_HOW_TO_WAIT, THREADS
from ann2sdnn.support.terminal import counted

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
_LITTLE_BYTES = 2 * 10**9  # what a process that makes or prepares recordings may take


class Fact(BaseModel):
    """A line about the machine; ``advice`` is a sentence where something is to be changed."""

    name: str
    found: str
    advice: str = ""


def facts(folder: Path) -> list[Fact]:
    """What holds for any command; ``folder``: where it would write, which need not exist."""
    return [
        python_fact(sys.version_info[:3], sys.executable),
        threads_fact(os.environ, n_cpus()),
        memory_fact(available_bytes()),
        disk_fact(folder),
    ]


def n_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def python_fact(version: Sequence[int], executable: str) -> Fact:
    """The interpreter."""
    is_supported = ".".join(map(str, version[:2])) in SUPPORTED
    found = f"{'.'.join(map(str, version[:3]))} in {executable}"
    return Fact(
        name="Python",
        found=found,
        advice=""
        if is_supported
        else f"Use Python {SUPPORTED[0]} to {SUPPORTED[-1]}; 3.10 also has lava.",
    )


def threads_fact(environment: Mapping[str, str], cpus: int) -> Fact:
    """How many threads there are, and whether they sleep or spin while they wait."""
    given = {
        name: environment[name] for name in (THREADS, *SAYS_HOW_TO_WAIT) if name in environment
    }
    found = counted(cpus, "CPU")
    if given:
        found += "; " + ", ".join(f"{name}={value}" for name, value in given.items())
    spins = (
        environment.get("GOMP_SPINCOUNT", "0").strip() not in ("0", "")
        or ("GOMP_SPINCOUNT" not in environment and given.get(POLICY, "").upper() == "ACTIVE")
    )  # fmt: skip
    advice = (
        "Threads spin while they wait: beside another busy process commands are many times slower."
        " Unset OMP_WAIT_POLICY, or `export GOMP_SPINCOUNT=0`."
        if spins
        else ""
    )
    return Fact(name="threads", found=found, advice=advice)


def memory_fact(free: int | None) -> Fact:
    """Memory that this process may still take, of the machine and its control groups."""
    if free is None:
        return Fact(name="memory", found="unknown: this system does not say")
    advice = (
        "Little memory is free; close other programs, or give --workers 1 and fewer --frames."
        if free < _LITTLE_BYTES
        else ""
    )
    found = f"{gigabytes(free)} free for a command (machine and control groups)"
    return Fact(name="memory", found=found, advice=advice)


def disk_fact(folder: Path) -> Fact:
    """Free space where ``folder`` is or would be, and whether it can be written."""
    existing = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    advice = ""
    if not os.access(existing, os.W_OK):
        advice = f"{existing} cannot be written; choose another folder for what commands write."
    elif free < _LITTLE_BYTES:
        advice = "Little space is left; remove what is not needed, or write to another disk."
    return Fact(name="disk", found=f"{gigabytes(free)} free in {existing}", advice=advice)
