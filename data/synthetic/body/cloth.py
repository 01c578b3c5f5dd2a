"""Draws what shows inside a body's outline: folds, stripes, prints, hems, faces, hair, fingers.

A sheet is a picture of factors on the brightness of one tube, [rows along it, ``COLUMNS`` around
it]. Rows are ``ROW_MM`` long, less than a pixel of the cameras (about 10 mm). The first and the
last ``MARGIN`` rows repeat their neighbours, so that cloth can slide along its limb.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROW_MM = 8.0
COLUMNS = 96
MARGIN = 5
_FRONT = 0.75  # of the way around, on tubes that go up; those that go down have it at 0.25
_BRIGHTEST = 0.95  # albedo


@dataclass(frozen=True)
class Look:
    """How one subject is textured; strengths are standard deviations of relative brightness.

    A strength of 0 leaves it out. ``stripe_mm``: period of stripes; ``hem``: where the sleeves and
    the legs of shorts end, in shares of the upper arm and the thigh; ``sock``: share of the shin
    that socks cover.
    """

    folds: float
    weave: float
    stripes: float
    stripe_mm: float
    stripes_upright: bool
    print_strength: float
    skin: float
    hair: float
    face: float
    hem: float
    sock: float
    belt: float
    fingers: float


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a subject's look: from plain clothes to strong folds, stripes and prints."""

    def some(probability: float, low: float, high: float) -> float:
        value = float(rng.uniform(low, high))
        return value if rng.random() < probability else 0.0

    return Look(
        folds=float(np.exp(rng.uniform(np.log(0.03), np.log(0.30)))),
        weave=some(0.6, 0.01, 0.10),
        stripes=some(0.2, 0.1, 0.5),
        stripe_mm=float(rng.uniform(30, 110)),
        stripes_upright=bool(rng.random() < 0.3),
        print_strength=some(0.4, 0.3, 1.2),
        skin=float(rng.uniform(0.02, 0.10)),
        hair=float(rng.uniform(0.08, 0.40)),
        face=float(rng.uniform(0.25, 0.70)),
        hem=float(rng.uniform(0.45, 0.95)),
        sock=some(0.6, 0.05, 0.5),
        belt=some(0.4, 0.3, 0.8),
        fingers=float(rng.uniform(0.15, 0.50)),
    )


def draw_sheet(
    profile: str, length_mm: float, albedo: dict[str, float], look: Look, rng: np.random.Generator
) -> FloatArray:
    """Factors [rows, COLUMNS] on the brightness of a tube; ``profile`` names the part of the body.

    ``albedo``: brightness of each kind of surface, for hems between two of them.
    """
    rows = round(length_mm / ROW_MM) + 1
    along = np.linspace(0.0, 1.0, rows)[:, None]
    around = (np.arange(COLUMNS) / COLUMNS)[None, :]
    if profile in ("head", "neck"):
        sheet, base = _head(profile, along, around, look, rng), albedo["skin"]
    elif profile == "hand":
        sheet, base = _hand(along, around, look, rng), albedo["skin"]
    else:
        cloth = {
            "upper arm": "sleeve", "pelvis": "trousers", "thigh": "trousers", "foot": "shoes",
            "forearm": "forearm", "shin": "shin",
        }.get(profile, "shirt")  # fmt: skip
        base = albedo[cloth]
        bare = profile in ("forearm", "shin") and base == albedo["skin"]
        sheet = _skin(along, look, rng) if bare else _cloth(profile, along, around, look, rng)
        sheet = _hems(profile, sheet, along, albedo, look)
    sheet = np.clip(sheet, 0.15, _BRIGHTEST / base)
    return np.pad(sheet, ((MARGIN, MARGIN), (0, 0)), mode="edge")


def _smooth(
    rng: np.random.Generator, shape: tuple[int, int], rows_apart: float, around: int
) -> FloatArray:
    """Smooth noise of deviation about 1: random values on a coarse grid, interpolated."""
    n = int(shape[0] / rows_apart) + 2
    grid = rng.normal(0.0, 1.4, (n, around))
    row, column = np.arange(shape[0]) / rows_apart, np.arange(shape[1]) * (around / shape[1])
    low, left = row.astype(int), column.astype(int)
    part, across = (row - low)[:, None], (column - left)[None, :]
    rows = grid[low] * (1 - part) + grid[low + 1] * part
    return np.asarray(rows[:, left] * (1 - across) + rows[:, (left + 1) % around] * across)


