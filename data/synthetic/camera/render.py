"""Rendering a body into a camera: projection, z-buffer, Gouraud shading, texture.

The picture is a radiance image (0..about 1); where the body is not, it shows the room. Only the
body's bounding box is touched.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import SENSOR_HEIGHT, SENSOR_WIDTH, Camera
from ann2sdnn.data.synthetic.body.mesh import Mesh
from ann2sdnn.data.synthetic.body.skeleton import Placement

FloatImage = NDArray[np.float32]

# Two lamps: unit vectors towards the light in the room, and what share of the light each gives.
_LAMPS = np.array([[0.35, -0.75, 0.56], [-0.60, 0.10, 0.79]], np.float32)
_LAMP_SHARES = np.array([0.45, 0.25], np.float32)
_AMBIENT = 0.40
_SLIDE_ROWS = 4.0  # at most the margin of a sheet of texture
_FINE = 2  # pictures are drawn so many times finer, so that outlines move smoothly


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, upper bounds excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right), for kernels."""
        return self.top, self.bottom, self.left, self.right

    def union(self, other: "Box") -> "Box":
        """The smallest box around both."""
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def grown(self, margin: int) -> "Box":
        """The box with ``margin`` more pixels on every side, cut at the sensor."""
        return Box(
            max(self.top - margin, 0),
            min(self.bottom + margin, SENSOR_HEIGHT),
            max(self.left - margin, 0),
            min(self.right + margin, SENSOR_WIDTH),
        )


@dataclass(frozen=True)
class PosedMesh:
    """A mesh in the room: ``vertices_mm`` [V, 3], ``radiance`` [V], ``triangles`` [F, 3].

    A pixel's radiance is multiplied by ``texture`` [R, C] at its row and column there, between
    those of the vertices, ``texel`` [V, 2].
    """

    vertices_mm: NDArray[np.float32]
    radiance: NDArray[np.float32]
    triangles: NDArray[np.int32]
    texel: NDArray[np.float32]
    texture: NDArray[np.float32]


def pose_mesh(mesh: Mesh, placement: Placement, step: int) -> PosedMesh:
    """Move every vertex with its bone at time ``step`` and shade it by the room's lamps."""
    origin = placement.origin_mm[step].astype(np.float32)
    vertices, radiance = _pose(
        mesh.vertices_mm,
        mesh.normals,
        mesh.albedo,
        (mesh.bone, placement.rotation[step].astype(np.float32), origin),
    )
    texel = mesh.texel.copy()
    texel[:, 0] += _slide(placement.rotation[step])[mesh.bone]
    return PosedMesh(vertices, radiance, mesh.triangles, texel, mesh.texture)


def _slide(rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows [B] by which cloth has slid along each bone: with how far the bone leans."""
    lean = np.clip(2.0 * rotation[:, 1, 2] + rotation[:, 0, 2], -1.0, 1.0)
    return np.asarray(_SLIDE_ROWS * lean, np.float32)


class View:
    """One camera's picture of the body before its part of the room.

    ``image`` [260, 346] is the radiance. ``nearness`` [260, 346] is 1 / w with w the homogeneous
    depth of the camera's matrix (0 at the camera, 1 at the room's origin), 0 where the room shows;
    of a pixel that the body covers in part it is the nearest part's.
    """

    def __init__(self, camera: Camera, background: FloatImage) -> None:
        self.background = background
        self.image = background.copy()
        self.nearness = np.zeros_like(background)
        fine = (_FINE * SENSOR_HEIGHT, _FINE * SENSOR_WIDTH)
        self._fine_radiance = np.zeros(fine, np.float32)
        self._fine_nearness = np.zeros(fine, np.float32)
        self._matrix = camera.matrix.astype(np.float32)
        self._drawn = Box(0, 0, 0, 0)

    def draw(self, posed: PosedMesh) -> Box:
        """Replace the body in the picture; return the box of what may have changed."""
        old = self._drawn
        rows = slice(_FINE * old.top, _FINE * old.bottom)
        columns = slice(_FINE * old.left, _FINE * old.right)
        self._fine_nearness[rows, columns] = 0.0
        projected, bounds = _project(self._matrix, posed.vertices_mm)
        projected[:, :2] *= _FINE
        _rasterise(
            projected,
            (posed.radiance, posed.texel, posed.texture),
            posed.triangles,
            self._fine_radiance,
            self._fine_nearness,
        )
        self._drawn = Box(*bounds)
        changed = self._drawn if old.right == 0 else self._drawn.union(old)
        _resolve(
            self._fine_radiance,
            self._fine_nearness,
            self.background,
            (self.image, self.nearness),
            changed.bounds,
        )
        return changed


@numba.njit(cache=True)
def _resolve(radiance, nearness, background, out, box):  # type: ignore[no-untyped-def]
    """Average the fine pixels of each pixel, the room where the body is not."""
    image, near = out
    top, bottom, left, right = box
    share = np.float32(1.0 / (_FINE * _FINE))
    for row in range(top, bottom):
        for column in range(left, right):
            light, nearest = np.float32(0.0), np.float32(0.0)
            room = background[row, column]
            for i in range(_FINE * row, _FINE * (row + 1)):
                for j in range(_FINE * column, _FINE * (column + 1)):
                    if nearness[i, j] > 0:
                        light += radiance[i, j]
                        nearest = max(nearest, nearness[i, j])
                    else:
                        light += room
            image[row, column] = light * share
            near[row, column] = nearest


@numba.njit(cache=True)
def _pose(vertices, normals, albedo, skinning):  # type: ignore[no-untyped-def]
    bone, rotation, origin = skinning
    posed = np.empty_like(vertices)
    radiance = np.empty_like(albedo)
    for i in range(len(vertices)):
        R, p = rotation[bone[i]], origin[bone[i]]
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        for k in range(3):
            posed[i, k] = R[k, 0] * x + R[k, 1] * y + R[k, 2] * z + p[k]
        light = np.float32(_AMBIENT)
        for lamp in range(len(_LAMPS)):
            cosine = np.float32(0.0)
            for k in range(3):
                n = R[k, 0] * nx + R[k, 1] * ny + R[k, 2] * nz
                cosine += n * _LAMPS[lamp, k]
            if cosine > 0:
                light += _LAMP_SHARES[lamp] * cosine
        radiance[i] = albedo[i] * light
    return posed, radiance


@numba.njit(cache=True)
def _project(matrix, points):  # type: ignore[no-untyped-def]
    """Column, row and 1 / w of points [V, 3], and the box of pixels around them."""
    projected = np.empty_like(points)
    top, bottom, left, right = np.inf, -np.inf, np.inf, -np.inf
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
        v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
        w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        near = np.float32(1.0) / w
        projected[i, 0] = u * near
        projected[i, 1] = np.float32(SENSOR_HEIGHT) - v * near
        projected[i, 2] = near
        left, right = min(left, projected[i, 0]), max(right, projected[i, 0])
        top, bottom = min(top, projected[i, 1]), max(bottom, projected[i, 1])
    first_row, first_column = max(int(top), 0), max(int(left), 0)
    last_row = max(min(int(bottom) + 1, SENSOR_HEIGHT), first_row)
    last_column = max(min(int(right) + 1, SENSOR_WIDTH), first_column)
    return projected, (first_row, last_row, first_column, last_column)


@numba.njit(inline="always")
def _texel_at(texture, row, column):  # type: ignore[no-untyped-def]
    """The texture's factor; rounding leaves the texture where a triangle is very thin."""
    last_row, last_column = texture.shape[0] - 1, texture.shape[1] - 1
    return texture[min(max(int(row), 0), last_row), min(max(int(column), 0), last_column)]


