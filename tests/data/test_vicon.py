"""Vicon label files: what Matlab writes, and what is refused."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.raw.mat_file import read_struct
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
    struct_of = {joint: np.array([[1, 2, 3]], np.int16) for joint in JOINTS}
    save(path, XYZPOS=struct_of)
    np.testing.assert_array_equal(read_vicon(path), np.full((1, 13, 3), [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u2", "i4", "u8", ">f8", ">i2"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_struct_is_read_as_scipy_reads_it(tmp_path: Path, kind: str, is_compressed: bool) -> None:
    path = tmp_path / "any.mat"
    rng = np.random.default_rng(0)
    sizes = ((4, 3), (1, 1), (2, 3, 2), (0, 3))
    fields_of = {f"f{n}": rng.integers(0, 100, size).astype(kind) for n, size in enumerate(sizes)}
    fields_of["text"] = "left"  # type: ignore[assignment]
    variables: dict[str, Any] = {"a": [1], "one": fields_of, "b": {"c": 2}}
    savemat(path, variables, do_compression=is_compressed)
    loaded: Any = loadmat(path)
    expected = loaded["one"][0, 0]
    found = read_struct(path, "one")
    assert found is not None
    assert list(found) == list(fields_of)
    assert found.pop("text") == "text"
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], strict=True)
    other = read_struct(path, "b")
    assert other is not None
    assert np.asarray(other["c"]).tolist() == [[2]]
    assert read_struct(path, "a") is read_struct(path, "none") is None


def test_what_a_struct_declares_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    write_vicon(path, np.zeros((5, 13, 3)))
    content = path.read_bytes()
    sizes = struct.pack("<IIii", 5, 8, 5, 3)  # of a joint's matrix
    assert content.count(sizes) == 13
    for rows, columns in ((2**31 - 1, 3), (-5, 3), (5, 2**20), (2**31 - 1, 2**31 - 1)):
        path.write_bytes(content.replace(sizes, struct.pack("<IIii", 5, 8, rows, columns), 1))
        with pytest.raises(DataError, match=r"cannot be read as a Matlab file.*a matrix "):
            read_vicon(path)
    # Without sizes scipy's reader ends the process.
    path.write_bytes(content.replace(sizes, struct.pack("<IIii", 5, 0, 5, 3), 1))
    with pytest.raises(DataError, match="cannot be read as a Matlab file"):
        read_vicon(path)
    path.write_bytes(
        content.replace(struct.pack("<IIii", 5, 8, 1, 1), struct.pack("<IIii", 5, 8, 2**30, 1), 1)
    )
    with pytest.raises(DataError, match="expected one struct"):
        read_vicon(path)


def test_a_damaged_size_does_not_fill_the_sentence(tmp_path: Path) -> None:
    # Found by fuzzing: sizes that a damaged tag made hundreds of numbers, all of them shown.
    path = tmp_path / "S1_1_1.mat"
    write_vicon(path, np.zeros((50, 13, 3)))
    content = path.read_bytes()
    sizes = struct.pack("<IIii", 5, 8, 1, 1)  # of the struct, which a longer element swallows
    assert content.count(sizes) == 1
    path.write_bytes(content.replace(sizes, struct.pack("<IIii", 5, 952, 1, 1)))
    with pytest.raises(DataError, match="a matrix of 238 dimensions") as caught:
        read_vicon(path)
    assert len(str(caught.value)) < 300


def test_a_compressed_label_file_does_not_expand_without_bound(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    write_vicon(path, np.zeros((5, 13, 3)))
    stream = zlib.compressobj(1)
    block = bytes(1 << 24)
    bomb = b"".join(stream.compress(block) for _ in range(9)) + stream.flush()  # 144 MB
    header = path.read_bytes()[:128]
    path.write_bytes(header + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(DataError, match=r"cannot be read as a Matlab file.* expands to more than"):
        read_vicon(path)


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
    without = fields()
    del without["footR"]
    save(path, XYZPOS=without)
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
