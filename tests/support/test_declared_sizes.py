"""Files that declare more than they hold, and HDF5 that leads elsewhere, are refused unread."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from networks import moving_frames, random_spec

from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.sdnn.spec.file import read_points, write_spec
from ann2sdnn.support.errors import DataError, ModelError
from ann2sdnn.support.files.h5 import H5Fields, reading_h5, values_of

FRAMES = moving_frames(4, (1, 5, 6)).numpy()


def h5(path: Path, change: Callable[[Any], object]) -> Path:
    """A good file of frames, changed."""
    with h5py.File(path, "w") as file:
        file["frames"] = FRAMES
        change(file)
    return path


def test_the_file_that_is_changed_here_is_a_good_one(tmp_path: Path) -> None:
    (frames,) = open_frames(h5(tmp_path / "walk.h5", lambda file: None))
    assert frames.n_frames == 4


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_hdf5_that_declares_more_than_it_holds_is_refused(
    tmp_path: Path, compression: str | None
) -> None:
    """Of a terabyte nothing was written, wherever it stands and whatever is asked for."""

    def change(file: Any) -> None:
        chunks = {} if compression is None else {"chunks": (1, 1 << 16)}
        file.create_dataset("a/b", (1 << 24, 1 << 16), "u1", compression=compression, **chunks)

    with pytest.raises(DataError, match=r"/a/b declares 1,099,511,627,776 bytes .* holds 0"):
        open_frames(h5(tmp_path / "walk.h5", change))


def test_a_linked_data_set_is_checked_where_it_lies(tmp_path: Path) -> None:
    """Through a hard link in a circle of groups, and beside a soft link to nothing."""

    def change(file: Any) -> None:
        file["inner/circle"] = file["/"]
        file["none"] = h5py.SoftLink("/nowhere")
        file["labels"] = h5py.SoftLink("/inner/large")
        file.create_dataset("inner/large", (1 << 40,), "u1")

    with pytest.raises(DataError, match="/inner/large declares"):
        open_frames(h5(tmp_path / "walk.h5", change))


def _linked(file: Any, other: Path) -> None:
    file["labels"] = h5py.ExternalLink(str(other), "labels")


def _linked_within(file: Any, other: Path) -> None:
    file["a/b"] = h5py.ExternalLink(str(other), "/")


def _raw(file: Any, other: Path) -> None:
    file.create_dataset("labels", (4,), "u1", external=[(str(other), 0, 4)])


def _virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource(str(other), "labels", (4,))
    file.create_virtual_dataset("labels", layout)


@pytest.mark.parametrize("link", [_linked, _linked_within, _raw, _virtual])
def test_hdf5_is_read_from_one_file_only(
    tmp_path: Path, link: Callable[[Any, Path], object]
) -> None:
    other = h5(tmp_path / "other.hdf5", lambda file: file.create_dataset("labels", data=range(4)))
    (tmp_path / "inside").mkdir()
    path = h5(tmp_path / "inside" / "walk.h5", lambda file: link(file, other))
    with pytest.raises(DataError, match=r"(a link to another file|is kept in other files)"):
        open_frames(path)


@pytest.mark.parametrize("name", ["format", "schema", "input_shape", "input_scale"])
def test_an_attribute_of_lists_is_not_read(tmp_path: Path, name: str) -> None:
    """Where such a list is damaged, HDF5 ends the process."""
    path = tmp_path / "sdnn.h5"
    write_spec(path, random_spec())
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
        values = np.empty(1, object)
        values[0] = np.arange(3, dtype="i8")
        file.attrs.create(name, values, dtype=h5py.vlen_dtype("i8"))
    with pytest.raises(ModelError, match=f"/: {name} holds neither numbers nor text"):
        read_points(path)


def test_data_sets_of_lists_are_not_read(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        labels = file.create_dataset("labels", (4,), h5py.vlen_dtype("i8"))
        labels[0] = np.arange(3)

    with pytest.raises(DataError, match="/labels holds neither numbers nor text"):
        open_frames(h5(tmp_path / "walk.h5", change))


def with_texts(path: Path) -> tuple[bytearray, int]:
    """Write a data set and an attribute of texts; the file, and where its heap of texts begins."""
    with h5py.File(path, "w") as file:
        file.attrs["name"] = "a sentence"
        file["kind"] = "another sentence"
    content = bytearray(path.read_bytes())
    return content, content.index(b"GCOL")


def read_texts(path: Path) -> str:
    with reading_h5(path, "is damaged", "write it again") as file:
        kind = values_of(file["kind"]).item()
        return f"{H5Fields(file).text('name')}, {kind.decode()}"


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (8, 1 << 40, "a heap of texts that is larger than the file"),
        (24, 1 << 40, "a heap of texts with an object of a wrong size"),
        (88, 0, "a heap of texts with an object of a wrong size"),
    ],
    ids=["heap", "first text", "free space"],
)
def test_damaged_heaps_of_texts_are_not_read(
    tmp_path: Path, at: int, value: int, sentence: str
) -> None:
    """Each is a size; HDF5 loops for ever where free space has none."""
    path = tmp_path / "texts.h5"
    content, heap = with_texts(path)
    assert read_texts(path) == "a sentence, another sentence"
    struct.pack_into("<Q", content, heap + at, value)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        read_texts(path)


def test_a_heap_inside_a_text_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    content, heap = with_texts(path)
    content[heap + 32 : heap + 40] = b"GCOL\x01\0\0\0"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="a heap of texts in another one"):
        read_texts(path)


@pytest.mark.parametrize(("length", "where"), [(10, "/: name"), (16, "/kind")])
def test_a_text_longer_than_its_file_is_not_read(tmp_path: Path, length: int, where: str) -> None:
    """HDF5 would take as much memory as the text is said to be long, up to 4 GB."""
    path = tmp_path / "texts.h5"
    content, heap = with_texts(path)
    reference = content.index(struct.pack("<IQ", length, heap))
    struct.pack_into("<I", content, reference, 1 << 31)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{where} holds a text that is longer than the file"):
        read_texts(path)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(path: Path, method: int, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return path


@pytest.mark.parametrize("member", ["labels_npy", "labels", "lengths_npy", "frames_npy"])
def test_an_archive_does_not_expand_beyond_what_numpy_writes(tmp_path: Path, member: str) -> None:
    """bzip2 makes 20 MB of fifty bytes; numpy reads members with the suffix and without."""
    members = {"frames_npy": npy(FRAMES), member: npy(np.zeros((4, 5 << 20), np.uint8))}
    path = npz(tmp_path / "walk.npz", zipfile.ZIP_BZIP2, **members)
    assert path.stat().st_size < 2000
    name = member.removesuffix("_npy")
    with pytest.raises(DataError, match=rf"{name} declares 20,971,\d+ bytes and the file holds"):
        open_frames(path)


@pytest.mark.parametrize("member", ["labels_npy", "labels", "frames_npy"])
def test_an_array_of_an_archive_is_no_longer_than_its_member(tmp_path: Path, member: str) -> None:
    content = npy(FRAMES).replace(b"6), }    ", b"60000), }")
    assert b"60000" in content
    members = {"frames_npy": npy(FRAMES), member: content}
    path = npz(tmp_path / "walk.npz", zipfile.ZIP_STORED, **members)
    with pytest.raises(DataError, match=r"declares 1,200,000 bytes and the file holds"):
        open_frames(path)
