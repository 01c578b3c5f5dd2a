"""Files of a source: which there are, in which order, and on which side of the split."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

from ann2sdnn.data.recordings.split import Side, split_in_order
from ann2sdnn.data.sources.frames import Frames

_F = TypeVar("_F", bound=Frames)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers in names by their value: img2 before img10."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in parts)


def files_in(path: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """``path`` itself if it is a file with one of ``suffixes``; of a folder, the files in it that
    have one, in natural order. Hidden files do not count.
    """
    if not path.is_dir():
        return (path,) if path.suffix.lower() in suffixes else ()
    return tuple(
        sorted(
            (
                file
                for file in path.iterdir()
                if file.suffix.lower() in suffixes and file.is_file() and file.name[0] != "."
            ),
            key=lambda file: natural(file.name),
        )
    )


def sequence_names(files: Sequence[Path]) -> tuple[str, ...]:
    """A name for each of ``files``, without suffix unless two would be the same."""
    stems = tuple(file.stem for file in files)
    return stems if len(set(stems)) == len(stems) else tuple(file.name for file in files)


def on_side(sequences: Sequence[_F], side: Side) -> tuple[_F, ...]:
    """The sequences of one side of the split, in order.

    ``split_in_order`` splits the groups: the last quarter tests, the eighth before it validates.
    """
    groups = list(dict.fromkeys(frames.group for frames in sequences))
    kept = set(split_in_order(groups)[side])
    return tuple(frames for frames in sequences if frames.group in kept)
