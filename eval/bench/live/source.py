"""Opens what is played: a path that ``open_frames`` reads, or a movement that is made for it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.synthetic.generate import synthesise
from ann2sdnn.data.synthetic.movements.kinds import KINDS
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.eval.bench.live.options import LiveOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.nearest import did_you_mean
from ann2sdnn.support.progress import SILENT, Reporter

_FRAMES_MADE = 96
_HOP_EVENTS = 3750  # of windows of 30,000, as the network that comes along was trained on


def is_movement(source: str) -> bool:
    """Whether ``source`` is a movement to make; a file or folder of that name goes first."""
    return source in KINDS and not Path(source).exists()


@contextmanager
def opened(
    source: str, options: LiveOptions, reporter: Reporter = SILENT
) -> Iterator[tuple[Frames, ...]]:
    """The sequences of ``source``; a movement's recording is deleted at the end.

    Raises DataError for what is neither a path nor a movement, and for what cannot be read.
    """
    if is_movement(source):
        with TemporaryDirectory(prefix="ann2sdnn-live-") as folder:
            made = _made(source, Path(folder) / "recording", options, reporter)
            yield open_frames(made, options.reading, reporter=reporter)
        return
    if not Path(source).exists():
        near = did_you_mean(source, KINDS)
        raise DataError(
            f"--source {source} does not exist{near or ';'} name frames, or a movement to make:"
            f" {', '.join(KINDS)}"
        )
    sequences = open_frames(source, options.reading, reporter=reporter)
    if options.frames is None:
        yield sequences
    else:
        yield tuple(sequence.part(0, options.frames) for sequence in sequences)


def _made(kind: str, folder: Path, options: LiveOptions, reporter: Reporter) -> Path:
    """A recording of one person, whose seed is said so that it can be made again."""
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    reporter.message(f"Making a recording of the movement {kind!r} with --seed {seed}")
    asked = SynthOptions(
        hop_events=_HOP_EVENTS,
        normalise="fixed",
        subjects=1,
        movements=1,
        frames=options.frames or _FRAMES_MADE,
        seed=seed,
        kinds=(kind,),
    )
    synthesise(folder, asked, reporter=reporter)
    return folder
