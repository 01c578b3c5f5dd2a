"""The engine's profile: counts equal to those of a run, times that add up to the whole."""

import platform

import numpy as np
import pytest
import torch
from networks import moving_frames, random_spec

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import DataError, UsageError


def large_spec() -> Spec:
    """Neurons enough for two threads."""
    rng = np.random.default_rng(0)
    layers = tuple(
        SpecLayer(
            name=f"layer{index}",
            geometry=Convolution(pads=(1, 1, 1, 1)),
            weight=2 * rng.integers(1, 20, (outputs, inputs, 3, 3)).astype(np.int16),
            bias=None,
            relu=True,
            pool=None,
            input_shape=(inputs, 128, 128),
            threshold=0,
            scale=np.ones(outputs),
        )
        for index, (inputs, outputs) in enumerate(((1, 16), (16, 16), (16, 2)))
    )
    return Spec((1, 128, 128), 1 / 255, 1, Grid(0), layers, "0" * 64)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_counts_are_those_of_a_run_and_times_add_up(n_threads: int) -> None:
    spec, frames = large_spec(), moving_frames(6, (1, 128, 128))
    expected = Engine(spec, n_threads=n_threads).run(frames)
    engine = Engine(spec, n_threads=n_threads)
    engine.step(frames[0])
    profile = engine.profile(frames[1:])
    assert (profile.frames, profile.threads) == (5, n_threads)
    assert profile.messages.tolist() == expected.events[1:].sum(dim=0).tolist()
    assert profile.operations.tolist() == [0, *expected.synops[1:].sum(dim=0).tolist()]
    assert (profile.work > 0).all()
    assert (profile.scatter <= profile.work).all()
    assert (profile.scatter[1:-1] > 0).all()
    assert profile.scatter[[0, -1]].tolist() == [0, 0]
    # The whole is by the wall clock, the parts by the processor's.
    assert 0 < profile.work.sum() <= (profile.work + profile.waiting).sum() <= profile.seconds
    # The state goes on: the next frame is like the one before.
    assert int(engine.step(frames[-1]).counts[0, 0]) == 0


def test_neurons_are_visited_where_a_pixel_changed_nearby() -> None:
    spec, frames = large_spec(), moving_frames(4, (1, 128, 128))
    engine = Engine(spec)
    engine.step(frames[0])
    changed = (frames[1:] != frames[:-1]).float()
    reached = torch.nn.functional.max_pool2d(changed, 3, 1, 1)
    visited = engine.profile(frames[1:]).visited
    assert np.isnan(visited[0])
    assert visited[1] == pytest.approx(float(reached.mean()))


def test_pooled_neurons_are_counted_in_windows() -> None:
    spec = random_spec()
    assert spec.layers[0].pool is not None
    frames = moving_frames(1)
    visited = Engine(spec).profile(frames).visited
    assert visited[1:].tolist() == [1.0] * len(spec.layers)  # all, in a first frame


def test_what_cannot_be_profiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, frames = random_spec(), moving_frames(2)
    with pytest.raises(DataError, match="no frames; a profile needs one or more"):
        Engine(spec).profile(frames[:0])
    with pytest.raises(DataError, match="frames of 1x15x20 for a network"):
        Engine(spec).profile(frames[:, :, 1:])
    with monkeypatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "aarch64")
        with pytest.raises(UsageError, match="aarch64 has none"):
            Engine(spec).profile(frames)
    monkeypatch.setattr(Convolution, "axis_taps", lambda *_: None)
    with pytest.raises(UsageError, match="layer layer1 is computed outside"):
        Engine(spec).profile(frames)
