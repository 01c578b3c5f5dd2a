"""Registry of frame sources, and opening a path with the source that recognises it.

Another package adds a source with ``SOURCES["name"] = source``.
"""

from pathlib import Path
from typing import Any

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.dhp19 import Dhp19Source
from ann2sdnn.data.sources.frames import Frames, limited
from ann2sdnn.data.sources.source import FrameSource, SourceOptions
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import any_of

# Asked from the last to the first. Where none recognises a path, the first says what was expected.
SOURCES: dict[str, FrameSource] = {"dhp19": Dhp19Source()}


def source_of(path: Path) -> FrameSource:
    """The source that recognises ``path``, or the first where none does."""
    first, *others = SOURCES.values()
    return next((source for source in reversed(others) if source.recognises(path)), first)


def source_options() -> Any:
    """A field with the options of the data's own source; the command line has those of all."""
    return any_of(lambda: [one for source in SOURCES.values() for one in source.options[:1]])


def source_files(path: Path) -> tuple[Path, ...]:
    """``path`` and the files that opening it would read."""
    return source_of(path).files(path)


def open_frames(
    path: Path,
    options: SourceOptions | None = None,
    *,
    split: Side = "all",
    max_frames: int | None = None,
) -> tuple[Frames, ...]:
    """Open ``path`` with the source that recognises it: one or more sequences with frames.

    ``options``: the source's own. ``split``: the side of the data's split. ``max_frames``: at most
    so many frames over all sequences (see ``limited``); None for all. Raises DataError for what
    cannot be read and where no frame is left, UsageError for options of another source.
    """
    source = source_of(path)
    if options is not None and not isinstance(options, source.options):
        raise UsageError(
            f"{path} holds {source.name}, which take no {type(options).__name__}; leave them out"
        )
    sequences = [one for one in source.open(path, options, split) if one.n_frames > 0]
    return limited(sequences, max_frames)
