"""Registry of frame sources, and opening a path with the source that recognises it.

Another package adds a source with ``SOURCES["name"] = source``.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.dhp19 import Dhp19Source
from ann2sdnn.data.sources.files.array_files import ArraySource
from ann2sdnn.data.sources.files.hdf5 import Hdf5Source
from ann2sdnn.data.sources.files.picture_folders import PictureSource
from ann2sdnn.data.sources.files.video import VideoSource
from ann2sdnn.data.sources.frames import SHORTEST, Frames, RemarkedFrames, limited
from ann2sdnn.data.sources.source import FrameSource, NoSource, SourceOptions
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import any_of, declared_of
from ann2sdnn.support.progress import SILENT, Reporter

# Asked from the last to the first.
SOURCES: dict[str, FrameSource] = {
    "pictures": PictureSource(),
    "video": VideoSource(),
    "arrays": ArraySource(),
    "hdf5": Hdf5Source(),
    "dhp19": Dhp19Source(),
}


def source_of(path: Path) -> FrameSource:
    """The source that recognises ``path``; where none does, one that opens nothing."""
    asked = reversed(SOURCES.values())
    return next((source for source in asked if source.recognises(path)), NoSource())


def source_files(path: Path) -> tuple[Path, ...]:
    """``path`` and the files that opening it would read."""
    return source_of(path).files(path)


def source_options(*, one_sequence: bool = False, but: Collection[str] = ()) -> Any:
    """A field of options that holds a source's own options, or None for its defaults.

    ``one_sequence``: for a command that shows one sequence of a group; a source may have options of
    its own for those. ``but``: names of sources whose options are left out.
    """

    def classes() -> list[type[SourceOptions]]:
        fitting = []
        for source in (source for name, source in SOURCES.items() if name not in but):
            suited = [each for each in source.options if each.one_sequence == one_sequence]
            fitting += (suited or list(source.options))[:1]
        # The first that has all options given is taken: one that several kinds have asks for none.
        return sorted(fitting, key=lambda each: len(fields(each)))

    return any_of(classes)


def open_frames(
    path: str | Path,
    options: SourceOptions | None = None,
    *,
    split: Side = "all",
    max_frames: int | None = None,
    shortest: int = SHORTEST,
    reporter: Reporter = SILENT,
) -> tuple[Frames, ...]:
    """Open ``path`` with the source that recognises it: one or more sequences with frames.

    ``options``: the source's own. ``split``: the side of the data's split. ``max_frames``: at most
    so many frames over all sequences, from fewer sequences rather than less than ``shortest`` each
    (see ``limited``); None for all. ``reporter`` gets the remarks on how files were read. Raises
    DataError for what cannot be read and where no frame is left, UsageError for options of another
    source.
    """
    path = Path(path)
    source = source_of(path)
    known = type(options) in source.options or isinstance(source, NoSource)
    if options is not None and not known:
        given = [each for each in fields(options) if getattr(options, each.name) != each.default]
        names = [declared_of(each).option or each.name for each in given or fields(options)]
        raise UsageError(
            f"{', '.join(names) or type(options).__name__}: {path} holds {source.name}, which have"
            " no such option; leave it out"
        )
    sequences = [frames for frames in source.open(path, options, split) if frames.n_frames > 0]
    for remark in remarks(sequences):
        reporter.message(f"Warning: {remark}")
    return limited(sequences, max_frames, shortest=shortest)


def remarks(sequences: Sequence[Frames]) -> tuple[str, ...]:
    """The remarks on how the files of ``sequences`` were read, each once."""
    texts = (frames.remark for frames in sequences if isinstance(frames, RemarkedFrames))
    return tuple(dict.fromkeys(text for text in texts if text is not None))
