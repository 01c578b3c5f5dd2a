"""Vicon label files: what Matlab writes, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.raw.vicon import read_vicon, write_vicon
from ann2sdnn.support.errors import DataError


def fields(n: int = 4) -> dict[str, Any]:
    """A struct whose joint j has the value 100 j + 3 row + axis, in another order than DHP19's."""
    return {
        joint: 100.0 * index + np.arange(3 * n).reshape(n, 3)
        for index, joint in reversed(list(enumerate(JOINTS)))
    }


def save(path: Path, **variables: Any) -> None:
    savemat(path, variables)


def test_joints_come_in_their_own_order(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    save(path, XYZPOS=fields(), other=1)
    labels_mm = read_vicon(path)
    assert labels_mm.shape == (4, 13, 3)
    assert labels_mm.dtype == np.float64
    assert labels_mm[2, 7].tolist() == [706, 707, 708]  # handR


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    labels_mm = np.random.default_rng(0).normal(size=(5, 13, 3))
    labels_mm[1, 2] = np.nan
    write_vicon(path, labels_mm)
    np.testing.assert_array_equal(read_vicon(path), labels_mm, strict=True)
    variables: Any = loadmat(path)
    head = variables["XYZPOS"]["head"][0, 0]
    np.testing.assert_array_equal(head, labels_mm[:, 0])


def test_a_single_row_and_whole_numbers_are_labels_too(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    struct = {joint: np.array([[1, 2, 3]], np.int16) for joint in JOINTS}
    save(path, XYZPOS=struct)
    np.testing.assert_array_equal(read_vicon(path), np.full((1, 13, 3), [1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kneeL": np.zeros((3, 3))}, r"joints have \[3, 4\] rows"),
        ({"kneeL": np.zeros((4, 2))}, r"kneeL is float64 \[4, 2\]"),
        ({"kneeL": "left"}, r"XYZPOS\.kneeL is"),
        ({"kneeL": np.zeros((4, 3), complex)}, "kneeL is complex128"),
    ],
)
def test_a_joint_of_another_form_is_refused(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    path = tmp_path / "S1_1_1.mat"
    save(path, XYZPOS=fields() | changed)
    with pytest.raises(DataError, match=says):
        read_vicon(path)


def test_structs_that_are_not_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    struct = fields()
    del struct["footR"]
    save(path, XYZPOS=struct)
    with pytest.raises(DataError, match="no field footR"):
        read_vicon(path)
    save(path, XYZPOS=np.zeros((4, 3)))
    with pytest.raises(DataError, match="holds no struct XYZPOS"):
        read_vicon(path)
    save(path, xyz=1)
    with pytest.raises(DataError, match="holds no struct XYZPOS"):
        read_vicon(path)
    save(path, XYZPOS={joint: np.zeros((0, 3)) for joint in JOINTS})
    with pytest.raises(DataError, match=r"joints have \[0\] rows"):
        read_vicon(path)
    with pytest.raises(DataError, match="expected"):
        write_vicon(path, np.zeros((4, 3, 13)))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    with pytest.raises(DataError, match="is missing"):
        read_vicon(path)
    write_vicon(path, np.zeros((50, 13, 3)))
    content = path.read_bytes()
    for length in (0, 3, 100, 128, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"S1_1_1\.mat"):
            read_vicon(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with pytest.raises(DataError, match="-v7"):
        read_vicon(path)
