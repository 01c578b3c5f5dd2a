"""The registry of frame sources, and opening a path with the source that recognises it."""

from pathlib import Path

from ann2sdnn.data.sources.dhp19 import Dhp19Source
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.source import FrameSource, SourceOptions
from ann2sdnn.support.errors import DataError, UsageError

# The first stands in where no source recognises a path: its errors say what was expected.
_SOURCES: list[FrameSource] = [Dhp19Source()]


def register(source: FrameSource) -> None:
    """Add a source; it is asked before those added earlier."""
    _SOURCES.append(source)


def sources() -> tuple[FrameSource, ...]:
    """All sources, in the order in which they are asked."""
    return tuple(reversed(_SOURCES))


def source_of(path: Path) -> FrameSource:
    """The source that recognises ``path``, or the DHP19 source where none does."""
    return next((source for source in sources() if source.recognises(path)), _SOURCES[0])


def source_files(path: Path) -> tuple[Path, ...]:
    """``path`` and the files that opening it would read."""
    return source_of(path).files(path)


def open_frames(path: Path, options: SourceOptions | None = None) -> tuple[Frames, ...]:
    """Open ``path`` with the source that recognises it; at least one sequence with frames.

    Raises DataError for what cannot be read and where no frame is left, UsageError for options of
    another source.
    """
    options = options or SourceOptions()
    source = source_of(path)
    if not (type(options) is SourceOptions or isinstance(options, source.options)):
        raise UsageError(
            f"{path} holds {source.name}, which take no {type(options).__name__};"
            f" expected {source.options[0].__name__}"
        )
    sequences = tuple(one for one in source.open(path, options) if one.n_frames > 0)
    if not sequences:
        raise DataError("there are no frames to run on; choose another data set or --split")
    return sequences