def _skin(along: FloatArray, look: Look, rng: np.random.Generator) -> FloatArray:
    return 1.0 + look.skin * _smooth(rng, (len(along), COLUMNS), 5.0, 6)


def _cloth(
    profile: str, along: FloatArray, around: FloatArray, look: Look, rng: np.random.Generator
) -> FloatArray:
    shape = (len(along), COLUMNS)
    apart, narrow = rng.uniform(2.5, 7.0), int(rng.integers(4, 13))
    sheet = 1.0 + look.folds * _smooth(rng, shape, apart, narrow)
    sheet *= 1.0 + look.weave * _smooth(rng, shape, 1.5, COLUMNS // 3)
    shirt = profile in ("abdomen", "chest", "upper arm")
    if shirt and look.stripes:
        turns = 12.0 * around if look.stripes_upright else along * len(along) * ROW_MM
        period = 1.0 if look.stripes_upright else look.stripe_mm
        sheet *= np.where(turns / period % 1.0 < 0.5, 1.0, 1.0 - look.stripes)
    if profile == "chest" and look.print_strength:
        sheet *= _print(along, around, look, rng)
    if profile == "foot":  # laces and seams
        sheet *= np.exp(0.4 * _smooth(rng, shape, 3.0, 8))
    return np.asarray(sheet)


def _print(
    along: FloatArray, around: FloatArray, look: Look, rng: np.random.Generator
) -> FloatArray:
    """Letters or a picture on the front of the shirt: blocks, brighter or darker than the cloth."""
    sign = rng.choice([-1.0, 1.0])
    rows, columns = len(along), COLUMNS
    tall, wide = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    blocks = rng.random((rows // tall + 1, columns // wide + 1)) < rng.uniform(0.3, 0.8)
    inked = np.repeat(np.repeat(blocks, tall, axis=0), wide, axis=1)[:rows, :columns]
    low, high = rng.uniform(0.1, 0.4), rng.uniform(0.55, 0.85)
    reach = rng.uniform(0.06, 0.16)
    inside = (along > low) & (along < high) & (np.abs(around - _FRONT) < reach)
    return np.asarray(np.exp(sign * look.print_strength * (inked & inside)))


def _hems(
    profile: str, sheet: FloatArray, along: FloatArray, albedo: dict[str, float], look: Look
) -> FloatArray:
    """Borders between cloth and skin, socks, and a belt."""
    skin = albedo["skin"]
    if profile == "upper arm" and albedo["forearm"] == skin:
        sheet = np.where(along > look.hem, skin / albedo["sleeve"], sheet)
    if profile == "thigh" and albedo["shin"] == skin:
        sheet = np.where(along > look.hem, skin / albedo["trousers"], sheet)
    if profile == "shin" and albedo["shin"] == skin and look.sock:
        sheet = np.where(along > 1.0 - look.sock, 0.85 / skin, sheet)
    if profile == "pelvis" and look.belt:
        sheet = np.where((along > 0.80) & (along < 0.95), sheet * (1.0 - look.belt), sheet)
    return sheet


def _head(
    profile: str, along: FloatArray, around: FloatArray, look: Look, rng: np.random.Generator
) -> FloatArray:
    """Locks of hair, eyes, brows, nose and mouth; the neck is plain skin with a shadow."""
    if profile == "neck":
        return _skin(along, look, rng) * (1.0 - 0.3 * look.face * (along > 0.6))
    shape = (len(along), COLUMNS)
    aside = np.abs(around - _FRONT)
    face = aside < 0.17
    locks = np.exp(look.hair * _smooth(rng, shape, 4.0, 20))
    features = np.ones(shape)
    for low, high, near, far, strength in (
        (0.50, 0.62, 0.03, 0.10, 1.0),  # eyes
        (0.68, 0.76, 0.02, 0.11, 0.8),  # brows
        (0.28, 0.50, 0.02, 0.035, 0.4),  # sides of the nose
        (0.12, 0.20, 0.0, 0.06, 0.7),  # mouth
    ):
        inside = (along > low) & (along < high) & (aside >= near) & (aside < far)
        features[inside] *= 1.0 - look.face * strength
    return np.asarray(np.where(face, features, locks) * _skin(along, look, rng))


def _hand(
    along: FloatArray, around: FloatArray, look: Look, rng: np.random.Generator
) -> FloatArray:
    """Gaps between four fingers on both sides of the outer half of the hand."""
    gaps = (np.cos(2 * np.pi * 10 * around) > 0.6) & (along > 0.5)
    return np.asarray(np.where(gaps, 1.0 - look.fingers, 1.0) * _skin(along, look, rng))
