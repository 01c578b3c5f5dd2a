"""The lowered network in lava-nc answers as the engine does."""

from dataclasses import replace

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from networks import MAX_POOL, moving_frames, random_spec

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lava.backend import LavaBackend
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import UsageError


def test_outputs_equal_the_engines_bit_by_bit() -> None:
    """Pooling, groups, a transposed convolution, biases; states that wrap round."""
    spec = random_spec(pool=MAX_POOL)
    frames = moving_frames(4)
    expected = Engine(spec).run(frames)
    found = make_backend("lava", spec).run(frames)
    assert torch.equal(found.outputs, expected.outputs)
    assert torch.count_nonzero(expected.outputs) > 100
    assert found.events.shape == expected.events.shape
    assert torch.equal(found.events[:, 0], expected.events[:, 0])
    # A layer without pooling sends what the converted one sends, from the first frame on.
    assert torch.equal(found.events[:, 2:], expected.events[:, 2:])
    assert torch.equal(found.synops[:, 2:], expected.synops[:, 2:])
    # The tree of a maximum sends more, and its layers are operations of the pooled layer's.
    assert (found.events[:, 1] > expected.events[:, 1]).all()
    assert (found.synops[:, 0] > expected.synops[:, 0]).all()
    assert int(expected.overflows.sum()) > 0
    assert int(found.overflows.sum()) > 0


def test_messages_are_those_of_the_lowered_network() -> None:
    """As the engine counts them there, with thresholds, summed over the layers of one origin."""
    spec = random_spec(pool=MAX_POOL, threshold=1)
    lowered = lower_spec(spec)
    frames = moving_frames(3)
    expected = Engine(lowered.spec).run(frames)
    found = make_backend("lava", spec).run(frames)
    for origin in range(len(spec.layers)):
        own = [i for i, part in enumerate(lowered.parts) if part.origin == origin]
        after = [i + 1 for i in own]
        assert torch.equal(found.events[:, origin + 1], expected.events[:, after].sum(dim=1))
        assert torch.equal(found.synops[:, origin], expected.synops[:, own].sum(dim=1))
        assert torch.equal(found.overflows[:, origin], expected.overflows[:, own].sum(dim=1))


@pytest.mark.slow
def test_runs_go_on_until_a_reset() -> None:
    spec = random_spec(pool=MAX_POOL)
    frames = moving_frames(4)
    engine, lava = Engine(spec), LavaBackend(spec)
    for part in torch.split(frames, 2):
        assert torch.equal(lava.run(part).outputs, engine.run(part).outputs)
    engine.reset()
    lava.reset()
    assert torch.equal(lava.run(frames[2:]).outputs, engine.run(frames[2:]).outputs)


def test_every_message_and_operation_of_one_layer_is_counted() -> None:
    """One layer without pooling: the lowered network is the network."""
    layer = SpecLayer(
        name="only",
        geometry=Convolution(pads=(1, 1, 1, 1)),
        weight=np.full((2, 1, 3, 3), 6, np.int16),
        bias=None,
        relu=True,
        pool=None,
        threshold=3,
        scale=np.array([2.0, 3.0]),
        input_shape=(1, 9, 11),
    )
    spec = Spec((1, 9, 11), 1.0, 20, Grid(6), (layer,), "")
    frames = moving_frames(5, (1, 9, 11))
    expected = Engine(spec).run(frames)
    found = LavaBackend(spec).run(frames)
    for name in ("outputs", "events", "synops", "overflows", "oversized"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert (expected.events > 0).all()


def test_what_cannot_run_there_is_refused_in_a_sentence() -> None:
    spec = random_spec(pool=MAX_POOL)
    forgetful = replace(spec, layers=(replace(spec.layers[0], is_stateful=False), *spec.layers[1:]))
    with pytest.raises(UsageError, match=r"layer1 is memoryless; run .* with --backend engine"):
        make_backend("lava", forgetful)
    with pytest.raises(UsageError, match="too many to be kept"):
        LavaBackend(spec).run(moving_frames(1), keep_messages=True)
