"""Writing files and folders so that an interrupted command leaves nothing half-written.

``targets`` says what may be replaced, and ``marker`` which files this program wrote.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ann2sdnn.support.errors import Ann2SdnnError, OutputError
from ann2sdnn.support.files import marker
from ann2sdnn.support.files.exchange import exchanged
from ann2sdnn.support.files.targets import check_folder, refuse_file, refuse_folder

# Only writing ends in these.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_NAME_PART = 100  # characters of a name that a temporary name repeats: a long one has to fit


@contextmanager
def atomic_file(path: Path, *, force: bool = True, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    The file is then listed in the marker of the nearest folder that has one. Raises what
    ``refuse_file`` raises, and OutputError when the file cannot be written.
    """
    refuse_file(path, force=force, inputs=inputs)
    with _parents(path), _write_errors(path):
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name[:_NAME_PART]}.", suffix=path.suffix[:_NAME_PART]
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            marker.enter(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: Path, *, force: bool = False, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that becomes ``path`` when the block succeeds.

    The folder gets a marker that lists all its files. With ``force`` an old folder stays in place
    until the new one is complete. Raises what ``check_folder`` raises, before the block and again
    after it, and OutputError when the folder cannot be written.
    """
    inputs = tuple(inputs)
    check_folder(path, force=force, inputs=inputs)
    place = marker.real_place(path)
    with _parents(place):
        with _write_errors(path):
            temporary = _folder_beside(place)
        try:
            # Files written inside are listed here, not in a marked folder above.
            with _write_errors(path):
                marker.create_marker(temporary)
            with _named_errors(path, temporary):
                yield temporary
            refuse_folder(path, force=force, inputs=inputs)
            with _write_errors(path):
                marker.list_everything(temporary)
                temporary.chmod(0o777 & ~_umask())
                _put_in_place(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def files_in(folder: Path) -> Iterator[None]:
    """Mark ``folder`` as holding files of this program, and write some of them in the block.

    Existing files stay. When the block fails, a folder or marker that came to hold nothing goes
    away again.
    """
    with _parents(folder / marker.MARKER), _write_errors(folder):
        new = not os.path.lexists(folder / marker.MARKER)
        if new:
            marker.create_marker(folder)
        try:
            yield
        except BaseException:
            if new and not marker.listed(folder):
                with suppress(OSError):
                    (folder / marker.MARKER).unlink()
            raise


def write_text(path: Path, text: str, *, force: bool = True, inputs: Iterable[Path] = ()) -> None:
    """Replace ``path`` by ``text`` in one step; raises what ``atomic_file`` raises."""
    with atomic_file(path, force=force, inputs=inputs) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_own(paths: Iterable[Path]) -> None:
    """Delete those of the files ``paths`` that exist and that this program wrote."""
    for path in paths:
        if os.path.lexists(path) and marker.is_listed(path):
            with _write_errors(path):
                path.unlink()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> str:
    """Hexadecimal SHA-256 of the names and contents of files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(f"{sha256(path)}  {path.name}\n".encode())
    return digest.hexdigest()


def write_error(path: Path, error: Exception) -> OutputError:
    """What to raise where ``error`` ended the writing of ``path``."""
    text = str(error) or type(error).__name__
    # h5py's text is long, and some of its errors have the number in the text only.
    number = re.search(r"errno = (\d+)", text)
    code = getattr(error, "errno", None) or (number and int(number[1]))
    reason = os.strerror(code) if code else text.splitlines()[0]
    return OutputError(f"cannot write {path}: {reason}")


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn errors of writing ``path`` into OutputError, and leave those of reading other files."""
    try:
        yield
    except OSError as error:
        if error.filename is None or _is_written(error, path.parent):
            raise write_error(path, error) from error
        raise


@contextmanager
def _named_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Name ``path`` in errors of a block that works in the folder ``temporary`` instead of it.

    An OSError that names no file may be one of reading, so it stays what it is.
    """
    try:
        yield
    except OSError as error:
        if _is_written(error, temporary):
            raise write_error(path, error) from error
        raise
    except Ann2SdnnError as error:
        text = str(error).replace(str(temporary), str(path))
        if text == str(error):
            raise
        raise type(error)(text) from error


def _is_written(error: OSError, folder: Path) -> bool:
    """Whether ``error`` comes from writing: of a full disk, or of a file in ``folder``."""
    if error.errno in _FULL:
        return True
    if not isinstance(error.filename, str):
        return False
    return Path(os.path.realpath(error.filename)).is_relative_to(os.path.realpath(folder))


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Create the folders above ``path``; when the block fails, those that are empty go again."""
    missing = [parent for parent in path.parents if not os.path.lexists(parent)]
    try:
        with _write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()
        raise


def _folder_beside(place: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name[:_NAME_PART]}."))


def _put_in_place(new: Path, place: Path) -> None:
    """Rename ``new`` to ``place``; what stood there is deleted only when that has worked.

    Where the system cannot exchange two names, ``place`` is not there for a moment.
    """
    if not place.is_dir():
        new.replace(place)
        return
    if exchanged(new, place):
        shutil.rmtree(new, ignore_errors=True)
        return
    aside = _folder_beside(place)
    try:
        place.replace(aside)
        new.replace(place)
    except BaseException:
        if os.path.lexists(place):
            aside.rmdir()
        else:
            aside.replace(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
