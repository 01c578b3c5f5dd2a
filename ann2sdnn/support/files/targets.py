"""Checks of output paths, made before any work: what may be written, and what may be replaced.

Nothing is ever deleted or overwritten unless this program wrote it (``marker``), or it is a file
that the user named with --force. An input of the same command is never overwritten.

``inputs``: files and folders that the command reads. A folder stands for itself only, so its files
are named one by one where they matter.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ann2sdnn.support.errors import OutputError, UsageError
from ann2sdnn.support.files.marker import (
    MARKER,
    PROBE,
    first_foreign,
    holds_nothing,
    is_listed,
    listed,
    real_place,
)

_PROBE_BYTES = b"\0" * 4096
_NEXT = "choose another name or add --force to replace it"


def check_file(path: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless ``path``, a file that the user named, can be written."""
    refuse_file(path, force=force, inputs=inputs)
    check_writable(path)


def refuse_file(path: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError when ``path`` exists and may not be replaced.

    A file is replaced only with ``force``; a folder, a device and an input never are.
    """
    if not os.path.lexists(path):
        return
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file to write")
    _refuse_input(path, inputs)
    if not force:
        raise OutputError(f"{path} exists already; {_NEXT}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no regular file; name a file to write")


def check_files(
    folder: Path, names: Iterable[str], *, force: bool, inputs: Iterable[Path] = ()
) -> None:
    """Raise OutputError unless the files ``names`` can be written into ``folder``.

    Existing ones are replaced only with ``force``, and only if this program wrote them.
    """
    _refuse_no_folder(folder)
    inputs = tuple(inputs)
    for path in (folder / name for name in names):
        if not os.path.lexists(path):
            continue
        if path.is_dir() or not is_listed(path):
            raise OutputError(
                f"{path} exists already, and no {MARKER} says that ann2sdnn wrote it; move it away,"
                " or choose another folder"
            )
        _refuse_input(path, inputs)
        if not force:
            raise OutputError(f"{path} exists already; {_NEXT}")
    check_writable(folder, inside=True)


def check_folder(path: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless the folder ``path`` can be written as a whole."""
    refuse_folder(path, force=force, inputs=inputs)
    check_writable(path)


def refuse_folder(path: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError when ``path`` exists and may not be replaced by a folder.

    An empty folder does not count as existing. Another is replaced only with ``force``, and only if
    this program wrote everything in it. The working directory, a folder above it, a link, an input
    and a folder above one are never replaced.
    """
    place = real_place(path)
    if not os.path.lexists(place):
        return
    if place.is_symlink():
        raise OutputError(f"{path} is a link, which is not replaced; name the folder itself")
    if not place.is_dir():
        raise OutputError(f"{path} is a file and a folder is to be written; choose another name")
    working = Path(os.path.realpath(Path.cwd()))
    if place == working or place in working.parents:
        raise OutputError(
            f"{path} is the working directory or lies above it, and is not replaced; name a folder"
            " inside"
        )
    if place.is_mount():
        raise OutputError(
            f"{path} is a mount point, which cannot be replaced; name a folder inside"
        )
    if holds_nothing(place):
        return
    for read in inputs:
        spots = (real_place(read), Path(os.path.realpath(read)))
        if any(place == spot or place in spot.parents for spot in spots):
            raise OutputError(
                f"{path} is or holds {read}, which this command reads; choose another name"
            )
    reason = _unreplaceable(place)
    if reason is not None:
        existing = "" if force else "exists already, and "
        raise OutputError(f"{path} {existing}{reason}, or choose another name")
    if not force:
        raise OutputError(f"{path} exists already; {_NEXT}")


def refuse_use(folder: Path, sign: Path, *, force: bool) -> None:
    """Raise OutputError when ``folder`` is no folder or holds anything that may not be replaced.

    With ``force`` it may hold ``sign``, written by this program: the file by which a folder is
    recognised that may be written again.
    """
    _refuse_no_folder(folder)
    if not folder.is_dir() or holds_nothing(folder):
        return
    if not is_listed(sign):
        existing = "" if force else "exists already, and "
        raise OutputError(
            f"{folder} {existing}holds something else than this command writes (no {sign.name}"
            " that ann2sdnn wrote); choose another folder"
        )
    if not force:
        raise OutputError(f"{folder} exists already; {_NEXT}")


def refuse_overlap(first: Path, second: Path) -> None:
    """Raise UsageError when one of two output paths is the other or lies inside it."""
    place, other = Path(os.path.realpath(first)), Path(os.path.realpath(second))
    if place == other or place in other.parents or other in place.parents:
        raise UsageError(f"{first} and {second} are both written, so neither may lie in the other")


def check_writable(path: Path, *, inside: bool = False) -> None:
    """Raise OutputError unless a file or folder could be created at ``path``, or ``inside`` it.

    It is tried with temporary names in the nearest folder above that exists; nothing stays.
    """
    place = real_place(path / MARKER if inside else path)
    above = next((parent for parent in place.parents if os.path.lexists(parent)), place)
    if not above.is_dir():
        raise OutputError(f"cannot write {path}: {above} is no folder; choose another place")
    probe = None
    try:
        probe = Path(tempfile.mkdtemp(prefix=PROBE, dir=above))
        file = probe / place.relative_to(above)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_PROBE_BYTES)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another place or free it"
        ) from error
    finally:
        if probe is not None:
            with suppress(OSError):
                shutil.rmtree(probe)


def _unreplaceable(place: Path) -> str | None:
    """Why the folder ``place`` is not replaced and what to do, None where it may be."""
    if listed(place) is None:
        return f"has no {MARKER} that says ann2sdnn wrote it; remove it yourself"
    foreign = first_foreign(place)
    if foreign is not None:
        return f"holds {foreign}, which ann2sdnn did not write with it; move that away"
    return None


def _refuse_no_folder(folder: Path) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"{folder} exists already and is no folder; choose another name")


def _refuse_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError when ``path`` is one of ``inputs``, by whatever name or link."""
    for read in inputs:
        if path.exists() and read.exists() and path.samefile(read):
            name = f"{path}" if path == read else f"{path} is {read}, which"
            raise OutputError(
                f"{name} is an input of this command and is not overwritten; choose another name"
            )
