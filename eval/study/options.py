"""Options of `results`, and what its rows are made of: networks, kinds of windows, conversions."""

from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, free, number
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_WORKERS

WINDOWS = {
    "overlapping": ("--hop-events", "3750", "--normalise", "fixed"),
    "disjoint": ("--normalise", "fixed"),
}
"""Kinds of windows of 30,000 events, and the options of `synth` that make them."""

CONVERSIONS = {
    "stock": ("--relays", "0"),
    "relays": ("--relays", "6"),
    "shifts": (
        *("--relays", "0", "--shifts", "per-layer"),
        *("--spike-exp", "6", "--threshold-bits", "4"),
    ),
    "sparse": ("--relays", "0", "--budget-px", "0.8", "--message-cost", "200"),
}
"""Conversions, and their options of `convert`; the first one's memoryless network is shown."""


@dataclass(frozen=True)
class StudiedNetwork:
    """A network that is converted.

    ``name``: of its folder. ``title``: in the document. ``file``: where it stands, "pretrained", or
    a file of the user's. ``imported``: whether `import-ann` reads that file first.
    """

    name: str
    title: str
    file: str | Path
    imported: bool = False


SHIPPED_NETWORK = StudiedNetwork("shipped", "The network that comes along", "pretrained")


def published_network(file: Path) -> StudiedNetwork:
    """The network of the data set's authors, in ``file``."""
    title = "The network that the data set's authors published"
    return StudiedNetwork("published", title, file, imported=True)


@dataclass(frozen=True)
class StudyOptions(CheckedOptions):
    """What is measured, and on how much data; the defaults take minutes per conversion."""

    panel = "Size"

    windows: tuple[str, ...] = free(tuple(WINDOWS), option="--windows")
    """Kinds of windows: overlapping (hops of 1/8) and disjoint."""
    conversions: tuple[str, ...] = free(tuple(CONVERSIONS), option="--conversions")
    """Conversions: stock (no relays), relays, shifts (per layer, finer thresholds), sparse
    (a larger budget, --message-cost)."""
    frames: int = number(128, at_least=2, at_most=MOST_FRAMES, option="--frames")
    """Frames to evaluate on."""
    calibration_frames: int = number(
        48, at_least=1, at_most=MOST_FRAMES, option="--calibration-frames"
    )
    """Frames to calibrate each conversion on."""
    bench_frames: int = number(9, at_least=2, at_most=MOST_FRAMES, option="--bench-frames")
    """Frames to time on."""
    rounds: int = number(5, at_least=1, at_most=10**6, option="--rounds")
    """Times that every network is timed on them."""
    threads: int | None = number(None, at_least=1, at_most=1024, option="--threads")
    """Threads of every timed network; torch's number by default."""
    workers: int = number(1, at_least=1, at_most=MOST_WORKERS, option="--workers")
    """Processes that make recordings side by side."""
    recorded_frames: int = number(9, at_least=2, at_most=MOST_FRAMES)
    """Frames per recording."""
    calibration_people: int = number(6, at_least=1, at_most=17)
    """People to calibrate on."""
    calibration_movements: int = number(4, at_least=1, at_most=33)
    """Movements of each of them."""
    people: int = number(3, at_least=1, at_most=17)
    """People to evaluate on."""
    movements: int = number(6, at_least=1, at_most=33)
    """Movements of each of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("--windows", self.windows, WINDOWS)
        _check("--conversions", self.conversions, CONVERSIONS)


def _check(option: str, chosen: tuple[str, ...], known: dict[str, tuple[str, ...]]) -> None:
    """Raise UsageError unless ``chosen`` are some of the names ``known``, each once."""
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise UsageError(
            f"{option} {','.join(chosen) or 'nothing'}; expected some of {', '.join(known)},"
            " each once"
        )
