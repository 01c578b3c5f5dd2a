"""Runs the Python examples of the documents, each with the names that its text calls given."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from doc_outputs import (
    Workplace,
    loihi_branches,
    loihi_network,
    own_network,
    your_network_compare,
)
from event_streams import PlainWindow, random_events
from networks import random_spec
from recordings import write_recordings

from ann2sdnn.api import from_torch, to_sdnn
from ann2sdnn.calibration.thresholds.rules import MeanDelta
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import write_netx


class Example(NamedTuple):
    """A Python block: its document, a text that only it contains, and what runs it."""

    document: str
    containing: str
    run: Callable[[str], None]
    needs_lava: bool = False


def _onnx_file(block: str) -> None:
    """A conversion of a file is saved, and its SDNN is close to the ANN."""
    with TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        module = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU())
        from_torch(module, torch.zeros(1, 2, 12, 12)).write(place.folder / "model.onnx")
        frames = np.random.default_rng(0).integers(0, 256, (2, 6, 2, 12, 12), dtype=np.uint8)
        np.save(place.folder / "frames.npy", frames[0])
        np.save(place.folder / "held-out.npy", frames[1])
        names: dict[str, Any] = {}
        printed = place.python(block, names)
        assert "memoryless" in printed
        error = names["sdnn"].compare(frames[1])["sdnn"].relative_error
        assert error is not None
        assert error < 0.05
        assert (place.folder / "sdnn" / "sdnn.h5").is_file()


def _torch_module(block: str) -> None:
    """Streaming frame by frame gives the outputs of a run."""
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    Workplace(Path()).python(block, names)
    assert torch.equal(names["output"], names["result"].outputs[-1])


def _sequences(_: str) -> None:
    assert len(open_frames(own_network().folder / "frames.npz")) == 60


def _comparison(_: str) -> None:
    your_network_compare()


def _drift(block: str) -> None:
    """The comment below the code is what it prints."""
    printed = Workplace(Path()).python(block)
    assert printed.split("]")[0] in block.replace("# ", "")


def _network(block: str) -> None:
    with TemporaryDirectory() as folder:
        lowered = lower_spec(random_spec())
        write_netx(Path(folder) / "network.net", lowered)
        names: dict[str, Any] = {}
        Workplace(Path(folder)).python(block, names)
    assert len(names["network"].layers) == len(lowered.spec.layers)


def _resets(block: str) -> None:
    """tests/sdnn/test_stock_neuron.py runs it in lava."""
    names: dict[str, Any] = {}
    Workplace(Path()).python(block, names)
    frames = np.array([[5], [7], [4]], np.uint8)
    assert names["changes_with_resets"](frames, 2).tolist() == [[5], [2], [4]]


def _thresholds(block: str) -> None:
    Network = import_lava("lava.lib.dl.netx.hdf5").Network

    from ann2sdnn.sdnn.lava.network import load_network

    with loihi_network() as (place, _):
        path = place.folder / "NEW.net"
        network = Network(net_config=str(path), input_message_bits=16)
        place.python(block, {"network": network})
        expected = load_network(path)
        for layer, other in zip(network.layers, expected.layers, strict=True):
            assert layer.neuron.vth.init == other.neuron.vth.init
            assert layer.neuron.state_exp.init == other.neuron.state_exp.init


def _lava(block: str) -> None:
    with loihi_network() as (place, _):
        values = np.random.default_rng(0).random((2, 1, 16, 20), np.float32)
        names: dict[str, Any] = {"path": place.folder / "NEW.net", "values": values}
        place.python(block, names)
        # 7 layers; the output grid of 16 x 20 is packed 4 x 4 into channels.
        assert names["output"].shape == (len(values) + 7, 3 * 16, 4, 5)
        assert names["output"].any()


def _file_outputs(block: str) -> None:
    """Probabilities add up to 1."""
    frames = np.random.default_rng(0).integers(0, 256, (6, 1, 16, 20), dtype=np.uint8)
    names: dict[str, Any] = {"frames": frames}
    assert "(6, 4)" in Workplace(Path()).python(block, names)
    np.testing.assert_allclose(names["values"].sum(axis=1), 1, atol=1e-5)


def _branches(_: str) -> None:
    loihi_branches()


def _process(block: str) -> None:
    """The comment in the code says what it decodes."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 10), dtype=np.uint8)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    network = from_torch(module, torch.zeros(1, 1, 8, 10), input_scale=1 / 255)
    sdnn = to_sdnn(network, frames, options=ConvertOptions(thresholds=MeanDelta(0.5)))
    names: dict[str, Any] = {"sdnn": sdnn, "frames": torch.from_numpy(frames)}
    Workplace(Path()).python(block, names)
    assert torch.equal(names["outputs"], sdnn.run(frames, point="lava").outputs)
    assert names["outputs"].any()


