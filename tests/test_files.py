"""Writing is all or nothing."""

from pathlib import Path

import pytest

from ann2sdnn.errors import OutputError
from ann2sdnn.files import atomic_file, atomic_folder, sha256, write_text
from ann2sdnn.marker import MARKER


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


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
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "first").write_text("1")
    with (
        pytest.raises(OutputError, match="out exists already; choose another name or add --force"),
        atomic_folder(tmp_path / "out"),
    ):
        pass
    with atomic_folder(tmp_path / "out", force=True) as temporary:
        assert (tmp_path / "out" / "first").exists(), "the old folder stays until the new is whole"
        (temporary / "second").write_text("2")
    assert contents(tmp_path / "out") == [MARKER, "second"]


def test_an_empty_folder_does_not_count_as_existing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "x").write_text("")
    assert contents(tmp_path / "out") == [MARKER, "x"]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    write_text(tmp_path / "abc", "abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
