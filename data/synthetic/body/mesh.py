"""A body with volume: tapered elliptical tubes around the bones, dressed and with hair."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.synthetic.body.cloth import (
    COLUMNS,
    MARGIN,
    Look,
    draw_look,
    draw_sheet,
)
from ann2sdnn.data.synthetic.body.skeleton import Bone, Side, Skeleton

FloatArray = NDArray[np.float64]

_RING_MM = 44.0  # distance of rings along a tube, about 4 pixels
_AROUND = 15  # vertices of a ring


@dataclass(frozen=True)
class Mesh:
    """Vertices [V, 3] in mm and normals [V, 3] in their bone's axes, ``albedo`` [V] 0..1.

    ``texture`` [R, C]: factors on the albedo, the sheets of all tubes below each other; ``texel``
    [V, 2]: a vertex's row and column in it, from its upper left corner.
    """

    vertices_mm: NDArray[np.float32]
    normals: NDArray[np.float32]
    albedo: NDArray[np.float32]
    bone: NDArray[np.int32]
    texel: NDArray[np.float32]
    texture: NDArray[np.float32]
    triangles: NDArray[np.int32]


@dataclass(frozen=True)
class Body:
    """One subject: the skeleton and the mesh around it."""

    skeleton: Skeleton
    mesh: Mesh


@dataclass(frozen=True)
class _Tube:
    """An elliptical tube from ``start`` to ``end``, all in body heights and the bone's axes.

    ``profile``: name in ``_PROFILES``.
    """

    bone: int
    profile: str
    cloth: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]


# Rows: (position 0..1, half-axis along the body's side, half-axis across it).
_PROFILES = {
    "pelvis": ((0, 0.075, 0.058), (0.4, 0.094, 0.066), (1, 0.084, 0.060)),
    "abdomen": ((0, 0.085, 0.060), (0.5, 0.080, 0.058), (1, 0.084, 0.061)),
    "chest": ((0, 0.084, 0.061), (0.5, 0.098, 0.067), (0.85, 0.098, 0.056), (1, 0.062, 0.040)),
    "neck": ((0, 0.036, 0.038), (1, 0.031, 0.034)),
    "head": ((0, 0.034, 0.042), (0.35, 0.042, 0.054), (0.7, 0.044, 0.057), (1, 0.038, 0.048)),
    "upper arm": ((0, 0.03, 0.033), (0.25, 0.03, 0.032), (0.7, 0.026, 0.027), (1, 0.024, 0.025)),
    "forearm": ((0, 0.024, 0.024), (0.3, 0.025, 0.026), (1, 0.015, 0.018)),
    "hand": ((0, 0.013, 0.018), (0.4, 0.014, 0.026), (0.8, 0.012, 0.022), (1, 0.008, 0.014)),
    "thigh": ((0, 0.050, 0.056), (0.3, 0.049, 0.054), (1, 0.034, 0.036)),
    "shin": ((0, 0.033, 0.035), (0.3, 0.032, 0.036), (0.8, 0.022, 0.024), (1, 0.021, 0.023)),
    "foot": ((0, 0.020, 0.020), (0.3, 0.022, 0.022), (0.7, 0.028, 0.016), (1, 0.020, 0.012)),
}
_TRUNK = (
    _Tube(Bone.PELVIS, "pelvis", "trousers", (0, 0, -0.035), (0, 0, 0.065)),
    _Tube(Bone.ABDOMEN, "abdomen", "shirt", (0, 0, -0.020), (0, 0, 0.100)),
    _Tube(Bone.CHEST, "chest", "shirt", (0, 0, -0.010), (0, 0, 0.150)),
    _Tube(Bone.HEAD, "neck", "skin", (0, 0.008, -0.035), (0, 0, 0.040)),
    _Tube(Bone.HEAD, "head", "head", (0, -0.010, 0.046), (0, -0.006, 0.110)),
)
# Of the right side.
_LIMBS = (
    _Tube(Bone.UPPER_ARM, "upper arm", "sleeve", (0, 0, 0.006), (0, 0, -0.180)),
    _Tube(Bone.FOREARM, "forearm", "forearm", (0, 0, 0), (0, 0, -0.146)),
    _Tube(Bone.HAND, "hand", "skin", (0, 0, 0.008), (0, -0.006, -0.090)),
    _Tube(Bone.THIGH, "thigh", "trousers", (0, 0, 0.020), (0, 0, -0.245)),
    _Tube(Bone.SHIN, "shin", "shin", (0, 0, 0), (0, 0, -0.246)),
    _Tube(Bone.FOOT, "foot", "shoes", (0, 0.018, -0.018), (0, -0.095, -0.024)),
)


def make_body(rng: np.random.Generator) -> Body:
    """Draw a subject: height, build, clothing, skin and hair."""
    skeleton = Skeleton(
        height_mm=float(np.clip(rng.normal(1740, 85), 1540, 1950)),
        shoulder_width=float(rng.uniform(0.95, 1.08)),
        leg_length=float(rng.uniform(0.97, 1.03)),
    )
    girth = float(np.clip(rng.normal(1.0, 0.08), 0.85, 1.2))
    tones, look = _draw_tones(rng), draw_look(rng)
    limbs = (replace(tube, bone=tube.bone + side) for side in Side for tube in _LIMBS)
    tubes = (*_TRUNK, *limbs)
    parts = [_mesh_of_tube(tube, skeleton.height_mm, girth, (tones, look), rng) for tube in tubes]
    return Body(skeleton, _join(parts))


@dataclass(frozen=True)
class _Tones:
    """Brightness of every kind of surface, and the hair."""

    albedo: dict[str, float]
    hair_below: float  # height on the head (0 chin, 1 crown) down to which the front has hair


def _draw_tones(rng: np.random.Generator) -> _Tones:
    skin = rng.uniform(0.20, 0.50)
    shirt, trousers = rng.uniform(0.04, (0.45, 0.30))
    shoes = rng.uniform(0.03, 0.25) if rng.random() < 0.8 else rng.uniform(0.8, 0.95)
    long_sleeves, long_trousers = rng.random() < 0.3, rng.random() < 0.7
    albedo = {
        "skin": skin,
        "head": skin,
        "hair": rng.uniform(0.04, 0.3),
        "shirt": shirt,
        "sleeve": shirt,
        "forearm": shirt if long_sleeves else skin,
        "trousers": trousers,
        "shin": trousers if long_trousers else skin,
        "shoes": shoes,
    }
    return _Tones(albedo, rng.uniform(0.7, 0.85))


def _mesh_of_tube(
    tube: _Tube,
    height_mm: float,
    girth: float,
    surface: tuple[_Tones, Look],
    rng: np.random.Generator,
) -> Mesh:
    rings, at = _rings(tube, height_mm, girth)
    tones, look = surface
    length_mm = float(np.linalg.norm(np.subtract(tube.end, tube.start))) * height_mm
    sheet = draw_sheet(tube.profile, length_mm, tones.albedo, look, rng)
    row = MARGIN + 0.5 + at * (len(sheet) - 2 * MARGIN - 1)
    column = np.linspace(0.0, COLUMNS - 0.01, _AROUND + 1)
    vertices = rings.reshape(-1, 3)
    return Mesh(
        vertices.astype(np.float32),
        _vertex_normals(rings).astype(np.float32),
        _albedo(tube, vertices / height_mm, tones).astype(np.float32),
        np.full(len(vertices), tube.bone, np.int32),
        np.stack(np.meshgrid(row, column, indexing="ij"), -1).reshape(-1, 2).astype(np.float32),
        sheet.astype(np.float32),
        _tube_triangles(len(rings)),
    )


def _rings(tube: _Tube, height_mm: float, girth: float) -> tuple[FloatArray, FloatArray]:
    """Vertices [rings, around + 1, 3] of the tube with a rounded cap at either end.

    A ring's last vertex is its first, where the texture begins again. Second: the rings'
    positions [rings] along the tube, from 0 to 1.
    """
    start, end = np.array(tube.start) * height_mm, np.array(tube.end) * height_mm
    axis = end - start
    length = float(np.linalg.norm(axis))
    axis /= length
    side = np.array([1.0, 0.0, 0.0])
    across = np.cross(axis, side)
    across /= np.linalg.norm(across)

    profile = np.array(_PROFILES[tube.profile])
    scale = height_mm * (1.0 if tube.bone in (Bone.HEAD, Bone.HAND, Bone.HAND_L) else girth)
    inner = np.linspace(0.0, 1.0, max(2, round(length / _RING_MM) + 1))
    cap = np.sin(np.linspace(0.0, np.pi / 2, 4)[1:])  # positions on the rounded end
    at = np.concatenate([np.zeros(3), inner, np.ones(3)])
    beyond = np.concatenate([-cap[::-1], np.zeros_like(inner), cap])
    shrink = np.sqrt(np.maximum(1.0 - beyond**2, 0.0004))
    half = np.stack([np.interp(at, profile[:, 0], profile[:, k]) for k in (1, 2)]) * scale * shrink
    cap_mm = np.where(beyond < 0, profile[0, 1:].min(), profile[-1, 1:].min()) * scale * 0.8
    centre = start + np.outer(at * length + beyond * cap_mm, axis)

    angle = np.arange(_AROUND + 1) % _AROUND * (2 * np.pi / _AROUND)
    ring = np.cos(angle)[None, :, None] * half[0][:, None, None] * side
    ring = ring + np.sin(angle)[None, :, None] * half[1][:, None, None] * across
    return np.asarray(centre[:, None] + ring), at


def _tube_triangles(n_rings: int) -> NDArray[np.int32]:
    """Triangles [2 (rings - 1) around, 3], counter-clockwise seen from outside."""
    ring, step = np.meshgrid(np.arange(n_rings - 1), np.arange(_AROUND), indexing="ij")
    here = ring * (_AROUND + 1) + step
    after, above = here + 1, here + _AROUND + 1
    first = np.stack([here, after, above], -1)
    second = np.stack([after, above + 1, above], -1)
    both = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    return np.asarray(both, np.int32)


def _vertex_normals(rings: FloatArray) -> FloatArray:
    """Normals [rings * (around + 1), 3], equal on both sides of the seam."""
    vertices = rings.reshape(-1, 3)
    triangles = _tube_triangles(len(rings))
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face)
    by_ring = normals.reshape(rings.shape)
    by_ring[:, 0] += by_ring[:, -1]
    by_ring[:, -1] = by_ring[:, 0]
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def _albedo(tube: _Tube, vertices: FloatArray, tones: _Tones) -> FloatArray:
    if tube.cloth == "head":
        return _head_albedo(vertices, tones)
    return np.full(len(vertices), tones.albedo[tube.cloth])


def _head_albedo(vertices: FloatArray, tones: _Tones) -> FloatArray:
    """Hair on the back and the crown; what is on the face is in the texture."""
    _, y, z = vertices.T
    up = (z - 0.02) / 0.125
    face = (y < -0.008) & (up < tones.hair_below)
    neck = up < 0.15
    return np.where(face | neck, tones.albedo["skin"], tones.albedo["hair"])


def _join(parts: list[Mesh]) -> Mesh:
    first = np.cumsum([0] + [len(p.vertices_mm) for p in parts])
    top = np.cumsum([0] + [len(p.texture) for p in parts])
    return Mesh(
        np.concatenate([p.vertices_mm for p in parts]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.albedo for p in parts]),
        np.concatenate([p.bone for p in parts]),
        np.concatenate(
            [p.texel + np.array([n, 0], np.float32) for p, n in zip(parts, top, strict=False)]
        ).astype(np.float32),
        np.concatenate([p.texture for p in parts]),
        np.concatenate([p.triangles + n for p, n in zip(parts, first, strict=False)]),
    )
