"""Errors and histograms of layers, against values worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.convert.stages.probes import LayerProbe, LayerProbes, half_octaves
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

UNIT = 2.0**-12


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_signs_add_up_to_magnitudes(values: list[float]) -> None:
    tensor = torch.tensor(values)
    positive, negative = Magnitudes.of_signs(tensor)
    both, together = positive + negative, Magnitudes.empty().plus(tensor)
    assert np.array_equal(both.counts, together.counts)
    assert positive.counts.sum() == int((tensor > 0).sum())
    assert negative.counts.sum() == int((tensor < 0).sum())
    assert positive.total == negative.total == together.total == len(values)


def test_half_octaves_begin_at_one_unit() -> None:
    values = torch.tensor([0.0, 0.2, 1.0, 1.4, 1.6, 2.9, 5.0]) * UNIT
    found = half_octaves(Magnitudes.empty().plus(values), UNIT)
    assert found.counts == [2, 1, 1, 0, 1]  # [1, 1.5), [1.5, 2), [2, 3), [3, 4), [4, 6)
    assert (found.below, found.total) == (1, 7)
    assert half_octaves(Magnitudes.empty(), UNIT).counts == []


def identity(n_layers: int, *, threshold: int = 0) -> tuple[Graph, Spec]:
    """Layers that pass two pixels on; a count is a message unit, ``threshold`` is in 64 of them."""
    shape = (1, 1, 2)
    weight = np.ones((1, 1, 1, 1), np.float32)
    names = [f"layer{i}" for i in range(n_layers)]
    layers = tuple(Layer(name, Convolution(), weight, None, True, None, shape) for name in names)
    spec = Spec(
        input_shape=shape,
        input_scale=1.0,
        input_gain=1,
        grid=Grid(),
        layers=tuple(
            SpecLayer(
                name=name,
                geometry=Convolution(),
                weight=(64 * weight).astype(np.int16),
                bias=None,
                relu=True,
                pool=None,
                threshold=threshold,
                scale=np.array([UNIT]),
                input_shape=shape,
            )
            for name in names
        ),
        source_sha256="",
    )
    return Graph(shape, layers, input_scale=1.0), spec


def probe(graph: Graph, spec: Spec, frames: list[list[int]], chunk: int) -> tuple[LayerProbe, ...]:
    probes = LayerProbes(FloatNetwork(graph), spec, len(frames))
    engine = Engine(spec)
    pixels = torch.tensor(frames, dtype=torch.uint8)[:, None, None, :]
    for part in torch.split(pixels, chunk):
        engine.run(part)
        if probes.wants(len(part)):
            probes.see(part, engine.sent)
    return probes.result()


def test_what_a_threshold_holds_back_is_the_error() -> None:
    """10 stays under the threshold of 64 units, 100 is sent: 10 log10((10^2 + 100^2) / 10^2)."""
    (found,) = probe(*identity(1, threshold=1), [[10, 100]], chunk=1)
    assert found.activation_snr_db == pytest.approx(20.043, abs=1e-3)
    (exact,) = probe(*identity(1), [[10, 100]], chunk=1)
    assert exact.activation_snr_db is None


def test_an_error_stays_in_the_layers_after_it() -> None:
    first, second = probe(*identity(2, threshold=1), [[10, 100]], chunk=1)
    assert first.activation_snr_db == pytest.approx(second.activation_snr_db)


def test_histograms_are_on_the_grid() -> None:
    """The last frame of a chunk is counted, and its change from the one before."""
    (found,) = probe(*identity(1), [[0, 100], [10, 90]], chunk=2)
    seen = found.distributions
    counted = {name: np.flatnonzero(getattr(seen, name).counts).tolist() for name in _ALL}
    assert counted["activations"] == [6, 12]  # 10 in [8, 12), 90 in [64, 96)
    assert counted["changes"] == [6]  # +10 and -10
    assert counted["positive"] == [18, 24]  # 64 state units each
    assert counted["negative"] == []
    assert seen.changes.counts[6] == 2


_ALL = ("activations", "changes", "positive", "negative")


def test_frames_alone_have_no_changes() -> None:
    (found,) = probe(*identity(1), [[0, 100], [10, 90]], chunk=1)
    assert found.distributions.activations.total == 4
    assert found.distributions.changes.total == 0


def test_not_every_frame_is_looked_at() -> None:
    graph, spec = identity(1)
    probes = LayerProbes(FloatNetwork(graph), spec, 64)
    engine = Engine(spec)
    for _ in range(32):
        chunk = torch.full((2, 1, 1, 2), 7, dtype=torch.uint8)
        engine.run(chunk)
        if probes.wants(len(chunk)):
            probes.see(chunk, engine.sent)
    assert probes.n_frames == 16
