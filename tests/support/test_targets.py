"""Output paths are checked before any work."""

import errno
import os
from pathlib import Path

import pytest

from ann2sdnn.support.errors import OutputError, UsageError
from ann2sdnn.support.files.targets import (
    check_file,
    check_files,
    check_folder,
    refuse_overlap,
)
from ann2sdnn.support.files.writing import atomic_folder, files_in, write_text

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_only_if_it_was_named_with_force(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    check_file(path, force=False)
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"page\.html exists already; .* --force"):
        check_file(path, force=False)
    check_file(path, force=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="dangling exists already"):
        check_file(tmp_path / "dangling", force=False)


def test_a_folder_or_a_device_is_no_file_to_write(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for force in (False, True):
        with pytest.raises(OutputError, match="empty is a folder; name a file"):
            check_file(tmp_path / "empty", force=force)
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(OutputError, match="is no regular file"):
            check_file(path, force=True)


@pytest.mark.parametrize("way", ["itself", "hard link", "link", "link to the folder"])
def test_an_input_is_never_overwritten(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    one = folder / "old.net"
    one.write_text("network")
    path = {"itself": one, "link to the folder": tmp_path / "way" / "old.net"}.get(
        way, tmp_path / "new.net"
    )
    if way == "hard link":
        path.hardlink_to(one)
    elif way == "link":
        path.symlink_to(one)
    else:
        (tmp_path / "way").symlink_to(folder)
    for force in (False, True):
        with pytest.raises(OutputError, match="is an input of this command"):
            check_file(path, force=force, inputs=(tmp_path / "another", one))


@pytest.mark.parametrize(
    "path", ["file/out", "file/deep/out", "a/b/" + "x" * 300, "x" * 300 + "/b", "loop/out"]
)
def test_paths_that_cannot_be_made_are_refused_and_nothing_is_left(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    sentence = r"cannot write .*(no folder|too long)"
    with pytest.raises(OutputError, match=sentence):
        check_file(tmp_path / path, force=True)
    with pytest.raises(OutputError, match=sentence):
        check_folder(tmp_path / path, force=True)
    with pytest.raises(OutputError, match=sentence):
        check_files(tmp_path / path, ("a",), force=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "loop"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
def test_a_place_where_nobody_may_write_is_refused() -> None:
    with pytest.raises(OutputError, match=r"cannot write /proc/ann2sdnn: .*; choose another place"):
        check_folder(Path("/proc/ann2sdnn"), force=False)


def test_a_full_disk_is_noticed_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"cannot write .*/a/b: No space left on device"):
        check_folder(tmp_path / "a" / "b", force=False)
    assert list(tmp_path.iterdir()) == []


def test_names_as_long_as_a_file_system_allows_are_written(tmp_path: Path) -> None:
    name = "x" * 250 + ".txt"
    write_text(tmp_path / name, "")
    with atomic_folder(tmp_path / ("y" * 255)) as folder:
        write_text(folder / name, "")
    assert {one.name for one in tmp_path.iterdir()} == {name, "y" * 255}


def test_files_that_a_command_puts_into_a_folder_replace_only_its_own(tmp_path: Path) -> None:
    names = ("evaluation.json", "report.html")
    (tmp_path / "report.html").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"report\.html exists already, and no \.ann2sdnn"):
            check_files(tmp_path, names, force=force)
    (tmp_path / "report.html").unlink()
    with files_in(tmp_path):
        write_text(tmp_path / "report.html", "ours")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"report\.html exists already; .* add --force"):
        check_files(tmp_path, names, force=False)
    check_files(tmp_path, names, force=True)
    with pytest.raises(OutputError, match="is an input of this command"):
        check_files(tmp_path, names, force=True, inputs=(tmp_path / "report.html",))
    with pytest.raises(OutputError, match=r"notes\.txt exists already and is no folder"):
        check_files(tmp_path / "notes.txt", names, force=True)


def test_two_outputs_may_not_lie_in_one_another(tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path / "out")
    for other in ("out", "out/raw", "way/raw", "."):
        with pytest.raises(UsageError, match="neither may lie in the other"):
            refuse_overlap(tmp_path / "out", tmp_path / other)
    refuse_overlap(tmp_path / "out", tmp_path / "outer")
