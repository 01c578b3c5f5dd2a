"""Networks that slayer trained and exported: lowered, in lava-nc, equal to slayer itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from slayer_networks import (
    blocks,
    delayed,
    export,
    forward,
    inputs,
    neuron,
    normed,
    pipelined,
    slayer,
    train,
    units,
    untrained,
)
from torch import Tensor

from ann2sdnn.eval.simulate import simulate
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.lava.convolution import ExactConvolution
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.run import run_lava
from ann2sdnn.sdnn.lowering.lower import Unpacking, lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.netx.importer import SlayerNetwork, import_netx, lower_network
from ann2sdnn.sdnn.netx.input import InputEncoding, input_encoding
from ann2sdnn.sdnn.netx.read import NetxLayer
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore:torch.nn.utils.weight_norm is deprecated")

N_FRAMES = 5
# slayer's Output gives states: 64 units to a message unit.
STATES = 64
NORMED_SCALED = {"norm": slayer.neuron.norm.WgtScaleBatchNorm}


def u_shaped(**more: Any) -> list[Any]:
    """The experiment's kinds of layers, on 15 rows, which do not divide by the pool's 2."""
    scaled = {"weight_scale": 2, "weight_norm": True, **more}
    return [
        blocks.Input(neuron(0.0)),
        blocks.Conv(normed(0.05), 1, 6, 3, padding=1, **scaled),
        blocks.Pool(neuron(0.0), 2, **more),
        blocks.Conv(normed(0.02), 6, 8, 3, padding=2, dilation=2, **scaled),
        blocks.ConvT(normed(0.0), 8, 6, 2, stride=2, **scaled),
        blocks.Unpool(neuron(0.05), 2, **more),
        blocks.Conv(normed(0.0), 6, 3, 3, padding=1, **scaled),
    ]


def classifier() -> list[Any]:
    """An average pool, groups, power-of-two norms, dense layers, slayer's Input and Output."""
    scaled = {"weight_scale": 2, "weight_norm": True}
    return [
        blocks.Input(neuron(0.1), weight=0.5, bias=0.25),
        blocks.Conv(neuron(0.05, **NORMED_SCALED), 1, 6, 3, padding=1, **scaled),
        blocks.Pool(neuron(0.0), 2, weight_scale=0.25),
        blocks.ConvT(neuron(0.0, **NORMED_SCALED), 6, 4, 4, stride=2, padding=1, weight_scale=4),
        blocks.Conv(normed(0.0), 4, 4, 3, stride=2, padding=1, groups=2, weight_scale=4),
        blocks.Flatten(),
        blocks.Dense(normed(0.02), 4 * 4 * 5, 10, **scaled),
        blocks.Output(neuron(0.05), 10, 3, **scaled),
    ]


def trained(network: Sequence[Any], shape: Shape | tuple[int], path: Path) -> Tensor:
    """The inputs that ``network`` was trained on; it is exported to ``path``."""
    x = inputs(shape, N_FRAMES)
    train(network, x)
    export(network, path)
    return x


def in_lava(
    network: SlayerNetwork, x: Tensor, path: Path, model: NeuronModel = "stock"
) -> list[NDArray[np.int64]]:
    """Messages of every layer on its own grid [T + l + 1, C, H, W]."""
    lowered = lower_network(network)
    write_netx(path, lowered, encoding=network.encoding, sigma_output=network.sigma_output)
    messages = InputEncoding.read(path)(x[0].movedim(-1, 0).numpy())
    messages = messages.reshape(*messages.shape, *[1] * (4 - messages.ndim))
    with run_lava(path, messages, model=model) as run:
        return [
            unpacked(run.answers(index, len(messages)), layer.output_shape)
            for index, layer in enumerate(network.spec.layers)
        ]


