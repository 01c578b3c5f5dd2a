"""Reads and writes DHP19's Vicon files: a Matlab struct ``XYZPOS``, one [n, 3] field per joint.

Rows come at 100 Hz, coordinates are millimetres with z up, NaN where the joint was not seen.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from ann2sdnn.data.pose.joints import JOINTS, N_JOINTS
from ann2sdnn.data.raw.mat_file import Field, Matlab73Error, read_struct
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file

STRUCT = "XYZPOS"


def read_vicon(path: Path) -> NDArray[np.float64]:
    """Labels [n, 13, 3] in mm of one recording, joints in the order of ``data.joints``.

    Raises DataError when the file is missing or damaged, when it lacks the struct or a joint, or
    when a joint is not a real [n, 3] matrix of the same n > 0 as the others.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; a recording needs its Vicon labels")
    struct = _load(path)
    if struct is None:
        raise DataError(f"{path} holds no struct {STRUCT}; it is not a DHP19 label file")
    missing = [joint for joint in JOINTS if joint not in struct]
    if missing:
        raise DataError(f"{path}: {STRUCT} has no field {missing[0]}; it needs one per joint")
    joints = [_matrix(path, joint, struct[joint]) for joint in JOINTS]
    lengths = sorted({len(matrix) for matrix in joints})
    if len(lengths) > 1 or lengths[0] == 0:
        raise DataError(f"{path}: joints have {lengths} rows, expected one number above 0 for all")
    return np.stack(joints, axis=1)


def write_vicon(path: Path, labels_mm: NDArray[np.float64]) -> None:
    """Write labels [n, 13, 3] in mm as Matlab's ``save`` does, in one step.

    Raises DataError for another shape.
    """
    if labels_mm.ndim != 3 or labels_mm.shape[1:] != (N_JOINTS, 3):
        raise DataError(f"labels have the shape {labels_mm.shape}, expected [n, {N_JOINTS}, 3]")
    struct = {joint: labels_mm[:, index] for index, joint in enumerate(JOINTS)}
    variables: dict[str, Any] = {STRUCT: struct}  # scipy's types leave out structs
    with atomic_file(path) as temporary:
        savemat(temporary, variables, appendmat=False)


def _load(path: Path) -> dict[str, Field] | None:
    refuse_lfs_pointer(path, DataError)
    try:
        return read_struct(path, STRUCT)
    except Matlab73Error as error:
        raise DataError(
            f"{path} is a Matlab 7.3 file; save it again in Matlab with the option -v7"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a Matlab file, it may be truncated ({error}); copy it again"
        ) from error


def _matrix(path: Path, joint: str, value: Field) -> NDArray[np.float64]:
    found = value if isinstance(value, str) else f"{value.dtype} {list(value.shape)}"
    if isinstance(value, str) or value.ndim != 2 or value.shape[1] != 3 or value.dtype.kind == "c":
        raise DataError(f"{path}: {STRUCT}.{joint} is {found}, expected real numbers [n, 3]")
    return np.ascontiguousarray(value, np.float64)
