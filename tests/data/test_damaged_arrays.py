"""Damage of numpy's files, each kind of which numpy or zipfile answers with another exception."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.support.errors import DataError

_LOCAL, _CENTRAL = b"PK\3\4", b"PK\1\2"
_HEADER = "{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}"


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(120, dtype=np.uint8).reshape(4, 1, 5, 6))
    return stream.getvalue()


def with_header(text: str) -> bytes:
    """A .npy file of version 1.0 with any header, and no values."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def in_both_entries(at: int, value: int) -> bytes:
    """An archive whose byte ``at`` after the version is ``value``, at the member and in the table
    of contents.
    """
    content = bytearray(archive(frames=array()))
    content[content.find(_LOCAL) + 6 + at] = value
    content[content.find(_CENTRAL) + 8 + at] = value
    return bytes(content)


def damaged_lzma() -> bytes:
    content = bytearray(archive(zipfile.ZIP_LZMA, frames=array()))
    content[30 + len("frames.npy") + 12] ^= 0xFF
    return bytes(content)


def damaged_deflate() -> bytes:
    content = bytearray(archive(zipfile.ZIP_DEFLATED, frames=array()))
    content[30 + len("frames.npy")] ^= 0xFF
    return bytes(content)


HEADERS = {
    "open bracket": "{'descr': '|u1', 'shape': (4, 1",  # TokenError
    "no indentation": "  x\n y",  # IndentationError
    "keys of two kinds": "{1: 2, 'a': 3}",  # TypeError
    "2^100 frames": _HEADER.format(kind="|u1", shape=(1 << 100, 1, 5, 6)),  # OverflowError
    "-4 frames": _HEADER.format(kind="|u1", shape=(-4, 1, 5, 6)),  # OverflowError
    "-1 channels": _HEADER.format(kind="|u1", shape=(4, -1, 5, 6)),
}
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "encrypted": lambda: in_both_entries(0, 1),  # RuntimeError
    "unknown method": lambda: in_both_entries(2, 99),  # NotImplementedError
    "lzma": damaged_lzma,  # LZMAError
    "deflate": damaged_deflate,  # zlib.error
}


def refused(path: Path, content: bytes) -> str:
    """The sentence with which ``content`` is refused."""
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as numpy's file of arrays") as caught:
        for frames in open_frames(path):
            for _ in frames.chunks(8):
                pass
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # in numpy, of sizes
@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_header_is_refused(name: str, tmp_path: Path) -> None:
    content = with_header(HEADERS[name])
    for path, written in (("walk.npy", content), ("walk.npz", archive(frames=content))):
        said = refused(tmp_path / path, written)
        assert len(said.splitlines()) == 1
        assert len(said) < 500
    beside = archive(frames=array(), labels=content)
    refused(tmp_path / "walk.npz", beside)


def test_a_long_header_is_not_repeated_in_full(tmp_path: Path) -> None:
    content = with_header("[" * 4000 + "]" * 4000)
    assert len(refused(tmp_path / "walk.npy", content)) < 500


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_archive_is_refused(name: str, tmp_path: Path) -> None:
    refused(tmp_path / "walk.npz", ARCHIVES[name]())


def test_the_undamaged_files_are_read(tmp_path: Path) -> None:
    for name, content in (("walk.npy", array()), ("walk.npz", archive(frames=array()))):
        (tmp_path / name).write_bytes(content)
        (frames,) = open_frames(tmp_path / name)
        assert frames.n_frames == 4
