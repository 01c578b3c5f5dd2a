"""Estimates of cores and energy: numbers worked out by hand, and what must hold for any network."""

import itertools

import numpy as np
import pytest
from branched_specs import residual_spec, small_branched_spec
from hypothesis import given
from hypothesis import strategies as st
from networks import random_spec

from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry
from ann2sdnn.graph.layers import BaseLayer
from ann2sdnn.sdnn.costs.cores import LayerWork, layer_cores, network_cores, split_cores
from ann2sdnn.sdnn.costs.energy import float32_uj, int8_uj, loihi_energy, sigma_delta_uj
from ann2sdnn.sdnn.costs.sizes import InputSizes, fixed_layer
from ann2sdnn.sdnn.spec.spec import Spec


def layer(geometry: Geometry, size: tuple[int, ...], shape: Shape) -> BaseLayer:
    return BaseLayer("one", geometry, np.ones(size, np.int8), None, True, None, shape)


SAME = Convolution(pads=(1, 1, 1, 1))
WIDE = layer(SAME, (4, 1, 3, 3), (1, 128, 128))


def test_a_convolution_holds_its_kernel_once_in_each_core() -> None:
    # 4 channels of 16,384 pixels, 9 bytes of weights per channel. By memory: a core with all 4
    # channels has (196,608 - 36) / (4 * 18) = 2,730 pixels, so 7 cores. By neurons 65,536 / 8,192.
    found = layer_cores(WIDE)
    assert (found.neurons, found.weight_bytes) == (65_536, 36)
    assert (found.by_neurons, found.by_memory, found.by_rate, found.cores) == (8, 7, None, 8)
    assert found.limit == "neurons"


def test_a_dense_layer_is_limited_by_its_weights() -> None:
    # 50,000 bytes of weights and 18 of state: 3 neurons in 196,608 bytes, so 1,000 / 3 cores.
    found = layer_cores(layer(Dense(), (1000, 50_000), (50_000, 1, 1)))
    assert (found.by_neurons, found.by_memory, found.cores) == (1, 334, 334)
    assert found.limit == "memory"
    # A neuron with 400,000 inputs takes 3 cores: 196,590 bytes are left beside its state.
    assert layer_cores(layer(Dense(), (2, 400_000), (400_000, 1, 1))).cores == 6


def test_zeros_are_left_out_where_that_is_smaller() -> None:
    sparse = layer(Dense(), (10, 100), (100, 1, 1))
    sparse.weight[:, 10:] = 0
    assert layer_cores(sparse).weight_bytes == 200  # 100 weights with an index each
    sparse.weight[:, 10:90] = 1
    assert layer_cores(sparse).weight_bytes == 1000


def test_much_work_takes_cores_for_its_time() -> None:
    # 65,536 updates of 8.4 ns, 10 M operations of 3.5 ns and 100,000 messages of 2.1 ns are
    # 35,760.5 us per frame, 3.58 s per second at 100 frames.
    found = layer_cores(WIDE, LayerWork(messages=1e5, operations=1e7))
    assert found.busy_us == pytest.approx(35_760.5, abs=0.1)
    assert (found.by_rate, found.cores) == (4, 8)
    busy = layer_cores(WIDE, LayerWork(messages=1e5, operations=1e8))
    assert (busy.by_rate, busy.cores, busy.limit) == (36, 36, "rate")


def test_inputs_are_divided_where_that_leaves_room_for_neurons() -> None:
    """449 bytes beside the weights hold 24 of 49 neurons; two halves of them hold all twice."""
    assert split_cores(1, 49, 196_159.0) == 2
    assert split_cores(1, 24, 196_159.0) == 1


@given(
    st.integers(1, 300),
    st.integers(1, 20_000),
    st.floats(0, 300_000),
    st.integers(0, 50),
    st.integers(0, 5_000),
)
def test_cores_never_fall_with_neurons(
    channels: int, pixels: int, channel_bytes: float, more_channels: int, more_pixels: int
) -> None:
    cores = split_cores(channels, pixels, channel_bytes)
    assert cores <= split_cores(channels, pixels + more_pixels, channel_bytes)
    assert cores <= split_cores(channels + more_channels, pixels, channel_bytes)
    assert cores <= split_cores(channels, pixels, channel_bytes + more_pixels)
    assert cores * 8192 >= channels * pixels


