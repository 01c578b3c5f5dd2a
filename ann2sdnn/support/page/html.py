"""Renders a document as one HTML page without external resources."""

import base64
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ann2sdnn.support.page.document import Document, Gallery, Picture, Sheet
from ann2sdnn.support.page.figures import to_png, to_small_png


def render(document: Document) -> str:
    """The page; its plots are drawn here."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_source),
    )
    environment.tests.update(
        sheet=lambda part: isinstance(part, Sheet), gallery=lambda part: isinstance(part, Gallery)
    )
    environment.filters.update(image=_image)
    return environment.get_template("document.html.j2").render(document=document)


def _image(picture: Picture) -> str:
    """The plot as a data URI."""
    png = to_png(picture.draw()) if picture.full_colour else to_small_png(picture.draw())
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _source(name: str) -> str:
    return files("ann2sdnn.support.page").joinpath(name).read_text(encoding="utf-8")
