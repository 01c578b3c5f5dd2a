"""Makes the page and what it is sent for each frame."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image
from torch import Tensor

from ann2sdnn.eval.bench.live.player import Player, Shown
from ann2sdnn.support.page.blocks import short_names

_RGB = 3
_TEMPLATE = "page.html.j2"


def render_page(player: Player, title: str) -> str:
    """The document, without a frame; ``title``: the conversion and the source."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = files("ann2sdnn.eval.bench.live").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    known = {
        "kind": player.reader.kind,
        "bones": player.reader.bones,
        "points": [{"name": one.name, "meaning": one.meaning} for one in player.points],
        "point": player.point,
        "layers": short_names(player.names),
        "neurons": player.neurons,
        "dense": player.dense,
        "rate": player.rate,
    }
    return environment.from_string(source).render(title=title, known=_in_script(known))


def reading_of(player: Player, shown: Shown) -> Mapping[str, Any]:
    """What a page shows of one frame, for JSON."""
    answers = asdict(shown.answers)
    return {
        "sequence": shown.sequence,
        "index": shown.index,
        "n_frames": shown.n_frames,
        "picture": picture(shown.frame),
        **answers,
        "point": shown.point,
        "is_first": shown.is_first,
        "operations": shown.operations,
        "messages": shown.messages,
        "sdnn_ms": round(shown.sdnn_ms, 3),
        "ann_ms": round(shown.ann_ms, 3),
        "fps": None if shown.fps is None else round(shown.fps, 1),
        "playing": player.is_playing,
    }


def picture(frame: Tensor) -> Mapping[str, Any]:
    """The frame [C, H, W] as a PNG file in a data URI, in colour where it has three channels.

    Others, ``is_mask``, are the largest value of a pixel's channels as the opacity of ink; its root
    makes single events visible.
    """
    values = frame.numpy().astype(np.float32)
    if len(values) == _RGB and not frame.dtype.is_floating_point:
        image = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy(), "RGB")
        return {"uri": _png(image), "is_mask": False}
    strongest = np.abs(values).max(axis=0)
    opacity = 255.0 * np.sqrt(strongest / max(float(strongest.max()), 1e-12))
    alpha = Image.fromarray(np.rint(opacity).astype(np.uint8), "L")
    ink = Image.new("L", alpha.size, 0)
    return {"uri": _png(Image.merge("LA", (ink, alpha))), "is_mask": True}


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, format="png", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _in_script(value: Any) -> str:
    """JSON in which no text can end the script."""
    return json.dumps(value).replace("<", "\\u003c")
