"""Renders a document as one HTML page without external resources, or as a part of a page."""

import base64
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ann2sdnn.support.page.blocks import MOST_LAYERS
from ann2sdnn.support.page.document import Animation, Document, Folds, Gallery, Picture, Sheet
from ann2sdnn.support.page.figures import to_png, to_small_png
from ann2sdnn.support.page.numbers import Download, downloads_of_plot, downloads_of_sheet


@dataclass(frozen=True)
class Drawn:
    """A plot as a data URI, and the files of its numbers."""

    image: str
    downloads: tuple[Download, ...]


def render(document: Document) -> str:
    """The page; its plots are drawn here."""
    return _environment().get_template("document.html.j2").render(document=document)


def render_fragment(document: Document) -> str:
    """Title, sentences, tables and warnings as an HTML element for a notebook, without plots.

    Tables of more than ``MOST_LAYERS`` rows are folded.
    """
    template = _environment().get_template("fragment.html.j2")
    return template.render(document=document, most_rows=MOST_LAYERS)


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_source),
    )
    environment.tests.update(
        sheet=lambda part: isinstance(part, Sheet),
        gallery=lambda part: isinstance(part, Gallery),
        animation=lambda part: isinstance(part, Animation),
        folds=lambda part: isinstance(part, Folds),
    )
    environment.filters.update(drawn=_drawn, filmed=_filmed, downloads=downloads_of_sheet)
    return environment


def _drawn(picture: Picture) -> Drawn:
    figure = picture.draw()
    png = to_png(figure) if picture.full_colour else to_small_png(figure)
    image = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return Drawn(image, downloads_of_plot(picture.title, figure))


def _filmed(animation: Animation) -> str:
    """The animation as a data URI."""
    return f"data:image/webp;base64,{base64.b64encode(animation.draw()).decode('ascii')}"


def _source(name: str) -> str:
    return files("ann2sdnn.support.page").joinpath(name).read_text(encoding="utf-8")
