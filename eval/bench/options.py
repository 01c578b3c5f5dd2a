"""Options of `bench`."""

from dataclasses import dataclass

from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.options.fields import CheckedOptions, free, number
from ann2sdnn.support.options.limits import MOST_FRAMES


@dataclass(frozen=True)
class BenchOptions(CheckedOptions):
    """How many frames are timed, and how often."""

    panel = "Timing"

    frames: int = number(16, at_least=2, at_most=MOST_FRAMES, option="--frames")
    """Frames of the first sequence."""
    source: SourceOptions | None = source_options(one_sequence=True)
    """Options of the data's source, such as the camera."""
    rounds: int = number(3, at_least=1, at_most=10**6, option="--rounds")
    """Times that every network runs on the frames."""
    threads: int | None = number(None, at_least=1, at_most=1024, option="--threads")
    """Threads of every network; torch's number by default."""
    networks: tuple[str, ...] | None = free(None, option="--networks", shown_default="all")
    """Networks to time beside torch and engine, by their names in the file of --json."""
    profile: bool = free(False, option="--profile")
    """Also show where the engine's time goes, layer by layer."""
