"""Exchanges two names on disk in one step, where the system can."""

import ctypes
import os
import sys
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchanged(first: Path, second: Path) -> bool:
    """Give each of two files or folders the other's name in one step; whether that was possible.

    It is on Linux, on file systems such as ext4, xfs, btrfs and tmpfs. Nothing changes elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:  # an old C library
        return False
    names = (os.fsencode(path.absolute()) for path in (first, second))
    old, new = names
    return bool(rename(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_EXCHANGE) == 0)
