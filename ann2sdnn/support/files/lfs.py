"""Recognises pointer files that Git LFS leaves where a file's content was not downloaded."""

from pathlib import Path

from ann2sdnn.support.errors import Ann2SdnnError

_FIRST_LINE = b"version https://git-lfs.github.com/spec/v1"


def is_lfs_pointer(path: Path) -> bool:
    """Whether ``path`` is a file that begins as a Git LFS pointer does."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_FIRST_LINE)) == _FIRST_LINE
    except OSError:
        # Missing, a folder or not readable: the caller's own reading says so better.
        return False


def refuse_lfs_pointer(path: Path, error: type[Ann2SdnnError]) -> None:
    """Raise ``error`` if ``path`` is a Git LFS pointer instead of the file it stands for."""
    if is_lfs_pointer(path):
        raise error(
            f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull` in its"
            " repository to download the content"
        )
