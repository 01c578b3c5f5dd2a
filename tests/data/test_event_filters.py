"""The event filters one by one, on events worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import RawEvents, polarity_addresses
from ann2sdnn.data.events.filters import (
    BackgroundFilter,
    EventFilters,
    HotPixels,
    PlaneEvents,
    lamp_mask,
    to_events,
    to_plane,
)
from ann2sdnn.data.events.interval import Interval

W = 1384
Row = tuple[int, int, int]  # time in us, row and column of the plane


def raw_events(*rows: tuple[int, int, int, int]) -> RawEvents:
    """Events (t_us, x, y, camera) as a file has them."""
    t_us, x, y, camera = np.array(rows, np.int64).reshape(-1, 4).T
    address = polarity_addresses(x, y, camera, np.ones(len(rows), bool))
    return RawEvents(address, t_us, np.zeros(0, np.int64), 8 * len(rows))


def plane_events(*rows: Row) -> PlaneEvents:
    t_us, row, column = np.array(rows, np.int64).reshape(-1, 3).T
    return PlaneEvents((row * W + column).astype(np.int32), t_us)


def rows_of(events: PlaneEvents) -> list[Row]:
    pairs = zip(events.t_us.tolist(), events.pixel.tolist(), strict=True)
    return [(t_us, pixel // W, pixel % W) for t_us, pixel in pairs]


def supported(*rows: Row) -> list[Row]:
    return rows_of(BackgroundFilter().keep(plane_events(*rows)))


def test_events_are_mirrored_flipped_and_placed_side_by_side() -> None:
    raw = raw_events((5, 0, 0, 0), (5, 345, 259, 1), (5, 345, 0, 3), (5, 10, 20, 2))
    assert rows_of(to_plane(raw, Interval(0, 10))) == [
        (5, 259, 345),
        (5, 0, 346),
        (5, 259, 3 * 346),
        (5, 239, 2 * 346 + 335),
    ]


def test_events_outside_the_sensor_or_the_interval_are_dropped() -> None:
    outside = raw_events((5, 346, 0, 0), (5, 0, 260, 0), (5, 0, 0, 4), (5, 1023, 511, 15))
    assert rows_of(to_plane(outside, Interval(0, 10))) == []
    at_the_ends = raw_events((9, 345, 0, 0), (10, 345, 0, 0), (11, 345, 0, 0), (12, 345, 0, 0))
    assert rows_of(to_plane(at_the_ends, Interval(9, 12))) == [(10, 259, 0), (11, 259, 0)]


def test_a_pixel_is_hot_from_ten_thousand_events() -> None:
    hot = HotPixels()
    pixels = np.repeat([7, 9, 359_839], [9_999, 10_000, 10_001]).astype(np.int32)
    for part in np.array_split(pixels, 7):
        hot.add(PlaneEvents(part, np.zeros(len(part), np.int64)))
    assert np.flatnonzero(hot.mask()).tolist() == [9, 359_839]


def test_hot_pixels_are_dropped() -> None:
    hot = np.zeros(260 * W, bool)
    hot[[3 * W + 346 + 4, 259 * W + W - 1]] = True
    raw = raw_events((1, 341, 256, 1), (2, 340, 256, 1), (3, 0, 0, 3), (4, 345, 259, 0))
    assert rows_of(to_plane(raw, Interval(0, 10), hot)) == [(2, 3, 351), (4, 0, 0)]


def test_hidden_pixels_support_others_and_are_dropped() -> None:
    hidden = np.zeros(260 * W, bool)
    hidden[50 * W + 60] = True
    events = plane_events((0, 50, 60), (1, 50, 61), (2, 50, 60), (3, 50, 61))
    assert rows_of(BackgroundFilter(hidden).keep(events)) == [(1, 50, 61), (3, 50, 61)]


NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


@pytest.mark.parametrize(("down", "right"), NEIGHBOURS)
def test_each_of_the_eight_neighbours_supports(down: int, right: int) -> None:
    first, second = (0, 50, 60), (70_000, 50 + down, 60 + right)
    assert supported(first, second) == [second]
    assert supported(first, (70_001, *second[1:])) == []  # the stamp is too old


@pytest.mark.parametrize("place", [(50, 60), (50, 62), (52, 60), (48, 58)])
def test_the_pixel_itself_and_those_further_away_do_not_support(place: tuple[int, int]) -> None:
    assert supported((0, 50, 60), (10, *place)) == []


def test_a_dropped_event_supports_too() -> None:
    assert supported((0, 50, 60), (60_000, 50, 61), (120_000, 50, 62)) == [
        (60_000, 50, 61),
        (120_000, 50, 62),
    ]
    assert supported((0, 50, 60), (100_000, 50, 61), (150_000, 50, 60)) == [(150_000, 50, 60)]


@pytest.mark.parametrize(
    ("border", "inside"),
    [((0, 9), (1, 9)), ((259, 9), (258, 9)), ((9, 0), (9, 1)), ((9, W - 1), (9, W - 2))],
)
def test_the_outer_border_is_supported_but_supports_nothing(
    border: tuple[int, int], inside: tuple[int, int]
) -> None:
    assert supported((0, *border), (10, *inside)) == []
    assert supported((0, *inside), (10, *border)) == [(10, *border)]


def test_neighbours_reach_across_two_cameras_but_not_around_the_plane() -> None:
    assert supported((0, 50, 345), (10, 50, 346)) == [(10, 50, 346)]
    assert supported((0, 50, W - 2), (10, 51, 0)) == []


def test_events_near_time_zero_need_support_too() -> None:
    assert supported((0, 50, 60), (1, 100, 100)) == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 4), st.integers(0, 4)), max_size=80),
    st.integers(1, 80),
)
def test_support_in_chunks_is_what_looking_back_says(steps: list[Row], cut: int) -> None:
    """Against all pairs of events, on a patch in a corner of the plane."""
    times = np.cumsum([step for step, _, _ in steps]).tolist()
    rows = [(t_us, *place) for t_us, (_, *place) in zip(times, steps, strict=True)]
    expected = [
        (t_us, row, column)
        for i, (t_us, row, column) in enumerate(rows)
        if any(
            max(abs(row - r), abs(column - c)) == 1 and t_us - t <= 70_000 and r > 0 and c > 0
            for t, r, c in rows[:i]
        )
    ]
    background = BackgroundFilter()
    parts = [background.keep(plane_events(*part)) for part in (rows[:cut], rows[cut:]) if part]
    assert [row for part in parts for row in rows_of(part)] == expected


def test_the_lamps_are_where_matlab_has_them() -> None:
    mask = lamp_mask().reshape(260, W)
    expected: NDArray[np.bool_] = np.zeros((260, W), bool)
    for row in range(1, 261):  # as Matlab counts
        for column in range(1, W + 1):
            first = 780 < column < 810 and 115 < row < 145
            second = 1252 < column < 1259 and 136 < row < 144
            expected[row - 1, column - 1] = first or second
    np.testing.assert_array_equal(mask, expected)
    assert mask.sum() == 29 * 29 + 6 * 7


def test_the_plane_splits_into_its_cameras() -> None:
    events = to_events(plane_events((1, 0, 345), (2, 259, 346), (3, 17, W - 1)))
    assert events.x.tolist() == [345, 0, 345]
    assert events.y.tolist() == [0, 259, 17]
    assert events.camera.tolist() == [0, 1, 3]
    assert events.t_us.tolist() == [1, 2, 3]


def test_the_chain_runs_in_its_order() -> None:
    """Hot pixels support nothing; lamps do, although their own events go."""
    hot = np.zeros(260 * W, bool)
    hot[50 * W + 60] = True
    filters = EventFilters(Interval(0, 100), hot)
    beside_hot = raw_events((1, 345 - 60, 259 - 50, 0), (2, 345 - 61, 259 - 50, 0))
    assert len(filters.apply(beside_hot)) == 0
    column = 780 - 2 * 346  # the lamp's first column (0-based), in camera 2
    beside_lamp = raw_events(
        (3, 345 - column, 259 - 120, 2),
        (4, 345 - column + 1, 259 - 120, 2),  # one to the left: outside the lamp
        (5, 345 - column, 259 - 120, 2),
    )
    events = filters.apply(beside_lamp)
    assert events.t_us.tolist() == [4]
    assert (events.y[0], events.x[0], events.camera[0]) == (120, column - 1, 2)
