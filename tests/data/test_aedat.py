"""AEDAT 2.0 files: bytes worked out by hand, wrapping timestamps, and damage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from raw_recordings import columns

from ann2sdnn.data.events.aedat import (
    SPECIAL_BIT,
    RawEvents,
    open_aedat,
    polarity_addresses,
    write_aedat,
)
from ann2sdnn.support.errors import DataError

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"


def read(path: Path, records: int = 1 << 16) -> RawEvents:
    """All chunks of a file as one."""
    parts = list(open_aedat(path).chunks(records))

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return RawEvents(
        address=joined("address"),
        t_us=joined("t_us"),
        special_us=joined("special_us"),
        n_bytes=sum(part.n_bytes for part in parts),
    )


def test_reads_the_bits_of_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    # y = 259 = 0b100000011, x = 345 = 0b0101011001, on, camera 3:
    # 0 100000011 0101011001 1 0 000000 0011
    address = 0b0_100000011_0101011001_1_0_000000_0011
    path.write_bytes(
        HEADER
        + address.to_bytes(4, "big")
        + (70_000).to_bytes(4, "big")
        + bytes([0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x07])  # special event at 7 us
        + bytes([0x80, 0x00, 0x04, 0x00, 0xFF, 0xFF, 0xFF, 0xFF])  # a sample: ignored
        + bytes([0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x11, 0x71])  # (0, 0), off, camera 1
    )
    raw = read(path)
    assert columns(raw).x.tolist() == [345, 0]
    assert columns(raw).y.tolist() == [259, 0]
    assert columns(raw).camera.tolist() == [3, 1]
    assert columns(raw).on.tolist() == [True, False]
    assert raw.t_us.tolist() == [70_000, 70_001]
    assert raw.special_us.tolist() == [7]
    assert raw.n_bytes == 32


def test_writes_the_bits_of_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat(
        path,
        [(polarity_addresses([2], [1], [1], [True]), np.array([2**32 + 258]))],
        ["created by hand"],
    )
    assert path.read_bytes() == (
        b"#!AER-DAT2.0\r\n# created by hand\r\n" + bytes([0, 0x40, 0x28, 0x01, 0, 0, 1, 2])
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1023),
            st.integers(0, 511),
            st.integers(0, 15),
            st.booleans(),
            st.integers(-1000, 2**31 - 1),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int, int, bool, int]],
    start_us: int,
    records: int,
) -> None:
    """Also where timestamps wrap, several times, and where they step back a little."""
    path = tmp_path_factory.mktemp("aedat") / "a.aedat"
    x, y, camera, on, steps_us = (np.array(column) for column in zip(*rows, strict=True))
    t_us = start_us + np.cumsum(steps_us) - steps_us[0]
    write_aedat(path, [(polarity_addresses(x, y, camera, on), t_us)])
    raw = read(path, records)
    for got, expected in zip(columns(raw), (x, y, camera, on), strict=True):
        assert got.tolist() == expected.tolist()
    assert raw.t_us.tolist() == t_us.tolist()


def test_special_events_and_samples_share_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    sample = 0x80000000
    addresses = np.array([1, sample, SPECIAL_BIT, 1, SPECIAL_BIT], np.uint32)
    t_us = np.array([2**32 - 2, 5, 2**32 + 1, 2**32 + 3, 2**32 + 2**31])
    write_aedat(path, [(addresses, t_us)])
    for records in (1, 2, 100):
        raw = read(path, records)
        assert raw.t_us.tolist() == [2**32 - 2, 2**32 + 3]
        assert raw.special_us.tolist() == [2**32 + 1, 2**32 + 2**31]


@pytest.mark.parametrize("row", [140, 141, 142, 143])
def test_the_first_event_is_not_lost_nor_taken_for_a_header_line(tmp_path: Path, row: int) -> None:
    path = tmp_path / "a.aedat"
    # Byte 0 of these is "#"; a CRLF follows in the timestamps.
    addresses = polarity_addresses([208, 3], [row, 9], [2, 2], [True, True])
    assert addresses[0] >> 24 == ord("#")
    write_aedat(path, [(addresses, np.array([0x41410D0A, 0x41410D0B]))], ["text"])
    raw = read(path)
    assert columns(raw).y.tolist() == [row, 9]
    assert raw.t_us.tolist() == [0x41410D0A, 0x41410D0B]


def test_header_lines_may_hold_any_text(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat(
        path, [(np.array([1], np.uint32), np.array([9]))], ["", "Zürich\t2018", "<node x='1'/>"]
    )
    assert read(path).t_us.tolist() == [9]


def test_a_file_without_events_has_no_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat(path, [])
    assert list(open_aedat(path).chunks()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an AEDAT 2.0 file"),
        (b"#!AER-DAT3.1\r\n", "AER-DAT3.1"),
        (b"#!AER-DAT2.0\n", "not an AEDAT 2.0 file"),
        (HEADER + bytes(8) + bytes(3), "ends 3 bytes into a record"),
    ],
)
def test_damage_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        open_aedat(path)
    assert str(path) in str(error.value)


def test_missing_and_shrinking_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_aedat(tmp_path / "none.aedat")
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER + bytes(32))
    aedat = open_aedat(path)
    path.write_bytes(HEADER + bytes(24))
    with pytest.raises(DataError, match="became shorter"):
        list(aedat.chunks())


def test_the_writer_refuses_what_a_file_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    with pytest.raises(DataError, match=r"event x lies outside 0\.\.1023"):
        polarity_addresses([1024], [0], [0], [True])
    with pytest.raises(DataError, match=r"event y lies outside 0\.\.511"):
        polarity_addresses([0], [-1], [0], [True])
    with pytest.raises(DataError, match="not one line"):
        write_aedat(path, [], ["two\nlines"])
    with pytest.raises(DataError, match="times"):
        write_aedat(path, [(np.zeros(2, np.uint32), np.zeros(1, np.int64))])
    assert list(tmp_path.iterdir()) == []
