"""Writing is all or nothing, and only what this program wrote is ever replaced."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from ann2sdnn.support.errors import DataError, OutputError
from ann2sdnn.support.files import writing
from ann2sdnn.support.files.exchange import exchanged
from ann2sdnn.support.files.h5 import writing_h5
from ann2sdnn.support.files.marker import MARKER, is_listed, listed
from ann2sdnn.support.files.writing import (
    atomic_file,
    atomic_folder,
    files_in,
    remove_own,
    sha256,
    sha256_of_all,
    write_text,
)


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def written(path: Path, *names: str) -> Path:
    """A folder that this program wrote, with files of those names."""
    with atomic_folder(path) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_text(name)
    return path


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Everything in ``folder`` is afterwards as it was before."""
    before = {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")}
    yield
    assert {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")} == before


def replace_folder(path: Path, *inputs: Path) -> None:
    with atomic_folder(path, force=True, inputs=inputs) as temporary:
        (temporary / "new").write_text("new")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert (tmp_path / "a.txt").read_text() == "old"
    assert contents(tmp_path) == ["a.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "half").write_text("")
        _ = 1 / 0
    assert contents(tmp_path) == []
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "whole").write_text("1")
    assert contents(tmp_path) == [MARKER, "out", "whole"]


def test_what_exists_is_kept_unless_forced(tmp_path: Path) -> None:
    written(tmp_path / "out", "first")
    with (
        pytest.raises(OutputError, match="out exists already; choose another name or add --force"),
        atomic_folder(tmp_path / "out"),
    ):
        pass
    with atomic_folder(tmp_path / "out", force=True) as temporary:
        assert (tmp_path / "out" / "first").exists(), "the old folder stays until the new is whole"
        (temporary / "second").write_text("2")
    assert contents(tmp_path / "out") == [MARKER, "second"]
    assert contents(tmp_path) == [MARKER, "out", "second"]


def test_an_empty_folder_does_not_count_as_existing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "x").write_text("")
    assert contents(tmp_path / "out") == [MARKER, "x"]


def test_a_folder_that_this_program_did_not_write_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "work.txt").write_text("a week of it")
    with kept(tmp_path), pytest.raises(OutputError, match=r"no \.ann2sdnn .* remove it yourself"):
        replace_folder(tmp_path / "out")


def _note(out: Path) -> None:
    (out / "notes.txt").write_text("mine")


def _deep_note(out: Path) -> None:
    (out / "part" / "notes.txt").write_text("mine")


def _empty_folder(out: Path) -> None:
    (out / "notes.txt").mkdir()


def _link(out: Path) -> None:
    (out / "notes.txt").symlink_to(out.parent)


def _other_command(out: Path) -> None:
    written(out / "notes.txt", "conversion")


@pytest.mark.parametrize("add", [_note, _deep_note, _empty_folder, _link, _other_command])
def test_a_folder_that_holds_something_else_is_never_replaced(
    tmp_path: Path, add: Callable[[Path], None]
) -> None:
    out = written(tmp_path / "out", "a", "part/b")
    add(out)
    with (
        kept(tmp_path / "out"),
        pytest.raises(OutputError, match=r"out holds (part/)?notes\.txt, which ann2sdnn did not"),
    ):
        replace_folder(out)


def test_files_that_commands_add_belong_to_the_folder(tmp_path: Path) -> None:
    out = written(tmp_path / "out", "part/a")
    write_text(out / "evaluation.json", "{}")
    write_text(out / "part/deep/plot.png", "")
    (tmp_path / "link").symlink_to(out)
    write_text(tmp_path / "link" / "page.html", "")
    assert all(map(is_listed, (out / "evaluation.json", out / "part/deep/plot.png")))
    replace_folder(out)
    assert contents(out) == [MARKER, "new"]


def test_a_folder_with_folders_of_other_commands_in_it_is_replaced_whole(tmp_path: Path) -> None:
    """As `demo` writes them, and as they are later added to."""
    with atomic_folder(tmp_path / "out") as temporary:
        written(temporary / "sdnn", "spec")
    write_text(tmp_path / "out" / "sdnn" / "page.html", "")
    replace_folder(tmp_path / "out")
    assert contents(tmp_path / "out") == [MARKER, "new"]