def _nir(block: str) -> None:
    """What is read back gives the outputs of lava's operating point."""
    pytest.importorskip("nir")
    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 10), dtype=np.uint8)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    network = from_torch(module, torch.zeros(1, 1, 8, 10), input_scale=1 / 255)
    sdnn = to_sdnn(network, frames, options=ConvertOptions(thresholds=MeanDelta(0.5)))
    names: dict[str, Any] = {"sdnn": sdnn, "frames": torch.from_numpy(frames)}
    with TemporaryDirectory() as folder:
        Workplace(Path(folder)).python(block, names)
    assert torch.equal(names["result"].outputs, sdnn.run(frames, point="lava").outputs)
    assert names["result"].outputs.any()


def _events(block: str) -> None:
    """The last output is that of a stream of frames."""
    events, ends = random_events(10_000, (12, 14), 0), list(range(1000, 10_001, 1000))
    window = PlainWindow(EventWindow(events=7500), (1, 12, 14), events)
    frames = np.stack([frame for frame in window.frames(ends) if frame is not None])
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    network = from_torch(module, torch.zeros(1, 1, 12, 14), input_scale=1 / 255)
    sdnn = to_sdnn(network, frames, options=ConvertOptions(thresholds=MeanDelta(0.5)))
    packets = [events.part(end - 1000, end)[:4] for end in ends]
    names: dict[str, Any] = {"sdnn": sdnn, "packets": packets}
    printed = Workplace(Path()).python(block, names)
    assert len(printed.splitlines()) == len(frames) == 3
    assert torch.equal(names["output"], sdnn.run(frames).outputs[-1])


def _saved_stream(block: str) -> None:
    """The ninth output and the counts are those of a run without a stop."""
    frames = np.random.default_rng(0).integers(0, 256, (9, 1, 8, 10), dtype=np.uint8)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    network = from_torch(module, torch.zeros(1, 1, 8, 10), input_scale=1 / 255)
    sdnn = to_sdnn(network, frames, options=ConvertOptions(thresholds=MeanDelta(0.5)))
    whole = sdnn.stream()
    outputs = [whole.step(frame) for frame in frames]
    names: dict[str, Any] = {"sdnn": sdnn, "frames": frames}
    with TemporaryDirectory() as folder:
        printed = Workplace(Path(folder)).python(block, names)
    assert printed.split() == ["9", str(whole.messages)]
    assert torch.equal(names["output"], outputs[-1])


def _normalised(block: str) -> None:
    """The printed offset is the mean in message units."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU())
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 10, 12), dtype=np.uint8)
    names = {"net": module, "example": torch.zeros(1, 3, 10, 12), "frames": frames}
    gain, offset = Workplace(Path()).python(block, names).split(maxsplit=1)
    wanted = [round(mean * 255 * int(gain)) for mean in (0.485, 0.456, 0.406)]
    assert offset.strip() == str(tuple(wanted))


def _pretrained(block: str) -> None:
    """One heat map per joint and frame, and the rows of a comparison."""
    with TemporaryDirectory() as folder:
        write_recordings(Path(folder) / "people", subjects=2, frames=3)
        printed = Workplace(Path(folder)).python(block)
    assert "(3, 13, 260, 344)" in printed
    assert "memoryless" in printed


EXAMPLES = (
    Example("README.md", "from_onnx(", _onnx_file),
    Example("README.md", "from_torch(", _torch_module),
    Example("your-network.md", "savez_compressed", _sequences),
    Example("your-network.md", "a2s.load(", _comparison),
    Example("your-network.md", "file_outputs(", _file_outputs),
    Example("your-network.md", "sdnn.spec.input_offset", _normalised),
    Example("your-network.md", "step_events(", _events),
    Example("api.md", "stream.save(", _saved_stream),
    Example("pretrained.md", "a2s.pretrained()", _pretrained),
    Example("nir.md", "a2s.from_nir(", _nir),
    Example("drift.md", "SigmaDelta(", _drift, needs_lava=True),
    Example("loihi.md", "cost.growth", _branches),
    Example("loihi.md", "sdnn.to_lava()", _process, needs_lava=True),
    Example("loihi.md", 'h5py.File("network.net")', _network, needs_lava=True),
    Example("loihi.md", "def run_with_resets", _resets, needs_lava=True),
    Example("loihi.md", 'file["ann2sdnn/vth"]', _thresholds, needs_lava=True),
    Example("loihi.md", "run_lava(path", _lava, needs_lava=True),
)
