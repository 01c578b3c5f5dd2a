"""Pages without external resources, from templates that extend ``page.html.j2``."""

import base64
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from matplotlib.figure import Figure

from ann2sdnn.support.page.figures import to_png, to_small_png
from ann2sdnn.support.page.numbers import compact, decimals, percent


@dataclass(frozen=True)
class Picture:
    """A plot as it stands in the page: ``source`` is a data URI."""

    title: str
    meaning: str
    source: str


def picture(title: str, meaning: str, figure: Figure) -> Picture:
    """``figure`` with its title and what it means."""
    return _picture(title, meaning, to_png(figure))


def small_picture(title: str, meaning: str, figure: Figure, *, dpi: int = 110) -> Picture:
    """The same in few colours, for pages with many plots."""
    return _picture(title, meaning, to_small_png(figure, dpi))


def _picture(title: str, meaning: str, png: bytes) -> Picture:
    encoded = base64.b64encode(png).decode("ascii")
    return Picture(title, meaning, f"data:image/png;base64,{encoded}")


def render(template: str, **values: object) -> str:
    """The page of ``template``, such as eval.render/report.html.j2: a package and a file in it."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_source),
    )
    environment.filters.update(compact=compact, decimals=decimals, percent=percent)
    return environment.get_template(template).render(**values)


def _source(name: str) -> str:
    package, _, file = name.partition("/")
    return files(f"ann2sdnn.{package}").joinpath(file).read_text(encoding="utf-8")
