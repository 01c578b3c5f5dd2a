"""What compiled loops trust is checked before they run: frames, biases, scales, layers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from lava_backends import LAVA_IS_MISSING, lava_backend, slayer_backend
from networks import MAX_POOL, moving_frames, random_spec, small_graph

from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, round_nearest
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, input_messages
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.lowering.ranges import measure_ranges
from ann2sdnn.sdnn.netx.input import InputEncoding
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, ModelError, UsageError

SPEC = random_spec(pool=MAX_POOL)
NETWORK = network_from_spec(SPEC)
WRONG = [
    torch.zeros(2, 1, 16, 19, dtype=torch.uint8),
    torch.zeros(2, 1, 17, 20, dtype=torch.uint8),
    torch.zeros(2, 1, 20, 16, dtype=torch.uint8),
    torch.zeros(2, 2, 16, 20, dtype=torch.uint8),
    torch.zeros(1, 16, 20, dtype=torch.uint8),
    torch.zeros(2, 1, 16, 20),
    torch.zeros(2, 1, 16, 20, dtype=torch.int64),
]
RUNNERS: dict[str, Callable[[torch.Tensor], object]] = {
    "engine": lambda frames: Engine(SPEC).run(frames),
    "slayer": lambda frames: slayer_backend(NETWORK).run(frames),
    "lava": lambda frames: lava_backend(SPEC).run(frames),
    "reference": lambda frames: Reference(SPEC).run(frames),
    "pipeline": lambda frames: input_messages(SPEC, frames),
}
NEED_LAVA = ("slayer", "lava")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.lava] * (name in NEED_LAVA)) for name in RUNNERS],
)
@pytest.mark.parametrize("frames", WRONG, ids=lambda frames: f"{frames.dtype}{[*frames.shape]}")
def test_frames_that_do_not_fit_are_refused(name: str, frames: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"frames (of|are) .*(16x20|uint8)"):
        RUNNERS[name](frames)


def test_frames_that_do_not_fit_are_refused_by_the_range_check() -> None:
    frames = ArrayFrames(np.zeros((1, 1, 17, 20), np.uint8))
    with pytest.raises(DataError, match="frames of 1x17x20 for a network whose input is 1x16x20"):
        measure_ranges(lower_spec(SPEC).spec, [frames])


@pytest.mark.parametrize("keep", [True, False])
def test_no_frames_make_an_empty_run(keep: bool) -> None:
    nothing = moving_frames(1)[:0]
    backends: list[Backend] = [Engine(SPEC), Reference(SPEC)]
    if not LAVA_IS_MISSING:
        backends += [slayer_backend(NETWORK)] + ([] if keep else [lava_backend(SPEC)])
    for backend in backends:
        run = backend.run(nothing, keep_messages=keep)
        assert run.outputs.shape == (0, *SPEC.output_shape)
        assert run.events.shape == (0, len(SPEC.layers) + 1)
        for counts in (run.synops, run.overflows, run.oversized):
            assert counts.shape == (0, len(SPEC.layers))
        assert (run.messages is not None) == keep
    assert input_messages(SPEC, nothing).shape == (0, 1, 16, 20)
    for encoding in (InputEncoding(), InputEncoding(gain=1, encodes=False)):
        assert encoding(np.zeros((0, 1, 4, 5))).shape == (0, 1, 4, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_an_input_that_messages_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(DataError):
        InputEncoding(gain=1, encodes=False)(np.array([[[[value]]]]))


def test_float_networks_check_type_and_channels() -> None:
    """Their size may differ where no layer is dense: distillation shows them windows."""
    graph = small_graph()
    ones = [np.ones(layer.preactivation_shape[0]) for layer in graph.layers]
    layers = tuple(LayerPlan(scale=one, sent=one) for one in ones)
    noise = PlannedNoise(*np.zeros((2, len(layers))))
    plan = RangePlan(4, 1.0, SPEC.grid, layers, noise, 1.0)
    quantised = QuantisedNetwork(graph, plan, round_nearest(graph, plan))
    for network in (FloatNetwork(graph), quantised):
        for frames in WRONG[3:]:
            with pytest.raises(DataError):
                network.encode(frames)
        assert network.encode(WRONG[0]).shape == WRONG[0].shape
    with pytest.raises(DataError, match="1x16x19 for a network whose input is 1x16x20"):
        FloatNetwork(small_graph(dense=True)).encode(WRONG[0])


@pytest.mark.lava
def test_training_checks_the_size_it_was_begun_with() -> None:
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    sdnn = TrainableSdnn(SPEC)
    sdnn.begin(16, 20)
    for frames in (WRONG[1], WRONG[5], moving_frames(1)):
        batch = frames.movedim(0, -1)[None]
        if frames is WRONG[1] or frames is WRONG[5]:
            with pytest.raises(DataError):
                sdnn(batch)
        else:
            assert sdnn(batch).maps.shape[:2] == (1, 1)
    with pytest.raises(DataError, match="T of 1 or more"):
        sdnn(torch.zeros(1, 1, 16, 20, 0, dtype=torch.uint8))
    with pytest.raises(UsageError, match="begin again"):
        sdnn.trained[0].neuron.delta(torch.zeros(1, 1, 3, 3, 6))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"bias": np.zeros(5, np.int32)}, r"layer1: a bias of shape \[5\]; expected one for each"),
        ({"bias": np.zeros((6, 1, 1), np.int32)}, r"a bias of shape \[6, 1, 1\]"),
        ({"bias": np.zeros(6)}, "biases of type float64; expected integers"),
        ({"bias": np.full(6, 1 << 14, np.int32)}, "a bias of 16384/64 is more than 3 times"),
        ({"weight": np.zeros((6, 1, 3, 3))}, "weights of type float64; expected integers"),
        ({"weight": np.zeros((6, 2, 3, 3), np.int16)}, "expects 2 input channels and receives 1"),
        ({"weight": np.zeros((0, 1, 3, 3), np.int16)}, "expected no axis of 0"),
        ({"weight": np.zeros((6, 9), np.int16)}, "a 2D kernel has 4 axes"),
        ({"scale": np.zeros(6)}, "a scale that is no finite number above 0"),
        ({"scale": np.full(6, np.nan)}, "a scale that is no finite number above 0"),
        ({"scale": np.full(6, np.inf)}, "a scale that is no finite number above 0"),
        ({"scale": np.ones(5)}, "5 scales do not fit"),
        ({"threshold": 1.5}, "a threshold of 1.5; expected a whole number"),
        ({"threshold": float("nan")}, "a threshold of nan; expected a whole number"),
        ({"shift": 6.5}, "a right shift of 6.5 bits"),
        ({"input_shape": (1, 16)}, "an input of shape"),
        ({"input_shape": (1, 0, 20)}, "an input of shape"),
        ({"pool": Pool("max", (17, 2), (2, 2))}, "does not fit 16 pixels"),
    ],
)
def test_layers_that_do_not_fit_are_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(ModelError, match=found):
        replace(SPEC, layers=(replace(SPEC.layers[0], **changes), *SPEC.layers[1:]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"input_scale": 0.0}, "an input scale of 0.0; expected a finite number above 0"),
        ({"input_scale": float("nan")}, "an input scale of nan"),
        ({"input_gain": 0}, "an input gain of 0"),
        ({"input_gain": 1.5}, "an input gain of 1.5"),
        ({"layers": ()}, "a network without layers"),
    ],
)
def test_specs_that_do_not_fit_are_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(ModelError, match=found):
        replace(SPEC, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kernel", "stride", "found"),
    [
        ((2, 2), (0, 2), r"strides = \[0, 2\]; expected 1 to 32767, whole numbers"),
        ((0, 2), (2, 2), r"kernel_shape = \[0, 2\]"),
        ((2, 2), (2.0, 2), r"strides = \[2.0, 2\]"),
    ],
)
def test_pooling_windows_that_cannot_be_are_refused(
    kernel: tuple[int, int], stride: tuple[int, int], found: str
) -> None:
    with pytest.raises(ModelError, match=found):
        Pool("max", kernel, stride)


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf"), -1.0])
def test_a_graph_with_an_odd_input_scale_is_refused(scale: float) -> None:
    with pytest.raises(ModelError, match="an input scale of"):
        replace(small_graph(), input_scale=scale)


def test_the_largest_bias_that_a_spec_holds_is_computed_exactly() -> None:
    layer = replace(SPEC.layers[0], bias=np.full(6, 6144, np.int32), pool=None)
    spec: Spec = replace(SPEC, layers=(layer,), input_gain=128, input_shape=layer.input_shape)
    frames = moving_frames(4)
    expected = Reference(spec).run(frames, keep_messages=True)
    run = Engine(spec).run(frames, keep_messages=True)
    assert run.messages is not None
    assert expected.messages is not None
    assert torch.equal(run.messages[1], expected.messages[1])
    assert torch.equal(run.oversized, expected.oversized)