@numba.njit(cache=True)
def _rasterise(projected, surface, triangles, image, nearness):  # type: ignore[no-untyped-def]
    """Draw the triangles that face the camera; 1 / w is linear in the picture, as depth is not."""
    radiance, texel, texture = surface
    height, width, half = image.shape[0], image.shape[1], np.float32(0.5)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay = projected[i, 0], projected[i, 1]
        bx, by = projected[j, 0], projected[j, 1]
        cx, cy = projected[k, 0], projected[k, 1]
        # Counter-clockwise from outside is clockwise on a screen whose rows go down.
        area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
        if area <= 0:
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - half)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - half)), width - 1)
        top = max(int(np.ceil(min(ay, by, cy) - half)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - half)), height - 1)
        if left > right or top > bottom:
            continue
        # Weights of corners b and c at pixel centre (x, y); that of a is the rest.
        wb_x, wb_y = -(cy - ay) / area, (cx - ax) / area
        wc_x, wc_y = (by - ay) / area, -(bx - ax) / area
        near_a, near_b, near_c = projected[i, 2], projected[j, 2], projected[k, 2]
        near_x = wb_x * (near_b - near_a) + wc_x * (near_c - near_a)
        light_a, light_b, light_c = radiance[i], radiance[j], radiance[k]
        light_x = wb_x * (light_b - light_a) + wc_x * (light_c - light_a)
        # Affine in the picture: over one triangle the difference to perspective is below a texel.
        down_a, side_a = texel[i, 0], texel[i, 1]
        down_b, side_b = texel[j, 0] - down_a, texel[j, 1] - side_a
        down_c, side_c = texel[k, 0] - down_a, texel[k, 1] - side_a
        down_x, side_x = wb_x * down_b + wc_x * down_c, wb_x * side_b + wc_x * side_c
        # Where each weight changes sign along a row bounds the row's pixels inside the triangle.
        wa_x = -wb_x - wc_x
        for row in range(top, bottom + 1):
            dx, dy = np.float32(left) + half - ax, np.float32(row) + half - ay
            wb, wc = wb_x * dx + wb_y * dy, wc_x * dx + wc_y * dy
            first, last = np.float32(0.0), np.float32(right - left)
            for start, slope in ((wb, wb_x), (wc, wc_x), (np.float32(1.0) - wb - wc, wa_x)):
                if slope > 0:
                    first = max(first, -start / slope)
                elif slope < 0:
                    last = min(last, -start / slope)
                elif start < 0:
                    last = np.float32(-1.0)
            begin, end = int(np.ceil(first)), int(np.floor(last)) + 1
            near = near_a + wb * (near_b - near_a) + wc * (near_c - near_a) + begin * near_x
            light = light_a + wb * (light_b - light_a) + wc * (light_c - light_a)
            light += begin * light_x
            down = down_a + wb * down_b + wc * down_c + begin * down_x
            side = side_a + wb * side_b + wc * side_c + begin * side_x
            for column in range(left + begin, left + end):
                if near > nearness[row, column]:
                    nearness[row, column] = near
                    image[row, column] = light * _texel_at(texture, down, side)
                down += down_x
                side += side_x
                near += near_x
                light += light_x