def unpacked(messages: NDArray[np.int32], shape: Shape) -> NDArray[np.int64]:
    rows, columns = (-(-shape[axis] // messages.shape[axis + 1]) for axis in (1, 2))
    held = torch.from_numpy(np.array(messages, np.int64))
    result: NDArray[np.int64] = Unpacking(shape, (rows, columns))(held).numpy()
    return result


def assert_equal(found: list[NDArray[np.int64]], expected: list[NDArray[np.int64]]) -> None:
    """The same number of layers, the same messages, and messages in every layer."""
    assert len(found) == len(expected)
    for lava, own in zip(found, expected, strict=True):
        assert np.count_nonzero(own) > 0
        np.testing.assert_array_equal(lava, own.reshape(lava.shape))


def test_slayers_own_forward_pass_equals_lava_bit_by_bit(tmp_path: Path) -> None:
    """Pool with an odd height, convT, unpool, biases, thresholds of 0 and others, released models
    of netx and neuron: every message of every layer and time step.
    """
    torch.manual_seed(0)
    own = u_shaped(delay_shift=True)
    x = trained(own, (1, 15, 20), tmp_path / "old.net")
    network = import_netx(tmp_path / "old.net")
    assert [layer.name for layer in network.spec.layers] == [
        "conv1",
        "pool2",
        "conv3",
        "convT4",
        "unpool5",
        "conv6",
    ]
    assert sum(layer.bias is not None and layer.bias.any() for layer in network.spec.layers) > 2
    assert_equal(in_lava(network, x, tmp_path / "new.net"), delayed(own, x))


def test_dense_layers_and_slayers_output_equal_lava(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = classifier()
    x = trained(own, (1, 8, 10), tmp_path / "old.net")
    network = import_netx(tmp_path / "old.net")
    assert {layer.shift for layer in network.spec.layers} > {6}
    *found, output = in_lava(network, x, tmp_path / "new.net")
    *expected, own_output = pipelined(own, x, last_units=STATES * 4096)
    assert_equal(found, expected)
    assert_equal([output], [own_output])


@pytest.mark.slow
def test_the_corrected_neuron_equals_the_corrected_unit_in_slayer(tmp_path: Path) -> None:
    spec, counts = u_shaped_counts(tmp_path)
    assert simulate(spec, counts, model="corrected").largest == 0


def test_lowering_keeps_every_neuron_and_its_threshold(tmp_path: Path) -> None:
    """The engine decodes the same from the lowered network, to the last unit."""
    spec, counts = u_shaped_counts(tmp_path)
    lowered = lower_spec(spec)
    assert [layer.threshold for layer in lowered.spec.layers] == [192, 1, 64, 1, 192, 1]
    own, packed = (Engine(each).run(counts).outputs for each in (spec, lowered.spec))
    assert own.abs().max() > 0
    assert torch.equal(lowered.unpacking(packed), own)


def u_shaped_counts(folder: Path) -> tuple[Spec, Tensor]:
    """A trained network, and its input in the counts of 1/32 that enter it."""
    torch.manual_seed(0)
    x = trained(u_shaped(), (1, 15, 20), folder / "old.net")
    counts = torch.clamp(torch.round(x[0] * 32), 0, 127).to(torch.uint8)
    return import_netx(folder / "old.net").spec, counts.movedim(-1, 0)


def test_a_convolution_of_single_weights_runs_in_lava() -> None:
    """One weight a group: numpy calls such an array contiguous though it runs backwards."""
    messages = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    weight = np.array([2, 4, 6, 8], np.int32).reshape(4, 1, 1, 1)[:, ::-1, ::-1]
    one, none = np.ones(2, np.int8), np.zeros(2, np.int8)
    found = ExactConvolution(weight, one, none, one, 4)(messages)
    np.testing.assert_array_equal(found, messages * [2, 4, 6, 8])


def test_a_dense_layer_after_one_pixel_is_loaded_by_stock_netx(tmp_path: Path) -> None:
    Network = import_lava("lava.lib.dl.netx.hdf5").Network

    x = inputs((1, 6, 7), N_FRAMES)
    own = untrained(
        [
            blocks.Input(neuron()),
            blocks.Conv(normed(), 1, 5, (6, 7)),
            blocks.Flatten(),
            blocks.Dense(normed(), 5, 4),
        ],
        x,
    )
    network = import_netx(export(own, tmp_path / "old.net"))
    write_netx(tmp_path / "new.net", lower_network(network), encoding=network.encoding)
    loaded = Network(net_config=str(tmp_path / "new.net"), input_message_bits=16)
    assert [tuple(layer.shape) for layer in loaded.layers] == [(1, 1, 5), (4,)]


def test_thresholds_are_written_as_slayer_exports_them_and_as_it_runs_them(tmp_path: Path) -> None:
    trained(u_shaped(), (1, 15, 20), tmp_path / "old.net")
    network = import_netx(tmp_path / "old.net")
    write_netx(tmp_path / "new.net", lower_network(network), encoding=network.encoding)
    with h5py.File(tmp_path / "new.net", "r") as file:
        written = [int(file[f"layer/{i}/neuron/vThMant"][()]) for i in range(1, 7)]
    assert written == [3, 0, 1, 0, 3, 0]
    vth = read_extras(tmp_path / "new.net").vth
    assert vth.tolist() == [3 << 12, 64, 1 << 12, 64, 3 << 12, 64]


@pytest.mark.parametrize(
    ("block", "frames"),
    [
        (lambda: blocks.Input(neuron(0.0)), (3, 4)),
        (lambda: blocks.Input(neuron(0.2)), (3, 4)),
        (lambda: blocks.Input(neuron(0.1), weight=0.7, bias=-0.3), (2, 3, 4)),
    ],
)
def test_the_host_encodes_as_slayers_input_does(
    block: Callable[[], Any], frames: tuple[int, ...], tmp_path: Path
) -> None:
    """Values beyond 4 are cut off, halves rounded to even."""
    own = block()
    x = inputs(frames, 7)
    x[..., 3] *= 9
    x[..., 5] = torch.round(x[..., 5] * 64) / 64
    expected = units(own(x).detach())
    encoding = input_encoding(NetxLayer(0, "input", (1, 1, 1), **input_values(own)))
    with h5py.File(tmp_path / "a.net", "w") as file:
        encoding.write(file.create_group("ann2sdnn"))
    found = InputEncoding.read(tmp_path / "a.net")(x[0].movedim(-1, 0).numpy())
    np.testing.assert_array_equal(found, expected)


def input_values(block: Any) -> dict[str, Any]:
    """What export_hdf5 writes of an input."""
    values: dict[str, Any] = {"threshold": block.neuron.device_params["vThMant"]}
    for name in ("weight", "bias"):
        if getattr(block, name) is not None:
            whole = block.pre_hook_fx(getattr(block, name), descale=True)
            values[name] = whole.detach().numpy().astype(np.int64)
    return values


def test_a_final_average_is_left_to_the_host(tmp_path: Path) -> None:
    """lava-dl 0.6.0's Average cannot be exported (it looks for a neuron), files of others can."""
    x = inputs((20,), N_FRAMES)
    own = untrained([blocks.Input(neuron()), blocks.Dense(normed(), 20, 12)], x)
    export(own, tmp_path / "old.net")
    with h5py.File(tmp_path / "old.net", "a") as file:
        group = file.create_group("layer/2")
        group.create_dataset("type", (1,), "S10", [b"average"])
        group.create_dataset("shape", data=[4, 1, 1])
    network = import_netx(tmp_path / "old.net")
    assert network.averaged == 3
    write_netx(tmp_path / "new.net", lower_network(network), encoding=network.encoding)
    extras = read_extras(tmp_path / "new.net")
    output = forward(own, x)[0].movedim(-1, 0).detach()  # [T, 12]
    scale = torch.from_numpy(extras.output_scale)
    found = extras.unpacking((output.double() / scale)[:, :, None, None])
    expected = blocks.Average(4)(forward(own, x))[0].movedim(-1, 0)
    torch.testing.assert_close(found[:, :, 0, 0], expected.double())


def test_a_file_without_input_needs_its_shape(tmp_path: Path) -> None:
    x = inputs((2, 6, 7), N_FRAMES)
    own = untrained([blocks.Conv(neuron(0.05), 2, 3, 3)], x)
    export(own, tmp_path / "old.net")
    with pytest.raises(ModelError, match=r"has no input block.*say --input"):
        import_netx(tmp_path / "old.net")
    network = import_netx(tmp_path / "old.net", (2, 6, 7))
    assert network.spec.input_shape == (2, 6, 7)
    messages = network.encoding(np.array([[1.0, -0.25]]))
    assert messages.tolist() == [[4096, -1024]]
    with pytest.raises(ModelError, match=r"block conv0: the file gives it the shape \(3, 4, 5\)"):
        import_netx(tmp_path / "old.net", (2, 7, 7))


def first_dense(folder: Path) -> Path:
    """Input, two dense layers."""
    own = [blocks.Input(neuron()), blocks.Dense(normed(), 20, 12), blocks.Dense(normed(), 12, 6)]
    return export(untrained(own, inputs((20,), N_FRAMES)), folder / "old.net")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("layer/1/type", b"average", "block average1: an average in the middle"),
        ("layer/1/neuron/sigma_output", True, "block dense1: slayer's Output in the middle"),
        ("layer/1/neuron/weight_exp", 5, "block dense1: a weight exponent of 5"),
        ("layer/0/weight", 128, "block input0: its weight is 128/64"),
        (
            "layer/1/weight",
            np.full((12, 20), 3),
            "block dense1: weights from 3 to 3; expected",
        ),
        ("layer/1/weight", np.full((12, 20), 300), "block dense1: weights from 300 to 300"),
        ("layer/1/bias", np.arange(5), "block dense1: 5 biases; expected one for each"),
        ("layer/1/neuron/vThMant", -1, "block dense1: a threshold of -1"),
    ],
)
def test_what_netx_cannot_compute_is_refused_with_its_block(
    name: str, value: Any, complaint: str, tmp_path: Path
) -> None:
    path = first_dense(tmp_path)
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        file[name] = value
    with pytest.raises((ModelError, ConversionError), match=complaint):
        import_netx(path)


def test_a_size_that_does_not_divide_is_refused_with_its_layer(tmp_path: Path) -> None:
    """slayer's ConvT has no output padding: a 3x3 kernel gives 2 n - 1 rows."""
    x = inputs((1, 4, 5), N_FRAMES)
    own = [
        blocks.Input(neuron()),
        blocks.ConvT(normed(), 1, 2, 3, stride=2, padding=1),
        blocks.Conv(normed(), 2, 2, 3, padding=1),
    ]
    network = import_netx(export(untrained(own, x), tmp_path / "old.net"))
    with pytest.raises(ConversionError, match="layer conv2: its input of 7 pixels"):
        lower_network(network)
