"""Streams that never end: nothing drifts, nothing grows, and a saved stream goes on as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from applications_script import script
from networks import moving_frames, random_spec

from ann2sdnn.api import Stream
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, OutputError
from ann2sdnn.support.files.nested import read_nested, write_nested


@pytest.mark.parametrize(
    ("network", "n_frames"),
    [
        ("small", 1000),
        ("pretrained", 500),
        pytest.param("small", 100_000, marks=pytest.mark.slow),
    ],
)
def test_receivers_stay_within_their_bound(network: str, n_frames: int) -> None:
    endurance = script("endurance")
    blocks = list(endurance.endure(endurance.NETWORKS[network](), n_frames, n_frames // 10))
    assert len(blocks) == 10
    assert all(0 < block.distance.share < 1 for block in blocks)
    assert all(block.distance.beyond == 0 for block in blocks)
    assert all(block.messages > 10 for block in blocks)
    if network == "small":  # of a larger one, the allocator keeps more in so few frames
        # 90% of the frames add less than a byte per frame and neuron.
        assert blocks[-1].memory_mb - blocks[0].memory_mb < max(4, n_frames * 1e-4)


def test_the_distance_notices_drift() -> None:
    endurance = script("endurance")
    spec: Spec = endurance.small_spec()
    received = [np.zeros(shape, np.int64) for shape in spec.plane_shapes]
    received[1] += 10**6
    drifted = endurance.largest_distance(spec, received)
    assert drifted.share > 1
    assert drifted.beyond > 10**6


def test_a_saved_stream_sends_the_same_messages(tmp_path: Path) -> None:
    frames = moving_frames(12, random_spec().input_shape)
    path = tmp_path / "stream.safetensors"
    first, second = Stream(random_spec(threshold=3)), Stream(random_spec(threshold=3))
    for frame in frames[:6]:
        first.step(frame)
    first.save(path)
    with pytest.raises(OutputError, match="exists already"):
        first.save(path)
    second.load(path)
    assert second.frames == 6
    for frame in frames[6:]:
        assert torch.equal(first.step(frame), second.step(frame))
        assert (first.messages, first.operations) == (second.messages, second.operations)
    assert first.messages > 0


def test_a_saved_stream_of_events_goes_on(tmp_path: Path) -> None:
    spec, window = random_spec(), EventWindow(events=40, sensor=(16, 20))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, 200), rng.integers(0, 16, 200)
    t = np.cumsum(rng.integers(0, 50, 200))
    first, second = Stream(spec, window), Stream(spec, window)
    first.step_events(x[:90], y[:90], t[:90])
    first.save(tmp_path / "stream")
    second.load(tmp_path / "stream")
    for start in (90, 140):
        part = slice(start, start + 50)
        one, other = (each.step_events(x[part], y[part], t[part]) for each in (first, second))
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
    assert first.messages == second.messages


def test_other_files_are_no_states(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    Stream(random_spec(threshold=3)).save(path)
    for other in (random_spec(threshold=4), random_spec(threshold=3, seed=1)):
        with pytest.raises(DataError, match="another network or operating point"):
            Stream(other).load(path)
    content, stream = read_nested(path), Stream(random_spec(threshold=3))
    name = next(iter(content["state"]))
    changes: tuple[dict[str, object], ...] = (
        {"state": {}},
        {"state": 3},
        {"state": {**content["state"], name: 3}},
        {"state": {**content["state"], name: torch.zeros(2)}},
        {"frames": "many"},
        {"network": None},
    )
    for change in changes:
        write_nested(path, {**content, **change})
        with pytest.raises(DataError):
            stream.load(path)
    for content in (b"", b"text", path.read_bytes()[:-9]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="holds no state of a stream"):
            stream.load(path)
    with pytest.raises(DataError, match="holds no state of a stream"):
        stream.load(tmp_path / "none")
