"""How a value of a frame enters: levels by hand, limits, and the same messages in every backend."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import MAX_POOL, ArrayRun, assert_equal_messages, moving_frames, random_spec
from random_networks import specs
from torch import Tensor

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import linear
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.engine import engine as engine_module
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import input_messages
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.lowering.ranges import measure_ranges
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.input_code import LEVEL_MAX, InputCode
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import DataError, ModelError, UsageError

FLOATS = Preprocessing(dtype="float32")


def pixels(*values: int) -> Tensor:
    """Frames of one channel and one pixel."""
    return torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1)


def test_levels_of_pixels_by_hand() -> None:
    code = InputCode(4, (10,))
    assert code.levels(pixels(0, 1, 255)).flatten().tolist() == [-10, -6, 1010]
    # The first level is a message, then changes are; a still pixel sends nothing.
    assert code.messages(pixels(0, 0, 3, 255)).flatten().tolist() == [-10, 0, 12, 1008]
    assert (code.bounds, code.largest_message) == ((-10, 1010), 1020)
    assert InputCode(4).is_plain
    assert not code.is_plain


def test_levels_of_float32_values_by_hand() -> None:
    code = InputCode(100.0, (50, -7), "float32")
    values = torch.tensor([[[0.0, -0.126]], [[0.004, 2.5]]])
    assert code.levels(values).tolist() == [[[-50, -63]], [[7, 257]]]
    # A value far from 0 keeps its last unit, which float32 would lose.
    far = InputCode(1000.0, (2**25,), "float32")
    assert far.levels(torch.full((1, 1, 1), 2**25 / 1000 + 2**-9)).item() == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -2.0, 1.7])
def test_float32_values_beyond_the_messages_are_refused(value: float) -> None:
    code = InputCode(10_000.0, (0, 1000), "float32")
    frames = torch.zeros(1, 2, 3, 3)
    frames[0, 1, 2, 0] = value
    if value == 1.7:
        assert code.levels(frames).max() == 16_000  # 17,000 less 1,000
        frames[0, 1, 2, 0] = 1.75
    with pytest.raises(DataError, match=r"channel 1; .* for values from -1.538 to 1.738 there"):
        code.levels(frames)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_offset": (1, 2)}, "input offsets of (1, 2); expected whole numbers, one for each"),
        ({"input_offset": (1.5,)}, "input offsets of (1.5,); expected whole numbers"),
        ({"input_offset": (2**15,)}, "expected that any pixel fits 16 bits"),
        ({"input_offset": (2**40,)}, "expected 1073741824 at most"),
        ({"input_gain": 2.5}, "an input gain of 2.5; expected a whole number of 1 or more"),
        ({"input_gain": 0.0, "preprocessing": FLOATS}, "expected a finite number above 0"),
    ],
)
def test_specs_whose_input_fits_no_message(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ModelError) as refusal:
        replace(random_spec(), **changes)  # type: ignore[arg-type]
    assert sentence in str(refusal.value)


def test_the_file_keeps_the_preprocessing(tmp_path: Path) -> None:
    plain = random_spec()
    write_spec(tmp_path / "plain.h5", plain)
    with h5py.File(tmp_path / "plain.h5") as file:
        new = {"input_offset", "input_mean", "input_std", "input_resize", "input_dtype"}
        assert not new & set(file.attrs), "the file of plain pixels is that of earlier versions"
    own = Preprocessing((0.25,), (0.5,), (16, 20))
    for spec in (
        plain,
        replace(plain, preprocessing=own, input_offset=(255,)),
        replace(plain, preprocessing=replace(own, dtype="float32"), input_gain=12.625),
    ):
        write_spec(tmp_path / "sdnn.h5", spec, force=True)
        again = read_spec(tmp_path / "sdnn.h5")
        for name in ("preprocessing", "input_offset", "input_gain", "input_code"):
            assert getattr(again, name) == getattr(spec, name)
        write_netx(tmp_path / "network.net", lower_spec(spec))
        assert read_extras(tmp_path / "network.net").input_code == spec.input_code


@st.composite
def coded_specs(draw: st.DrawFn) -> tuple[Spec, Tensor]:
    """A network whose input is signed, and frames for it, of which a third stays."""
    spec = draw(specs(kinds=("max", "sum")))
    channels = spec.input_shape[0]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    threshold = draw(st.sampled_from([0, 1, 40]))
    layers = tuple(replace(layer, threshold=threshold) for layer in spec.layers)
    spec = replace(spec, layers=layers)
    offset = tuple(draw(st.integers(-300, 3000)) for _ in range(channels))
    shape = (5, *spec.input_shape)
    if draw(st.booleans()):
        frames = rng.integers(0, 256, shape).astype(np.uint8)
        spec = replace(spec, input_offset=offset, preprocessing=Preprocessing((0.5,) * channels))
    else:
        frames = (3 * rng.standard_normal(shape)).astype(np.float32)
        offset = offset if draw(st.booleans()) else ()
        spec = replace(spec, input_gain=97.3, input_offset=offset, preprocessing=FLOATS)
    for t in range(1, len(frames)):
        np.copyto(frames[t], frames[t - 1], where=rng.random(shape[1:]) < 1 / 3)
    return spec, torch.from_numpy(frames)


@given(coded_specs(), st.booleans(), st.sampled_from([1, 2]))
@settings(max_examples=25, deadline=None)
def test_the_engine_equals_the_integers(
    case: tuple[Spec, Tensor], remembers: bool, n_threads: int
) -> None:
    spec, frames = case
    spec = replace(spec, input_is_stateful=remembers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "_NEURONS_PER_THREAD", 1)
        engine = Engine(spec, n_threads=n_threads)
        assert_equal_messages(engine, Reference(spec), frames)
        engine.reset()
        whole = engine.run(frames)
        engine.reset()
        for t, frame in enumerate(frames):
            if t == 2:
                state = engine.state_dict()
                engine = Engine(spec, n_threads=n_threads)
                engine.load_state_dict(state)
            assert torch.equal(engine.step(frame).output, whole.outputs[t])


@pytest.mark.lava
@given(coded_specs())
@settings(max_examples=15, deadline=None)
def test_slayer_equals_the_integers(case: tuple[Spec, Tensor]) -> None:
    from lava_backends import slayer_backend

    spec, frames = case
    try:
        for layer in spec.layers:
            layer.geometry.with_symmetric_pads(layer.weight)
    except ModelError:
        reject()  # slayer's blocks have no such padding
    assert_equal_messages(slayer_backend(network_from_spec(spec)), Reference(spec), frames)


@pytest.mark.lava
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_lava_decodes_to_what_the_engine_does(dtype: str) -> None:
    from lava_backends import lava_backend

    spec = replace(random_spec(pool=MAX_POOL), input_offset=(100,))
    frames = moving_frames(3)
    if dtype == "float32":
        spec, frames = replace(spec, preprocessing=FLOATS, input_gain=4.0), frames.float() - 90
    lava, engine = lava_backend(spec), Engine(spec)
    run, expected = lava.run(frames), engine.run(frames)
    assert torch.equal(run.events[:, 0], expected.events[:, 0])
    assert torch.equal(run.outputs, expected.outputs)


@pytest.mark.lava
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_network_that_learns_sends_the_same(dtype: str) -> None:
    from ann2sdnn.sdnn.training.network import TrainableSdnn

    spec = replace(random_spec(threshold=3), input_offset=(20,), input_gain=1)
    frames = moving_frames(5)
    if dtype == "float32":
        spec, frames = replace(spec, preprocessing=FLOATS, input_gain=1.0), frames.float() - 9
    network = TrainableSdnn(spec)
    network.begin(*spec.input_shape[1:])
    with torch.no_grad():
        messages = network(frames.movedim(0, -1)[None]).messages()
    run = Reference(spec).run(frames, keep_messages=True)
    assert run.messages is not None
    assert int(run.overflows.sum()) == 0, "states of the network that learns do not wrap"
    for index, (ours, theirs) in enumerate(zip(messages, run.messages, strict=True)):
        assert torch.equal(ours[0].movedim(-1, 0), theirs), f"messages of plane {index}"


def test_ranges_are_those_of_signed_messages() -> None:
    """An offset of 10 at gain 1: the levels -10 and 5, then 0 and -10; 4 times that arrives."""
    layer = SpecLayer(
        name="a",
        geometry=Convolution(),
        weight=np.full((1, 1, 1, 1), 4, np.int16),
        bias=None,
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(1),
        input_shape=(1, 1, 2),
    )
    spec = Spec((1, 1, 2), 1.0, 1, Grid(0), (layer,), "", input_offset=(10,))
    frames = np.array([(0, 15), (10, 0)], np.uint8)[:, None, None, :]
    assert input_messages(spec, torch.from_numpy(frames)).reshape(2, 2).tolist() == [
        [-10, 5],
        [10, -15],
    ]
    (reached,) = measure_ranges(spec, [ArrayRun(frames)])
    assert (reached.sum_peak, reached.state_peak) == (60, 40)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("pad", [0, 1, 2])
def test_borders_are_exact(dtype: str, pad: int) -> None:
    """A convolution of (picture - mean) / std, padded with zeros, in whole message units.

    A mean that was made a bias would be subtracted from the padding too.
    """
    rng = np.random.default_rng(pad)
    mean, std = (100.0, 17.0, 0.0), np.array([4.0, 0.5, 1.0])
    weight = rng.integers(-1, 2, (5, 3, 3, 3)) * 64  # 1.0, so that no message is rounded
    layer = SpecLayer(
        name="a",
        geometry=Convolution(pads=(pad,) * 4),
        weight=weight.astype(np.int16),
        bias=None,
        relu=False,
        pool=None,
        threshold=0,
        scale=np.full(5, 2**-8 / 1.0),
        input_shape=(3, 6, 7),
    )
    code = {"input_gain": 4, "input_offset": (400, 68, 0), "preprocessing": Preprocessing(mean)}
    frames = torch.from_numpy(rng.integers(0, 256, (4, 3, 6, 7)).astype(np.uint8))
    if dtype == "float32":
        code |= {"input_gain": 4.0, "preprocessing": replace(FLOATS, mean=mean)}
        frames = frames.float()
    spec = Spec((3, 6, 7), 1.0, grid=Grid(0), layers=(layer,), source_sha256="", **code)  # type: ignore[arg-type]
    x = (frames.double() - torch.tensor(mean)[:, None, None]) / torch.from_numpy(std)[:, None, None]
    # What is divided by is part of the weights: 1.0 in message units is 4 counts.
    float_weight = torch.from_numpy(weight / 64 * std[:, None, None])
    expected = linear(layer.geometry, x, float_weight)
    found = Engine(spec).run(frames).outputs.double() * layer.scale[0] / spec.grid.message_step / 4
    assert torch.equal(found, expected)


def test_a_network_with_a_mean_takes_no_events() -> None:
    spec = replace(random_spec(), input_offset=(3,))
    at, values = np.zeros(1, np.int64), np.ones(1, np.uint8)
    with pytest.raises(UsageError, match="a pixel of 0 sends nothing"):
        Engine(spec).step_pixels(at, values)


def test_frames_of_the_other_type_are_refused() -> None:
    frames = moving_frames(2)
    with pytest.raises(DataError, match=r"frames are uint8 .*; expected float32 "):
        Engine(replace(random_spec(), preprocessing=FLOATS)).run(frames)
    with pytest.raises(DataError, match=r"frames are float32 .*; expected uint8 "):
        Reference(random_spec()).run(frames.float())
    assert int(LEVEL_MAX) == 16_383