def test_many_at_once_are_all_listed(tmp_path: Path) -> None:
    out = written(tmp_path / "out")
    paths = [out / f"file-{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write_text(path, ""), paths))
    assert {path.name for path in paths} <= (listed(out) or set())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is damaged"),
        ("[1]\n", "is damaged"),
        ("\x00\n", "is damaged"),
        ('{"written_by": "somebody", "schema": 1}\n"a"\n', "is damaged"),
        ('{"written_by": "ann2sdnn", "schema": 2}\n"a"\n', "schema 2, and this version knows"),
    ],
)
def test_a_damaged_marker_protects_the_folder(tmp_path: Path, text: str, complaint: str) -> None:
    out = written(tmp_path / "out", "a")
    (out / MARKER).write_text(text)
    with kept(tmp_path), pytest.raises(OutputError, match=complaint):
        replace_folder(out)


def test_a_line_of_the_marker_that_was_cut_off_lists_nothing(tmp_path: Path) -> None:
    out = written(tmp_path / "out", "a", "b")
    (out / MARKER).write_text((out / MARKER).read_text()[:-3])
    with kept(tmp_path), pytest.raises(OutputError, match="out holds b"):
        replace_folder(out)
    write_text(out / "c", "")
    assert {"a", "c"} <= (listed(out) or set())


@pytest.mark.parametrize("out", [".", "..", "inside/..", "../out", "../../root"])
def test_the_working_directory_and_what_lies_above_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    written(tmp_path / "root", "out/inside/file")
    monkeypatch.chdir(tmp_path / "root" / "out")
    with kept(tmp_path), pytest.raises(OutputError, match="is the working directory or lies above"):
        replace_folder(Path(out))


def test_an_input_and_a_folder_that_holds_one_are_never_replaced(tmp_path: Path) -> None:
    out = written(tmp_path / "out", "data/S1.h5")
    (tmp_path / "elsewhere").symlink_to(out / "data" / "S1.h5")
    (tmp_path / "way").symlink_to(out)
    for one in (out, out / "data", out / "data/S1.h5", tmp_path / "elsewhere", tmp_path / "way/x"):
        with kept(out), pytest.raises(OutputError, match=f"is or holds {one}, which this command"):
            replace_folder(out, tmp_path / "model.onnx", one)
    replace_folder(written(out / "sdnn", "a"), out / "data", out)  # beside it is another matter


def test_a_link_and_a_file_are_never_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(written(tmp_path / "out", "a"))
    (tmp_path / "file").write_text("mine")
    for name, complaint in (("link", "is a link"), ("file", "is a file and a folder is to be")):
        with kept(tmp_path), pytest.raises(OutputError, match=complaint):
            replace_folder(tmp_path / name)


