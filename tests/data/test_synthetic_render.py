"""The rasteriser against worked pictures, and labels against the rendered body."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH, Camera, camera
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.synthetic.body.mesh import make_body
from ann2sdnn.data.synthetic.camera.render import Box, PosedMesh, View, pose_mesh
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.scene import Scene, make_scene

FloatArray = NDArray[np.float64]
BLANK = np.zeros((SENSOR_HEIGHT, SENSOR_WIDTH), np.float32)

# A camera at the origin that looks along z: column = x / z, row = 260 - y / z.
PLAIN = Camera(0, np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]]), np.zeros(3))


def rectangle(
    left: float,
    right: float,
    top: float,
    bottom: float,
    depth: float,
    texture: NDArray[np.float32] | None = None,
) -> PosedMesh:
    """A rectangle in pixels of ``PLAIN`` at a depth, facing the camera, radiance 1 to 2."""
    corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
    points = [(c * depth, (SENSOR_HEIGHT - r) * depth, depth) for c, r in corners]
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    radiance = np.array([1.0, 1.0, 2.0, 2.0], np.float32)
    texel = np.array([[0, 0], [0, 0], [0, 4], [0, 4]], np.float32)
    texture = np.ones((1, 5), np.float32) if texture is None else texture
    return PosedMesh(np.array(points, np.float32), radiance, triangles, texel, texture)


def both(first: PosedMesh, second: PosedMesh) -> PosedMesh:
    return PosedMesh(
        np.concatenate([first.vertices_mm, second.vertices_mm]),
        np.concatenate([first.radiance, second.radiance]),
        np.concatenate([first.triangles, second.triangles + len(first.radiance)]),
        np.concatenate([first.texel, second.texel]),
        first.texture,
    )


def test_a_rectangle_covers_the_quarters_of_pixels_whose_centres_it_covers() -> None:
    view = View(PLAIN, BLANK)
    box = view.draw(rectangle(10.2, 14.2, 20.6, 23.6, 4.0))
    covered = np.argwhere(view.nearness > 0)
    assert covered.min(axis=0).tolist() == [20, 10]
    assert covered.max(axis=0).tolist() == [23, 13]
    assert len(covered) == 16
    np.testing.assert_allclose(view.nearness[20:24, 10:14], 0.25, rtol=1e-5)
    expected = 1 + (np.arange(10, 14) + 0.5 - 10.2) / 4  # radiance rises from left to right
    np.testing.assert_allclose(view.image[21:23, 10:14], np.stack([expected] * 2), rtol=1e-4)
    # Half of the first and of the last row is covered.
    half = (expected + BLANK[20, 10:14]) / 2
    np.testing.assert_allclose(view.image[[20, 23], 10:14], np.stack([half] * 2), rtol=1e-4)
    assert box == Box(20, 24, 10, 15)


def test_a_texture_dims_the_pixels_that_it_covers() -> None:
    plain, textured = View(PLAIN, BLANK), View(PLAIN, BLANK)
    plain.draw(rectangle(10, 18, 20, 24, 4.0))
    texture = np.array([[1.0, 0.5, 1.0, 0.25, 1.0]], np.float32)
    textured.draw(rectangle(10, 18, 20, 24, 4.0, texture))
    share = textured.image[20:24, 10:18] / plain.image[20:24, 10:18]
    expected = [1, 1, 0.5, 0.5, 1, 1, 0.25, 0.25]  # four texels over eight pixels
    np.testing.assert_allclose(share, np.stack([expected] * 4), rtol=1e-4)


def test_the_nearer_surface_hides_the_other_in_either_order() -> None:
    near, far = rectangle(10, 20, 10, 20, 2.0), rectangle(15, 30, 10, 20, 8.0)
    for mesh in (both(near, far), both(far, near)):
        view = View(PLAIN, BLANK)
        view.draw(mesh)
        np.testing.assert_allclose(view.nearness[15, 10:20], 0.5)
        np.testing.assert_allclose(view.nearness[15, 20:30], 0.125)


def test_surfaces_that_face_away_are_not_drawn() -> None:
    mesh = rectangle(10, 20, 10, 20, 2.0)
    view = View(PLAIN, BLANK)
    view.draw(replace(mesh, triangles=mesh.triangles[:, ::-1].copy()))
    assert view.nearness.max() == 0


def test_the_room_shows_again_where_the_body_was() -> None:
    room = np.random.default_rng(0).random((SENSOR_HEIGHT, SENSOR_WIDTH)).astype(np.float32)
    view = View(PLAIN, room)
    view.draw(rectangle(10, 20, 10, 20, 2.0))
    changed = view.draw(rectangle(40, 50, 30, 45, 2.0))
    np.testing.assert_array_equal(view.image[:29], room[:29])
    assert view.image[40, 45] != room[40, 45]
    assert changed == Box(10, 46, 10, 51)


def test_boxes_grow_to_the_sensor_and_no_further() -> None:
    assert Box(0, 260, 3, 345).grown(2) == Box(0, 260, 1, 346)
    assert Box(3, 5, 4, 6).union(Box(1, 4, 5, 9)) == Box(1, 5, 4, 9)


@pytest.mark.parametrize("subject", [1, 2, 3])
def test_the_mesh_is_closed_and_its_normals_point_outwards(subject: int) -> None:
    mesh = make_body(np.random.default_rng(subject)).mesh
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, k]].astype(float) for k in range(3))
    volume_litres = np.einsum("ij,ij->", a, np.cross(b, c)) / 6e6
    # Signed volumes are added bone by bone, each about its own origin: closed parts only.
    assert 40 < volume_litres < 160
    face = np.cross(b - a, c - a)
    facing = np.einsum("ij,ij->i", face, mesh.normals[mesh.triangles[:, 0]])
    assert np.mean(facing > 0) > 0.99
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)
    assert mesh.albedo.min() > 0
    assert mesh.albedo.max() < 1


def depth_mm(one: Camera, nearness: FloatArray) -> FloatArray:
    """Distance along the camera's axis of a pixel with 1 / w."""
    return np.asarray(1.0 / nearness / np.linalg.norm(one.matrix[2, :3]))


