"""Operating points in sdnn.h5: all are read back, damage and strangers are refused."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from damage import accepted, h5_damages
from hypothesis import HealthCheck, given, settings
from networks import random_spec
from points import three_points
from random_networks import operating_points

from ann2sdnn.sdnn.spec.file import read_points, read_spec, write_points, write_spec
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError, UsageError


def random_points() -> OperatingPoints:
    return three_points(random_spec(threshold=3))


def point_of(spec: Spec) -> list[object]:
    layers = [(layer.threshold, layer.is_stateful) for layer in spec.layers]
    return [spec.input_is_stateful, *layers]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(points=operating_points())
def test_all_points_survive_the_file(
    points: OperatingPoints, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("points") / "sdnn.h5"
    write_points(path, points)
    again = read_points(path)
    assert [name for name, _ in again] == [name for name, _ in points]
    for (_, before), (_, after) in zip(points, again, strict=True):
        assert point_of(after) == point_of(before)
        for old, new in zip(before.layers, after.layers, strict=True):
            np.testing.assert_array_equal(old.weight, new.weight)
    assert point_of(read_spec(path)) == point_of(points.lava)


def test_a_file_of_an_earlier_version_has_lavas_point_only(tmp_path: Path) -> None:
    path = tmp_path / "sdnn.h5"
    mixed = replace(random_spec(threshold=3), input_is_stateful=False)
    write_spec(path, mixed)
    with h5py.File(path) as file:
        assert "points" not in file
    assert point_of(read_points(path).lava) == point_of(mixed)
    assert [name for name, _ in read_points(path)] == ["lava"]


def test_damage_of_a_point_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sdnn.h5"
    write_points(path, random_points())
    damages = [damage for damage in h5_damages(path) if damage[0].startswith("points/")]
    assert len(damages) > 30
    assert accepted(path, read_points, damages) == set()
    with h5py.File(path, "a") as file:
        file["points/engine/threshold"][1] = -1
    with pytest.raises(ModelError, match=r"sdnn\.h5: points/engine: layer .*a threshold of -1"):
        read_points(path)
    write_points(path, random_points(), force=True)
    with h5py.File(path, "a") as file:
        del file["points/memoryless/threshold"]
        file["points/memoryless/threshold"] = [1, 2]
    with pytest.raises(ModelError, match=r"points/memoryless: 2 thresholds; expected one for each"):
        read_points(path)
    write_points(path, random_points(), force=True)
    with h5py.File(path, "a") as file:
        file["points/memoryless/remembers"][0] = True
    with pytest.raises(ModelError, match=r"memoryless has stateful layers; expected none"):
        read_points(path)
    with h5py.File(path, "a") as file:
        del file["points/engine"]
        file["points/engine"] = 3
    with pytest.raises(ModelError, match=r"sdnn\.h5.*points/engine"):
        read_points(path)
    with h5py.File(path, "a") as file:
        del file["points"]
        file["points"] = 3
    with pytest.raises(ModelError, match=r"sdnn\.h5.*points"):
        read_points(path)


def test_points_are_of_one_network() -> None:
    points = random_points()
    other = random_spec(threshold=3, seed=7)
    with pytest.raises(ModelError, match="engine is of another network than lava's"):
        OperatingPoints(points.lava, other)
    first, *rest = points.lava.layers
    scaled = replace(points.lava, layers=(replace(first, scale=first.scale * 2), *rest))
    with pytest.raises(ModelError, match="engine is of another network than lava's"):
        OperatingPoints(points.lava, scaled)


def test_the_engine_runs_its_own_point_where_there_is_one() -> None:
    points = random_points()
    assert points.for_backend("engine") is points.engine
    assert points.for_backend("engine", "lava") is points.lava
    assert points.for_backend("slayer") is points.lava
    assert points.for_backend("slayer", "memoryless") is points.memoryless
    alone = OperatingPoints(points.lava)
    assert alone.for_backend("engine") is alone.lava
    with pytest.raises(UsageError, match="no operating point 'engine'; choose one of lava"):
        alone.for_backend("engine", "engine")
