"""Options of `live`."""

from dataclasses import dataclass

from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.options.fields import CheckedOptions, free, number, random_seed
from ann2sdnn.support.options.limits import MOST_FRAMES


@dataclass(frozen=True)
class LiveOptions(CheckedOptions):
    """What is played, how fast, and where it is shown."""

    panel = "Playing"

    rate: float = number(10.0, above=0, at_most=1000, option="--rate")
    """Frames per second; fewer where the machine is slower."""
    frames: int | None = number(
        None, at_least=2, at_most=MOST_FRAMES, option="--frames", shown_default="all, or 96 made"
    )
    """Frames of each sequence."""
    reading: SourceOptions | None = source_options()
    """Options of the source, such as its cameras."""
    seed: int | None = random_seed(None, shown_default="another one each time")
    """Seed of a movement that is made."""
    once: bool = free(False, option="--once")
    """Play the source once; by default it starts again until Ctrl-C."""
    terminal: bool = free(False, option="--terminal")
    """Show a table in the terminal, without a page."""
    port: int | None = number(
        None, at_least=1, at_most=65535, option="--port", shown_default="a free one"
    )
    """Port of the page on 127.0.0.1."""
