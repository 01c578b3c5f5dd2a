"""Recordings on disk: what is read, and what is said about damage."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.recordings.recording import Recording, RecordingName, open_recordings
from ann2sdnn.support.errors import DataError

NAME = RecordingName(1, 2, 3)
N_FRAMES = 20


def _frames(n: int = N_FRAMES) -> NDArray[np.uint8]:
    frames = np.zeros((n, 260, 346, 4), np.uint8)
    frames[:, 5, 7] = np.arange(n)[:, None] * 4 + np.arange(4)
    frames[:, 0, 343] = 99
    frames[:, 0, 344] = 100
    return frames


def _labels(n: int = N_FRAMES) -> NDArray[np.float64]:
    return np.arange(n * 39, dtype=np.float64).reshape(n, 3, 13)


def _write(folder: Path, name: RecordingName = NAME) -> None:
    with h5py.File(folder / name.frames_file, "w") as file:
        file.create_dataset("DVS", data=_frames(), chunks=(1, 260, 346, 4), compression="gzip")
    with h5py.File(folder / name.labels_file, "w") as file:
        file["XYZ"] = _labels()


def _replace(path: Path, key: str, data: NDArray[np.float64] | NDArray[np.uint8]) -> None:
    with h5py.File(path, "w") as file:
        file[key] = data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _write(tmp_path)
    return tmp_path


@pytest.fixture
def recording(folder: Path) -> Recording:
    return open_recordings(folder)[0]


def test_names_are_those_of_the_data_set() -> None:
    assert NAME.stem == "S1_session2_mov3"
    assert NAME.frames_file == "S1_session2_mov3_7500events.h5"
    assert NAME.labels_file == "S1_session2_mov3_7500events_label.h5"
    for text in (NAME.stem, NAME.frames_file, NAME.labels_file):
        assert RecordingName.parse(text) == NAME


@pytest.mark.parametrize("text", ["S1_session2", "s1_session2_mov3", "S1_session2_mov3.h5", ""])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="not the name of a recording"):
        RecordingName.parse(text)


def test_recordings_are_sorted_by_number(tmp_path: Path) -> None:
    names = [RecordingName(*one) for one in ((10, 1, 1), (2, 1, 1), (2, 1, 10), (2, 1, 9))]
    for name in names:
        _write(tmp_path, name)
    found = [one.name for one in open_recordings(tmp_path)]
    assert found == [names[1], names[3], names[2], names[0]]


def test_frames_come_in_the_order_asked_for(recording: Recording) -> None:
    assert (recording.n_frames, recording.height, recording.width) == (N_FRAMES, 260, 344)
    frames = recording.frames([3, 4, 5, 1, 19, 3], [3, 2])
    assert frames.shape == (6, 2, 260, 344)
    assert frames.dtype == np.uint8
    assert frames[:, :, 5, 7].tolist() == [[4 * i + 3, 4 * i + 2] for i in (3, 4, 5, 1, 19, 3)]
    assert (frames[:, :, 0, 343] == 99).all()


def test_long_reads_are_complete(recording: Recording) -> None:
    frames = recording.frames(range(N_FRAMES), [0, 1, 2, 3])
    expected = np.moveaxis(_frames()[:, :, :344], -1, 1)
    assert np.array_equal(frames, expected)


def test_labels_come_in_the_order_asked_for(recording: Recording) -> None:
    assert np.array_equal(recording.labels([7, 2, 7]), _labels()[[7, 2, 7]])


def test_nothing_asked_for_is_nothing_read(recording: Recording) -> None:
    assert recording.frames([], [2]).shape == (0, 1, 260, 344)
    assert recording.labels([]).shape == (0, 3, 13)


def test_recordings_travel_to_worker_processes(recording: Recording) -> None:
    recording.frames([0], [0])
    assert np.array_equal(
        pickle.loads(pickle.dumps(recording)).frames([1], [0]), recording.frames([1], [0])
    )


@pytest.mark.parametrize("index", [-1, N_FRAMES])
def test_frames_that_do_not_exist(recording: Recording, index: int) -> None:
    with pytest.raises(DataError, match=f"frame {index} of S1_session2_mov3 does not exist"):
        recording.frames([0, index], [2])
    with pytest.raises(DataError, match=f"frame {index} of S1_session2_mov3 does not exist"):
        recording.labels([index])


def test_channels_that_do_not_exist(recording: Recording) -> None:
    with pytest.raises(DataError, match="channel 4 does not exist"):
        recording.frames([0], [4])


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        open_recordings(tmp_path / "absent")


def test_a_folder_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no recordings"):
        open_recordings(tmp_path)


def test_a_missing_label_file(folder: Path) -> None:
    (folder / NAME.labels_file).unlink()
    with pytest.raises(DataError, match=r"_label\.h5 is missing"):
        open_recordings(folder)


@pytest.mark.parametrize("file", [NAME.frames_file, NAME.labels_file])
def test_a_truncated_file(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{file} cannot be read as HDF5, it may be truncated"):
        open_recordings(folder)


def test_a_file_that_is_not_hdf5(folder: Path) -> None:
    (folder / NAME.frames_file).write_text("frames")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        open_recordings(folder)


def test_damage_inside_a_file_is_found_when_it_is_read(folder: Path) -> None:
    path = folder / NAME.frames_file
    with h5py.File(path, "r") as file:
        chunk = file["DVS"].id.get_chunk_info(4)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(bytes(content))
    recording = open_recordings(folder)[0]
    recording.frames([3], [2])
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        recording.frames([3, 4], [2])


@pytest.mark.parametrize(("file", "key"), [(NAME.frames_file, "DVS"), (NAME.labels_file, "XYZ")])
def test_a_missing_data_set(folder: Path, file: str, key: str) -> None:
    _replace(folder / file, "other", _frames(1))
    with pytest.raises(DataError, match=f"{file} has no data set /{key}"):
        open_recordings(folder)


@pytest.mark.parametrize(
    ("file", "key", "data"),
    [
        (NAME.frames_file, "DVS", np.zeros((2, 260, 346), np.uint8)),
        (NAME.frames_file, "DVS", np.zeros((2, 344, 260, 4), np.uint8)),
        (NAME.frames_file, "DVS", np.zeros((2, 260, 346, 4))),
        (NAME.labels_file, "XYZ", np.zeros((2, 13, 3))),
        (NAME.labels_file, "XYZ", np.zeros((2, 3, 13), np.uint8)),
    ],
)
def test_the_wrong_form(
    folder: Path, file: str, key: str, data: NDArray[np.float64] | NDArray[np.uint8]
) -> None:
    _replace(folder / file, key, data)
    with pytest.raises(DataError, match=rf"/{key} is \[2, .*expected \[N, "):
        open_recordings(folder)


def test_labels_of_another_number_of_frames(folder: Path) -> None:
    _replace(folder / NAME.labels_file, "XYZ", _labels(N_FRAMES - 1))
    with pytest.raises(DataError, match=f"labels for {N_FRAMES - 1} frames but .* has {N_FRAMES}"):
        open_recordings(folder)
