"""A recording that moves: events, skeletons, and the layers that send."""

import io
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.examples import Example, Film, Points
from ann2sdnn.support.page.blocks import short_names
from ann2sdnn.support.page.document import Animation
from ann2sdnn.support.page.figures import ANN, LABEL, SDNN

_FRAME_MS = 150
_QUALITY = 60
_WHITE, _GREY = (255, 255, 255), (120, 120, 120)
_STRIP, _TEXT, _GAP = 18, 16, 4  # heights and distances in pixels
_FAINTEST, _FULL = 1e-3, 0.3  # shares of neurons that are drawn white and in full colour
_FONT_SIZE, _SMALL_SIZE = 12, 8
_FEW_LAYERS = 24  # more have no room for their names
_FINER = 2  # skeletons are drawn larger, so that lines have smooth edges
_Place = NDArray[np.float64]


def moving(evaluation: Evaluation) -> Animation | None:
    """The frames of one recording, one after the other."""
    film = evaluation.film
    if film is None:
        return None
    return Animation(
        "A recording",
        "Left the events that enter, right the skeletons: the label dotted, the ANN thick and blue,"
        " the SDNN thin and orange, as far as the ANN is confident of a joint. Below, one cell per"
        " layer, the input first: the more of its neurons send a message, the darker; white is one"
        " in a thousand, or fewer. In the first frame everything is sent.",
        partial(to_webp, film),
    )


def to_webp(film: Film) -> bytes:
    """The film as an animated WebP file, which repeats."""
    first, *others = (_drawn(film, index) for index in range(len(film.frames)))
    stream = io.BytesIO()
    first.save(
        stream,
        format="webp",
        save_all=True,
        append_images=others,
        duration=_FRAME_MS,
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return stream.getvalue()


def _drawn(film: Film, index: int) -> Image.Image:
    example = film.frames[index]
    height, width = example.frame.shape[-2:]
    canvas = Image.new(
        "RGB", (2 * width + _GAP, _TEXT + height + 2 * _GAP + _STRIP + _TEXT), _WHITE
    )
    pen = ImageDraw.Draw(canvas)
    pen.text((2, 1), example.title, fill=_GREY, font=ImageFont.load_default(_FONT_SIZE))
    canvas.paste(_events(example.frame), (0, _TEXT))
    canvas.paste(_skeletons(example, (width, height)), (width + _GAP, _TEXT))
    pen.line([(width + 1, _TEXT), (width + 1, _TEXT + height)], fill=(220, 220, 220))
    _draw_strip(pen, film, index, _TEXT + height + 2 * _GAP, canvas.width)
    return canvas


def _events(frame: NDArray[np.uint8] | NDArray[np.float32]) -> Image.Image:
    """The frame, events dark on white; the root makes single ones visible."""
    counts = frame.astype(np.float32).reshape(-1, *frame.shape[-2:]).max(axis=0)
    grey = 255.0 * (1.0 - np.sqrt(counts / max(float(counts.max()), 1.0)))
    return Image.fromarray(np.rint(grey).astype(np.uint8), "L").convert("RGB")


def _skeletons(example: Example, size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", (_FINER * size[0], _FINER * size[1]), _WHITE)
    pen = ImageDraw.Draw(picture)
    for a, b in _lines(example, example.labels):
        _draw_dots(pen, a, b, LABEL.colour)
    for points, colour, line in ((example.ann, ANN.colour, 9), (example.sdnn, SDNN.colour, 4)):
        for a, b in _lines(example, points):
            pen.line([tuple(a), tuple(b)], fill=colour, width=line)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _lines(example: Example, points: Points | None) -> Iterator[tuple[_Place, _Place]]:
    """Both ends of every bone that is shown, in the finer picture."""
    if points is None:
        return
    places = _FINER * np.asarray(points.pixels, np.float64)
    for a, b in example.bones:
        if points.shown[a] and points.shown[b]:
            yield places[a], places[b]


def _draw_dots(pen: ImageDraw.ImageDraw, start: _Place, end: _Place, colour: str) -> None:
    n = max(int(np.linalg.norm(end - start) / 6), 1)
    for part in np.linspace(0.0, 1.0, n + 1):
        x, y = start + part * (end - start)
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)


def _draw_strip(pen: ImageDraw.ImageDraw, film: Film, index: int, top: int, width: int) -> None:
    """A cell per layer, as dark as many of its neurons send."""
    shares = film.shares[index]
    edges = np.linspace(0, width - 1, len(shares) + 1).astype(int)
    names = short_names(film.sends)
    font = ImageFont.load_default(_SMALL_SIZE)
    for left, right, share, name in zip(edges[:-1], edges[1:], shares, names, strict=True):
        colour = shade(float(share))
        pen.rectangle((left, top, right, top + _STRIP), fill=colour, outline=(200, 200, 200))
        if len(shares) <= _FEW_LAYERS:
            lengths = range(len(name), 0, -1)
            n = next((n for n in lengths if pen.textlength(name[:n], font) < right - left - 2), 0)
            pen.text((left + 2, top + _STRIP + 2), name[:n], fill=_GREY, font=font)


def shade(share: float) -> tuple[int, int, int]:
    """White for a share of ``_FAINTEST`` or less, the SDNN's colour for ``_FULL`` or more."""
    span = np.log(_FULL / _FAINTEST)
    strength = float(np.clip(np.log(max(share, 1e-12) / _FAINTEST) / span, 0.0, 1.0))
    full = tuple(int(SDNN.colour[at : at + 2], 16) for at in (1, 3, 5))
    red, green, blue = (round(255 + strength * (each - 255)) for each in full)
    return red, green, blue