def joint_gaps(scene: Scene, channel: int, time_s: float) -> FloatArray:
    """For each joint, how far behind the rendered surface it lies, in mm, NaN off the body."""
    times = np.array([time_s])
    one = camera(channel)
    view = View(one, BLANK)
    view.draw(pose_mesh(scene.body.mesh, scene.performance.at(times), 0))
    points = scene.performance.markers(times)[0]
    gaps = np.full(len(JOINTS), np.nan)
    for i, (column, row) in enumerate(one.project(points)):
        patch = view.nearness[
            max(int(row) - 2, 0) : int(row) + 3, max(int(column) - 2, 0) : int(column) + 3
        ]
        if (patch > 0).any():
            w = one.matrix[2] @ np.array([*points[i], 1.0])
            surface = depth_mm(one, patch[patch > 0].astype(float)).min()
            gaps[i] = depth_mm(one, np.array(1 / w)) - surface
    return gaps


@pytest.mark.parametrize("channel", range(N_CAMERAS))
def test_labels_lie_on_the_rendered_body(channel: int) -> None:
    gaps = np.stack(
        [
            joint_gaps(make_scene(2, 1 + i % 17, entry), channel, 0.37 * i)
            for i, entry in enumerate(CATALOGUE[::2])
        ]
    )
    # A joint lies on or inside the body, never in front of it; seen ones within a limb's depth.
    assert not np.isnan(gaps).any()
    assert gaps.min() > -45.0
    seen = gaps < 130.0
    assert seen.mean() > 0.6
    hidden_side = {0: "L", 1: "R"}.get(channel)  # the side cameras look past one shoulder
    for joint, share in zip(JOINTS, seen.mean(axis=0), strict=True):
        assert joint[-1] == hidden_side or share > 0.25
