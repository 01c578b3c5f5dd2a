"""Labels of stored frames: classes or values per frame, from arrays and from tables."""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.support.errors import DataError

TABLE = "labels.csv"


def targets_of(labels: NDArray[Any], n_frames: int, where: str) -> Targets:
    """Labels of ``n_frames`` frames, from an array named ``where`` in messages.

    Whole numbers [n] are classes; floating-point numbers [n] or [n, K] are values, NaN where one is
    not known. Raises DataError for anything else.
    """
    if labels.shape[:1] != (n_frames,) or labels.ndim > 2:
        raise DataError(
            f"{where} is {list(labels.shape)} and there are {n_frames} frames; expected a label per"
            " frame: [T] classes, or [T, K] values"
        )
    if labels.dtype.kind in "iub" and labels.ndim == 1:
        if labels.dtype.kind != "b" and (labels < 0).any():
            raise DataError(f"{where} holds the class {labels.min()}; expected classes from 0 on")
        return labels.astype(np.int64)
    if labels.dtype.kind in "iuf":
        values = labels.astype(np.float32).reshape(n_frames, -1)
        if np.isinf(values).any() or values.shape[1] == 0:
            raise DataError(
                f"{where} holds infinite values or none; expected numbers, NaN where a value is not"
                " known"
            )
        return values
    raise DataError(
        f"{where} is {labels.dtype}; expected whole numbers for classes or floating-point values"
    )


def sequence_bounds(
    lengths: NDArray[Any] | None, n_frames: int, where: str
) -> tuple[tuple[int, int], ...]:
    """(start, stop) of the sequences that ``lengths`` [S] cut ``n_frames`` frames into.

    None stands for one sequence. Raises DataError for lengths that do not add up.
    """
    if lengths is None:
        return ((0, n_frames),)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise DataError(
            f"{where} is {lengths.dtype} {list(lengths.shape)}; expected the number of frames of"
            " each sequence, whole numbers [S]"
        )
    if int(lengths.sum()) != n_frames:
        raise DataError(
            f"{where} add up to {int(lengths.sum())} and there are {n_frames} frames; expected"
            " the same number"
        )
    ends = [0, *np.cumsum(lengths).tolist()]
    return tuple(pairwise(ends))


def table_targets(path: Path, names: Sequence[str]) -> Targets | None:
    """Labels of the files ``names`` from the table ``path``; None where there is no table.

    A row is a file's name and its class, or its name and one or more values. A first row whose
    second cell is no number is a heading. Classes are whole numbers; write 3.0 for a value of 3.
    Raises DataError for what is missing or no number.
    """
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); write it as UTF-8") from error
    if rows and not _is_number(rows[0][1:2]):
        rows = rows[1:]
    cells = {row[0]: row[1:] for row in rows}
    missing = [name for name in names if name not in cells]
    if missing:
        raise DataError(
            f"{path} has no row for {missing[0]}; expected the name of every picture and its class"
            " or values"
        )
    wanted = [cells[name] for name in names]
    wrong = [name for name, row in zip(names, wanted, strict=True) if not _is_number(row)]
    if wrong or len({len(row) for row in wanted}) != 1:
        name = wrong[0] if wrong else names[0]
        raise DataError(
            f"{path}: the row of {name} holds {','.join(cells[name]) or 'nothing'}; expected as"
            " many numbers in every row"
        )
    whole = len(wanted[0]) == 1 and all(row[0].lstrip("+-").isdigit() for row in wanted)
    kind: type[Any] = np.int64 if whole else np.float32
    labels = np.array([[kind(cell) for cell in row] for row in wanted])
    return targets_of(labels[:, 0] if whole else labels, len(names), str(path))


def _is_number(cells: Sequence[str]) -> bool:
    """Whether there are cells, and all are numbers."""
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False
