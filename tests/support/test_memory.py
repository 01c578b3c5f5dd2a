"""Memory that is left: of the machine, of control groups of both versions, of neither."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import random_spec

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import check_training_memory
from ann2sdnn.calibration.rounding.memory import rounding_frames, too_wide
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.convert.fine_tuning.fine_tune import check_step_memory
from ann2sdnn.graph.kinds import Convolution, Dense
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.sdnn.lava.memory import check_backend_memory, check_simulation
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.memory import available_bytes, check_memory, check_workers

MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1000 kB\nMemAvailable:   8000000 kB\n"
MACHINE = 8_000_000 * 1024


def system(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_machine_says_what_it_can_give_back(tmp_path: Path) -> None:
    assert available_bytes(system(tmp_path, proc__meminfo=MEMINFO)) == MACHINE


def test_a_system_that_does_not_say_is_not_guessed_at(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    check_memory(10**15, "a step", "wait", available=None)


def test_the_least_limit_of_nested_groups_counts_without_its_cache(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/user/job\n",
        sys__fs__cgroup__user__job__memory_DOT_max="max\n",
        sys__fs__cgroup__user__job__memory_DOT_current="500\n",
        sys__fs__cgroup__user__memory_DOT_max="4000\n",
        sys__fs__cgroup__user__memory_DOT_current="3000\n",
        sys__fs__cgroup__user__memory_DOT_stat="anon 2000\ninactive_file 700\n",
    )
    assert available_bytes(root) == 4000 - 3000 + 700


@pytest.mark.parametrize("folder", ["memory__docker__abc", "memory"])
def test_a_container_of_version_1_is_found_inside_and_outside(tmp_path: Path, folder: str) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="5:devices:/x\n4:memory:/docker/abc\n",
        **{
            f"sys__fs__cgroup__{folder}__memory_DOT_limit_in_bytes": "2000000",
            f"sys__fs__cgroup__{folder}__memory_DOT_usage_in_bytes": "1500000",
            f"sys__fs__cgroup__{folder}__memory_DOT_stat": "total_inactive_file 100000",
        },
    )
    assert available_bytes(root) == 600_000


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/\n",
        sys__fs__cgroup__memory_DOT_max="100",
        sys__fs__cgroup__memory_DOT_current="200",
    )
    assert available_bytes(root) == 0


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError) as caught:
        check_memory(23 * 10**9, "a step", "give a smaller --batch", available=16 * 10**9)
    assert str(caught.value) == (
        "a step needs about 23 GB of memory and 16 GB are free; give a smaller --batch"
    )


GB = 10**9


def test_a_training_on_whole_frames_is_estimated_before_it_starts() -> None:
    whole = TrainOptions(crop=None, batch_size=2)
    check_training_memory(whole, (260, 344), 2 * GB)
    with pytest.raises(UsageError, match=r"64 pictures of 260x344 needs about .* --batch-size"):
        check_training_memory(replace(whole, batch_size=64), (260, 344), 2 * GB)


def test_a_step_of_train_sdnn_is_estimated_before_it_starts() -> None:
    spec = random_spec()
    check_step_memory(spec, SdnnTrainOptions(crop=None), 2 * GB)
    large = SdnnTrainOptions(crop=None, batch_size=10_000, chunk_frames=2)
    with pytest.raises(UsageError, match=r"20000 frames of 16x20 needs about .* --chunk-frames"):
        check_step_memory(spec, large, 2 * GB)
    # An epoch has one run for each recording and camera, so a batch is no larger.
    check_step_memory(spec, large, 2 * GB, n_runs=8)


def test_lavas_processes_are_estimated_together() -> None:
    spec = random_spec()
    check_simulation(spec, 8, available=2 * GB)
    with pytest.raises(UsageError, match=r"simulating 100000 frames of 16x20 .* fewer --frames"):
        check_simulation(spec, 100_000, available=2 * GB)
    with pytest.raises(UsageError, match="--backend engine"):
        check_backend_memory(spec, available=GB)


def one_layer(geometry: Convolution | Dense, *size: int, shape: tuple[int, int, int]) -> Graph:
    weight = np.ones(size, np.float32)
    return Graph(shape, (Layer("wide", geometry, weight, None, True, None, shape),))


def plan_of(graph: Graph) -> RangePlan:
    layers = tuple(LayerPlan(*np.ones((2, layer.preactivation_shape[0]))) for layer in graph.layers)
    noise = PlannedNoise(*np.zeros((2, len(layers))))
    return RangePlan(1, 1.0, Grid(6), layers, noise, headroom=1.0)


def test_rounding_takes_fewer_frames_of_large_layers_and_leaves_out_wide_ones() -> None:
    small = one_layer(Convolution(), 4, 1, 1, 1, shape=(1, 20, 20))
    assert rounding_frames(small, 64) == 64
    assert too_wide(small, plan_of(small)) == ()
    large = one_layer(Convolution(), 128, 1, 1, 1, shape=(1, 260, 344))
    assert 4 <= rounding_frames(large, 64) < 64
    wide = one_layer(Dense(), 2, 9000, shape=(9, 1000, 1))
    assert too_wide(wide, plan_of(wide)) == ("wide",)


def test_more_processes_than_fit_into_memory_are_refused() -> None:
    check_workers(2, available=10**9)
    check_workers(256, available=None)
    with pytest.raises(UsageError, match=r"a pool of 256 processes needs about 77 GB .* --workers"):
        check_workers(256, available=24 * 10**9)
