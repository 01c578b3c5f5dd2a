"""The raw events of a scene: their order, where they come from, and where a recording stops."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from raw_recordings import columns

from ann2sdnn.data.events import filters as event_filters
from ann2sdnn.data.events.aedat import RawEvents, open_aedat
from ann2sdnn.data.events.filters import EventFilters, lamp_mask, to_plane
from ann2sdnn.data.events.interval import Interval
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import Accumulator
from ann2sdnn.data.pose.cameras import FRONT_CHANNELS, camera
from ann2sdnn.data.raw.recording import find_hot_pixels, find_interval, prepare_recording
from ann2sdnn.data.raw.vicon import read_vicon
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.synthetic.camera.disturbances import Disturbances, make_chip
from ann2sdnn.data.synthetic.camera.sensor import SensorOptions
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.raw_recording import write_raw_recording
from ann2sdnn.data.synthetic.scene import make_scene
from ann2sdnn.data.synthetic.stream import draw_options, raw_events
from ann2sdnn.data.synthetic.survivors import Survivors, part_of

QUIET = SensorOptions(noise_hz=0.0, leak_hz=0.0, hot_pixels=0.0, lamps=False)
NAME = RecordingName(1, 2, 1)
EVER = Interval(-1, 1 << 40)


def first_events(n_chunks: int, options: SensorOptions | None = None) -> RawEvents:
    chunks = list(islice(raw_events(make_scene(0, 1, CATALOGUE[0]), options), n_chunks))
    return RawEvents(
        np.concatenate([chunk.address for chunk in chunks]),
        np.concatenate([chunk.t_us for chunk in chunks]),
        np.empty(0, np.int64),
        sum(chunk.n_bytes for chunk in chunks),
    )


def pixels_of(events: RawEvents) -> NDArray[np.int64]:
    return to_plane(events, EVER).pixel.astype(np.int64)


def test_events_come_in_order_of_time_from_all_cameras() -> None:
    events = first_events(5)
    assert (np.diff(events.t_us) >= 0).all()
    assert set(columns(events).camera.tolist()) == {0, 1, 2, 3}
    assert events.n_bytes == 8 * len(events.t_us)
    assert len(pixels_of(events)) == len(events.t_us)  # none outside the sensors


def test_a_pixel_pauses_after_an_event() -> None:
    for refractory_us in (400, 2000):
        options = SensorOptions(threshold=0.05, refractory_us=refractory_us)
        events = first_events(5, options)
        pixel = pixels_of(events)
        order = np.lexsort((events.t_us, pixel))
        gap = np.diff(events.t_us[order])[np.diff(pixel[order]) == 0]
        assert refractory_us <= gap.min() < refractory_us + 100


def test_without_disturbances_all_events_come_from_the_body() -> None:
    events = first_events(7, QUIET)
    scene = make_scene(0, 1, CATALOGUE[0])
    last_us = int(events.t_us[-1])
    joints = scene.performance.markers(np.arange(0.0, last_us, 5000.0) * 1e-6)
    for channel in FRONT_CHANNELS:
        x, y, of_camera, _ = columns(events)
        here = of_camera == channel
        points = camera(channel).project(joints).reshape(-1, 2)
        column, row = 345.0 - x[here], 259.0 - y[here]
        distance = np.hypot(column[:, None] - points[:, 0], row[:, None] - points[:, 1]).min(axis=1)
        assert here.sum() > 1000
        assert np.median(distance) < 15
        assert distance.max() < 45


def sent(channel: int, options: SensorOptions, seconds: float) -> RawEvents:
    rng = np.random.default_rng(3)
    one = Disturbances(channel, options, make_chip(5, channel), rng)
    events = one.send(1000, 1000 + round(seconds * 1e6))
    assert events.t_us.min() > 1000
    assert events.t_us.max() <= 1000 + seconds * 1e6
    return RawEvents(events.address, events.t_us, np.empty(0, np.int64), 0)


def test_noise_and_leaks_have_their_rates_and_polarities() -> None:
    options = SensorOptions(noise_hz=0.3, leak_hz=0.1, hot_pixels=0.0, lamps=False)
    events = sent(1, options, 2.0)
    assert len(events.t_us) == pytest.approx(0.4 * 89_960 * 2, rel=0.03)
    assert columns(events).on.mean() == pytest.approx((0.1 + 0.15) / 0.4, abs=0.01)
    assert len(np.unique(pixels_of(events))) > 30_000


def test_hot_pixels_belong_to_the_camera_and_their_rates_span_decades() -> None:
    options = SensorOptions(noise_hz=0.0, leak_hz=0.0, hot_pixels=1000.0, lamps=False)
    pixel, count = np.unique(pixels_of(sent(2, options, 10.0)), return_counts=True)
    again = np.unique(pixels_of(sent(2, options, 10.0)))
    np.testing.assert_array_equal(pixel, again)
    assert count.max() > 50 * count.min()
    other = np.unique(pixels_of(sent(3, options, 10.0)))
    assert not set(other.tolist()) & set(pixel.tolist())


def test_lamps_pulse_where_dhp19_masks_them() -> None:
    options = SensorOptions(noise_hz=0.0, leak_hz=0.0, hot_pixels=0.0)
    for channel, places in ((2, 300), (3, 15)):
        events = sent(channel, options, 1.0)
        pixel = pixels_of(events)
        assert lamp_mask()[pixel].all()
        assert len(np.unique(pixel)) > places
        assert (events.t_us % 10_000).max() < 3000


def test_options_lie_in_their_ranges_and_differ() -> None:
    drawn = [draw_options((seed, 3, subject, 1, 1, 4)) for seed in range(8) for subject in (1, 2)]
    for one in drawn:
        assert 0.17 < one.threshold < 0.24
        assert 0.002 < one.noise_hz + one.leak_hz < 0.02
    assert len({one.threshold for one in drawn}) == len(drawn)
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    same_room = np.mean([abs(a.threshold - b.threshold) for a, b in pairs])
    pairs = zip(drawn, drawn[2:], strict=False)
    other_room = np.mean([abs(a.threshold - b.threshold) for a, b in pairs])
    assert same_room < other_room


@pytest.mark.parametrize(("hot_from", "most_hot"), [(10_000, 0), (6, 200), (4, 5000)])
def test_a_recording_stops_with_the_event_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hot_from: int, most_hot: int
) -> None:
    """Also where pixels become hot on the way, a few and hundreds of them."""
    monkeypatch.setattr(event_filters, "HOT_PIXEL_EVENTS", hot_from)
    windows, frames = Windows(3000, 1), 3
    raw, duration_us = write_raw_recording(
        tmp_path, NAME, make_scene(0, 1, CATALOGUE[0]), frames, windows
    )
    aedat, labels_mm = open_aedat(raw.events_path), read_vicon(raw.labels_path)
    interval = find_interval(aedat, len(labels_mm))
    assert interval.stop_us - interval.start_us == duration_us
    hot = find_hot_pixels(aedat, interval)
    assert hot.sum() <= most_hot
    assert hot.any() == (most_hot > 0)
    filters = EventFilters(interval, hot)
    left = sum(len(filters.apply(chunk)) for chunk in aedat.chunks())
    assert left == windows.window_events + frames - 1
    assert prepare_recording(raw, tmp_path, windows, lambda _bytes: None) == frames
    special = np.concatenate([chunk.special_us for chunk in aedat.chunks()])
    assert len(special) == 3
    times_us = np.concatenate([chunk.t_us for chunk in aedat.chunks()])
    assert times_us[0] < interval.start_us < times_us[-1]
    assert (times_us == interval.stop_us - 1).any()


def test_no_stop_before_it_would_have_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against filtering every beginning of a short stream from its start."""
    monkeypatch.setattr(event_filters, "HOT_PIXEL_EVENTS", 4)
    rng = np.random.default_rng(1)
    n = 150
    address = (rng.integers(20, 24, n) << 12 | rng.integers(30, 33, n) << 22).astype(np.uint32)
    stream = RawEvents(address, np.arange(10, 10 + n), np.empty(0, np.int64), 0)

    def left_of(length: int) -> int:
        part, counts = part_of(stream, 0, length), event_filters.HotPixels()
        counts.add(to_plane(part, EVER))
        return len(EventFilters(EVER, counts.mask()).apply(part))

    lefts = [left_of(length) for length in range(n + 1)]
    assert min(np.diff(lefts)) < -1  # pixels become hot
    for needed in range(1, max(lefts) + 1):
        survivors, done, found = Survivors(-1, needed), 0, None
        while found is None:
            chunk = part_of(stream, done, done + 7)

            def past(end: int = done) -> Iterator[RawEvents]:
                yield part_of(stream, 0, end)

            found = survivors.add(chunk, past)
            done += 7 if found is None else found
        assert done == lefts.index(needed)


def test_no_stage_loses_or_makes_events() -> None:
    events = first_events(8, QUIET)
    plane = to_plane(events, EVER)
    assert len(plane.pixel) == len(events.t_us)
    filtered = EventFilters(EVER, np.zeros(len(lamp_mask()), bool)).apply(events)
    frames = list(Accumulator(Windows(500, 100)).add(filtered))
    hops = [hop for frame in frames for hop in frame.hops]
    assert len(hops) == len(filtered) // 100
    assert all(hop.sum() == 100 for hop in hops)
    whole = np.zeros((260, 346, 4), np.int64)
    n = 100 * len(hops)
    np.add.at(whole, (filtered.y[:n], filtered.x[:n], filtered.camera[:n]), 1)
    np.testing.assert_array_equal(np.sum(hops, axis=0), whole)
