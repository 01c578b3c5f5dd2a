"""Reads and writes AEDAT 2.0 event files as in DHP19: four DAVIS346 cameras in one stream.

A file is a few text lines, each starting with ``#`` and ending in CRLF (the first one is
``#!AER-DAT2.0``), and then records of two big-endian uint32: an address and a timestamp in
microseconds. Address bits, as ``ImportAedatDataVersion1or2.m`` of the data set's repository
(SensorsINI/DHP19) reads them: 31 frame or IMU sample, 22..30 y, 12..21 x, 11 polarity,
10 special event, 0..3 camera.

That reader starts one record late and so loses the first event of every file; this reader does not.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

FIRST_LINE = b"#!AER-DAT2.0\r\n"
RECORD_BYTES = 8
# 512 kB of file at a time: what is decoded from it stays in a core's second-level cache.
CHUNK_RECORDS = 1 << 16

SAMPLE_BIT = 0x80000000
SPECIAL_BIT = 0x400
POLARITY_BIT = 0x800
Y_SHIFT, Y_MASK = 22, 0x1FF
X_SHIFT, X_MASK = 12, 0x3FF
CAMERA_MASK = 0xF

_BIG_ENDIAN = sys.byteorder == "big"
_LONGEST_HEADER_LINE = 1 << 16
_CONTROL_CHARACTERS = bytes(set(range(32)) - {ord("\t")})


@dataclass(frozen=True)
class RawEvents:
    """The events of one chunk of a file, in the order of the file.

    Polarity events: ``address`` [n] as in the file (the sensor's coordinates: a frame's column is
    345 - x, its row 259 - y) and ``t_us`` [n]; special events: ``special_us`` [m]. Times continue
    where the file's 32-bit timestamps wrap. ``n_bytes``: bytes of the file that were read.
    """

    address: NDArray[np.uint32]
    t_us: NDArray[np.int64]
    special_us: NDArray[np.int64]
    n_bytes: int


@dataclass(frozen=True)
class AedatFile:
    """An AEDAT 2.0 file whose header has been read; it is open only while chunks are read."""

    path: Path
    data_offset: int
    n_records: int

    def chunks(self, records: int = CHUNK_RECORDS) -> Iterator[RawEvents]:
        """Decode the file from its start, ``records`` at a time.

        Raises DataError when the file cannot be read or has become shorter.
        """
        clock = np.zeros(2, np.int64)
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.data_offset)
                for begin in range(0, self.n_records, records):
                    wanted = min(records, self.n_records - begin)
                    words = np.fromfile(stream, np.uint8, RECORD_BYTES * wanted)
                    if len(words) != RECORD_BYTES * wanted:
                        raise DataError(
                            f"{self.path} became shorter while it was read; "
                            "let whatever writes it finish and try again"
                        )
                    yield _decode_chunk(words.view(np.uint32).reshape(-1, 2), clock)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error


def open_aedat(path: Path) -> AedatFile:
    """Read the header of an AEDAT 2.0 file.

    The header ends with the last line of text that starts with ``#`` and ends in CRLF; a first
    event whose first byte happens to be ``#`` is not a header line. Raises DataError when the file
    cannot be read, starts with another line, or ends within a record.
    """
    refuse_lfs_pointer(path, DataError)
    try:
        with path.open("rb") as stream:
            offset = _end_of_header(stream, path)
            n_bytes = path.stat().st_size - offset
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if n_bytes % RECORD_BYTES:
        raise DataError(
            f"{path} ends {n_bytes % RECORD_BYTES} bytes into a record of {RECORD_BYTES}; "
            "it is truncated, copy it again"
        )
    return AedatFile(path, offset, n_bytes // RECORD_BYTES)


def polarity_addresses(
    x: ArrayLike, y: ArrayLike, camera: ArrayLike, on: ArrayLike
) -> NDArray[np.uint32]:
    """Addresses [n] of polarity events in the sensor's coordinates.

    Those are not a frame's: x = 345 - column, y = 259 - row. Raises DataError for a value that
    its bits cannot hold.
    """
    address = np.where(np.asarray(on, bool), POLARITY_BIT, 0).astype(np.int64)
    for name, values, mask, shift in (
        ("x", x, X_MASK, X_SHIFT),
        ("y", y, Y_MASK, Y_SHIFT),
        ("camera", camera, CAMERA_MASK, 0),
    ):
        column = narrowed(values, np.int64, f"event {name}", error=DataError)
        if column.size and not 0 <= column.min() <= column.max() <= mask:
            raise DataError(f"event {name} lies outside 0..{mask}, which an address cannot hold")
        address = address | (column << shift)
    return address.astype(np.uint32)


def write_aedat(
    path: Path,
    records: Iterable[tuple[NDArray[np.uint32], NDArray[np.int64]]],
    comments: Sequence[str] = (),
) -> None:
    """Write chunks of (addresses [n], times in us [n]) to ``path`` in one step.

    A special event has the address ``SPECIAL_BIT``. Times are written modulo 2^32, as the
    recorder does. Raises DataError when the two columns of a chunk differ in length, when one holds
    what is no whole number of its type, or when a comment is more than one line.
    """
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        writer = AedatWriter(stream, comments)
        for addresses, t_us in records:
            writer.write(addresses, t_us)


class AedatWriter:
    """Appends events to an open file; raises what ``write_aedat`` raises."""

    def __init__(self, stream: BinaryIO, comments: Sequence[str] = ()) -> None:
        self._stream = stream
        stream.write(FIRST_LINE)
        for comment in comments:
            line = comment.encode()
            if set(line) & set(_CONTROL_CHARACTERS):
                raise DataError(f"comment {comment!r} is not one line of text")
            stream.write(b"# " + line + b"\r\n")

    def write(self, addresses: NDArray[np.uint32], t_us: NDArray[np.int64]) -> None:
        """Write events with ``addresses`` [n] at times ``t_us`` [n]."""
        if addresses.shape != t_us.shape or addresses.ndim != 1:
            raise DataError(f"{addresses.shape} addresses, but {t_us.shape} times")
        address = narrowed(addresses, np.uint32, "an event's address", error=DataError)
        times = narrowed(t_us, np.int64, "an event's time in us", error=DataError)
        words = np.stack([address.astype(np.int64), times & 0xFFFFFFFF], axis=-1)
        self._stream.write(words.astype(">u4").tobytes())


def _end_of_header(stream: BinaryIO, path: Path) -> int:
    line = stream.readline(_LONGEST_HEADER_LINE)
    if line != FIRST_LINE:
        raise DataError(
            f"{path} starts with {line[:20]!r}, expected {FIRST_LINE!r}; "
            "it is not an AEDAT 2.0 file"
        )
    offset = len(line)
    while _is_header_line(line := stream.readline(_LONGEST_HEADER_LINE)):
        offset += len(line)
    return offset


def _is_header_line(line: bytes) -> bool:
    # An address of a camera ends in a control character, so no record passes for a line of text.
    text = line[:-2]
    return (
        line.startswith(b"#")
        and line.endswith(b"\r\n")
        and len(text.translate(None, _CONTROL_CHARACTERS)) == len(text)
    )


def _decode_chunk(words: NDArray[np.uint32], clock: NDArray[np.int64]) -> RawEvents:
    n = len(words)
    address, t_us = np.empty(n, np.uint32), np.empty(n, np.int64)
    special_us = np.empty(n, np.int64)
    k, m = _decode(words, clock, address, t_us, special_us)
    return RawEvents(address[:k], t_us[:k], special_us[:m], n * RECORD_BYTES)


@numba.njit(cache=True)
def _decode(words, clock, addresses, t_us, special_us):  # type: ignore[no-untyped-def]
    started, now = clock[0], clock[1]
    k = m = 0
    for i in range(len(words)):
        address = _native(words[i, 0])
        if address & SAMPLE_BIT:
            continue
        stamp = np.int64(_native(words[i, 1]))
        if started:
            # The shortest way from the last timestamp to this one, around the wrap or back.
            step = (stamp - now) & 0xFFFFFFFF
            now += step - ((step >> 31) << 32)
        else:
            started, now = 1, stamp
        if address & SPECIAL_BIT:
            special_us[m] = now
            m += 1
        else:
            addresses[k], t_us[k] = address, now
            k += 1
    clock[0], clock[1] = started, now
    return k, m


@numba.njit(cache=True, inline="always")
def _native(word):  # type: ignore[no-untyped-def]
    """Swap the bytes of a big-endian number on little-endian machines."""
    if _BIG_ENDIAN:
        return word
    word = np.uint32(word)
    swapped = (word & np.uint32(0xFF)) << np.uint32(24) | (word & np.uint32(0xFF00)) << np.uint32(8)
    return np.uint32(swapped | (word >> np.uint32(8) & np.uint32(0xFF00)) | word >> np.uint32(24))
