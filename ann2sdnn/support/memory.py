"""Memory that this process may still use, and a check of estimates against it.

Linux kills a process that takes more memory than there is, without a message. Commands that hold
much estimate first, and refuse in one sentence what cannot work.
"""

from collections.abc import Iterator
from pathlib import Path

from ann2sdnn.support.errors import UsageError

GB = 10**9
_ROOT = Path("/")

# Measured: a process that makes or prepares one recording after another, and one that runs the pose
# network, its SDNN and their statistics.
_WORKER_BYTES = 3 * 10**8
NETWORK_WORKER_BYTES = 7 * 10**8


def available_bytes(root: Path = _ROOT) -> int | None:
    """Bytes that this process can take before it is killed; None where the system does not say.

    The least of what the machine has free (``MemAvailable``) and of what the limits of the
    process's control groups (version 1 or 2) leave. ``root`` is where /proc and /sys are.
    """
    free = [left for left in (_machine(root), *_groups(root)) if left is not None]
    return max(0, min(free)) if free else None


def check_memory(needed: int, what: str, remedy: str, *, available: int | None) -> None:
    """Raise UsageError when ``what`` needs more bytes than are ``available`` (None: unknown).

    ``remedy`` says which options lower the need.
    """
    if available is not None and needed > available:
        raise UsageError(
            f"{what} needs about {gigabytes(needed)} of memory and {gigabytes(available)} are free;"
            f" {remedy}"
        )


def check_workers(workers: int, *, available: int | None, each: int = _WORKER_BYTES) -> None:
    """Raise UsageError when ``workers`` processes do not fit into the memory that is free.

    ``each``: bytes that one of them needs.
    """
    check_memory(
        workers * each,
        f"a pool of {workers} processes",
        "give fewer --workers",
        available=available,
    )


def gigabytes(n_bytes: float) -> str:
    """Bytes as people read them: 23 GB, 0.4 GB."""
    value = n_bytes / GB
    return f"{value:.0f} GB" if value >= 10 else f"{value:.1f} GB"


def _machine(root: Path) -> int | None:
    """``MemAvailable``: free memory and caches that the kernel gives back when it is asked."""
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _groups(root: Path) -> Iterator[int]:
    """What each limit leaves, of the process's control groups and of those they are in."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            mount = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            mount = root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the group itself may be mounted as the root, under its path outside.
        own = mount / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder != mount and mount not in folder.parents:
                break
            left = _left(folder, *names)
            if left is not None:
                yield left


def _left(folder: Path, limit: str, used: str, cached: str) -> int | None:
    """What the limit of one control group leaves; None where it has none."""
    limits, usage = _lines(folder / limit), _lines(folder / used)
    if not limits or not usage or limits[0] == "max":
        return None
    # Of the files in the cache the kernel gives up those that nobody used lately.
    statistics = dict(line.split(maxsplit=1) for line in _lines(folder / "memory.stat"))
    return int(limits[0]) - int(usage[0]) + int(statistics.get(cached, 0))


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where there is no such file."""
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
