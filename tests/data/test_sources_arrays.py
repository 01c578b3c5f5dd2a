"""Frames of numpy's files and HDF5: axes, types, labels, lengths, sides, chunks, damage."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.array_files import ArraySource
from ann2sdnn.data.sources.files.hdf5 import Hdf5Options, Hdf5Source
from ann2sdnn.data.sources.files.layout import ArrayOptions
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import LabelledFrames
from ann2sdnn.data.sources.registry import open_frames, remarks, source_files, source_of
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import Ann2SdnnError, DataError, UsageError

Bytes = NDArray[np.uint8]


def pictures(n_frames: int = 7, shape: tuple[int, int, int] = (2, 5, 6), seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (n_frames, *shape), np.uint8)


def whole(frames: Frames, n_frames: int = 3) -> NDArray[Any]:
    return np.concatenate(list(frames.chunks(n_frames)))


def write_npy(folder: Path, array: NDArray[Any]) -> Path:
    np.save(folder / "walk.npy", array)
    return folder / "walk.npy"


def write_npz(folder: Path, array: NDArray[Any]) -> Path:
    np.savez_compressed(folder / "walk.npz", frames=array)
    return folder / "walk.npz"


def write_h5(folder: Path, array: NDArray[Any]) -> Path:
    with h5py.File(folder / "walk.h5", "w") as file:
        file.create_dataset("frames", data=array, chunks=(2, *array.shape[1:]))
    return folder / "walk.h5"


WRITERS = (write_npy, write_npz, write_h5)
Writer = Callable[[Path, NDArray[Any]], Path]
every_format = pytest.mark.parametrize("write", WRITERS)


@every_format
@pytest.mark.parametrize("kind", ["uint8", "float32", "bool", ">f4"])
def test_frames_are_read_as_they_were_written(write: Writer, kind: str, tmp_path: Path) -> None:
    array = (pictures() > 128).astype(kind) if kind == "bool" else pictures().astype(kind)
    (frames,) = open_frames(write(tmp_path, array))
    assert (frames.name, frames.group, frames.n_frames) == ("walk", "walk", 7)
    assert frames.shape == (2, 5, 6)
    found = whole(frames)
    assert found.dtype == (np.float32 if np.dtype(kind).kind == "f" else np.uint8)
    assert np.array_equal(found, array)
    assert not isinstance(frames, LabelledFrames)


@every_format
def test_axes_are_read_as_their_sizes_suggest_or_as_said(write: Writer, tmp_path: Path) -> None:
    grey = pictures(3, (1, 5, 6))
    (frames,) = open_frames(write(tmp_path, grey[:, 0]))
    assert np.array_equal(whole(frames), grey)
    with pytest.raises(UsageError, match=r"--layout thwc: .* is \[3, 5, 6\]"):
        open_frames(tmp_path / write(tmp_path, grey[:, 0]).name, ArrayOptions("thwc"))

    colour = pictures(4, (3, 8, 9))
    last = np.ascontiguousarray(np.moveaxis(colour, 1, -1))
    path = write(tmp_path, last)
    (frames,) = open_frames(path)
    assert frames.shape == (3, 8, 9)
    assert np.array_equal(whole(frames), colour)
    assert "read with channels last, as 3 channels of 8x9" in remarks([frames])[0]
    (frames,) = open_frames(path, ArrayOptions("thwc"))
    assert np.array_equal(whole(frames), colour)
    assert remarks([frames]) == ()
    (frames,) = open_frames(path, ArrayOptions("tchw"))
    assert np.array_equal(whole(frames), last)
    (frames,) = open_frames(write(tmp_path, pictures(4, (3, 8, 4))))  # a narrow picture of colours
    assert (frames.shape, remarks([frames])) == ((3, 8, 4), ())


def test_an_array_stored_column_by_column_is_the_same_array(tmp_path: Path) -> None:
    (frames,) = open_frames(write_npy(tmp_path, np.asfortranarray(pictures())))
    assert np.array_equal(whole(frames), pictures())
    with pytest.raises(DataError, match=r"column by column; .*ascontiguousarray"):
        open_frames(write_npz(tmp_path, np.asfortranarray(pictures())))


@settings(max_examples=25, deadline=None)
@given(
    write=st.sampled_from(WRITERS),
    size=st.integers(1, 12),
    cuts=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=3),
)
def test_chunks_and_parts_of_parts_are_slices(
    write: Writer,
    size: int,
    cuts: list[tuple[int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    array = pictures(11)
    (frames,) = open_frames(write(tmp_path_factory.mktemp("chunks"), array))
    for start, stop in cuts:
        frames, array = frames.part(start, stop), array[start:stop]
    chunks = list(frames.chunks(size))
    lengths = [len(chunk) for chunk in chunks]
    assert frames.n_frames == len(array) == sum(lengths)
    assert all(length == size for length in lengths[:-1])
    assert np.array_equal(np.concatenate([array[:0], *chunks]), array)


def test_labels_and_lengths_of_an_archive(tmp_path: Path) -> None:
    labels = np.arange(7)
    path = tmp_path / "walk.npz"
    np.savez(path, frames=pictures(), labels=labels, lengths=[3, 0, 4])
    first, second = open_frames(path)
    assert (first.name, second.name) == ("walk 0", "walk 2")
    assert np.array_equal(whole(second), pictures()[3:])
    assert isinstance(second, LabelledFrames)
    assert second.targets().dtype == np.int64
    assert second.part(1, 3).targets().tolist() == [4, 5]
    np.savez(path, frames=pictures(), labels=labels / 2)
    (frames,) = open_frames(path)
    assert isinstance(frames, LabelledFrames)
    assert frames.targets().dtype == np.float32
    assert frames.targets()[:, 0].tolist() == (labels / 2).tolist()


def test_labels_beside_an_array_and_in_hdf5(tmp_path: Path) -> None:
    labels = np.stack((np.arange(7), np.full(7, np.nan)), axis=1)
    path = write_npy(tmp_path, pictures())
    np.save(tmp_path / "walk.labels.npy", labels)
    (frames,) = open_frames(tmp_path)  # the labels are no sequence of their own
    assert isinstance(frames, LabelledFrames)
    assert np.array_equal(frames.part(2, 4).targets(), labels[2:4], equal_nan=True)
    assert set(source_files(path)) == {path, tmp_path / "walk.labels.npy"}
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["run/pixels"], file["run/labels"] = pictures(), np.arange(7)
        file["run/lengths"] = [5, 2]
    sequences = open_frames(tmp_path / "own.h5", Hdf5Options(dataset="run/pixels"))
    assert [one.n_frames for one in sequences] == [5, 2]
    assert isinstance(sequences[1], LabelledFrames)
    assert sequences[1].targets().tolist() == [5, 6]


@pytest.mark.parametrize(
    ("side", "names"),
    [
        ("train", ["part2", "part9"]),
        ("validation", ["part10"]),
        ("test", ["part11"]),
        ("all", ["part2", "part9", "part10", "part11"]),
    ],
)
def test_a_folder_is_split_in_natural_order(side: Side, names: list[str], tmp_path: Path) -> None:
    for number in (10, 2, 11, 9):
        np.save(tmp_path / f"part{number}.npy", pictures(number))
    assert source_of(tmp_path).name == "array files"
    assert [frames.name for frames in open_frames(tmp_path, split=side)] == names
    assert [frames.name for frames in open_frames(tmp_path / "part2.npy", split=side)] == ["part2"]


def test_dhp19_recordings_are_no_plain_hdf5(tmp_path: Path) -> None:
    write_h5(tmp_path, pictures())
    assert isinstance(source_of(tmp_path), Hdf5Source)
    (tmp_path / "S1_session1_mov1_7500events.h5").touch()
    assert source_of(tmp_path).name == "DHP19 recordings"
    assert isinstance(source_of(tmp_path / "x.npy"), ArraySource)


def savez(path: Path, **arrays: Any) -> None:
    np.savez(path / "x.npz", **arrays)


def cut(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "int64": (
        lambda folder: write_npy(folder, pictures().astype(np.int64)),
        r"walk\.npy is int64; expected uint8 or float32, so convert .*astype\(numpy\.uint8\)",
    ),
    "float64": (
        lambda folder: write_npz(folder, pictures().astype(np.float64)),
        r"frames is float64; expected uint8 or float32, so convert it with .*float32",
    ),
    "text": (lambda folder: write_npy(folder, np.array(["a"])), "is <U1; expected uint8"),
    "objects": (
        lambda folder: np.save(folder / "x.npy", np.array([{}]), allow_pickle=True),
        "cannot be read as numpy's file of arrays",
    ),
    "two axes": (lambda folder: write_npy(folder, pictures()[0, 0]), r"is \[5, 6\]; expected"),
    "empty": (lambda folder: write_npy(folder, pictures()[:0]), r"is \[0, 2, 5, 6\], so it is"),
    "cut": (lambda folder: cut(write_npy(folder, pictures())), "it may be truncated"),
    "cut archive": (lambda folder: cut(write_npz(folder, pictures())), "it may be truncated"),
    "cut hdf5": (lambda folder: cut(write_h5(folder, pictures())), "it may be truncated"),
    "another name": (lambda folder: savez(folder, x=pictures()), "holds x; expected an array fra"),
    "lengths": (
        lambda folder: savez(folder, frames=pictures(), lengths=[3, 3]),
        "add up to 6 and there are 7 frames",
    ),
    "labels": (
        lambda folder: savez(folder, frames=pictures(), labels=np.zeros(6, int)),
        r"labels is \[6\] and there are 7 frames",
    ),
    "class below 0": (
        lambda folder: savez(folder, frames=pictures(), labels=np.arange(7) - 1),
        "holds the class -1",
    ),
    "infinite": (
        lambda folder: write_npy(folder, np.array([[[[1.0]]], [[[np.inf]]]], np.float32)),
        r"walk\.npy: frame 1 holds NaN or an infinity",
    ),
    "lfs": (
        lambda folder: (folder / "x.npy").write_text("version https://git-lfs.github.com/spec/v1"),
        "git lfs pull",
    ),
    "nothing": (lambda folder: None, "holds no frames; expected DHP19 recordings, arrays"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_one_sentence(name: str, tmp_path: Path) -> None:
    write, sentence = BAD[name]
    write(tmp_path)
    with pytest.raises(DataError, match=sentence) as caught:
        [list(frames.chunks()) for frames in open_frames(tmp_path)]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Hdf5Options(dataset="x"), r"has no data set x; it has frames; choose one with --dataset"),
        (Hdf5Options(dataset="frames/x"), r"has no data set frames/x"),
    ],
)
def test_data_sets_that_are_not_there_are_named(
    options: SourceOptions, sentence: str, tmp_path: Path
) -> None:
    path = write_h5(tmp_path, pictures())
    with pytest.raises(DataError, match=sentence):
        open_frames(path, options)


def test_options_of_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    path = write_npy(tmp_path, pictures())
    with pytest.raises(UsageError, match=r"^--dataset: .* holds array files"):
        open_frames(path, Hdf5Options(dataset="x"))


@pytest.mark.parametrize("name", ["walk.npy", "walk.npz", "walk.h5", "walk"])
def test_a_missing_path_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(Ann2SdnnError, match=name):
        open_frames(tmp_path / name)
    assert source_files(tmp_path / name)[0] == tmp_path / name


def names_of(sequences: Sequence[Frames]) -> list[str]:
    return [frames.name for frames in sequences]


def test_files_with_the_same_stem_keep_their_suffix(tmp_path: Path) -> None:
    write_npy(tmp_path, pictures())
    write_npz(tmp_path, pictures())
    assert names_of(open_frames(tmp_path)) == ["walk.npy", "walk.npz"]
