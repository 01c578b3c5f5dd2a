"""The marker of a folder: the hidden file that lists what this program wrote there.

The first line is a header, every further line the path of a file relative to the folder, each as
JSON. Lines are only ever appended, so several processes may add files at the same time.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ann2sdnn.support import __version__
from ann2sdnn.support.errors import OutputError

MARKER = ".ann2sdnn"
SCHEMA = 1
PROBE = f"{MARKER}-"  # how the names of temporary entries of ``targets.check_writable`` begin

_HEADER = json.dumps({"written_by": "ann2sdnn", "version": __version__, "schema": SCHEMA})


def create_marker(folder: Path) -> None:
    """Mark ``folder`` as holding files of this program; a marker that it has is kept."""
    with suppress(FileExistsError), (folder / MARKER).open("x", encoding="utf-8") as stream:
        stream.write(_HEADER + "\n")


def list_everything(folder: Path) -> None:
    """Rewrite the marker of ``folder`` so that it lists every file and folder in it."""
    lines = [_HEADER, *sorted(map(_line, _entries(folder)))]
    (folder / MARKER).write_text("\n".join(lines) + "\n", encoding="utf-8")


def enter(path: Path) -> None:
    """List the written file ``path`` in the marker of the nearest folder above that has one."""
    place = real_place(path)
    folder = _nearest_marked(place)
    if folder is None:
        return
    line = _line(place.relative_to(folder).as_posix())
    marker = folder / MARKER
    text = marker.read_text(encoding="utf-8", errors="replace")
    if line in text.splitlines():
        return
    with marker.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n" if text.endswith("\n") else f"\n{line}\n")


def is_listed(path: Path) -> bool:
    """Whether this program wrote ``path``, as the nearest marked folder above says."""
    place = real_place(path)
    folder = _nearest_marked(place)
    if folder is None:
        return False
    return place.relative_to(folder).as_posix() in (listed(folder) or ())


def listed(folder: Path) -> frozenset[str] | None:
    """The paths in the marker of ``folder``; None without one, OutputError for a damaged one."""
    marker = folder / MARKER
    if not os.path.lexists(marker):
        return None
    try:
        header, *lines = marker.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(marker) from error
    first = _parsed(header)
    if not isinstance(first, dict) or first.get("written_by") != "ann2sdnn":
        raise _damaged(marker)
    if first.get("schema") != SCHEMA:
        raise OutputError(
            f"{marker} is of schema {first.get('schema')}, and this version knows schema {SCHEMA};"
            " remove the folder yourself, or choose another name"
        )
    # A line that was cut off lists nothing: its file then counts as somebody else's.
    return frozenset(entry for entry in map(_parsed, lines) if isinstance(entry, str))


def first_foreign(folder: Path) -> str | None:
    """The first entry of a marked ``folder`` that this program did not write, None if it wrote all.

    A marked folder inside counts only if its marker is listed outside: what another command made
    there later is not part of the folder.
    """
    known = _known(folder, "")
    for entry in sorted(_entries(folder)):
        if entry not in known:
            return entry
    return None


def holds_nothing(folder: Path) -> bool:
    """Whether ``folder`` is empty but for a marker and what a killed check may have left."""
    return all(entry.name == MARKER or entry.name.startswith(PROBE) for entry in folder.iterdir())


def real_place(path: Path) -> Path:
    """``path`` with every link above its last part resolved."""
    if path.name in ("", ".", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _known(root: Path, inside: str) -> set[str]:
    """Paths relative to ``root`` that the marker in ``root / inside`` and those below it list."""
    prefix = f"{inside}/" if inside else ""
    known: set[str] = set()
    for entry in listed(root / inside) or ():
        path = prefix + entry
        known.add(path)
        known.update(parent.as_posix() for parent in Path(path).parents)
        nested = path.removesuffix(f"/{MARKER}")
        if nested != path:
            known |= _known(root, nested)
    return known


def _entries(folder: Path) -> Iterator[str]:
    """Relative paths of all files and folders in ``folder``, without its own marker."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = (Path(where) / name).relative_to(folder).as_posix()
            if path != MARKER:
                yield path


def _nearest_marked(place: Path) -> Path | None:
    return next((parent for parent in place.parents if (parent / MARKER).is_file()), None)


def _line(entry: str) -> str:
    return json.dumps(entry)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _damaged(marker: Path) -> OutputError:
    return OutputError(
        f"{marker} is damaged, so it is not known what ann2sdnn wrote there; remove the folder"
        " yourself, or choose another name"
    )
