"""Every kind of first layer on every input: engine, slayer and lava send what the integers do.

The input is pixels, or signed because a mean is subtracted or frames are float32. The first layer
may have negative values too, as a Normalize, a LeakyReLU's halves or a linear 1x1 convolution has.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lava_backends import lava_backend, slayer_backend
from networks import MAX_POOL, SUM_POOL, assert_equal_messages
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

SHAPE: Shape = (2, 6, 8)
N_FRAMES = 4
FIRST_LAYERS: dict[str, tuple[Geometry, tuple[int, ...]]] = {
    "1x1": (Convolution(), (3, 2, 1, 1)),
    "per channel": (Convolution(groups=2), (2, 1, 1, 1)),
    "3x3": (Convolution(pads=(1, 1, 1, 1)), (3, 2, 3, 3)),
    "strided": (Convolution(stride=(2, 2)), (3, 2, 2, 2)),
    "transposed": (TransposedConvolution(stride=(2, 2), pads=(1, 1, 1, 1)), (2, 3, 4, 4)),
    "dense": (Dense(), (5, 96)),
}
INPUTS = ("pixels", "pixels less a mean", "float32", "float32 less a mean")


@dataclass(frozen=True)
class First:
    """A first layer: its geometry by name, the sign of its weights and what follows them."""

    geometry: str
    positive: bool
    relu: bool
    pool: Pool | None = None


def layer(
    name: str, geometry: Geometry, weight: NDArray[Any], rng: np.random.Generator, **more: Any
) -> SpecLayer:
    """A layer with small biases, so that nothing overflows."""
    shape: Shape = more["input_shape"]
    channels = geometry.output_shape(shape, weight.shape)[0]
    bias = rng.integers(0 if (weight >= 0).all() else -40, 41, channels).astype(np.int32)
    defaults = {"relu": True, "pool": None, "scale": np.full(channels, 1.5)}
    return SpecLayer(name, geometry, weight, bias, **(defaults | more))


def chain(first: First, given_input: str, thresholds: tuple[int, ...], seed: int) -> Spec:
    """``first``, a 3x3 convolution with a ReLU where it is no dense layer, and a linear one."""
    rng = np.random.default_rng(seed)
    geometry, size = FIRST_LAYERS[first.geometry]
    weight = (2 * rng.integers(0 if first.positive else -20, 21, size)).astype(np.int16)
    layers = [
        layer(
            "first",
            geometry,
            weight,
            rng,
            relu=first.relu,
            pool=first.pool,
            input_shape=SHAPE,
            threshold=thresholds[0],
            shift=int(rng.integers(5, 8)),
        )
    ]
    channels, height, width = layers[0].output_shape
    if not geometry.reads_flat:
        weight = (2 * rng.integers(-9, 10, (4, channels, 3, 3))).astype(np.int16)
        same, shape = Convolution(pads=(1, 1, 1, 1)), layers[0].output_shape
        layers.append(
            layer("second", same, weight, rng, input_shape=shape, threshold=thresholds[1])
        )
        channels = 4
    weight = (2 * rng.integers(-3, 4, (3, channels * height * width))).astype(np.int16)
    shape = layers[-1].output_shape
    layers.append(layer("last", Dense(), weight, rng, relu=False, input_shape=shape, threshold=0))
    spec = Spec(SHAPE, 1.0, 3, Grid(0), tuple(layers), "")
    if given_input.startswith("float32"):
        spec = replace(spec, input_gain=97.3, preprocessing=Preprocessing(dtype="float32"))
    return replace(spec, input_offset=(111, 257)) if given_input.endswith("mean") else spec


def frames_for(spec: Spec, seed: int) -> Tensor:
    """Frames of which two thirds change, float32 ones of both signs."""
    rng = np.random.default_rng(seed)
    frames: NDArray[Any] = rng.integers(0, 256, (N_FRAMES, *SHAPE)).astype(np.uint8)
    if spec.preprocessing.dtype == "float32":
        frames = (2 * rng.standard_normal(frames.shape)).astype(np.float32)
    for before, frame in pairwise(frames):
        np.copyto(frame, before, where=rng.random(SHAPE) < 1 / 3)
    return torch.from_numpy(frames)


FIRSTS = st.builds(
    First,
    st.sampled_from(list(FIRST_LAYERS)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, None, MAX_POOL, SUM_POOL]),
).filter(lambda first: first.pool is None or first.geometry != "dense")
THRESHOLDS = st.tuples(*[st.sampled_from([0, 1, 30, 300])] * 2)
CHAINS = st.builds(chain, FIRSTS, st.sampled_from(INPUTS), THRESHOLDS, st.integers(0, 2**16))
SEEDS = st.integers(0, 2**16)


@given(CHAINS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_engine_sends_what_the_integers_do(spec: Spec, seed: int) -> None:
    assert_equal_messages(Engine(spec), Reference(spec), frames_for(spec, seed))


@pytest.mark.lava
@given(CHAINS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_slayer_sends_what_the_integers_do(spec: Spec, seed: int) -> None:
    slayer = slayer_backend(network_from_spec(spec))
    assert_equal_messages(slayer, Reference(spec), frames_for(spec, seed))


@given(CHAINS, SEEDS)
@settings(max_examples=80, deadline=None)
def test_the_lowered_network_decodes_to_the_same(spec: Spec, seed: int) -> None:
    """Whatever thresholds are, where the lowered network names no difference."""
    lowered = lower_spec(spec)
    assume(not lowered.differences)
    expected = Engine(spec).run(frames_for(spec, seed))
    assert not expected.overflows.any(), "states that wrap do so in halves of their own"
    assert torch.equal(decoded(spec, frames_for(spec, seed)), expected.outputs)


def decoded(spec: Spec, frames: Tensor) -> Tensor:
    """The outputs of the lowered network in the engine, as the host reassembles them."""
    lowered = lower_spec(spec)
    run = Engine(lowered.spec).run(frames, keep_messages=True)
    assert run.messages is not None
    held = torch.cumsum(run.messages[-1].double(), dim=0)
    scale = torch.from_numpy(spec.output_scale)[:, None, None].float()
    return lowered.unpacking(held).float() / scale


@pytest.mark.parametrize("given_input", INPUTS)
@pytest.mark.parametrize("pool", [None, SUM_POOL])
def test_a_positive_first_layer_keeps_negative_values(given_input: str, pool: Pool | None) -> None:
    """It needs a negative half where its input is signed, and only there."""
    spec = chain(First("per channel", True, False, pool), given_input, (0, 0), 0)
    channels = lower_spec(spec).spec.layers[0].preactivation_shape[0]
    assert channels == (2 if given_input == "pixels" else 4)
    run = Engine(spec).run(frames_for(spec, 0), keep_messages=True)
    assert run.messages is not None
    has_negative = bool((torch.cumsum(run.messages[1], dim=0) < 0).any())
    assert has_negative == (given_input != "pixels")
    # A sum rounds each of its values; without their negative half the error is 0.3 or more.
    outputs = decoded(spec, frames_for(spec, 0))
    error = (outputs - run.outputs).norm() / run.outputs.norm()
    assert error == 0 if pool is None else error < 0.05


def test_the_lowered_network_names_what_it_sends_differently() -> None:
    linear = chain(First("1x1", False, False), "pixels", (1, 0), 0)
    (halves,) = lower_spec(linear).differences
    assert (
        "first: without a ReLU, the threshold acts on the positive and the negative half" in halves
    )
    (maximum,) = lower_spec(
        chain(First("1x1", False, True, MAX_POOL), "pixels", (1, 0), 0)
    ).differences
    assert "first: its threshold acts on each of 4 values before their maximum" in maximum
    (summed,) = lower_spec(
        chain(First("1x1", True, False, SUM_POOL), "pixels", (1, 0), 0)
    ).differences
    assert "first: each of 4 pooled values is rounded" in summed


CASES = (
    (First("per channel", True, False), "pixels less a mean", (0, 30)),
    (First("1x1", False, False), "float32", (0, 300)),
    (First("3x3", False, True), "float32 less a mean", (30, 30)),
    (First("dense", False, True), "pixels", (30, 0)),
    (First("transposed", False, False), "pixels less a mean", (0, 30)),
)


@pytest.mark.lava
@pytest.mark.slow
@pytest.mark.parametrize(("first", "given_input", "thresholds"), CASES)
def test_lava_answers_as_the_engine_does(
    first: First, given_input: str, thresholds: tuple[int, int]
) -> None:
    """With biases and thresholds, from the first frame on."""
    spec = chain(first, given_input, thresholds, 1)
    assert not lower_spec(spec).differences
    frames = frames_for(spec, 1)
    found, expected = lava_backend(spec).run(frames), Engine(spec).run(frames)
    assert torch.equal(found.outputs, expected.outputs)
    assert expected.outputs.any()
    assert torch.equal(found.events[:, 0], expected.events[:, 0])
    assert not expected.overflows.any()
    if first.relu:  # the layers before the last have no halves
        assert torch.equal(found.events[:, :-1], expected.events[:, :-1])