def test_what_appears_while_a_command_works_is_kept(tmp_path: Path) -> None:
    out = written(tmp_path / "out", "a")
    with pytest.raises(OutputError, match=r"holds notes\.txt"), atomic_folder(out, force=True):
        (out / "notes.txt").write_text("mine")
    assert contents(tmp_path) == [MARKER, "a", "notes.txt", "out"]
    with (
        pytest.raises(OutputError, match="new exists already"),
        atomic_folder(tmp_path / "new"),
    ):
        written(tmp_path / "new", "another process")
    assert contents(tmp_path / "new") == [MARKER, "another process"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = written(tmp_path / "out", "a")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target == out and (self / "new").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    monkeypatch.setattr(writing, "exchanged", lambda first, second: False)
    with pytest.raises(OutputError, match=r"cannot write .*out: Input/output error"):
        replace_folder(out)
    assert contents(tmp_path) == [MARKER, "a", "out"]


def test_two_folders_exchange_their_names(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / folder.name).write_text("")
    assert exchanged(first, second) is (sys.platform == "linux")
    if sys.platform == "linux":
        assert contents(tmp_path) == ["first", "first", "second", "second"]
        assert (first / "second").is_file()
    assert not exchanged(first, tmp_path / "none")


def test_folders_above_go_again_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for make in (atomic_file, atomic_folder):
        with pytest.raises(ZeroDivisionError), make(tmp_path / "mine" / "a" / "b" / "c"):
            _ = 1 / 0
        assert contents(tmp_path) == ["mine"]
    with pytest.raises(KeyboardInterrupt), files_in(tmp_path / "mine" / "a" / "b"):
        raise KeyboardInterrupt
    assert contents(tmp_path) == ["mine"]


def test_files_in_keeps_what_was_finished_and_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _note(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), files_in(tmp_path / "out"):
        write_text(tmp_path / "out" / "state", "")
        _ = 1 / 0
    assert contents(tmp_path / "out") == [MARKER, "notes.txt", "state"]
    remove_own(tmp_path / "out" / name for name in ("notes.txt", "state", "absent"))
    assert contents(tmp_path / "out") == [MARKER, "notes.txt"]


def _full(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _full_device(path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as stream:
        stream.write(b"x")


def _full_in_h5py(path: Path) -> None:
    with writing_h5(path, path.parent / "a") as file, _files_up_to(3_000):
        for index in range(200):
            file.create_group(f"group {index}")
        file.create_dataset("values", data=np.zeros(100_000))
        file.flush()


@contextmanager
def _files_up_to(n_bytes: int) -> Iterator[None]:
    """A limit of the system on the size of files: real failures of writing, on any disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("write", [_full, _full_device, _full_in_h5py])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    sentence = r"^cannot write .*/out/a: (No space left on device|File too large)$"
    with pytest.raises(OutputError, match=sentence), atomic_file(tmp_path / "out" / "a") as part:
        write(part)
    with (
        pytest.raises(OutputError, match=sentence),
        atomic_folder(tmp_path / "out") as folder,
        atomic_file(folder / "a") as part,
    ):
        write(part)
    assert contents(tmp_path) == []


@pytest.mark.parametrize("n_bytes", [0, 100, 1_000, 3_000, 50_000])
def test_hdf5_that_cannot_be_written_is_closed_all_the_same(tmp_path: Path, n_bytes: int) -> None:
    """HDF5 that fails to write keeps the file open, and crashes when the process ends."""
    before = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    with (
        pytest.raises(OutputError, match=r"^cannot write .*/a: File too large$"),
        _files_up_to(n_bytes),
        atomic_file(tmp_path / "a") as part,
        writing_h5(part, tmp_path / "a") as file,
    ):
        file.attrs["text"] = "x" * 2_000
        file.create_dataset("values", data=np.arange(50_000))
    assert not file
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == before
    assert contents(tmp_path) == []


def test_the_users_own_error_on_a_full_disk_is_seen(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        _files_up_to(1_000),
        atomic_file(tmp_path / "a") as part,
        writing_h5(part, tmp_path / "a") as file,
    ):
        file.create_dataset("values", data=np.arange(50_000))
        raise KeyboardInterrupt
    assert contents(tmp_path) == []


def test_errors_of_reading_stay_what_they_are(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for make in (atomic_file, atomic_folder):
        with pytest.raises(FileNotFoundError), make(tmp_path / "to" / "out"):
            (source / "model.onnx").read_bytes()
    with (
        pytest.raises(DataError, match=r"^/.*/out/a is damaged$"),
        atomic_folder(tmp_path / "out") as folder,
    ):
        raise DataError(f"{folder}/a is damaged")
    assert contents(tmp_path) == ["source"]


def test_the_first_error_is_the_one_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "unlink", failing)
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a"):
        _ = 1 / 0
    monkeypatch.undo()

    def unclosed(self: h5py.File) -> None:
        raise RuntimeError("Can't decrement id ref count")

    monkeypatch.setattr(h5py.File, "close", unclosed)
    with pytest.raises(ZeroDivisionError), writing_h5(tmp_path / "b", tmp_path / "b"):
        _ = 1 / 0


def test_sha256_of_several_files_depends_on_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "b" / "a.h5", tmp_path / "c.h5"
    first.parent.mkdir()
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    # What `sha256sum a.h5 c.h5 | sha256sum` prints.
    expected = "89d81b7f9747b49c2887baaf387b9681648d59e8a62d60670d8131667b4e4e0d"
    assert sha256_of_all([second, first]) == expected
    second.write_bytes(b"3")
    assert sha256_of_all([first, second]) != expected


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    write_text(tmp_path / "abc", "abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