def test_synapses_of_a_branched_network_share_the_neurons() -> None:
    spec = small_branched_spec()
    found = network_cores(spec.layers)
    pooled = next(one for one in found if one.name == "pooled")
    # 2 x 6 x 8 neurons before pooling; kernels of 2x2x3x3 from deep and 2x1x3x3 from the input.
    assert pooled.neurons == 96
    weights = [synapse.weight for synapse in spec.layers[2].synapses]
    assert [weight.size for weight in weights] == [36, 18]
    nonzero = sum(int(np.count_nonzero(weight)) for weight in weights)
    assert pooled.weight_bytes == min(54, 2 * nonzero)
    assert spec.n_neurons == sum(one.neurons for one in found)


@pytest.mark.parametrize("cores", [20, 130, 1000])
def test_the_largest_input_fits_and_the_next_does_not(cores: int) -> None:
    spec = random_spec()
    found = InputSizes(spec).largest(cores)
    assert found is not None
    rows, columns = found
    assert columns == round(rows * 20 / 16)
    assert needed(spec, (rows, columns)) <= cores
    assert needed(spec, (rows + 1, round((rows + 1) * 20 / 16))) > cores


def needed(spec: Spec, size: tuple[int, int]) -> int:
    return sum(one.cores for one in network_cores(resized(spec, size).layers))


def test_the_largest_input_grows_with_the_cores_and_shrinks_with_the_work() -> None:
    spec = random_spec()
    sizes = InputSizes(spec)
    found = [sizes.largest(cores) for cores in (5, 50, 500)]
    assert all(one is not None for one in found)
    for smaller, larger in itertools.pairwise(found):
        assert smaller is not None
        assert larger is not None
        assert smaller < larger
    busy = InputSizes(spec, [LayerWork(1e6, 1e7)] * len(spec.layers)).largest(50)
    assert busy is not None
    assert found[1] is not None
    assert busy < found[1]


def test_sizes_that_the_original_does_not_take_are_left_out() -> None:
    found = InputSizes(random_spec(), takes=lambda size: not (size[0] % 4 or size[1] % 4)).largest(
        99
    )
    assert found is not None
    assert found[0] % 4 == 0
    assert found[1] % 4 == 0
    assert InputSizes(random_spec(), takes=lambda size: False).largest(99) is None
    # Skips past a stride of 2: every size that is named fits the network.
    skips = residual_spec()
    fitting = InputSizes(skips).largest(200)
    assert fitting is not None
    assert needed(skips, fitting) <= 200


def test_no_size_fits_fewer_cores_than_layers_and_a_dense_layer_takes_one() -> None:
    assert InputSizes(random_spec()).largest(4) is None
    assert fixed_layer(random_spec()) is None
    assert fixed_layer(random_spec(dense=True)) == "layer6"
    assert InputSizes(random_spec(dense=True)).largest(10**6) is None
    assert fixed_layer(small_branched_spec()) == "values"


def test_energy_of_a_million_operations() -> None:
    assert float32_uj(1e6) == pytest.approx(4.6)  # 3.7 + 0.9 pJ
    assert int8_uj(1e6) == pytest.approx(0.3)  # 0.2 + 0.1 pJ
    # 0.2 + 0.2 + 0.1 pJ each, and two additions of 0.1 pJ for each of 1,000 neurons.
    assert sigma_delta_uj(1e6, 1000) == pytest.approx(0.5002)


def test_energy_on_loihi_pays_for_operations_neurons_and_messages() -> None:
    found = loihi_energy(operations=1e6, neurons=1000, messages=150, input_messages=50)
    assert found.operations_uj == pytest.approx(23.6)
    assert found.updates_uj == pytest.approx((100 * 81 + 900 * 52) * 1e-6)
    assert found.messages_uj == pytest.approx(150 * 1.7e-6)
    assert found.total_uj == pytest.approx(23.6 + 0.0549 + 0.000255)
